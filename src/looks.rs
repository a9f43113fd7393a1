//! Looks at files of others, which may be on a server that does not answer: a user's home, a directory for checkpoints.
//!
//! The agent has one thread for all it does. A look that hangs would take it with it, so looks are made on threads of their
//! own: one at a time for each place, so that one that hangs costs one thread, however often it is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::blocking::spawn_blocking;

/// A look takes milliseconds; a disk that has to spin up first takes some seconds.
pub(crate) const LOOK: Duration = Duration::from_secs(20);

/// The right to look at one place, which one look has at a time.
#[derive(Clone, Debug)]
pub(crate) struct Looks(Arc<Semaphore>);

impl Looks {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// What `look` sees. `None` where there is no answer within [`LOOK`], to this look or to one before it.
    pub(crate) async fn look<T, F>(&self, look: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let seen = async {
            let right = self.0.clone().acquire_owned().await.ok()?;
            let look = move || {
                let seen = look();
                drop(right);
                seen
            };
            spawn_blocking(look).await.ok()
        };
        timeout(LOOK, seen).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    /// What a look sees that has twice the time it is given. A clock that stands does not go on by itself while a thread works.
    async fn given_time<T>(look: impl Future<Output = Option<T>>) -> Option<T> {
        let pass = async {
            yield_now().await;
            advance(LOOK * 2).await;
        };
        tokio::join!(look, pass).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_costs_one_thread_and_nobody_waits_for_ever() {
        let looks = Looks::new();
        let (answer, hung) = sync_channel::<()>(0);
        let seen = given_time(looks.look(move || hung.recv().is_err())).await;
        assert_eq!(seen, None);
        for _ in 0..20 {
            let seen = given_time(looks.look(|| panic!("it is looked at beside"))).await;
            assert_eq!(seen, None::<()>);
        }
        drop(answer);
        assert_eq!(looks.look(|| 7).await, Some(7));
    }
}
