//! `/status.json`: five strings, and a tip where something is unusual.

use serde::Serialize;

use super::view::{Phase, View, tokens};
use crate::protocol::Operation;
use crate::workload::helium::Answer;

/// Where nothing is known.
const NOTHING: &str = "-";

/// The body; every value is a string, in this order.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Status {
    status: &'static str,
    gap: String,
    miner_height: String,
    blockchain_height: String,
    epoch: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tip: Option<String>,
}

impl Status {
    pub fn of(view: &View) -> Self {
        let (miner_height, epoch) = heights(view);
        let gap = match view.phase {
            Phase::Synced | Phase::Syncing => shown(view.observation.gap),
            _ => NOTHING.to_owned(),
        };
        let blockchain_height = match view.phase {
            Phase::Synced | Phase::Syncing | Phase::Silent | Phase::Unclear | Phase::GoingDown => {
                shown(view.chain_height())
            }
            Phase::Loading
            | Phase::Resyncing(_)
            | Phase::Gone
            | Phase::Starting
            | Phase::NoChainHeight => NOTHING.to_owned(),
        };
        Self {
            status: word(view.phase),
            gap,
            miner_height,
            blockchain_height,
            epoch,
            tip: tip(view),
        }
    }
}

/// The stock device's word for a state, its spelling included.
pub(super) fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Synced => "Synced",
        Phase::Syncing => "Syncing",
        Phase::Loading => "Loading",
        Phase::Resyncing(_) => "Resyncing",
        Phase::Silent | Phase::Gone | Phase::Starting => "Error",
        Phase::Unclear | Phase::GoingDown => "Unkown",
        Phase::NoChainHeight => "Height API Error",
    }
}

fn heights(view: &View) -> (String, String) {
    match view.phase {
        Phase::Synced | Phase::Syncing | Phase::NoChainHeight => {
            let heights = view.observation.heights;
            (
                shown(heights.map(|heights| heights.height)),
                shown(heights.map(|heights| heights.epoch)),
            )
        }
        Phase::Unclear => {
            let (first, last) = tokens(&view.observation.height).unwrap_or((NOTHING, NOTHING));
            (last.to_owned(), first.to_owned())
        }
        Phase::Loading
        | Phase::Resyncing(_)
        | Phase::Silent
        | Phase::Gone
        | Phase::Starting
        | Phase::GoingDown => (NOTHING.to_owned(), NOTHING.to_owned()),
    }
}

/// A message, and the error of the program that said it, as the stock device joins them.
fn tip(view: &View) -> Option<String> {
    Some(match view.phase {
        Phase::Loading => {
            "Miner is loading a snapshot, please keep your hotspot online.".to_owned()
        }
        Phase::Resyncing(Operation::Resync) => " exit status 1".to_owned(),
        Phase::Silent => " context deadline exceeded".to_owned(),
        Phase::Gone => "miner not started.".to_owned(),
        Phase::Starting => match &view.observation.height {
            Answer::Said(said) => format!("miner not started. exit status {}", said.status),
            Answer::Unasked | Answer::Late(_) | Answer::Failed(_) => {
                "miner not started.".to_owned()
            }
        },
        Phase::Synced
        | Phase::Syncing
        | Phase::Resyncing(_)
        | Phase::Unclear
        | Phase::GoingDown => return None,
        // Some tools take every status with `error` in it for one with a tip.
        Phase::NoChainHeight => "the height of the blockchain cannot be had.".to_owned(),
    })
}

fn shown(number: Option<impl ToString>) -> String {
    number.map_or_else(|| NOTHING.to_owned(), |number| number.to_string())
}
