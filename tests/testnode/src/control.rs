//! The socket between the running miner and its command line: one JSON line each way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use serde::{Deserialize, Serialize};

use crate::node::{Facts, Node};

/// How many questions are answered at a time; more are turned away.
const LIMIT: usize = 64;

/// How long a question may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// The longest question.
const LENGTH: u64 = 1 << 16;

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// What is known of the node.
    Facts,
    /// Change a setting.
    Set {
        /// Its name.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Write a line into the log.
    Log(String),
    /// End at once with a status.
    Crash(i32),
    /// Pause sync or go on.
    PauseSync(bool),
    /// Write a snapshot.
    TakeSnapshot(PathBuf),
    /// Load a snapshot.
    LoadSnapshot(PathBuf),
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To `Facts`.
    Facts(Box<Facts>),
    /// It is done.
    Done,
    /// It is not, and why.
    Refused(String),
}

/// The directory of the socket: `TESTNODE_RUN`, or the usual place inside the container.
pub fn directory() -> PathBuf {
    env::var_os("TESTNODE_RUN").map_or_else(|| "/run/testnode".into(), PathBuf::from)
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

/// Asks the process whose socket is in `directory`; waits at most `limit` for the answer.
pub fn ask(directory: &Path, request: &Request, limit: Option<Duration>) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(socket(directory))?;
    stream.set_read_timeout(limit)?;
    serde_json::to_writer(&mut stream, request)?;
    stream.write_all(b"\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}

/// Opens the socket; one that an earlier process left is removed.
pub fn listen(directory: &Path) -> io::Result<UnixListener> {
    fs::create_dir_all(directory)?;
    remove(directory);
    UnixListener::bind(socket(directory))
}

/// Removes the socket.
pub fn remove(directory: &Path) {
    let _ = fs::remove_file(socket(directory));
}

/// Answers questions for ever, each in a thread of its own.
pub fn serve(listener: &UnixListener, node: &Arc<Node>) {
    let busy = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        if busy.fetch_add(1, Ordering::SeqCst) >= LIMIT {
            busy.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (node, busy) = (Arc::clone(node), Arc::clone(&busy));
        thread::spawn(move || {
            // Somebody who does not listen to the answer is no concern of the miner.
            let _ = answer(stream, &node);
            busy.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn answer(stream: UnixStream, node: &Node) -> io::Result<()> {
    stream.set_read_timeout(Some(ARRIVAL))?;
    let mut line = String::new();
    BufReader::new((&stream).take(LENGTH)).read_line(&mut line)?;
    let outcome = match serde_json::from_str(&line)? {
        Request::Facts => return reply(&stream, &Reply::Facts(Box::new(node.facts()))),
        Request::Set { key, value } => node.set(&key, &value),
        Request::Log(text) => {
            node.log(&text);
            Ok(())
        }
        Request::Crash(status) => {
            reply(&stream, &Reply::Done)?;
            node.crash(status)
        }
        Request::PauseSync(paused) => {
            node.pause_sync(paused);
            Ok(())
        }
        Request::TakeSnapshot(file) => node.take_snapshot(&file),
        Request::LoadSnapshot(file) => node.load_snapshot(&file),
    };
    reply(
        &stream,
        &outcome.map_or_else(Reply::Refused, |()| Reply::Done),
    )
}

fn reply(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    serde_json::to_writer(&mut stream, reply)?;
    stream.write_all(b"\n")
}
