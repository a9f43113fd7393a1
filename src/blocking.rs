//! Work that may wait for a disk, on a thread of its own.
//!
//! What tokio makes of a piece of work is made anew for each kind of work, and there are dozens of kinds here. In a box they
//! are all of one kind, and the program has that machinery once.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::{JoinError, JoinHandle};

/// Begins `work`, whether anybody waits for it or not; gives what it gave. As [`tokio::task::spawn_blocking`].
pub(crate) fn spawn_blocking<T, F>(work: F) -> impl Future<Output = Result<T, JoinError>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (put, take) = slot();
    let thread = begin(Box::new(move || put(work())));
    async move {
        thread.await?;
        Ok(take().expect("work that ended has given something"))
    }
}

/// A place for what somebody else gives: who puts it there, and who takes it, where it was given.
pub(crate) fn slot<T>() -> (impl FnOnce(T), impl FnOnce() -> Option<T>) {
    let place = Arc::new(Mutex::new(None));
    let given = place.clone();
    let put = move |value| *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    let take = move || {
        let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
        given.take()
    };
    (put, take)
}

fn begin(work: Box<dyn FnOnce() + Send>) -> JoinHandle<()> {
    tokio::task::spawn_blocking(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_gives_its_result_and_runs_though_nobody_waits() {
        assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7);
        let (told, heard) = tokio::sync::oneshot::channel();
        drop(spawn_blocking(move || told.send(8)));
        assert_eq!(heard.await, Ok(8));
        assert!(spawn_blocking(|| panic!("on purpose")).await.is_err());
    }
}
