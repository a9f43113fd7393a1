//! A directory that is watched for checkpoints, on a clock that goes as fast as the work does.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use ostler::clock::ClockSync;
use ostler::feed::Update;
use ostler::operation::Engine;
use ostler::policy::{DropDirectory, Drops};
use ostler::protocol::{Name, Operation, Origin, State};
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::house::{self, House, OTHER};

/// Longer than a file has to stay as it is.
const LONG: Duration = Duration::from_secs(60);

struct Dropped {
    house: House,
    engine: Engine,
    events: Receiver<Update>,
    drops: JoinHandle<()>,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.drops.abort();
    }
}

impl Dropped {
    async fn new(house: House, force: bool) -> Self {
        // What is offered there by the house is for others.
        let _ = fs::remove_file(house.path("ptn/validator_checkpoint.json.gz"));
        fs::create_dir_all(house.path("drop")).unwrap();
        let engine = house::open(&house.path("")).await;
        let directory = DropDirectory {
            workload: Name::new("ptn").unwrap(),
            path: house.path("drop"),
            owner: None,
            force,
        };
        let drops = Drops::new(vec![directory], engine.clone(), ClockSync::default());
        Self {
            events: engine.feed().subscribe(),
            drops: tokio::spawn(drops.run()),
            house,
            engine,
        }
    }

    fn offer(&self, name: &str) {
        let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint");
        let from = data.join("tiny/validator_checkpoint.json.gz");
        let to = self.house.path("drop").join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(to, Permissions::from_mode(0o644)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.house.path("drop")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// Waits for a file whose name ends so.
    async fn reach(&self, start: &str, end: &str) -> String {
        let begun = Instant::now();
        loop {
            let mut names = self.names().into_iter();
            if let Some(name) = names.find(|name| name.starts_with(start) && name.ends_with(end)) {
                return name;
            }
            assert!(begun.elapsed() < 10 * LONG, "{:?}", self.names());
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn records(&self) -> Vec<(State, Origin)> {
        let records = self.engine.records().into_iter();
        let restores = records.filter(|record| record.operation == Operation::RestoreCheckpoint);
        restores
            .map(|record| (record.state, record.origin))
            .collect()
    }

    /// What was said against the directory since the last question.
    fn complaints(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Ok(update) = self.events.try_recv() {
            if let Update::Event(event) = update
                && event.kind == "drop-directory"
            {
                said.push(event.message);
            }
        }
        said
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_put_there_is_restored_once_and_says_so_by_its_name() {
    let dropped = Dropped::new(House::new("tiny"), false).await;
    dropped.offer("one.json.gz");
    let name = dropped.reach("one.json.gz.drop-", ".restored").await;
    assert!(dropped.house.is_new() && dropped.house.runs());
    assert_eq!(dropped.records(), [(State::Succeeded, Origin::Policy)]);
    sleep(LONG).await;
    assert_eq!(dropped.names(), [name.as_str()], "it is done with");
    assert_eq!(dropped.house.backups().len(), 1);
    // Another one of the same name is another one, and so is one that is put back under its first.
    dropped.offer("one.json.gz");
    sleep(LONG).await;
    assert_eq!(dropped.names().len(), 2);
    assert_eq!(dropped.records().len(), 2);
    let at = |name: &str| dropped.house.path("drop").join(name);
    fs::rename(at(&name), at("one.json.gz")).unwrap();
    sleep(LONG).await;
    assert_eq!(dropped.names().len(), 2);
    assert_eq!(dropped.records().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_changes_nothing_and_holds_nothing_up() {
    let dropped = Dropped::new(House::new("tiny"), false).await;
    let old = dropped.house.picture("ptn/validation");
    let mut bad = File::create(dropped.house.path("drop/bad.json")).unwrap();
    bad.write_all(b"{\"positions\": ").unwrap();
    dropped.reach("bad.json.drop-", ".refused").await;
    assert_eq!(dropped.house.picture("ptn/validation"), old);
    assert!(dropped.house.runs());
    dropped.offer("good.json.gz");
    dropped.reach("good.json.gz.drop-", ".restored").await;
}

#[tokio::test(start_paused = true)]
async fn what_still_comes_and_what_is_no_checkpoint_is_left_alone() {
    let dropped = Dropped::new(House::new("tiny"), false).await;
    dropped.house.put("drop/README", "of no use");
    dropped.house.put("drop/.hidden.json", "{}");
    fs::create_dir(dropped.house.path("drop/directory.json")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dropped.house.path("drop/link.json")).unwrap();
    let mut file = File::create(dropped.house.path("drop/slow.json")).unwrap();
    for _ in 0..20 {
        file.write_all(b"{").unwrap();
        sleep(Duration::from_secs(6)).await;
    }
    let left = [
        ".hidden.json",
        "README",
        "directory.json",
        "link.json",
        "slow.json",
    ];
    assert_eq!(dropped.names(), left);
    dropped.reach("slow.json.drop-", ".refused").await;
    assert_eq!(dropped.records().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_anybody_could_have_put_there_is_not_restored() {
    let house = House::new("tiny");
    fs::create_dir(house.path("drop")).unwrap();
    let mode = |path: PathBuf, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    mode(house.path("drop"), 0o777).unwrap();
    let mut dropped = Dropped::new(house, false).await;
    dropped.offer("one.json.gz");
    sleep(LONG).await;
    assert_eq!(dropped.names(), ["one.json.gz"]);
    let told = dropped.complaints();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("chmod 755"), "{told:?}");
    mode(dropped.house.path("drop/one.json.gz"), 0o666).unwrap();
    mode(dropped.house.path("drop"), 0o755).unwrap();
    sleep(LONG).await;
    let told = dropped.complaints();
    assert!(told.len() == 1 && told[0].contains("chmod 644"), "{told:?}");
    // A name makes it no better.
    let claimed = dropped
        .house
        .path("drop/one.json.gz.drop-0123456789abcdef.restoring");
    fs::rename(dropped.house.path("drop/one.json.gz"), &claimed).unwrap();
    dropped.offer("x.json.gz.schedule-ptn-snapshot-1.restoring");
    sleep(LONG).await;
    assert_eq!(dropped.records().len(), 0);
    fs::rename(&claimed, dropped.house.path("drop/one.json.gz")).unwrap();
    // It holds up no other.
    dropped.offer("two.json.gz");
    dropped.reach("two.json.gz.drop-", ".restored").await;
    mode(dropped.house.path("drop/one.json.gz"), 0o644).unwrap();
    dropped.reach("one.json.gz.drop-", ".restored").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_before_a_crash_is_brought_to_its_end_once() {
    let dropped = Dropped::new(House::new("tiny"), false).await;
    // Claimed, and not asked for yet.
    dropped.offer("one.json.gz.drop-0123456789abcdef.restoring");
    let name = dropped.reach("one", ".restored").await;
    assert_eq!(name, "one.json.gz.drop-0123456789abcdef.restored");
    assert_eq!(dropped.house.backups().len(), 1);
    // Ended, and not renamed yet.
    let at = |name: &str| dropped.house.path("drop").join(name);
    let before = "one.json.gz.drop-0123456789abcdef.restoring";
    fs::rename(at(&name), at(before)).unwrap();
    dropped.reach("one", ".restored").await;
    assert_eq!(dropped.house.backups().len(), 1, "it ran once");
    assert_eq!(dropped.records().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_older_than_what_is_on_disk_needs_the_word_of_the_configuration() {
    for (force, end) in [(false, ".refused"), (true, ".restored")] {
        let house = House::new("tiny");
        let order = r#"{"orders": [{"order_uuid": "o", "processed_ms": 4102444800000}]}"#;
        let place = format!("ptn/validation/miners/{OTHER}/positions/BTCUSD/open/new");
        house.put(&place, order);
        let dropped = Dropped::new(house, force).await;
        dropped.offer("one.json.gz");
        dropped.reach("one", end).await;
        assert_eq!(dropped.house.is_new(), force);
    }
}
