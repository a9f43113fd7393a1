//! What PM2 says of its apps: `pm2 jlist`, and the list that `pm2 save` leaves.
//!
//! Both hold the whole environment of every app, keys and passwords included. Only what is named here is taken out of
//! them; the rest is passed over while it is read, and neither kept nor shown.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// How much of an app's name is shown, in characters.
const SHOWN: usize = 64;

/// How PM2 sees an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Online,
    Launching,
    Stopping,
    /// PM2 waits before it starts it again.
    WaitingRestart,
    Stopped,
    /// It could not be started, could not be stopped, or crashed so often that PM2 gave it up.
    Errored,
    /// None of those.
    Other,
}

/// One app, as PM2 knows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// PM2's number for it: a new one each time that the app is deleted and made again.
    pub id: u32,
    pub name: String,
    pub namespace: String,
    pub status: Status,
    pub pid: Option<u32>,
    pub script: Option<PathBuf>,
    pub directory: Option<PathBuf>,
    /// When this run of it began, in milliseconds since 1970.
    pub started_ms: Option<i64>,
    pub restarts: u64,
    /// How often it ended before it had run for its least time.
    pub unstable_restarts: u64,
    pub exit_code: Option<i64>,
    /// How long PM2 lets it end by itself.
    pub kill_timeout: Duration,
    /// In the environment of each of its processes.
    pub unique_id: Option<String>,
    pub out_log: Option<PathBuf>,
    pub err_log: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    /// A plug-in of PM2's own.
    pub is_module: bool,
}

/// PM2's own patience, where the app has none: `KILL_TIMEOUT` in its constants.
const KILL_TIMEOUT: Duration = Duration::from_millis(1600);

/// An app in `jlist`.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    pid: Value,
    #[serde(default)]
    pm_id: Value,
    pm2_env: Environment,
}

/// The fields that are used. What is of another type than it should be counts as not there: an app of somebody else's
/// must not hide the others.
#[derive(Deserialize)]
struct Environment {
    #[serde(default)]
    name: Value,
    #[serde(default)]
    namespace: Value,
    #[serde(default)]
    pm_id: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    pm_exec_path: Value,
    #[serde(default)]
    pm_cwd: Value,
    #[serde(default)]
    pm_uptime: Value,
    #[serde(default)]
    restart_time: Value,
    #[serde(default)]
    unstable_restarts: Value,
    #[serde(default)]
    exit_code: Value,
    #[serde(default)]
    kill_timeout: Value,
    #[serde(default)]
    unique_id: Value,
    #[serde(default)]
    pm_out_log_path: Value,
    #[serde(default)]
    pm_err_log_path: Value,
    #[serde(default)]
    pm_pid_path: Value,
    #[serde(default)]
    pmx_module: Value,
}

/// Reads what `pm2 jlist` wrote: banners may stand before and after the list.
pub(super) fn parse(output: &[u8]) -> Result<Vec<Entry>, String> {
    let start = start_of_list(output).ok_or_else(|| match output.trim_ascii().is_empty() {
        true => "it wrote no list of its apps".to_owned(),
        false => "what it wrote is no list of its apps".to_owned(),
    })?;
    let mut values =
        serde_json::Deserializer::from_slice(&output[start..]).into_iter::<Vec<Listed>>();
    match values.next() {
        Some(Ok(listed)) => Ok(listed.into_iter().filter_map(Listed::entry).collect()),
        // Serde's message may show a piece of what was read.
        Some(Err(error)) => Err(format!(
            "its list of apps is not understood (line {}, column {})",
            error.line(),
            error.column()
        )),
        None => Err("its list of apps is empty".to_owned()),
    }
}

/// Reads the list that `pm2 save` left in `dump.pm2`; its apps have no state.
pub(super) fn parse_saved(text: &[u8]) -> Option<Vec<Entry>> {
    let saved: Vec<Environment> = serde_json::from_slice(text).ok()?;
    let entries = saved.into_iter().enumerate().filter_map(|(index, saved)| {
        let mut entry = saved.entry(u32::try_from(index).ok()?, None)?;
        entry.status = Status::Stopped;
        Some(entry)
    });
    Some(entries.collect())
}

/// Where a line begins with the list. PM2's own messages begin with `[PM2]`.
fn start_of_list(output: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in output.split_inclusive(|byte| *byte == b'\n') {
        let blank = line
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let text = &line[blank..];
        if text.starts_with(b"[{") || text.starts_with(b"[]") {
            return Some(start + blank);
        }
        start += line.len();
    }
    None
}

impl Listed {
    fn entry(self) -> Option<Entry> {
        let id = number(&self.pm_id).or_else(|| number(&self.pm2_env.pm_id))?;
        let pid = number(&self.pid).filter(|pid| *pid > 0);
        self.pm2_env.entry(id, pid)
    }
}

impl Environment {
    fn entry(self, id: u32, pid: Option<u32>) -> Option<Entry> {
        let status = match self.status.as_str().unwrap_or_default() {
            "online" => Status::Online,
            "launching" => Status::Launching,
            "stopping" => Status::Stopping,
            "waiting restart" => Status::WaitingRestart,
            "stopped" => Status::Stopped,
            "errored" => Status::Errored,
            _ => Status::Other,
        };
        Some(Entry {
            id,
            name: text(&self.name)?,
            namespace: text(&self.namespace).unwrap_or_default(),
            status,
            pid,
            script: path(&self.pm_exec_path),
            directory: path(&self.pm_cwd),
            started_ms: self.pm_uptime.as_i64(),
            restarts: self.restart_time.as_u64().unwrap_or_default(),
            unstable_restarts: self.unstable_restarts.as_u64().unwrap_or_default(),
            exit_code: self.exit_code.as_i64(),
            kill_timeout: self
                .kill_timeout
                .as_u64()
                .map_or(KILL_TIMEOUT, Duration::from_millis),
            unique_id: text(&self.unique_id).filter(|id| id.len() >= 8),
            out_log: path(&self.pm_out_log_path),
            err_log: path(&self.pm_err_log_path),
            pid_file: path(&self.pm_pid_path),
            is_module: self.pmx_module.as_bool() == Some(true),
        })
    }
}

impl Entry {
    /// Whether a stop has something to stop, as far as PM2 says.
    pub(super) fn is_up(&self) -> bool {
        match self.status {
            Status::Online | Status::Launching | Status::Stopping | Status::WaitingRestart => true,
            Status::Stopped | Status::Errored => false,
            Status::Other => self.pid.is_some(),
        }
    }

    /// Its name for people: bounded, and without what could write over a line of a log.
    pub(super) fn shown(&self) -> String {
        let mut shown: String = self
            .name
            .chars()
            .take(SHOWN)
            .map(|char| match char.is_control() {
                true => '\u{fffd}',
                false => char,
            })
            .collect();
        if self.name.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        shown
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn path(value: &Value) -> Option<PathBuf> {
    let path = PathBuf::from(value.as_str()?);
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = r#"[{"pid":7,"name":"sn8","pm_id":0,"pm2_env":{"name":"sn8","status":"online","pm_id":0,
        "pm_exec_path":"/srv/ptn/run.sh","env":{"API_KEY":"hunter2-secret"},"API_KEY":"hunter2-secret","restart_time":2}}]"#;

    #[test]
    fn banners_before_and_after_the_list_do_not_matter() {
        let one_line = APP.replace('\n', " ");
        for banner in [
            "",
            "\n                        -------------\n\n__/\\\\\\\\\\\\\\\\\\\\\\\\\\____/\\\\\n\n[PM2] Spawning PM2 daemon with pm2_home=/root/.pm2\n\
             [PM2] PM2 Successfully daemonized\n",
            ">>>> In-memory PM2 is out-of-date, do:\n>>>> $ pm2 update\nIn memory PM2 version: 5.1.0\nLocal PM2 version: 7.0.4\n\n",
        ] {
            for after in ["", "\n", "\n>>>> In-memory PM2 is out-of-date\n"] {
                let apps = parse(format!("{banner}{one_line}{after}").as_bytes()).unwrap();
                assert_eq!(
                    (apps[0].name.as_str(), apps[0].pid, apps[0].restarts),
                    ("sn8", Some(7), 2)
                );
            }
        }
        assert_eq!(parse(b"banner\n[]").unwrap(), []);
    }

    #[test]
    fn nothing_secret_is_kept_or_told() {
        let apps = parse(APP.as_bytes()).unwrap();
        assert!(!format!("{apps:?}").contains("hunter2"));
        for cut in 0..APP.len() {
            if let Err(told) = parse(&APP.as_bytes()[..cut]) {
                assert!(!told.contains("hunter2"), "{told}");
            }
        }
        let wrong = APP.replace("\"pm2_env\":{", "\"pm2_env\":\"hunter2-secret\",\"x\":{");
        let told = parse(wrong.as_bytes()).unwrap_err();
        assert!(
            told.contains("is not understood") && !told.contains("hunter2"),
            "{told}"
        );
    }

    #[test]
    fn garbage_is_told_and_a_strange_app_does_not_hide_the_others() {
        for (output, told) in [
            ("", "wrote no list"),
            ("<html>", "is no list"),
            ("[PM2] hello\n", "is no list"),
            ("[{", "is not understood"),
            ("[{\"a\":1}]", "is not understood"),
        ] {
            let error = parse(output.as_bytes()).unwrap_err();
            assert!(error.contains(told), "{output:?}: {error}");
        }
        let strange = r#"[{"pm_id":"x","pm2_env":{"name":5}},{"pm_id":1,"pid":"N/A","pm2_env":{"name":"\u001b[2Jevil\nname",
            "status":{"a":1},"restart_time":-1,"pm_exec_path":"relative"}}]"#
            .replace('\n', "");
        let apps = parse(strange.as_bytes()).unwrap();
        assert_eq!(apps.len(), 1);
        assert_eq!(apps[0].status, Status::Other);
        assert_eq!((apps[0].script.as_ref(), apps[0].restarts), (None, 0));
        assert!(
            !apps[0].shown().contains(char::is_control),
            "{}",
            apps[0].shown()
        );
        let long =
            r#"[{"pm_id":1,"pm2_env":{"name":"NAME"}}]"#.replace("NAME", &"x".repeat(10_000));
        assert!(parse(long.as_bytes()).unwrap()[0].shown().len() < 100);
    }

    #[test]
    fn what_pm2_saved_has_no_state() {
        let saved = br#"[{"name":"sn8","status":"online","pm_cwd":"/srv","secret":"s"}]"#;
        let apps = parse_saved(saved).unwrap();
        assert!(!apps[0].is_up());
        assert_eq!(apps[0].directory, Some(PathBuf::from("/srv")));
        assert_eq!(parse_saved(b"[{"), None);
    }
}
