//! A simulated miner for tests: a real process that writes real LevelDBs without pause, and answers the
//! miner's commands. See README.md.

mod block;
mod chain;
mod clock;
mod console;
mod control;
mod fill;
mod footer;
mod head;
mod identity;
mod layout;
mod ledger;
mod leveldb;
mod miner;
mod mint;
mod node;
mod peers;
mod run;
mod settings;
mod snapshot;
mod table;
mod verify;
mod walk;

#[cfg(test)]
mod tests;

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::control::{Reply, Request};
use crate::layout::Layout;
use crate::settings::Settings;
use crate::verify::Expectation;

#[derive(Parser)]
#[command(name = "testnode", about = "A simulated miner for tests")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run: make blocks until SIGTERM
    Run {
        /// The data directory
        #[arg(long, env = "TESTNODE_DATA", default_value = "/var/data")]
        data: PathBuf,
    },
    /// Answer one command of the miner (also: call the program `miner`)
    Miner {
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Read a whole database from a copy; print what was found; exit 1 when a byte is wrong
    Verify {
        /// A data directory, or one chain's database
        #[arg(long)]
        data: PathBuf,
        /// Where the copy is made
        #[arg(long, env = "TMPDIR", default_value = "/tmp")]
        scratch: PathBuf,
        /// The height that must be reached at least
        #[arg(long)]
        height: Option<u64>,
        /// Fail unless the process had ended well
        #[arg(long)]
        clean_stop: bool,
    },
    /// Make a big data directory fast
    Fill {
        /// The data directory, without a chain in it
        #[arg(long)]
        data: PathBuf,
        /// How big at least: 2GB, 300MB
        #[arg(long, value_parser = fill::parse_size)]
        size: u64,
        /// Bytes of payload in a block
        #[arg(long, default_value_t = 4096)]
        block_size: usize,
        /// The height of the first block
        #[arg(long, default_value_t = 1)]
        genesis: u64,
    },
    /// Make a snapshot of a chain that nobody here has, as if it had been downloaded
    Mint {
        /// Where it ends
        #[arg(long)]
        height: u64,
        /// Bytes of payload in a block
        #[arg(long, default_value_t = 4096)]
        block_size: usize,
        /// The file to write
        file: PathBuf,
    },
    /// Change a setting of the running process, or of the next start
    Set {
        /// Write it into this data directory, for every start to come
        #[arg(long)]
        data: Option<PathBuf>,
        /// Which
        key: String,
        /// The new value
        value: String,
    },
    /// Print what the running process knows of itself
    Status,
    /// Let the running process write a line into its log
    Log {
        /// The line
        text: String,
    },
    /// Let the running process end at once, as in a crash
    Crash {
        /// The exit status
        status: i32,
    },
}

fn main() -> ExitCode {
    let mut words = env::args();
    let called = words.next().unwrap_or_default();
    if Path::new(&called)
        .file_name()
        .is_some_and(|name| name == "miner")
    {
        return miner::main(&words.collect::<Vec<_>>());
    }
    match Arguments::parse().command {
        Command::Run { data } => run::run(&data),
        Command::Miner { words } => miner::main(&words),
        Command::Verify {
            data,
            scratch,
            height,
            clean_stop,
        } => {
            let verdict = verify::verify(&data, &scratch, &Expectation { height, clean_stop });
            print_json(&verdict);
            ExitCode::from(u8::from(!verdict.ok))
        }
        Command::Fill {
            data,
            size,
            block_size,
            genesis,
        } => finish(
            fill::fill(&data, size, block_size, genesis)
                .map(|head| println!("{}", head.end.height)),
        ),
        Command::Mint {
            height,
            block_size,
            file,
        } => finish(
            mint::snapshot(height, block_size)
                .write(&file)
                .map_err(|error| error.to_string()),
        ),
        Command::Set {
            data: Some(data),
            key,
            value,
        } => finish(set_for_next_start(&data, &key, &value)),
        Command::Set { key, value, .. } => finish(tell(&Request::Set { key, value })),
        Command::Status => finish(status()),
        Command::Log { text } => finish(tell(&Request::Log(text))),
        Command::Crash { status } => finish(tell(&Request::Crash(status))),
    }
}

fn tell(request: &Request) -> Result<(), String> {
    match ask(request)? {
        Reply::Refused(why) => Err(why),
        Reply::Facts(_) | Reply::Done => Ok(()),
    }
}

fn status() -> Result<(), String> {
    if let Reply::Facts(facts) = ask(&Request::Facts)? {
        print_json(&facts);
    }
    Ok(())
}

fn ask(request: &Request) -> Result<Reply, String> {
    let directory = control::directory();
    control::ask(&directory, request, None)
        .map_err(|error| format!("no miner answers in {}: {error}", directory.display()))
}

fn set_for_next_start(data: &Path, key: &str, value: &str) -> Result<(), String> {
    Settings::default().set(key, value)?;
    let path = Layout::new(data).settings();
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{key} {value}"))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn print_json(value: &impl serde::Serialize) {
    println!(
        "{}",
        serde_json::to_string(value).expect("plain structures always become JSON")
    );
}

fn finish(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testnode: {error}");
            ExitCode::FAILURE
        }
    }
}
