//! The kernel's idle class for reading and writing: whoever is in it gets the disk when nobody else wants it.
//!
//! A thread takes it for itself while it reads beside a running workload. Schedulers of the block layer that know classes (BFQ, mq-deadline)
//! heed it and let nobody wait for ever; where the disk has none, the bounded rate is all there is (docs/decisions/0017).

#![allow(
    unsafe_code,
    reason = "no crate of today offers ioprio_set(2) and ioprio_get(2): the two calls stand in one function here"
)]

use std::io;
use std::sync::Once;

use libc::{SYS_ioprio_get, SYS_ioprio_set, c_int, c_long};

/// `IOPRIO_WHO_PROCESS`: one thread, by its number or as the one that calls.
const WHO_PROCESS: c_long = 1;
const THIS_THREAD: c_long = 0;
/// The class is in the upper bits of the number, a level within it below (`linux/ioprio.h`).
const CLASS_SHIFT: c_int = 13;
const CLASS_IDLE: c_int = 3;

/// That a thread is in the idle class; it is in its old one again when this is dropped.
#[derive(Debug)]
pub struct Idle {
    /// What it was before; `None` where nothing was changed.
    before: Option<c_int>,
    /// The class belongs to the thread that took it, so this must not go to another.
    _stays: std::marker::PhantomData<*const ()>,
}

impl Idle {
    /// Takes the idle class for this thread. Where that is refused, the thread goes on in the class that it has.
    pub fn begin() -> Self {
        let taken = get().and_then(|before| set(CLASS_IDLE << CLASS_SHIFT).map(|()| before));
        if let Err(error) = &taken {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                tracing::info!(
                    "the idle I/O class is refused ({error}): what is read beside a workload goes at the bounded rate alone"
                );
            });
        }
        Self {
            before: taken.ok(),
            _stays: std::marker::PhantomData,
        }
    }

    /// Whether this thread is in the idle class.
    pub fn is_now() -> bool {
        get().is_ok_and(|priority| priority >> CLASS_SHIFT == CLASS_IDLE)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let Some(before) = self.before else {
            return;
        };
        if let Err(error) = set(given_back(before)) {
            // The kernel lets every thread leave the idle class, so something else forbids it since.
            tracing::warn!("a thread stays in the idle I/O class: {error}");
        }
    }
}

/// Kernels before 5.15 tell of a thread without a class that it has a level in it, and take no class without one that has.
fn given_back(before: c_int) -> c_int {
    match before >> CLASS_SHIFT {
        0 => 0,
        _ => before,
    }
}

fn get() -> io::Result<c_int> {
    call(SYS_ioprio_get, 0)
}

fn set(priority: c_int) -> io::Result<()> {
    call(SYS_ioprio_set, priority).map(drop)
}

fn call(number: c_long, priority: c_int) -> io::Result<c_int> {
    // SAFETY: both calls take plain numbers and no pointer, so they cannot touch memory of this program; ioprio_get takes the first two of
    // the three. They change nothing but the class of the thread that calls.
    let answer = unsafe { libc::syscall(number, WHO_PROCESS, THIS_THREAD, c_long::from(priority)) };
    match answer {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer as c_int),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_idle_as_long_as_it_says_and_no_other_is() {
        let before = get().unwrap();
        assert!(!Idle::is_now());
        let idle = Idle::begin();
        assert!(Idle::is_now());
        // Another one is in a class of its own: this is about one thread, not about the program.
        let inner = Idle::begin();
        drop(inner);
        assert!(Idle::is_now(), "the outer one holds on");
        drop(idle);
        assert_eq!(get().unwrap(), before);
    }

    #[test]
    fn a_thread_without_a_class_has_none_again_whatever_the_kernel_told() {
        // What an older kernel tells, and this one would not take back either.
        assert!(set(4).is_err());
        let idle = Idle {
            before: Some(4),
            _stays: std::marker::PhantomData,
        };
        set(CLASS_IDLE << CLASS_SHIFT).unwrap();
        drop(idle);
        assert!(!Idle::is_now());
        assert_eq!(given_back((2 << CLASS_SHIFT) | 7), (2 << CLASS_SHIFT) | 7);
    }

    #[test]
    fn a_thread_that_panics_is_in_its_old_class_again() {
        let before = get().unwrap();
        let panicked = std::panic::catch_unwind(|| {
            let _idle = Idle::begin();
            panic!("in the middle");
        });
        assert!(panicked.is_err());
        assert_eq!(get().unwrap(), before);
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error_and_changes_nothing() {
        let before = get().unwrap();
        // There is no class of this number.
        assert!(set(7 << CLASS_SHIFT).is_err());
        assert_eq!(get().unwrap(), before);
    }
}
