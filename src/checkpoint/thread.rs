//! The threads of one pass.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// A thread at work, and what it comes to.
pub(crate) struct Working<'scope, T> {
    thread: ScopedJoinHandle<'scope, ()>,
    result: Arc<Mutex<Option<T>>>,
}

/// Starts a thread; there may be too many on the machine.
pub(crate) fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<Working<'scope, T>> {
    let result = Arc::new(Mutex::new(None));
    let told = Arc::clone(&result);
    let work = move || {
        let result = work();
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    };
    let thread = spawn(scope, name, Box::new(work))?;
    Ok(Working { thread, result })
}

/// The same code for every thread: it is 2 kB.
#[inline(never)]
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: Box<dyn FnOnce() + Send + 'scope>,
) -> io::Result<ScopedJoinHandle<'scope, ()>> {
    Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, work)
}

impl<T> Working<'_, T> {
    /// What it has come to, once it has ended; its panic is this one's.
    pub(crate) fn join(self) -> T {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        result
            .take()
            .expect("a thread that ended without a panic has come to something")
    }
}
