//! The end of the container's log.

use std::time::Duration;

use super::connection::Call;
use super::{Docker, Error};
use crate::runtime::tail::last;

/// For all of it: a log file of some hundred megabytes is read backwards from a slow eMMC.
const DEADLINE: Duration = Duration::from_secs(20);

/// The engine keeps at most 16 KiB in a line, so that this bounds what it sends.
const LINES: usize = 2000;

impl Docker {
    pub(super) async fn tail(&self, lines: usize, bytes: usize) -> Result<String, Error> {
        // With a terminal its output is not divided into pieces.
        let terminal = self.look().await?["Config"]["Tty"] == true;
        let lines = lines.min(LINES).to_string();
        let query = [("stdout", "true"), ("stderr", "true"), ("tail", &lines)];
        let call = Call::get(self.path("logs")).query(&query);
        let read = async {
            let mut stream = call.send(self.client.socket()).await?;
            let mut kept = Vec::new();
            loop {
                let piece = match terminal {
                    true => stream.bytes().await?.map(Vec::from),
                    false => stream.output().await?.map(|(_, piece)| piece),
                };
                let Some(piece) = piece else {
                    return Ok(kept);
                };
                kept.extend_from_slice(&piece);
                // Not at every item: moving what is kept to the front costs. One byte more than asked for
                // stays, to tell that there was more.
                if kept.len() > bytes.saturating_mul(2) {
                    kept.drain(..kept.len() - bytes - 1);
                }
            }
        };
        let kept = self
            .client
            .within(DEADLINE, "read the log of", read)
            .await?;
        Ok(last(&String::from_utf8_lossy(&kept), bytes).to_owned())
    }
}
