//! `LISTEN commits` across servers: while somebody listens, the graph's logs are looked at
//! every second, and what other processes published is told to the listeners here.
//!
//! What a session of this server commits it tells at once; whoever comes first, the session
//! or the look at the log, each commit is told once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use omnigraph_engine::names::CommitId;
use omnigraph_engine::{Graph, HistoryKind, Result};
use parking_lot::Mutex;

use super::notify::{COMMITS, Channels};
use super::protocol::Notification;

/// How often the logs are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many commits are remembered as told.
const TOLD: usize = 10_000;
/// How many entries of one branch are told of at a time; the rest waits for the next look.
const ENTRIES: u64 = 1_000;

#[derive(Debug, Default)]
pub struct Watch {
    told: Mutex<Told>,
    watching: Mutex<bool>,
}

/// A commit that a branch has come to show.
#[derive(Debug)]
pub struct News<'a> {
    pub branch: &'a str,
    pub commit: CommitId,
    pub actor: &'a str,
    /// The branch may have shown it before.
    pub again: bool,
}

#[derive(Debug, Default)]
struct Told {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Watch {
    /// Tells what a branch shows, unless that was done.
    pub fn tell(&self, channels: &Channels, database: &Arc<str>, pid: i32, news: &News<'_>) {
        if !news.again && !self.is_new(format!("{} {}", news.branch, news.commit)) {
            return;
        }
        let payload = serde_json::json!({
            "branch": news.branch, "commit": news.commit.to_string(), "actor": news.actor,
        });
        let notification = Notification {
            pid,
            channel: COMMITS.to_owned(),
            payload: payload.to_string(),
        };
        channels.send(database, &notification);
    }

    fn is_new(&self, id: String) -> bool {
        let mut told = self.told.lock();
        if !told.ids.insert(id.clone()) {
            return false;
        }
        told.order.push_back(id);
        if told.order.len() > TOLD
            && let Some(oldest) = told.order.pop_front()
        {
            told.ids.remove(&oldest);
        }
        true
    }

    /// Looks at the logs from now on, until nobody listens any more.
    pub fn start(self: &Arc<Self>, graph: &Graph, channels: &Arc<Channels>, database: &Arc<str>) {
        let mut watching = self.watching.lock();
        if std::mem::replace(&mut *watching, true) {
            return;
        }
        let (watch, graph) = (Arc::clone(self), graph.clone());
        let (channels, database) = (Arc::clone(channels), Arc::clone(database));
        tokio::spawn(async move {
            let mut seen = HashMap::new();
            while watch.goes_on(&channels, &database) {
                if let Err(error) = watch.look(&graph, &channels, &database, &mut seen).await {
                    tracing::warn!(database = &*database, %error, "the logs cannot be looked at for LISTEN commits");
                }
                tokio::time::sleep(INTERVAL).await;
            }
        });
    }

    fn goes_on(&self, channels: &Channels, database: &Arc<str>) -> bool {
        // Under one lock with the answer to who starts it.
        let mut watching = self.watching.lock();
        *watching = channels.is_heard(database, COMMITS);
        *watching
    }

    /// Tells of what was published since the last look; the first only takes note.
    async fn look(
        &self,
        graph: &Graph,
        channels: &Channels,
        database: &Arc<str>,
        seen: &mut HashMap<String, u64>,
    ) -> Result<()> {
        let first = seen.is_empty();
        let branches = graph.branches().await?;
        seen.retain(|id, _| branches.iter().any(|branch| branch.id == *id));
        for branch in &branches {
            let before = match seen.get(&branch.id) {
                Some(seq) => *seq,
                None if first => branch.head_seq,
                // A new branch's first entry is where it was made.
                None => 0,
            };
            let upto = branch.head_seq.min(before.saturating_add(ENTRIES));
            for commit in graph.published(branch, before + 1..=upto).await? {
                let news = News {
                    branch: &commit.branch,
                    commit: commit.id,
                    actor: &commit.actor,
                    again: commit.kind == HistoryKind::Reset,
                };
                self.tell(channels, database, 0, &news);
            }
            seen.insert(branch.id.clone(), upto);
        }
        Ok(())
    }
}
