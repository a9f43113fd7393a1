//! A workload of which nothing is known but whether it runs.

use async_trait::async_trait;

use super::{Finding, Inside, Kind};
use crate::protocol::Health;

/// Well while it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generic;

#[async_trait]
impl Kind for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn is_asked(&self) -> bool {
        false
    }

    async fn probe(&self, _inside: &dyn Inside) -> Finding {
        Finding::new(Health::Healthy, None)
    }
}
