//! `miner …`: the command line of the miner, as it answers inside the container.
//!
//! The texts are those of captures from real devices; where a capture shows an odd thing (an error with
//! exit status 0, an Erlang term over fourteen lines) it is kept, for that is what an agent meets.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io, thread};

use crate::control::{self, Reply, Request};
use crate::identity::Identity;
use crate::layout::Layout;
use crate::node::Facts;
use crate::peers;
use crate::settings::State;
use crate::snapshot::{Snapshot, hex};
use crate::table;

const NO_PING: &str = "Node 'miner@127.0.0.1' not responding to pings.\n";
const NO_USAGE: &str = "Error: Usage information not found for the given command\n\n\n";

/// How often somebody who gets no answer asks again.
const AGAIN: Duration = Duration::from_millis(100);

/// How long the node's own command line waits for a snapshot to load, without `RELX_RPC_TIMEOUT`.
const RPC_TIMEOUT: u64 = 60;

/// What a command prints, and its exit status.
struct Answer(String, u8);

/// Answers one command.
pub fn main(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Answer(text, status) = answer(&words);
    print!("{text}");
    ExitCode::from(status)
}

fn answer(words: &[&str]) -> Answer {
    let command = words.join(" ");
    if command == "print_keys" {
        wait_while_mute(&command);
        return print_keys();
    }
    let Some(facts) = wait_for_answer(&command) else {
        return Answer(NO_PING.to_owned(), 1);
    };
    if facts.settings.state == State::Erroring {
        return starting(words, &facts);
    }
    match words {
        ["ping"] => Answer("pong\n".to_owned(), 0),
        ["info", "name"] => Answer(format!("{}\n", name().animal), 0),
        ["info", "height"] => Answer(height(&facts), 0),
        ["info", "p2p_status"] => Answer(p2p_status(&facts), 0),
        ["info", "region"] => region(&facts),
        ["peer", "book", "-s"] => Answer(peers::book(&facts, &name(), false), 0),
        ["repair", "sync_pause"] => done(&Request::PauseSync(true)),
        ["repair", "sync_resume"] => done(&Request::PauseSync(false)),
        ["repair", "sync_cancel"] => Answer("ok\n".to_owned(), 0),
        ["repair", "sync_state"] if facts.sync_paused => Answer("sync paused\n".to_owned(), 0),
        ["repair", "sync_state"] => Answer("sync active\n".to_owned(), 0),
        ["snapshot", "take", file] => done(&Request::TakeSnapshot(PathBuf::from(file))),
        ["snapshot", "load", file] => done(&Request::LoadSnapshot(PathBuf::from(file))),
        ["snapshot", "info", file] => snapshot_info(Path::new(file)),
        ["snapshot", "list"] => snapshot_list(),
        _ => Answer(NO_USAGE.to_owned(), 1),
    }
}

/// The facts, as soon as the node answers; `None` when it does not respond to pings.
fn wait_for_answer(command: &str) -> Option<Facts> {
    loop {
        let Ok(Reply::Facts(facts)) = control::ask(&control::directory(), &Request::Facts, None)
        else {
            return None;
        };
        match facts.settings.state {
            State::Down => return None,
            State::Hung | State::Loading => thread::sleep(AGAIN),
            _ if facts.loading => thread::sleep(AGAIN),
            _ if is_mute(&facts, command) => thread::sleep(AGAIN),
            _ => {
                thread::sleep(Duration::from_secs_f64(facts.settings.answer_delay));
                return Some(*facts);
            }
        }
    }
}

/// Whether nobody answers this one.
fn is_mute(facts: &Facts, command: &str) -> bool {
    facts.settings.mute.split(',').any(|mute| mute == command)
}

/// Of what is answered without the node.
fn wait_while_mute(command: &str) {
    while let Ok(Reply::Facts(facts)) = control::ask(&control::directory(), &Request::Facts, None)
        && is_mute(&facts, command)
    {
        thread::sleep(AGAIN);
    }
}

fn height(facts: &Facts) -> String {
    let height = facts.height;
    let epoch = height / 38 + 1;
    match facts.settings.sync_height {
        Some(sync) if sync > height => format!("{epoch}\t\t{height}\t\t{sync}*\n"),
        _ => format!("{epoch}\t\t{height}\n"),
    }
}

fn p2p_status(facts: &Facts) -> String {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let joined = peers::joined(facts);
    let rows = [
        ("connected", yes_no(joined)),
        ("dialable", yes_no(joined)),
        ("nat_type", peers::nat(facts).to_owned()),
        ("height", facts.height.to_string()),
    ]
    .map(|(name, result)| vec![name.to_owned(), result]);
    table::draw(&["name", "result"], &rows, None) + "\n"
}

fn region(facts: &Facts) -> Answer {
    let region = facts.settings.region.as_str();
    if region.is_empty() {
        return Answer("undefined\n".to_owned(), 1);
    }
    // Before the first sync the region is the one of the firmware, without the prefix.
    let shown = match region.strip_prefix("region_") {
        Some(short) if facts.height <= 1 => short,
        _ => region,
    };
    Answer(format!("{shown}\n"), 0)
}

/// The node's data directory, as a command in the container finds it.
fn layout() -> Layout {
    let data = env::var_os("TESTNODE_DATA").unwrap_or_else(|| "/var/data".into());
    Layout::new(Path::new(&data))
}

fn name() -> Identity {
    Identity::read(&layout().swarm_key()).unwrap_or_else(|_| Identity::of(b""))
}

/// Answered from the key file alone, whatever the node does.
fn print_keys() -> Answer {
    match Identity::read(&layout().swarm_key()) {
        Ok(Identity { pubkey, animal }) => Answer(
            format!(
                "{{pubkey,\"{pubkey}\"}}.\n{{onboarding_key,\"{pubkey}\"}}.\n{{animal_name,\"{animal}\"}}.\n"
            ),
            0,
        ),
        Err(error) => Answer(format!("{{error,{error}}}\n"), 1),
    }
}

/// A command that prints the term that it got: `ok`, or `{error,…}` with exit status 0 all the same.
fn done(request: &Request) -> Answer {
    let seconds = env::var("RELX_RPC_TIMEOUT")
        .ok()
        .and_then(|text| text.parse().ok());
    let limit = Duration::from_secs(seconds.unwrap_or(RPC_TIMEOUT).max(1));
    match control::ask(&control::directory(), request, Some(limit)) {
        Ok(Reply::Refused(why)) => Answer(format!("{{error,{why:?}}}\n"), 0),
        Ok(_) => Answer("ok\n".to_owned(), 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Answer("RPC to 'miner@127.0.0.1' failed: timeout\n".to_owned(), 1)
        }
        Err(_) => Answer(NO_PING.to_owned(), 1),
    }
}

fn snapshot_info(file: &Path) -> Answer {
    match Snapshot::read(file) {
        Ok(snapshot) => Answer(
            format!(
                "Height {}\nNumBlocks {}\nStartBlockHt {}\nEndBlockHt {}\n{}\n",
                snapshot.head.end.height,
                snapshot.blocks.len(),
                snapshot.head.first(),
                snapshot.head.end.height,
                hash_line(&snapshot)
            ),
            0,
        ),
        Err(error) => {
            let text =
                format!("RPC to 'miner@127.0.0.1' failed: {{'EXIT',{{{{badmatch,{error:?}}}}}}}\n");
            Answer(text, 1)
        }
    }
}

/// The last five snapshots in the node's directory for them.
fn snapshot_list() -> Answer {
    let files = std::fs::read_dir(layout().snapshots())
        .into_iter()
        .flatten();
    let mut snapshots: Vec<Snapshot> = files
        .flatten()
        .filter_map(|entry| Snapshot::read(&entry.path()).ok())
        .collect();
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.head.end.height));
    let shown = snapshots.iter().take(5).map(|snapshot| {
        let height = snapshot.head.end.height;
        format!("Height {height}\n{}\nHave true\n\n", hash_line(snapshot))
    });
    Answer(shown.collect(), 0)
}

/// `Hash <<1,2,…>> (<<"0102…">>)`.
fn hash_line(snapshot: &Snapshot) -> String {
    let hash = snapshot.hash();
    let bytes: Vec<String> = hash.iter().map(u8::to_string).collect();
    format!("Hash <<{}>> (<<\"{}\">>)", bytes.join(","), hex(&hash))
}

/// A node that has only just begun to start: its commands are not registered yet.
fn starting(words: &[&str], facts: &Facts) -> Answer {
    match words {
        ["info", "p2p_status"] => Answer(NO_PING.to_owned(), 1),
        ["info", "region"] => Answer(NO_USAGE.to_owned(), 1),
        ["peer", "book", "-s"] => Answer(peers::book(facts, &name(), true), 0),
        _ => {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            Answer(not_registered(&words.join(",")), 1)
        }
    }
}

fn not_registered(words: &str) -> String {
    [
        "RPC to 'miner@127.0.0.1' failed: {'EXIT',",
        "                                  {badarg,",
        "                                   [{ets,lookup,",
        &format!("                                     [clique_commands,[{words}]],"),
        "                                     [{error_info,",
        "                                       #{cause => id,",
        "                                         module => erl_stdlib_errors}}]},",
        "                                    {clique_command,match_lookup,1,",
        "                                     [{file,\"clique_command.erl\"},{line,124}]},",
        "                                    {clique_command,match,1,",
        "                                     [{file,\"clique_command.erl\"},{line,111}]},",
        "                                    {blockchain_console,command,1,",
        "                                     [{file,\"blockchain_console.erl\"},",
        "                                      {line,10}]}]}}",
        "",
    ]
    .join("\n")
}
