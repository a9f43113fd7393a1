//! The end of the container's log.

use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{StreamExt, TryStreamExt, pin_mut};

use super::{Docker, Error};
use crate::runtime::tail::last;

/// For all of it: a log file of some hundred megabytes is read backwards from a slow eMMC.
const DEADLINE: Duration = Duration::from_secs(20);

/// The engine keeps at most 16 KiB in a line, so that this bounds what it sends.
const LINES: usize = 2000;

impl Docker {
    pub(super) async fn tail(&self, lines: usize, bytes: usize) -> Result<String, Error> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail(&lines.min(LINES).to_string())
            .build();
        let docker = self.client.connect()?;
        let stream = docker.logs(&self.container, Some(options));
        let read = async {
            pin_mut!(stream);
            let mut stream = stream.into_stream();
            let mut kept = Vec::new();
            while let Some(item) = stream.next().await {
                kept.extend_from_slice(&item?.into_bytes());
                // Not at every item: moving what is kept to the front costs. One byte more than asked for
                // stays, to tell that there was more.
                if kept.len() > bytes.saturating_mul(2) {
                    kept.drain(..kept.len() - bytes - 1);
                }
            }
            Ok(kept)
        };
        let kept = self
            .client
            .within(DEADLINE, "read the log of", read)
            .await?;
        Ok(last(&String::from_utf8_lossy(&kept), bytes).to_owned())
    }
}
