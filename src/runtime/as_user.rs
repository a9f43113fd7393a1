//! Signals to the processes of another user, sent as that user.
//!
//! So the agent needs no right to end what is whoever's (`CAP_KILL`), and the kernel sees to it that only that user's processes are ended,
//! whatever a file or a number that was used again says.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, geteuid};
use rustix::thread::set_thread_res_uid;

/// Sends a signal to these processes, or groups where a number is negative. Those that are gone already are what is wanted.
///
/// As root's PM2 gives an app the user that it asks for, what is root's is sent as root.
pub(crate) fn signal(owner: Uid, all: &[Pid], signal: Signal) {
    let send = || {
        for pid in all {
            let _ = kill(*pid, signal);
        }
    };
    if owner.is_root() || owner == geteuid() {
        return send();
    }
    let as_owner = || {
        let uid = rustix::fs::Uid::from_raw(owner.as_raw());
        // This thread alone becomes somebody else, for ever: it ends with this.
        match set_thread_res_uid(uid, uid, uid) {
            Ok(()) => send(),
            Err(error) => tracing::warn!("no signal can be sent as user {owner}: {error}"),
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, as_owner);
        if let Err(error) = thread {
            tracing::warn!("no signal can be sent as user {owner}: {error}");
        }
    });
}

/// A program that runs as another user. Whoever lets go of it ends it, unless it has come to its end.
#[derive(Debug)]
pub(crate) struct Leash {
    owner: Uid,
    pid: Option<Pid>,
}

impl Leash {
    /// For a child that was just started, and not waited for yet: until then its number is nobody else's.
    pub(crate) fn new(owner: Uid, pid: Option<u32>) -> Self {
        let pid = pid.and_then(|pid| i32::try_from(pid).ok());
        Self {
            owner,
            pid: pid.map(Pid::from_raw),
        }
    }

    /// It has come to its end.
    pub(crate) fn slip(mut self) {
        self.pid = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            signal(self.owner, &[pid], Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    use super::*;

    const NOBODY: u32 = 65534;

    fn sleeper(uid: u32) -> (Child, Pid) {
        let child = Command::new("sleep").arg("100").uid(uid).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        (child, pid)
    }

    #[test]
    fn only_the_owners_processes_are_ended() {
        if !geteuid().is_root() {
            return;
        }
        let (mut theirs, their_pid) = sleeper(NOBODY);
        let (mut mine, my_pid) = sleeper(0);
        let all = [my_pid, their_pid];
        signal(Uid::from_raw(NOBODY), &all, Signal::SIGKILL);
        assert_eq!(theirs.wait().unwrap().signal(), Some(9));
        assert!(mine.try_wait().unwrap().is_none(), "root's was ended too");
        // This thread is who it was.
        assert!(geteuid().is_root());
        signal(Uid::from_raw(0), &all[..1], Signal::SIGKILL);
        assert_eq!(mine.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn who_lets_go_of_a_program_ends_it_unless_it_has_ended() {
        let owner = match geteuid() {
            root if root.is_root() => Uid::from_raw(NOBODY),
            own => own,
        };
        let (mut child, _) = sleeper(owner.as_raw());
        drop(Leash::new(owner, Some(child.id())));
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        let (mut child, pid) = sleeper(owner.as_raw());
        Leash::new(owner, Some(child.id())).slip();
        assert!(child.try_wait().unwrap().is_none());
        signal(owner, &[pid], Signal::SIGKILL);
        child.wait().unwrap();
    }
}
