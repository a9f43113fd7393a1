//! What systemd says of a unit, in the agent's words.

use nix::sys::signal::Signal;

use super::Inspection;
use super::manager::one_line;
use super::properties::Properties;
use crate::protocol::RunState;

/// What is asked for; all of it is there since systemd 236, except where noted.
pub(super) const PROPERTIES: &str = "LoadState,LoadError,ActiveState,SubState,Job,Result,MainPID,ControlPID,\
     InvocationID,NRestarts,ExecMainStartTimestamp,ExecMainCode,ExecMainStatus,ExecStart,ControlGroup,CollectMode";

/// How a program ended, by `ExecMainCode`: the numbers of `waitid(2)`.
const CLD_EXITED: i32 = 1;

/// A unit at one instant.
pub(super) struct Unit(Properties);

impl Unit {
    pub(super) fn new(properties: Properties) -> Self {
        Self(properties)
    }

    /// systemd has no file of it, and nothing of it runs.
    pub(super) fn is_missing(&self) -> bool {
        self.0.text("LoadState") == "not-found" && self.is_down()
    }

    /// Nothing runs and nothing is about to, as far as systemd says: a unit that is started again by its `Restart=` is
    /// inactive for an instant, with a job.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.0.text("ActiveState"), "inactive" | "failed")
            && !self.has_job()
            && self.number("MainPID") == 0
            && self.number("ControlPID") == 0
    }

    /// systemd has yet to do something with it; where it is down, that is to start it.
    fn has_job(&self) -> bool {
        self.number("Job") != 0
    }

    /// It runs, is on its way there, or systemd is about to try again.
    pub(super) fn is_up(&self) -> bool {
        matches!(
            self.0.text("ActiveState"),
            "active" | "reloading" | "refreshing" | "activating"
        )
    }

    /// Why systemd says that it failed: `timeout`, `exit-code`, `start-limit-hit` … or `success`.
    pub(super) fn result(&self) -> &str {
        self.0.text("Result")
    }

    /// Whether its last run ended by SIGKILL.
    pub(super) fn was_killed(&self) -> bool {
        self.number("ExecMainCode") != CLD_EXITED
            && self.number("ExecMainStatus") == Signal::SIGKILL as i32
    }

    /// Which run this is, or was: empty before the first one and after systemd has forgotten the unit.
    pub(super) fn invocation(&self) -> &str {
        self.0.text("InvocationID")
    }

    /// Whether systemd forgets the unit, and how it ended, even if that was a failure.
    pub(super) fn forgets_failures(&self) -> bool {
        self.0.text("CollectMode") == "inactive-or-failed"
    }

    /// Its cgroup below systemd's own; empty where it has none.
    pub(super) fn cgroup(&self) -> &str {
        self.0.text("ControlGroup")
    }

    /// Where systemd is with it, for messages: `deactivating (stop-sigterm)`.
    pub(super) fn place(&self) -> String {
        format!(
            "{} ({})",
            self.0.text("ActiveState"),
            self.0.text("SubState")
        )
    }

    /// Translates it.
    pub(super) fn inspection(&self) -> Inspection {
        Inspection {
            state: self.state(),
            reason: self.reason(),
            run: self.0.some("InvocationID"),
            started_at: self
                .0
                .time("ExecMainStartTimestamp")
                .map(|at| at.to_string()),
            image: self.0.program("ExecStart"),
            instance: None,
            created_at: None,
            restarts: self.0.number("NRestarts"),
            health: None,
            parts: Vec::new(),
        }
    }

    fn state(&self) -> RunState {
        match self.0.text("ActiveState") {
            "activating" if self.is_restarting() => RunState::Restarting,
            "active" | "reloading" | "refreshing" | "activating" | "deactivating" => {
                RunState::Running
            }
            // A start is queued: at boot, behind what it comes after.
            "inactive" | "failed" if self.has_job() => RunState::Restarting,
            // Not `Created`: of a unit that ended well systemd forgets that it ever ran.
            "inactive" | "failed" => RunState::Stopped,
            _ => RunState::Unknown,
        }
    }

    /// systemd waits before it starts it again. Newer ones say `auto-restart-queued` at the end of the wait.
    pub(super) fn is_restarting(&self) -> bool {
        self.0.text("SubState").starts_with("auto-restart")
    }

    /// Why it is so; nothing where it simply runs.
    pub(super) fn reason(&self) -> Option<String> {
        match self.0.text("ActiveState") {
            "active" if self.0.text("SubState") == "exited" => {
                Some("its program has ended, and the unit stays active".into())
            }
            "active" => None,
            "reloading" | "refreshing" => Some("is reloading".into()),
            "activating" if self.is_restarting() => {
                Some(format!("{}, and is started again and again", self.ended()))
            }
            "activating" => Some(format!("is being started ({})", self.0.text("SubState"))),
            "deactivating" => Some(format!("is being stopped ({})", self.0.text("SubState"))),
            "inactive" | "failed" if self.has_job() => {
                Some("waits to be started: systemd has a job for it".into())
            }
            "failed" => Some(self.ended()),
            "inactive" => Some(match self.0.text("LoadState") {
                "masked" => "is masked: allow it again with `systemctl unmask`".into(),
                "loaded" => "is stopped".into(),
                _ => format!("its file cannot be used: {}", self.load_error()),
            }),
            other => Some(format!(
                "systemd says `{}`, which is not understood",
                one_line(other)
            )),
        }
    }

    /// `org.freedesktop.systemd1.BadUnitSetting "Unit x.service has a bad unit file setting."`: the text of it.
    fn load_error(&self) -> String {
        let error = self.0.text("LoadError");
        one_line(error.split('"').nth(1).unwrap_or(error))
    }

    /// How its last run ended.
    fn ended(&self) -> String {
        match self.result() {
            "success" => "ended well".into(),
            "exit-code" => {
                let status = self.number("ExecMainStatus");
                format!("exited with status {status}{}", meaning(status))
            }
            "signal" | "core-dump" => match Signal::try_from(self.number("ExecMainStatus")) {
                Ok(signal) => format!("ended by {signal}"),
                Err(_) => "ended by a signal".into(),
            },
            "timeout" => "did not start or stop within systemd's own time limit".into(),
            "watchdog" => "did not answer systemd's watchdog".into(),
            "oom-kill" => "ended because the memory was exhausted".into(),
            "start-limit-hit" => "failed too often within a short time".into(),
            "resources" => "systemd could not set it up (out of some resource)".into(),
            "protocol" => "did not tell systemd what it had to (its `Type=` may be wrong)".into(),
            other => format!("failed ({})", one_line(other)),
        }
    }

    fn number(&self, name: &str) -> i32 {
        self.0.number(name).unwrap_or_default()
    }
}

/// What systemd says by an exit status of its own, where it could not even start the program: `systemd.exec(5)`.
fn meaning(status: i32) -> &'static str {
    match status {
        200 => " (no such working directory)",
        203 => " (its program cannot be executed)",
        216 => " (no such group)",
        217 => " (no such user)",
        218 => " (capabilities could not be set)",
        226 => " (its sandbox could not be set up)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Unit {
        Unit::new(Properties::parse(&text.replace(' ', "\n")))
    }

    #[track_caller]
    fn expect(text: &str, state: RunState, reason: &str) {
        let inspection = unit(text).inspection();
        assert_eq!(inspection.state, state, "{text}");
        assert_eq!(inspection.reason.as_deref().unwrap_or(""), reason, "{text}");
    }

    #[test]
    fn what_a_real_systemd_shows_rarely_has_its_reason_too() {
        expect(
            "ActiveState=reloading SubState=reload",
            RunState::Running,
            "is reloading",
        );
        expect(
            "ActiveState=deactivating SubState=stop-sigterm",
            RunState::Running,
            "is being stopped (stop-sigterm)",
        );
        expect(
            "ActiveState=maintenance",
            RunState::Unknown,
            "systemd says `maintenance`, which is not understood",
        );
        expect(
            "ActiveState=activating SubState=auto-restart-queued Result=oom-kill",
            RunState::Restarting,
            "ended because the memory was exhausted, and is started again and again",
        );
        for state in ["inactive", "failed"] {
            expect(
                &format!("LoadState=loaded ActiveState={state} SubState=dead Job=512"),
                RunState::Restarting,
                "waits to be started: systemd has a job for it",
            );
        }
        for (how, reason) in [
            ("Result=watchdog", "did not answer systemd's watchdog"),
            (
                "Result=core-dump ExecMainCode=3 ExecMainStatus=11",
                "ended by SIGSEGV",
            ),
            (
                "Result=exit-code ExecMainStatus=226",
                "exited with status 226 (its sandbox could not be set up)",
            ),
            (
                "Result=resources",
                "systemd could not set it up (out of some resource)",
            ),
            ("Result=brand-new", "failed (brand-new)"),
        ] {
            expect(
                &format!("ActiveState=failed {how}"),
                RunState::Stopped,
                reason,
            );
        }
    }

    #[test]
    fn a_unit_whose_file_went_away_under_it_is_not_missing() {
        assert!(unit("LoadState=not-found ActiveState=inactive MainPID=0").is_missing());
        let orphan = unit("LoadState=not-found ActiveState=active SubState=running MainPID=7");
        assert!(!orphan.is_missing() && orphan.is_up() && !orphan.is_down());
        assert!(!unit("ActiveState=inactive SubState=dead Job=512").is_down());
    }

    #[test]
    fn status_nine_of_its_own_is_not_a_kill() {
        assert!(!unit("ExecMainCode=1 ExecMainStatus=9").was_killed());
        assert!(unit("ExecMainCode=2 ExecMainStatus=9").was_killed());
    }
}
