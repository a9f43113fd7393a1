//! `testnode run`: the process, from its start to its end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io, thread};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::console::Console;
use crate::control;
use crate::identity::Identity;
use crate::layout::Layout;
use crate::node::{self, Node};
use crate::settings::Settings;

/// Exit status for settings that cannot be understood (`EX_USAGE`).
const USAGE: u8 = 64;

/// Runs until SIGTERM; the exit status is 0 when the chain was closed well.
pub fn run(data: &Path) -> ExitCode {
    match start(data) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("testnode: {}: {error}", data.display());
            ExitCode::FAILURE
        }
    }
}

fn start(data: &Path) -> io::Result<ExitCode> {
    // Before the first thread, LevelDB's included, so that all of them leave the signals to `signals`.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        signals.add(signal);
    }
    signals.thread_block()?;

    let layout = Layout::new(data);
    let console = Console::open(&layout.console())?;
    fs::create_dir_all(layout.snapshots())?;
    node::record_start(&layout)?;
    let file = fs::read_to_string(layout.settings()).unwrap_or_default();
    let settings = match Settings::at_start(|name| env::var(name).ok(), &file) {
        Ok(settings) => settings,
        Err(error) => {
            console.error(&error);
            return Ok(ExitCode::from(USAGE));
        }
    };
    let identity = Identity::open(&layout.swarm_key())?;
    console.info(&format!("miner {} starts", identity.animal));
    if let Some(status) = settings.crash_at_start {
        console.error(&format!("crashed with status {status}"));
        std::process::exit(status);
    }
    let start_delay = Duration::from_secs_f64(settings.start_delay);
    let Ok(node) = Node::open(&layout, console, settings).map(Arc::new) else {
        return Ok(ExitCode::FAILURE);
    };

    let watched = Arc::clone(&node);
    thread::spawn(move || watch(&signals, &watched));
    let directory = control::directory();
    control::remove(&directory);
    let (asked, place) = (Arc::clone(&node), directory.clone());
    thread::spawn(move || {
        thread::sleep(start_delay);
        match control::listen(&place) {
            Ok(listener) => control::serve(&listener, &asked),
            Err(error) => asked.log(&format!("{}: {error}", place.display())),
        }
    });

    if let Some(height) = node.blessed() {
        let loading = Arc::clone(&node);
        thread::spawn(move || loading.load_minted(height));
    }
    let produced = node.produce();
    control::remove(&directory);
    match produced {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            node.log(&format!("cannot go on: {error}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Waits for signals. Process 1 of a container is also the one that buries the orphans.
fn watch(signals: &SigSet, node: &Node) {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                while waitpid(None, Some(WaitPidFlag::WNOHANG))
                    .is_ok_and(|status| status != WaitStatus::StillAlive)
                {}
            }
            Ok(_) => {
                if node.terminate() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}
