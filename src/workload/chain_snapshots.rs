//! Snapshots of its chain that a workload loads by its own program: what they are called and how that is told.

use std::time::Duration;

use async_trait::async_trait;

use super::Inside;
use crate::web::Url;

/// How a workload is brought forward on its chain by a snapshot that somebody else made.
#[async_trait]
pub trait ChainSnapshots: Send + Sync {
    /// Where there is always a newer one, where that is configured.
    fn source(&self) -> Option<&Url>;

    /// Where in its data directory it keeps them.
    fn directory(&self) -> &'static str;

    /// What one of this height is called there.
    fn file_name(&self, height: u64) -> String;

    /// The height of one by its name.
    fn height_by_name(&self, name: &str) -> Option<u64>;

    /// The height of the snapshot in a file, by the workload's own reading of it. `file` is a path inside.
    async fn height_of(&self, inside: &dyn Inside, file: &str) -> Result<u64, String>;

    /// Takes no more blocks from the network, until [`ChainSnapshots::resume`].
    async fn pause(&self, inside: &dyn Inside) -> Result<(), String>;

    /// Loads the snapshot in a file, to its end.
    async fn load(&self, inside: &dyn Inside, file: &str, deadline: Duration)
    -> Result<(), String>;

    /// Takes blocks from the network again, and has said so. Where it did already, nothing is changed.
    async fn resume(&self, inside: &dyn Inside) -> Result<(), String>;
}
