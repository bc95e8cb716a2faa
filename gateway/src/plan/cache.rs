//! Bound statements that any session may run again: what was bound for one connection of a
//! pool serves the others.

use std::collections::HashMap;
use std::sync::Arc;

use omnigraph_catalog::lookup::SearchPath;
use parking_lot::Mutex;

use super::Work;
use crate::error::PgResult;
use crate::session::Session;

#[derive(Debug, Default)]
pub struct PlanCache {
    plans: Mutex<HashMap<Key, Arc<Work>>>,
}

/// Everything that the meaning of a text depends on, but for schemas: those are checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    graph: Arc<str>,
    actor: String,
    text: String,
    declared: Vec<u32>,
    path: SearchPath,
    formats: Arc<str>,
}

/// How many plans are kept, and the longest text that is worth it.
const PLANS: usize = 2_000;
const TEXT_BYTES: usize = 10_000;

impl Key {
    pub(super) async fn new(session: &Session, text: &str, declared: &[u32]) -> PgResult<Self> {
        Ok(Key {
            graph: Arc::clone(&session.common.database),
            actor: session.common.actor.to_string(),
            text: text.to_owned(),
            declared: declared.to_vec(),
            path: session.search_path().await?,
            formats: session.formats(),
        })
    }
}

impl PlanCache {
    pub(super) fn find(&self, key: &Key) -> Option<Arc<Work>> {
        if key.text.len() > TEXT_BYTES {
            return None;
        }
        self.plans.lock().get(key).cloned()
    }

    pub(super) fn keep(&self, key: Key, work: Arc<Work>) {
        if key.text.len() > TEXT_BYTES {
            return;
        }
        let mut plans = self.plans.lock();
        // Full means many texts that differ by their literals; what is in use comes back soon.
        if plans.len() >= PLANS && !plans.contains_key(&key) {
            plans.clear();
        }
        plans.insert(key, work);
    }
}
