//! Finding the miner where nothing is configured.

use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;

use super::Error;
use super::client::Client;

/// The names that hotspots give their miner: the makers' own firmware, and the community's images.
const NAMES: [&str; 2] = ["miner", "helium-miner"];

/// The engine looks at every container that it has.
const LIST: Duration = Duration::from_secs(10);

/// A container that looks like a miner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub container: String,
    /// Its image.
    pub image: String,
}

/// The containers that are called `miner` or `helium-miner`, running or not, in this order.
pub async fn discover(socket: &Path) -> Result<Vec<Found>, Error> {
    let client = Client::new(socket.to_owned(), "containers".into());
    let docker = client.connect()?;
    let options = ListContainersOptionsBuilder::new().all(true).build();
    let call = docker.list_containers(Some(options));
    let containers = client.within(LIST, "list", call).await?;
    let found = NAMES.iter().filter_map(|name| {
        let container = containers.iter().find(|container| {
            let names = container.names.iter().flatten();
            names
                .map(|name| name.trim_start_matches('/'))
                .any(|other| other == *name)
        })?;
        Some(Found {
            container: (*name).to_owned(),
            image: container.image.clone().unwrap_or_default(),
        })
    });
    Ok(found.collect())
}
