//! Long computations on a worker thread. A task that does not await for seconds (parsing a
//! statement of megabytes, planning it) would keep the tasks queued behind it on its thread
//! waiting as long; around such work the thread gives its queue away first.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::{Handle, RuntimeFlavor};

/// From this many bytes of SQL on, parsing and planning may take longer than others should wait.
pub const LARGE_SQL: usize = 2 * 1024;

/// Runs `work`, with the other tasks of this thread moved away if it is `heavy`.
pub fn run<T>(heavy: bool, work: impl FnOnce() -> T) -> T {
    if heavy && can_give_away() {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// The same for a future: around each of its polls.
pub async fn drive<F: Future>(heavy: bool, work: F) -> F::Output {
    let mut work = pin!(work);
    std::future::poll_fn(|context| poll(heavy, work.as_mut(), context)).await
}

fn poll<F: Future>(heavy: bool, work: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    run(heavy, || work.poll(context))
}

/// A runtime of one thread has nobody to give tasks to.
fn can_give_away() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_thread_does_the_work_itself() {
        assert_eq!(drive(true, async { run(true, || 1) }).await, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_a_thread_is_busy() {
        let (send, receive) = std::sync::mpsc::channel();
        let busy = tokio::spawn(async move {
            tokio::spawn(async move { send.send(()) });
            // The only worker thread waits here for a task that it would have to run itself.
            run(true, || {
                receive.recv_timeout(std::time::Duration::from_secs(10))
            })
        });
        assert_eq!(busy.await.expect("no panic"), Ok(()));
    }
}
