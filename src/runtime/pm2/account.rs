//! Whose PM2 it is.

use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, geteuid};

/// A user of this host.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
    pub home: PathBuf,
}

impl Account {
    /// The user of this name, if the agent may act for it: root may for everybody, others for themselves.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        let user = User::from_name(name)
            .map_err(|error| format!("the user `{name}` cannot be looked up: {error}"))?
            .ok_or_else(|| {
                format!("there is no user `{name}` on this host: correct `user` in the workload's runtime")
            })?;
        let own = geteuid();
        if !own.is_root() && own != user.uid {
            return Err(format!(
                "the agent may not act for the user `{name}`: run it as root, or as that user"
            ));
        }
        Ok(Self {
            name: user.name,
            uid: user.uid,
            gid: user.gid,
            home: user.dir,
        })
    }

    /// Whether a program has to be told to run as this user: the agent is somebody else.
    pub(super) fn is_other(&self) -> bool {
        geteuid() != self.uid
    }
}
