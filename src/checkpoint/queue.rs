//! A short queue from one thread to another. That of the standard library comes with three kinds of it for every type, which
//! is 12 kB in a program that is built to be small.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Where things are put in; dropping it says that no more come.
pub(crate) struct Sender<T>(Arc<Queue<T>>);

/// Where they come out; dropping it says that nobody waits for more.
pub(crate) struct Receiver<T>(Arc<Queue<T>>);

struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    most: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
}

/// A queue in which at most so many wait.
pub(crate) fn queue<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        waiting: VecDeque::with_capacity(most),
        closed: false,
    };
    let queue = Arc::new(Queue {
        state: Mutex::new(state),
        changed: Condvar::new(),
        most,
    });
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

impl<T> Queue<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits as long as the state is so.
    fn wait_while(&self, unfit: impl FnMut(&mut State<T>) -> bool) -> MutexGuard<'_, State<T>> {
        let waited = self.changed.wait_while(self.state(), unfit);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Puts it in, once there is room; `false` where nobody waits for it any more.
    pub(crate) fn send(&self, item: T) -> bool {
        let queue = &self.0;
        let mut state =
            queue.wait_while(|state| state.waiting.len() >= queue.most && !state.closed);
        if state.closed {
            return false;
        }
        state.waiting.push_back(item);
        queue.changed.notify_all();
        true
    }
}

impl<T> Receiver<T> {
    /// The next, once there is one; `None` where no more come.
    pub(crate) fn recv(&self) -> Option<T> {
        let mut state = self
            .0
            .wait_while(|state| state.waiting.is_empty() && !state.closed);
        let item = state.waiting.pop_front();
        self.0.changed.notify_all();
        item
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_out_in_order_though_few_may_wait() {
        let (sender, receiver) = queue(2);
        let came: Vec<u32> = std::thread::scope(|scope| {
            scope.spawn(move || (0..1000).all(|number| sender.send(number)));
            std::iter::from_fn(|| receiver.recv()).collect()
        });
        assert!(came.iter().copied().eq(0..1000));
    }

    #[test]
    fn who_waits_for_room_hears_that_nobody_listens() {
        let (sender, receiver) = queue(1);
        assert!(sender.send(1));
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || sender.send(2));
            drop(receiver);
            assert!(!waits.join().unwrap());
        });
    }
}
