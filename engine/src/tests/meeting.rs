//! Writers that meet at a moment that is chosen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use super::*;
use crate::storage::{Fault, Faults, Operation};

/// Holds the next log entry back, once it is shut.
#[derive(Debug, Default)]
pub(super) struct Gate {
    shut: AtomicBool,
    reached: Notify,
    opened: Notify,
}

impl Gate {
    /// The graph in a process that goes through the gate.
    pub async fn before(gate: &Arc<Gate>, fixture: &Fixture) -> Graph {
        let store = fixture.store.with_faults(gate.clone());
        Graph::open(store, resources()).await.unwrap()
    }

    pub fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// Waits until somebody has everything ready and stands before it.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    pub fn open(&self) {
        self.opened.notify_one();
    }
}

#[async_trait]
impl Faults for Gate {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        let entry = operation == Operation::Put && key.contains("_graph/branches/");
        if entry && self.shut.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            self.opened.notified().await;
        }
        Fault::None
    }
}

/// Lets writers of one process wait for a turn, one after the other, and then publish together.
pub(super) async fn together<T: Send + 'static>(
    graph: &Graph,
    on: &str,
    writers: Vec<BoxFuture<'static, T>>,
) -> Vec<T> {
    let (shared, _) = graph.shared.resolve(&branch(on), false).await.unwrap();
    let turn = shared.turn().await;
    let mut running = Vec::new();
    for writer in writers {
        let waiting = shared.waiting();
        let writer = tokio::spawn(writer);
        while shared.waiting() == waiting && !writer.is_finished() {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        running.push(writer);
    }
    drop(turn);
    let mut told = Vec::new();
    for writer in running {
        told.push(writer.await.unwrap());
    }
    told
}
