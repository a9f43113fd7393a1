//! What the miner's command line is asked, and what came of it.

use std::time::Duration;

use super::super::{Inside, Said, Unanswered};

/// `<epoch>\t\t<height>`, and `\t\t<sync height>*` where blocks are loaded that are not absorbed yet.
pub(super) const HEIGHT: [&str; 3] = ["miner", "info", "height"];
/// A table: connected, dialable, nat_type, height.
pub(super) const P2P_STATUS: [&str; 3] = ["miner", "info", "p2p_status"];
/// Three tables: itself, where it listens, its sessions.
pub(super) const PEER_BOOK: [&str; 4] = ["miner", "peer", "book", "-s"];
/// `region_us915`.
pub(super) const REGION: [&str; 3] = ["miner", "info", "region"];
/// Erlang terms: `{pubkey,"…"}.` and so on.
pub(super) const KEYS: [&str; 2] = ["miner", "print_keys"];
/// The gateway's own program, in the images that came after the miner's.
pub(super) const GATEWAY_KEY: [&str; 3] = ["helium_gateway", "key", "info"];
/// Of the same.
pub(super) const GATEWAY_REGION: [&str; 3] = ["helium_gateway", "info", "region"];
/// The end of the miner's log, which can be read whatever the miner does.
pub(super) const LOG: [&str; 4] = ["tail", "-n", "200", "/var/data/log/console.log"];

/// A node that loads a snapshot does not answer for minutes; one that works, within a second or two.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// A file's end is read at once.
pub(super) const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// What came of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// It was not asked yet, or there is no such thing to ask.
    #[default]
    Unasked,
    /// An answer, whatever it says.
    Said(Said),
    /// None came in time.
    Late(String),
    /// It could not be asked.
    Failed(String),
}

impl Answer {
    /// The text of an answer.
    pub fn text(&self) -> Option<&str> {
        match self {
            Answer::Said(said) => Some(&said.text),
            Answer::Unasked | Answer::Late(_) | Answer::Failed(_) => None,
        }
    }

    /// Whether it was waited for in vain.
    pub fn is_late(&self) -> bool {
        matches!(self, Answer::Late(_))
    }
}

/// Asks one thing.
pub(super) async fn ask(inside: &dyn Inside, question: &[&str], deadline: Duration) -> Answer {
    match inside.ask(question, deadline).await {
        Ok(said) => Answer::Said(said),
        Err(Unanswered { late: true, why }) => Answer::Late(why),
        Err(Unanswered { late: false, why }) => Answer::Failed(why),
    }
}

/// What the engine says, in the program's place, of a program that the image does not have: it names the program. What it says of a
/// container that ends meanwhile can end in the same words, about a file of its own.
pub(super) fn no_such_program(text: &str) -> bool {
    text.contains("OCI runtime exec failed")
        && text.contains("exec: \"")
        && (text.contains("executable file not found")
            || text.contains("no such file or directory"))
}
