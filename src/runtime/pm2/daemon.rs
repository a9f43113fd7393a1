//! PM2's daemon: whether it runs, and bringing it back where it belongs.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::house::{House, one_line};
use super::list::{self, Entry};
use super::program::of_the_host;
use super::{App, Error};
use crate::runtime::Runtime as _;
use crate::runtime::systemd::{Systemd, UnitName};

/// Starting the daemon and all its apps.
const RAISE: Duration = Duration::from_secs(120);

/// How long the socket of a daemon that was started is waited for.
const APPEAR: Duration = Duration::from_secs(20);

/// What `pm2 save` wrote: environments of some dozen apps.
const MOST_SAVED: u64 = 16 * 1024 * 1024;

/// Where systemd is process 1: the test that `sd_booted(3)` names.
const BOOTED: &str = "/run/systemd/system";

/// Whether something listens where the daemon does. It may be hung all the same.
pub(super) async fn is_there(house: &House) -> Result<bool, Error> {
    let socket = house.pm2_home.join("rpc.sock");
    let path = socket.clone();
    let asked = house.look(move |_| connect(&path)).await?;
    match asked.map_err(|error| (error.kind(), error)) {
        Ok(()) => Ok(true),
        // A queue of askers that is full is one that nobody serves.
        Err((ErrorKind::WouldBlock, _)) => Ok(true),
        Err((ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory, _)) => {
            Ok(false)
        }
        Err((_, error)) => {
            let detail = format!("{}: {error}", socket.display());
            Err(house.refused("connect to its daemon", &detail))
        }
    }
}

/// A socket of this host is connected at once, or not at all.
fn connect(socket: &Path) -> io::Result<()> {
    let address = SockAddr::unix(socket)?;
    let asker = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    asker.set_nonblocking(true)?;
    asker.connect(&address)
}

/// The daemon's process, by the file that it keeps.
pub(super) fn pid(house: &House) -> Option<u32> {
    let pid: u32 = read_number(&house.pm2_home.join("pm2.pid"))?;
    let about = fs::metadata(format!("/proc/{pid}")).ok()?;
    // The file of a daemon of yesterday names anything.
    let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    (about.uid() == house.account.uid.as_raw() && title.starts_with(b"PM2 v")).then_some(pid)
}

/// The directory of the `node` that the daemon is.
pub(super) fn node(house: &House) -> Option<PathBuf> {
    let node = fs::read_link(format!("/proc/{}/exe", pid(house)?)).ok()?;
    node.parent().map(Path::to_owned)
}

/// A number in a file of a few bytes, such as a process id.
pub(super) fn read_number(file: &Path) -> Option<u32> {
    let about = fs::metadata(file).ok()?;
    let is_short = about.is_file() && about.len() <= 32;
    let text = is_short.then(|| fs::read_to_string(file).ok())??;
    text.trim().parse().ok()
}

/// What the daemon would bring back: the list that `pm2 save` left. `None` where there is none that can be read.
pub(super) fn saved(house: &House) -> Option<Vec<Entry>> {
    let file = house.pm2_home.join("dump.pm2");
    let about = fs::metadata(&file).ok()?;
    let is_fit = about.is_file() && about.len() <= MOST_SAVED;
    list::parse_saved(&is_fit.then(|| fs::read(&file).ok())??)
}

/// Starts the daemon and the apps that were saved, if the app that is wanted is among them.
///
/// Where systemd runs the host, it is systemd that starts it: by the unit that `pm2 startup` made, else in a unit of its
/// own. So it never lives in the agent's control group, and outlives the agent.
pub(super) async fn raise(house: &House, wanted: &[App]) -> Result<(), Error> {
    let saved = house.look(saved).await?.unwrap_or_default();
    let is_saved = |app: &App| {
        let mut all = saved.iter();
        all.any(|entry| app.is(&entry.name, entry.script.as_deref()))
    };
    if let Some(lost) = wanted.iter().find(|app| !is_saved(app)) {
        let detail = format!(
            "its daemon does not run, and the app {lost} is not in the list that `pm2 save` leaves: start it by hand as {}, as it \
             was started first, and run `pm2 save`",
            house.account.name
        );
        return Err(house.absent(&detail));
    }
    tracing::info!(
        "{}: its daemon does not run; bringing it back",
        house.describe()
    );
    let is_booted = Path::new(BOOTED).exists();
    if is_booted && start_unit(house).await && appears(house).await? {
        return Ok(());
    }
    let program = house.program().await?;
    let command = match is_booted {
        true => {
            // What it gives to the unit is in its arguments. It is root, so the user's own environment is not for it.
            let mut command = Command::new(of_the_host("systemd-run"));
            command.env_clear().current_dir("/");
            command.args(in_a_unit(house, &program.path.to_string_lossy()));
            command
        }
        false => {
            // With the groups of that user, which its apps inherit.
            let mut command = match house.account.is_other() {
                true => {
                    let mut command = Command::new(of_the_host("setpriv"));
                    command
                        .arg(format!("--reuid={}", house.account.uid))
                        .arg(format!("--regid={}", house.account.gid))
                        .arg("--init-groups");
                    command
                }
                false => Command::new(of_the_host("env")),
            };
            house.dress(&mut command, &program);
            command
        }
    };
    let mut command = command;
    command.arg(&program.pm2).arg("resurrect");
    const ACTION: &str = "start its daemon";
    let ran = house.finish(command, ACTION, RAISE).await?;
    if appears(house).await? {
        return Ok(());
    }
    let said = one_line(&String::from_utf8_lossy(&ran.stderr));
    Err(house.refused(ACTION, &format!("it is not there afterwards: {said}")))
}

/// Starts the unit that `pm2 startup` makes; `false` where there is none, or it does not start.
async fn start_unit(house: &House) -> bool {
    let Ok(unit) = UnitName::new(format!("pm2-{}.service", house.account.name)) else {
        return false;
    };
    match Systemd::new(unit).start().await {
        Ok(_) => true,
        Err(Error::Missing { .. }) => false,
        Err(error) => {
            tracing::warn!("{error}");
            false
        }
    }
}

fn in_a_unit(house: &House, path: &str) -> Vec<String> {
    let home = house.pm2_home.display();
    vec![
        "--no-ask-password".to_owned(),
        "--quiet".to_owned(),
        "--collect".to_owned(),
        format!("--unit=ostler-pm2-{}", house.account.name),
        format!("--description=PM2 of {}", house.account.name),
        format!("--uid={}", house.account.uid),
        format!("--gid={}", house.account.gid),
        "--property=Type=forking".to_owned(),
        format!("--property=PIDFile={home}/pm2.pid"),
        "--property=LimitNOFILE=infinity".to_owned(),
        format!("--setenv=HOME={}", house.account.home.display()),
        format!("--setenv=USER={}", house.account.name),
        format!("--setenv=LOGNAME={}", house.account.name),
        format!("--setenv=PM2_HOME={home}"),
        format!("--setenv=PATH={path}"),
        "--".to_owned(),
    ]
}

async fn appears(house: &House) -> Result<bool, Error> {
    let until = Instant::now() + APPEAR;
    while !is_there(house).await? {
        if Instant::now() >= until {
            return Ok(false);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(true)
}
