//! A short queue from one thread to another, bounded by what waits in it. That of the standard library comes with three kinds of it
//! for every type, which is 12 kB in a program that is built to be small, and counts things instead of their bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// So many bytes may wait in a queue, or one thing that has more.
const MOST: usize = 512 * 1024;

/// Where things are put in. Dropping it says that what waits is of no use to anyone.
pub(crate) struct Sender<T>(Arc<Queue<T>>);

/// Where they come out; dropping it says that nobody waits for more.
pub(crate) struct Receiver<T>(Arc<Queue<T>>);

struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// Each with its bytes.
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
    finished: bool,
    /// Whether the other thread waits: waking it is a call into the kernel.
    is_awaited: bool,
}

/// A queue.
pub(crate) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let state = State {
        waiting: VecDeque::new(),
        bytes: 0,
        closed: false,
        finished: false,
        is_awaited: false,
    };
    let queue = Arc::new(Queue {
        state: Mutex::new(state),
        changed: Condvar::new(),
    });
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

impl<T> Queue<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as the state is so.
    fn wait_while(&self, unfit: impl Fn(&State<T>) -> bool) -> MutexGuard<'_, State<T>> {
        let mut state = self.state();
        while unfit(&state) {
            state.is_awaited = true;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn wake(&self, mut state: MutexGuard<'_, State<T>>) {
        if state.is_awaited {
            state.is_awaited = false;
            drop(state);
            self.changed.notify_one();
        }
    }
}

impl<T> Sender<T> {
    /// Puts it in, once there is room; `false` where nobody waits for it any more.
    pub(crate) fn send(&self, item: T, bytes: usize) -> bool {
        let is_full = |state: &State<T>| {
            !state.waiting.is_empty() && state.bytes + bytes > MOST && !state.closed
        };
        let mut state = self.0.wait_while(is_full);
        if state.closed {
            return false;
        }
        state.waiting.push_back((item, bytes));
        state.bytes += bytes;
        self.0.wake(state);
        true
    }

    /// Says that this was all.
    pub(crate) fn finish(self) {
        self.0.state().finished = true;
    }
}

impl<T> Receiver<T> {
    /// The next, once there is one; `None` where no more come.
    pub(crate) fn recv(&self) -> Option<T> {
        let mut state = self
            .0
            .wait_while(|state| state.waiting.is_empty() && !state.closed);
        let (item, bytes) = state.waiting.pop_front()?;
        state.bytes -= bytes;
        // Not for each: the two would take turns.
        if state.bytes <= MOST / 2 {
            self.0.wake(state);
        }
        Some(item)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        if !state.finished {
            state.waiting.clear();
        }
        self.0.wake(state);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        self.0.wake(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_out_in_order_though_few_may_wait() {
        let (sender, receiver) = queue();
        let came: Vec<usize> = std::thread::scope(|scope| {
            scope.spawn(move || {
                assert!((0..1000).all(|number| sender.send(number, number * MOST / 500)));
                sender.finish();
            });
            std::iter::from_fn(|| receiver.recv()).collect()
        });
        assert!(came.iter().copied().eq(0..1000));
    }

    #[test]
    fn what_waits_is_bounded_by_its_bytes_and_one_may_have_more() {
        let (sender, receiver) = queue();
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || {
                assert!(sender.send(1, 10 * MOST));
                assert!(sender.send(2, 1));
                sender.finish();
            });
            assert_eq!(receiver.recv(), Some(1));
            assert_eq!(receiver.recv(), Some(2));
            assert_eq!(receiver.recv(), None);
            waits.join().unwrap();
        });
    }

    #[test]
    fn who_waits_for_room_hears_that_nobody_listens() {
        let (sender, receiver) = queue();
        assert!(sender.send(1, MOST));
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || sender.send(2, 1));
            drop(receiver);
            assert!(!waits.join().unwrap());
        });
    }

    #[test]
    fn what_a_sender_leaves_unfinished_is_not_worked_on() {
        let (sender, receiver) = queue();
        assert!(sender.send(1, 1));
        drop(sender);
        assert_eq!(receiver.recv(), None);
    }
}
