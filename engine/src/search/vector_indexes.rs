//! The indexes over vectors that a process has, and those that it is making.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::ivf::VectorIndex;

/// The file and the column.
pub(crate) type Key = (Arc<str>, String);

#[derive(Debug)]
pub(crate) struct VectorIndexes {
    made: moka::sync::Cache<Key, Arc<VectorIndex>>,
    making: Mutex<HashSet<Key>>,
    /// The numbers of a file from which on one is worth its making.
    least: usize,
    /// Who makes one, so that not all processors make indexes.
    turn: Arc<Semaphore>,
}

impl VectorIndexes {
    pub fn new(bytes: u64, least: usize) -> VectorIndexes {
        VectorIndexes {
            made: moka::sync::Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, index: &Arc<VectorIndex>| {
                    u32::try_from(index.size()).unwrap_or(u32::MAX)
                })
                .build(),
            making: Mutex::default(),
            least,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    pub fn is_worth(&self, numbers: usize) -> bool {
        numbers >= self.least
    }

    pub fn made(&self, key: &Key) -> Option<Arc<VectorIndex>> {
        self.made.get(key)
    }

    /// Shall who asks make it? Then [`VectorIndexes::end`] has to follow.
    pub fn begin(&self, key: &Key) -> bool {
        self.making.lock().insert(key.clone())
    }

    #[cfg(test)]
    pub fn is_making(&self) -> bool {
        !self.making.lock().is_empty()
    }

    pub fn turn(&self) -> Arc<Semaphore> {
        Arc::clone(&self.turn)
    }

    pub fn end(&self, key: Key, index: Option<Arc<VectorIndex>>) {
        if let Some(index) = index {
            self.made.insert(key.clone(), index);
        }
        self.making.lock().remove(&key);
    }
}
