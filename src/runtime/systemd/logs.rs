//! The end of the unit's log in the journal.

use std::time::Duration;

use super::{Error, Systemd};
use crate::runtime::tail::last;

/// For all of it: a large journal is searched on a slow eMMC.
const DEADLINE: Duration = Duration::from_secs(20);

/// Enough for anybody to read.
const LINES: usize = 2000;

impl Systemd {
    pub(super) async fn tail(&self, lines: usize, bytes: usize) -> Result<String, Error> {
        // The journal knows nothing of units that are missing.
        self.look().await?;
        let action = "read the log of";
        let lines = format!("--lines={}", lines.min(LINES));
        let unit = format!("--unit={}", self.unit);
        let arguments = [&unit, &lines, "--output=short-iso", "--no-pager", "--quiet"];
        // One byte more than is asked for tells whether the first line that is kept is a whole one.
        let ran = self
            .manager
            .run(
                "journalctl",
                &arguments,
                action,
                DEADLINE,
                bytes.saturating_add(1),
            )
            .await?;
        let ran = self.manager.succeeded(action, ran)?;
        Ok(last(&String::from_utf8_lossy(&ran.stdout), bytes).to_owned())
    }
}
