//! Making a workload anew from a freshly pulled image, with the same configuration.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::Error;

/// Makes one workload anew. There are never two of it that could run, and never none.
///
/// A successor is made beside the workload and does not run. Forward, it takes the workload's name; back, it gives it
/// up again. The names alone tell how far that came, so each call can be made again after an interruption.
#[async_trait]
pub trait Renewal: Send + Sync {
    /// What it is made from: the image by its name.
    ///
    /// # Errors
    /// Where it cannot be made anew without losing something: `data` is not in it, it would vanish at its stop …
    async fn origin(&self, data: &Path) -> Result<String, Error>;

    /// Pulls the image; tells the bytes that have come and those that there are. Nothing else is changed.
    async fn pull(&self, tell: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Pulled, Error>;

    /// Makes the successor from the image that was pulled, with everything else as it is. One that an earlier
    /// attempt left is removed.
    async fn prepare(&self) -> Result<(), Error>;

    /// The successor takes the name; whatever has it is stopped first. `false` where that was so already.
    async fn forward(&self, grace: Duration) -> Result<bool, Error>;

    /// The one from before takes the name again; the successor is stopped first. `false` where that was so already.
    async fn back(&self, grace: Duration) -> Result<bool, Error>;

    /// Removes whichever of the two does not have the name, and its image where nothing else needs it.
    async fn tidy(&self) -> Result<bool, Error>;
}

/// What came of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The image's id.
    pub id: String,
    /// Whether it is another one than the workload was made from.
    pub is_new: bool,
}
