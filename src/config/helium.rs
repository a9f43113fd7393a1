//! `[workload.helium]`: what is known of a Helium miner's chain.

use super::seconds::Seconds;
use super::section::section;
use crate::web::Url;
use crate::workload::helium::Settings;

section! {
    /// A Helium miner. Goes with `kind = "helium"`; everything here has a default.
    default Helium {
        /// Who knows the height of the chain: an address on the web that answers with `{"data":{"height":N}}`, `{"height":N}` or a plain number. Left out, nobody is asked, and a miner that answers is synced unless it says itself that it is behind. While it cannot be had, the last one counts for ten minutes. Over HTTPS, the authorities that the system trusts vouch for it.
        chain_height_url: Option<Url> = None, example = "https://chain.example/v1/blocks/height";
        /// Seconds between two questions for it, from 5 to 3600.
        chain_height_interval: Seconds<5, 3600> = Seconds::of(60);
        /// Where a fast sync gets a snapshot of the chain: its address, or that of a description, `{"height":N}`, with `snap-N` or `snap-N.gz` beside it. Left out, it takes the newest one among the miner's own.
        snapshot_url: Option<Url> = None, example = "https://snapshots.example/mainnet/latest-snap.json";
    }
}

impl Helium {
    /// What the kind is told.
    pub fn settings(&self) -> Settings {
        Settings {
            chain_height_url: self.chain_height_url.clone(),
            chain_height_interval: self.chain_height_interval.into(),
            snapshot_url: self.snapshot_url.clone(),
        }
    }
}
