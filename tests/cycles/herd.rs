//! One node, its agent, and the chance by which the agent dies.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::agent::Agent;
use super::chain::Engine;
use super::chance::{Aim, Dice, Tally};
use super::witness::Witness;

/// What lies beside the database and is captured with it: it says exactly which data is there.
const MARK: &str = "mark";

/// How long a process may take until all of it stands still.
const STANDSTILL: Duration = Duration::from_secs(60);

/// A node that writes without pause, as a unit, and the agent that looks after it.
pub struct Herd {
    agent: Agent,
    unit: String,
    dice: Dice,
    witness: Witness,
    /// Sealed snapshots, each with the mark that it holds.
    sealed: BTreeMap<String, String>,
    mark: String,
    aims: BTreeMap<&'static str, Aim>,
    tally: Tally,
}

impl Herd {
    pub fn new(engine: Engine, number: u32, options: &[&str], dice: Dice) -> Self {
        let unit = format!("chain-{engine:?}-{number}.service");
        let agent = Agent::new("");
        let data = agent.path("data");
        fs::create_dir(&data).unwrap();
        engine.fill(&data, 300, options);
        write_unit(
            &unit,
            &format!(
                "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart={} run {} {}\n",
                engine.program().display(),
                data.display(),
                options.join(" ")
            ),
        );
        systemctl(&["start", &unit]);
        agent.configure(&format!(
            "[[workload]]\nname = \"node\"\ndata-dir = {data:?}\ngrace = 10\nready-timeout = 60\n\
             runtime = {{ systemd = {{ unit = \"{unit}\" }} }}\n\
             [workload.snapshot]\nreserve-mib = 1\nrate-mib = 0\nkeep-last = 3\n"
        ));
        let mut herd = Self {
            witness: Witness::new(engine, agent.path("scratch")),
            agent,
            unit,
            dice,
            sealed: BTreeMap::new(),
            mark: String::new(),
            aims: BTreeMap::new(),
            tally: Tally::default(),
        };
        herd.agent.start();
        herd.mark("first");
        for operation in ["snapshot", "restore"] {
            let begun = Instant::now();
            let id = format!("first-{operation}");
            let record = herd.ask(operation, &id, &json!({}));
            let record = record.unwrap_or_else(|| herd.agent.wait_for(&id));
            assert_eq!(record["state"], "succeeded", "{record}");
            herd.aims.insert(operation, Aim::at(begun.elapsed()));
            herd.note_sealed();
        }
        herd
    }

    /// Takes a snapshot with a kill in it, and looks at everything.
    pub fn snapshot(&mut self, number: u32) {
        self.mark(&format!("mark-{number}"));
        let id = format!("take-{number}");
        let record = self.strike("snapshot", &id, &json!({ "name": format!("s{number}") }));
        let there = self.store().join(format!("s{number}")).exists();
        assert_eq!(there, record["state"] == "succeeded", "{record}");
        self.look(&record);
    }

    /// Restores one of the snapshots with a kill in it, and looks at everything.
    pub fn restore(&mut self, number: u32) {
        let which = self.dice.below(self.sealed.len() as u64) as usize;
        let (name, held) = self.sealed.iter().nth(which).unwrap();
        let (name, held) = (name.clone(), held.clone());
        self.mark(&format!("later-{number}"));
        let id = format!("back-{number}");
        let record = self.strike("restore", &id, &json!({ "snapshot": name }));
        if record["state"] == "succeeded" {
            self.mark = held;
        }
        let now = fs::read_to_string(self.data().join(MARK)).unwrap();
        assert_eq!(now, self.mark, "{record}");
        self.look(&record);
    }

    /// Takes a last snapshot and ends everything; what came of it all.
    pub fn end(mut self) -> Tally {
        let record = self.ask("snapshot", "last", &json!({ "name": "last" }));
        let record = record.unwrap_or_else(|| self.agent.wait_for("last"));
        assert_eq!(record["state"], "succeeded", "{record}");
        let left = fs::read_dir(self.store()).unwrap();
        let left: Vec<_> = left.map(|item| item.unwrap().file_name()).collect();
        assert!(left.len() <= 4, "three snapshots and the lock: {left:?}");
        assert!(self.agent.terminate().success());
        systemctl(&["stop", &self.unit]);
        self.tally
    }

    /// Asks for an operation and kills the agent at some instant of it; the agent that is started next brings it to its end.
    fn strike(&mut self, operation: &'static str, id: &str, args: &Value) -> Value {
        let instant = self.aims[operation].instant(&mut self.dice);
        let body = json!({ "id": id, "args": args });
        std::thread::scope(|scope| {
            let asked = self.agent.asking(operation, &body);
            scope.spawn(asked);
            std::thread::sleep(instant);
            self.agent.kill();
        });
        let at = match self.agent.journalled(id) {
            None => "not yet accepted".to_owned(),
            Some(record) if record["ended_at"].is_string() => "over".to_owned(),
            Some(record) => {
                let last = record["steps"].as_array().and_then(|steps| steps.last());
                last.map_or("accepted".to_owned(), |step| {
                    format!("{} {}", step["name"], step["state"]).replace('"', "")
                })
            }
        };
        let aim = self.aims.get_mut(operation).expect("an operation");
        aim.learn(at == "over");
        self.tally.kill(&format!("{operation}: {at}"));
        self.agent.start();
        if self.agent.journalled(id).is_none() {
            self.ask(operation, id, args);
        }
        let record = self.agent.wait_for(id);
        let reason = record["failure"]["reason"].as_str().unwrap_or_default();
        let outcome = format!("{operation} {} {reason}", record["state"].as_str().unwrap());
        self.tally.outcome(outcome.trim());
        assert!(
            record["state"] == "succeeded" || reason == "interrupted",
            "{record}\n{}",
            self.agent.log()
        );
        record
    }

    /// After every operation, whatever became of it.
    fn look(&mut self, record: &Value) {
        self.note_sealed();
        let unchanged = self.witness.unchanged();
        assert_eq!(unchanged, Ok(self.sealed.len()), "{record}");
        // The node holds still for a moment, so that what it would leave behind if it died now can be copied.
        let state = systemctl(&["show", "--value", "-p", "ActiveState,MainPID", &self.unit]);
        let (pid, active) = state.split_once('\n').unwrap();
        assert_eq!(active, "active", "{record}\n{}", self.agent.log());
        let node = Pid::from_raw(pid.parse().unwrap());
        freeze(node);
        let head = self.witness.head_of_running(&self.data());
        kill(node, Signal::SIGCONT).unwrap();
        assert!(head.is_ok(), "{head:?} {record}");
    }

    /// Every new snapshot is opened, from a copy, and remembered.
    fn note_sealed(&mut self) {
        let store = self.store();
        self.sealed.retain(|name, _| store.join(name).exists());
        for entry in fs::read_dir(&store).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let data = store.join(&name).join("data");
            if name.contains(".partial") || self.sealed.contains_key(&name) || !data.exists() {
                continue;
            }
            assert!(!store.join(&name).join("bad").exists(), "{name}");
            self.witness.head(&data).unwrap();
            self.witness.note(&data);
            let mark = fs::read_to_string(data.join(MARK)).unwrap();
            assert_eq!(mark, self.mark, "{name}");
            self.sealed.insert(name, mark);
        }
        assert!(!self.sealed.is_empty());
    }

    fn ask(&self, operation: &str, id: &str, args: &Value) -> Option<Value> {
        self.agent
            .post(operation, &json!({ "id": id, "args": args }));
        self.agent
            .journalled(id)
            .filter(|record| record["ended_at"].is_string())
    }

    fn mark(&mut self, mark: &str) {
        mark.clone_into(&mut self.mark);
        let path = self.data().join(MARK);
        File::create(path)
            .unwrap()
            .write_all(mark.as_bytes())
            .unwrap();
    }

    fn data(&self) -> PathBuf {
        self.agent.path("data")
    }

    fn store(&self) -> PathBuf {
        self.agent.path(".ostler-store/data")
    }
}

/// Stops a process and waits until each of its threads stands still: on a busy machine that takes a while, and a thread
/// of LevelDB's may remove a file until then.
fn freeze(node: Pid) {
    kill(node, Signal::SIGSTOP).unwrap();
    let begun = Instant::now();
    let moves = || {
        let threads = fs::read_dir(format!("/proc/{node}/task")).unwrap();
        threads.into_iter().any(|thread| {
            let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
            // `pid (name) state …`
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
            state.is_some_and(|state| !state.starts_with('T'))
        })
    };
    while moves() {
        assert!(begun.elapsed() < STANDSTILL, "it does not stand still");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn systemctl(arguments: &[&str]) -> String {
    let output = Command::new("systemctl").args(arguments).output().unwrap();
    let asks = arguments[0] == "is-active";
    assert!(asks || output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn write_unit(name: &str, text: &str) {
    let path = format!("/run/systemd/system/{name}");
    File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    systemctl(&["daemon-reload"]);
}
