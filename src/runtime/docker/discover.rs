//! Finding the miner where nothing is configured.

use std::path::Path;
use std::time::Duration;

use super::Error;
use super::client::Client;
use super::connection::Call;

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
    let call = Call::get("/containers/json").query(&[("all", "true")]);
    let answer = client.ask(LIST, "list", call).await?;
    let containers = answer.as_array().map_or(&[][..], Vec::as_slice);
    let found = NAMES.iter().filter_map(|name| {
        let container = containers.iter().find(|container| {
            let names = container["Names"].as_array().into_iter().flatten();
            names
                .filter_map(|name| Some(name.as_str()?.trim_start_matches('/')))
                .any(|other| other == *name)
        })?;
        Some(Found {
            container: (*name).to_owned(),
            image: container["Image"].as_str().unwrap_or_default().to_owned(),
        })
    });
    Ok(found.collect())
}
