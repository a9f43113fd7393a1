//! Stopping and starting the apps of a workload.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::house::House;
use super::list::Entry;
use super::processes::{Family, bears, is_of, leads_session};
use super::{App, Error, Pm2, Stopped, daemon, state};
use crate::clock::Timestamp;

/// What PM2's program and daemon may need beyond the patience that PM2 has with the app: twice that, for the kill.
const MARGIN: Duration = Duration::from_secs(30);

/// Making a process, and reading its script.
const START: Duration = Duration::from_secs(60);

/// What was killed is away at once, unless the disk hangs.
const REAP: Duration = Duration::from_secs(15);

/// How often what is left of an app is counted.
const PAUSE: Duration = Duration::from_millis(100);

/// How often the apps are stopped in their order: one that was about to start another has then done so.
const ROUNDS: usize = 4;

/// How old an app is that has started the others long ago.
const SETTLED: i64 = 120;

impl Pm2 {
    /// Stops one app after the other, in the order of the configuration, by its own number, with the list read anew before
    /// each: an updater that still runs makes new ones. Then waits until no process of them is left.
    pub(super) async fn stop_apps(&self, grace: Duration) -> Result<Stopped, Error> {
        let house = self.house()?;
        if !daemon::is_there(&house).await? {
            return self.stop_orphans(&house, grace).await;
        }
        let mut all = house.list().await?;
        let apps = &self.settings.apps;
        if apps.iter().all(|app| state::of(app, &all).is_empty()) {
            return Err(self.missing(&house, &apps[0]));
        }
        let mut how = Stopped::Already;
        for _ in 0..ROUNDS {
            for app in apps {
                // Its number is another one each time that it is made anew.
                let mut done = BTreeSet::new();
                while let Some(entry) = next(app, &all, &done) {
                    done.insert(entry.id);
                    let stopped = stop_one(&house, &entry, &all, grace).await?;
                    if stopped != Stopped::Already {
                        all = house.list().await?;
                    }
                    how = worse(how, stopped);
                }
            }
            let entries = apps.iter().flat_map(|app| state::of(app, &all));
            let up: Vec<String> = entries
                .filter(|entry| entry.is_up())
                .map(Entry::shown)
                .collect();
            if up.is_empty() {
                return Ok(how);
            }
            tracing::warn!(
                "{}: {} runs still, or again",
                house.describe(),
                up.join(", ")
            );
        }
        let detail = "something starts them again each time: stop that first";
        Err(house.refused(&format!("stop the apps of {}", self.names()), detail))
    }

    /// Starts the apps that are to be started, which start the others. `false` where all of them run.
    pub(super) async fn start_apps(&self) -> Result<bool, Error> {
        let house = self.house()?;
        let mut changed = false;
        if !daemon::is_there(&house).await? {
            let left = self.orphans(&house).await?.len();
            if left > 0 {
                let detail = format!(
                    "its daemon has died, and {left} processes of its apps run without it: stop them first (ostler stop)"
                );
                return Err(house.refused(&format!("start {}", self.names()), &detail));
            }
            daemon::raise(&house, &self.settings.starts).await?;
            changed = true;
        }
        for app in &self.settings.starts {
            let all = house.list().await?;
            let entries = state::of(app, &all);
            if entries.is_empty() {
                return Err(self.missing(&house, app));
            }
            for entry in entries {
                let verb = match entry.is_up() {
                    false => "start",
                    true if !changed && self.is_useless(entry, &all) => "restart",
                    true => continue,
                };
                act(&house, entry, verb, &all, START).await?;
                changed = true;
            }
            let all = house.list().await?;
            if let Some(entry) = state::of(app, &all).iter().find(|entry| !entry.is_up()) {
                let detail = format!("it is {:?} at once; see its log", entry.status);
                return Err(house.refused(&format!("start app {}", entry.shown()), &detail));
            }
        }
        Ok(changed)
    }

    /// Whether an app runs that starts others, has done so long ago, and one of those is away: it starts them only once,
    /// when it is started itself.
    fn is_useless(&self, entry: &Entry, all: &[Entry]) -> bool {
        let now = Timestamp::now().unix_seconds();
        let age = entry
            .started_ms
            .map(|at| now.saturating_sub(at.div_euclid(1000)));
        if age.is_none_or(|age| age < SETTLED) {
            return false;
        }
        self.made()
            .any(|app| !state::of(app, all).iter().any(|entry| entry.is_up()))
    }

    /// Ends what a daemon that was killed left behind: its apps go on without it.
    async fn stop_orphans(&self, house: &House, grace: Duration) -> Result<Stopped, Error> {
        let mut how = Stopped::Already;
        for root in self.orphans(house).await? {
            let mut family = Family::new(Some(root), None, house.account.uid, None);
            family.signal(Signal::SIGINT);
            how = worse(how, Stopped::Cleanly);
            how = worse(how, end(house, &self.names(), &mut family, grace).await?);
        }
        Ok(how)
    }

    /// The processes of apps whose daemon does not run any more, by the files in which it kept their numbers. These files
    /// outlive a power cut, so a number counts only where the process shows that it is that app.
    pub(super) async fn orphans(&self, house: &House) -> Result<Vec<u32>, Error> {
        let apps = self.settings.apps.clone();
        house.look(move |house| orphans(house, &apps)).await
    }
}

fn orphans(house: &House, apps: &[App]) -> Vec<u32> {
    let saved = daemon::saved(house).unwrap_or_default();
    let mut found = BTreeSet::new();
    for app in apps {
        for entry in saved
            .iter()
            .filter(|entry| app.is(&entry.name, entry.script.as_deref()))
        {
            found.extend(pid_files(house, &entry.name).filter_map(|file| {
                let pid = daemon::read_number(&file)?;
                (is_of(pid, house.account.uid) && is_app(pid, entry)).then_some(pid)
            }));
        }
        if let App::Named(name) = app {
            let mark = format!("name={name}");
            found.extend(pid_files(house, name.as_str()).filter_map(|file| {
                let pid = daemon::read_number(&file)?;
                let is_it = is_of(pid, house.account.uid)
                    && leads_session(pid)
                    && bears(pid, mark.as_bytes());
                is_it.then_some(pid)
            }));
        }
    }
    found.into_iter().collect()
}

/// Whether this process is that app: by what PM2 put into its environment, or where it has written over that (programs
/// that change their title do), by where it works.
fn is_app(pid: u32, entry: &Entry) -> bool {
    let mark = format!("name={}", entry.name);
    let place = std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
    leads_session(pid)
        && (bears(pid, mark.as_bytes()) || (place.is_some() && place == entry.directory))
}

/// The files `pids/NAME-ID.pid`, for every id.
fn pid_files(house: &House, name: &str) -> impl Iterator<Item = PathBuf> {
    let start = format!("{name}-");
    let entries = std::fs::read_dir(house.pm2_home.join("pids"));
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter(move |entry| {
            let file = entry.file_name();
            let id = file
                .to_str()
                .and_then(|file| file.strip_prefix(&start)?.strip_suffix(".pid"));
            id.is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .map(|entry| entry.path())
}

/// The next app of this name that is not done yet.
fn next(app: &App, all: &[Entry], done: &BTreeSet<u32>) -> Option<Entry> {
    let mut mine = state::of(app, all).into_iter();
    mine.find(|entry| !done.contains(&entry.id)).cloned()
}

/// Stops one app and waits until none of its processes is left.
async fn stop_one(
    house: &House,
    entry: &Entry,
    all: &[Entry],
    grace: Duration,
) -> Result<Stopped, Error> {
    let daemon = house.look(daemon::pid).await?;
    let mut family = Family::of(entry, house.account.uid, daemon);
    let mut how = Stopped::Already;
    if entry.is_up() {
        let log = house.look(DaemonLog::begin).await?;
        let deadline = entry.kill_timeout.saturating_mul(2).saturating_add(MARGIN);
        match act(house, entry, "stop", all, deadline).await {
            Ok(()) => {}
            // Somebody deleted it at this very moment.
            Err(error @ Error::Refused { .. }) => {
                if house.list().await?.iter().any(|other| other.id == entry.id) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        // It is stopped, whatever its log can say about it.
        let tells = house.look(move |_| log.tells_of_a_kill()).await;
        how = match tells.unwrap_or(false) {
            true => Stopped::Killed,
            false => Stopped::Cleanly,
        };
    } else if family.left().is_empty() {
        return Ok(how);
    }
    // PM2 has ended what descends from its process. The rest was not asked yet.
    if !family.left().is_empty() {
        family.signal(Signal::SIGINT);
        how = worse(how, Stopped::Cleanly);
    }
    Ok(worse(
        how,
        end(house, &entry.shown(), &mut family, grace).await?,
    ))
}

/// Waits for the processes to end, then kills them.
async fn end(
    house: &House,
    name: &str,
    family: &mut Family,
    grace: Duration,
) -> Result<Stopped, Error> {
    if is_gone(family, grace).await {
        return Ok(Stopped::Already);
    }
    family.signal(Signal::SIGKILL);
    if is_gone(family, REAP).await {
        return Ok(Stopped::Killed);
    }
    let left: Vec<String> = family
        .left()
        .iter()
        .map(|process| process.pid.to_string())
        .collect();
    let detail = format!(
        "processes of it are left even after a kill: {}",
        left.join(", ")
    );
    Err(house.refused(&format!("stop app {name}"), &detail))
}

async fn is_gone(family: &mut Family, within: Duration) -> bool {
    let until = Instant::now() + within;
    while !family.left().is_empty() {
        if Instant::now() >= until {
            return false;
        }
        sleep(PAUSE).await;
    }
    true
}

/// Has PM2 do something with one app, by its number.
async fn act(
    house: &House,
    entry: &Entry,
    verb: &str,
    all: &[Entry],
    deadline: Duration,
) -> Result<(), Error> {
    let id = entry.id.to_string();
    let action = format!("{verb} app {}", entry.shown());
    // PM2 looks for an app of that name first, then for a namespace, and only then for the number.
    if all
        .iter()
        .any(|other| other.name == id || other.namespace == id)
    {
        let detail = format!(
            "another app or namespace is called `{id}`, which is its number: rename that one"
        );
        return Err(house.refused(&action, &detail));
    }
    house.pm2(&[verb, &id], &action, deadline).await.map(drop)
}

/// The daemon's own log, from here on: it alone says whether it had to kill.
struct DaemonLog {
    file: PathBuf,
    from: u64,
}

impl DaemonLog {
    /// More than a stop of one app makes.
    const MOST: u64 = 256 * 1024;

    fn begin(house: &House) -> Self {
        let file = house.pm2_home.join("pm2.log");
        let from = std::fs::metadata(&file).map_or(0, |about| about.len());
        Self { file, from }
    }

    fn tells_of_a_kill(&self) -> bool {
        use std::io::{Read, Seek, SeekFrom};
        let mut text = Vec::new();
        let read = std::fs::metadata(&self.file).and_then(|about| match about.is_file() {
            true => {
                let mut file = std::fs::File::open(&self.file)?;
                file.seek(SeekFrom::Start(self.from))?;
                file.take(Self::MOST).read_to_end(&mut text)
            }
            false => Ok(0),
        });
        read.is_ok() && String::from_utf8_lossy(&text).contains("SIGKILL")
    }
}

fn worse(one: Stopped, other: Stopped) -> Stopped {
    let rank = |how: Stopped| match how {
        Stopped::Already => 0,
        Stopped::Cleanly => 1,
        Stopped::Failed => 2,
        Stopped::Killed => 3,
    };
    match rank(other) > rank(one) {
        true => other,
        false => one,
    }
}
