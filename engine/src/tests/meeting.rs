//! Writers that meet at a moment that is chosen.

use std::time::Duration;

use futures::future::BoxFuture;

use super::hooks::Hold;
use super::*;
use crate::storage::Operation;

/// The graph in a process whose next log entry is held back, once that is armed.
pub(super) async fn held_back(fixture: &Fixture) -> (Graph, Arc<Hold>) {
    let hold = Hold::before(&[Operation::Put], "_graph/branches/");
    let store = fixture.store.with_faults(hold.clone());
    (Graph::open(store, resources()).await.unwrap(), hold)
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
