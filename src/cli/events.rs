//! Reads server-sent events.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::web::Answer;

/// The agent says something at least every 15 s.
const SILENCE: Duration = Duration::from_secs(40);

/// The longest event that is read; the longest record is far shorter.
const LONGEST: usize = 1024 * 1024;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// `operation`, `refusal`, `workload`, `telemetry`, `event`, `lagged`.
    pub name: String,
    /// JSON.
    pub data: String,
}

/// A stream of events.
pub struct Events {
    answer: Answer,
    buffer: Vec<u8>,
}

impl Events {
    pub(super) fn new(answer: Answer) -> Self {
        Self {
            answer,
            buffer: Vec::new(),
        }
    }

    /// The next event; `None` where the stream has ended, broken or fallen silent. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Happening> {
        loop {
            while let Some(block) = take_block(&mut self.buffer) {
                if let Some(happening) = read(&block) {
                    return Some(happening);
                }
            }
            if self.buffer.len() > LONGEST {
                return None;
            }
            let frame = timeout(SILENCE, self.answer.response.body_mut().frame())
                .await
                .ok()??
                .ok()?;
            self.buffer.extend_from_slice(frame.data_ref()?);
        }
    }
}

/// Cuts the first block off, where a whole one is there.
fn take_block(buffer: &mut Vec<u8>) -> Option<String> {
    let end = buffer.windows(2).position(|two| two == b"\n\n")?;
    let block: Vec<u8> = buffer.drain(..end + 2).collect();
    Some(String::from_utf8_lossy(&block).into_owned())
}

/// Reads a block as our own server writes it; `None` where it is a comment.
fn read(block: &str) -> Option<Happening> {
    let field = |name| block.lines().find_map(|line| line.strip_prefix(name));
    Some(Happening {
        name: field("event: ")?.to_owned(),
        data: field("data: ")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_cut_whole_and_comments_are_none() {
        let mut buffer = b"retry: 2000\n\n: still here\n\nevent: a\ndata: {}\n\nevent: b".to_vec();
        let mut blocks = Vec::new();
        while let Some(block) = take_block(&mut buffer) {
            blocks.extend(read(&block));
        }
        let event = Happening {
            name: "a".to_owned(),
            data: "{}".to_owned(),
        };
        assert_eq!(blocks, [event]);
        assert_eq!(buffer, b"event: b");
    }
}
