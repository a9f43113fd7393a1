//! Asking what may never answer: a driver that blocks in a read, a network filesystem whose server is away.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How many questions may hang at the same time, each holding a thread that nothing can end.
const MAX_HANGING: usize = 32;

/// A question reads a few small files: it needs no large stack.
const STACK_BYTES: usize = 256 * 1024;

/// One question: what it is about, and how to ask it.
pub(super) type Question<T> = (String, Box<dyn FnOnce() -> T + Send>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// It did not come in time.
    #[error("does not answer")]
    Hangs,
    /// Too many others hang: it was not asked.
    #[error("not asked: {MAX_HANGING} others do not answer")]
    NotAsked,
    /// There was no thread to ask it in.
    #[error("not asked: cannot start a thread: {0}")]
    NoThread(std::io::Error),
}

/// Asks each question in a thread of its own and waits for all of them until one deadline.
///
/// A question that hangs keeps its thread until the kernel lets go of it, and is not asked again before
/// that: it costs one deadline once, and one thread.
pub(super) struct Patience<T> {
    length: Duration,
    hanging: BTreeMap<String, Receiver<T>>,
}

impl<T: Send + 'static> Patience<T> {
    /// Waits so long for the answers to all questions of one [`Patience::ask`].
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            hanging: BTreeMap::new(),
        }
    }

    /// The answers, in the order of the questions.
    pub(super) fn ask(&mut self, questions: Vec<Question<T>>) -> Vec<(String, Result<T, Silence>)> {
        // An answer that comes after its deadline is old: it is dropped, and its question asked anew.
        self.hanging
            .retain(|_, answer| matches!(answer.try_recv(), Err(TryRecvError::Empty)));
        let deadline = Instant::now() + self.length;
        let asked: Vec<_> = questions
            .into_iter()
            .map(|(about, question)| {
                let started = self.start(&about, question);
                (about, started)
            })
            .collect();
        asked
            .into_iter()
            .map(|(about, started)| {
                let answer = started.and_then(|answer| self.wait(&about, answer, deadline));
                (about, answer)
            })
            .collect()
    }

    fn start(
        &self,
        about: &str,
        question: Box<dyn FnOnce() -> T + Send>,
    ) -> Result<Receiver<T>, Silence> {
        if self.hanging.contains_key(about) {
            return Err(Silence::Hangs);
        }
        if self.hanging.len() >= MAX_HANGING {
            return Err(Silence::NotAsked);
        }
        let (sender, receiver) = sync_channel(1);
        thread::Builder::new()
            .name("sensor".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Nobody listens any more only where the asker itself is gone.
                let _ = sender.send(question());
            })
            .map_err(Silence::NoThread)?;
        Ok(receiver)
    }

    fn wait(&mut self, about: &str, answer: Receiver<T>, deadline: Instant) -> Result<T, Silence> {
        match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => {
                self.hanging.insert(about.to_owned(), answer);
                Err(Silence::Hangs)
            }
            // Its thread ended without an answer.
            Err(RecvTimeoutError::Disconnected) => Err(Silence::Hangs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question that blocks until the returned end is dropped.
    fn blocked(about: &str) -> (Question<u8>, std::sync::mpsc::SyncSender<()>) {
        let (release, released) = sync_channel::<()>(0);
        let question = move || {
            let _ = released.recv();
            0
        };
        ((about.to_owned(), Box::new(question)), release)
    }

    fn direct(about: &str, answer: u8) -> Question<u8> {
        (about.to_owned(), Box::new(move || answer))
    }

    #[test]
    fn one_that_hangs_costs_the_others_nothing_and_is_asked_again_when_it_is_free() {
        let mut patience = Patience::new(Duration::from_secs(1));
        let (hangs, release) = blocked("a");
        let answers = patience.ask(vec![hangs, direct("b", 2)]);
        assert!(matches!(answers[0].1, Err(Silence::Hangs)));
        assert!(matches!(answers[1].1, Ok(2)));

        // Still hanging: not a second thread, so this question is never run.
        let unasked: Question<u8> = ("a".into(), Box::new(|| unreachable!("asked twice")));
        assert!(matches!(
            patience.ask(vec![unasked])[0].1,
            Err(Silence::Hangs)
        ));

        drop(release);
        let deadline = Instant::now() + Duration::from_secs(20);
        while matches!(patience.ask(vec![direct("a", 1)])[0].1, Err(Silence::Hangs)) {
            assert!(Instant::now() < deadline, "it never answered again");
            thread::yield_now();
        }
        assert!(patience.hanging.is_empty());
    }

    #[test]
    fn the_number_of_threads_that_hang_is_bounded() {
        let mut patience = Patience::new(Duration::from_millis(1));
        let (questions, releases): (Vec<_>, Vec<_>) =
            (0..MAX_HANGING).map(|n| blocked(&n.to_string())).unzip();
        patience.ask(questions);
        assert_eq!(patience.hanging.len(), MAX_HANGING);
        let unasked: Question<u8> = ("more".into(), Box::new(|| unreachable!("asked")));
        assert!(matches!(
            patience.ask(vec![unasked])[0].1,
            Err(Silence::NotAsked)
        ));
        drop(releases);
    }
}
