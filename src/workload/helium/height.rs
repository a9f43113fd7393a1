//! What `miner info height` says.

use super::question::no_such_program;

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Numbers.
    Heights(Heights),
    /// The image has no miner: the gateway that came after it knows no heights.
    Gateway,
    /// Words.
    Words,
}

/// Where the miner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heights {
    /// Its epoch.
    pub epoch: u64,
    /// Its height.
    pub height: u64,
    /// Up to where it has blocks that it has not absorbed yet.
    pub loaded: Option<u64>,
}

impl Heights {
    /// Whether it has blocks that are not part of its ledger yet.
    pub fn absorbs(&self) -> bool {
        self.loaded.is_some_and(|loaded| loaded > self.height)
    }
}

/// Reads an answer.
pub(super) fn read(text: &str) -> Reading {
    if no_such_program(text) {
        return Reading::Gateway;
    }
    let line = text.lines().next().unwrap_or_default();
    let numbers: Option<Vec<u64>> = line
        .split_whitespace()
        .map(|column| column.trim_end_matches('*').parse().ok())
        .collect();
    let heights = |epoch, height, loaded| {
        Reading::Heights(Heights {
            epoch,
            height,
            loaded,
        })
    };
    match numbers.as_deref() {
        Some([epoch, height]) => heights(*epoch, *height, None),
        Some([epoch, height, loaded]) => heights(*epoch, *height, Some(*loaded)),
        _ => Reading::Words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(text: &str, epoch: u64, height: u64, loaded: Option<u64>) {
        let heights = Heights {
            epoch,
            height,
            loaded,
        };
        assert_eq!(read(text), Reading::Heights(heights));
    }

    #[test]
    fn a_height_is_the_second_column() {
        expect("31300\t\t1187280\n", 31_300, 1_187_280, None);
        expect("1\t\t1\r\n", 1, 1, None);
        expect(
            "31300\t\t1148539\t\t1151657*\n",
            31_300,
            1_148_539,
            Some(1_151_657),
        );
    }

    #[test]
    fn words_are_no_heights() {
        for text in [
            "",
            "31300",
            "Node 'miner@127.0.0.1' not responding to pings.\n",
            "Error: Usage information not found for the given command\n\n\n",
            "1\t\t2\t\t3\t\t4\n",
            "-1\t\t7\n",
        ] {
            assert_eq!(read(text), Reading::Words, "{text:?}");
        }
    }

    #[test]
    fn a_gateway_has_no_heights() {
        let text = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"miner\": \
                    executable file not found in $PATH: unknown\r\n";
        assert_eq!(read(text), Reading::Gateway);
    }

    #[test]
    fn a_container_that_ends_meanwhile_is_no_gateway() {
        for end in [
            "cannot exec in a stopped container: unknown",
            "unable to start container process: open /proc/4711/ns/ipc: no such file or directory: unknown",
        ] {
            let text = format!("OCI runtime exec failed: exec failed: {end}\r\n");
            assert_eq!(read(&text), Reading::Words, "{text}");
        }
    }
}
