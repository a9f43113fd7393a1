//! Pulling an image.

use std::collections::HashMap;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::client::Client;
use super::connection::{Call, CallError};
use super::{Docker, Error};

/// The longest silence: the engine tells several times a second how far it is, but not while it unpacks a layer onto
/// a slow eMMC.
const SILENCE: Duration = Duration::from_secs(300);

/// The longest pull.
const PULL: Duration = Duration::from_secs(2 * 3600);

/// Where a digest begins in the name of an image.
const DIGEST: char = '@';

/// An image's name, split as the engine wants it.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    repository: String,
    /// A tag; without one the engine would pull all there are.
    tag: String,
}

impl Reference {
    /// Nothing where it is an id: that is no name by which it could be pulled.
    fn parse(name: &str) -> Option<Self> {
        let bare = name.strip_prefix("sha256:").unwrap_or(name);
        if name.is_empty() || bare.len() == 64 && bare.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let (repository, tag) = match (name.split_once(DIGEST), name.rsplit_once(':')) {
            (Some((repository, digest)), _) => (repository, digest),
            // A port is before the last slash.
            (None, Some((repository, tag))) if !tag.contains('/') => (repository, tag),
            (None, _) => (name, "latest"),
        };
        Some(Self {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        })
    }
}

/// Whether the engine could pull an image of this name.
pub(super) fn has_name(image: &str) -> bool {
    Reference::parse(image).is_some()
}

impl Docker {
    pub(super) async fn pull_image(
        &self,
        image: &str,
        tell: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<(), Error> {
        let action = format!("pull {image} for");
        let Some(Reference { repository, tag }) = Reference::parse(image) else {
            return Err(self
                .client
                .refused(&action, "that is not the name of an image"));
        };
        let call = Call::post("/images/create").query(&[("fromImage", &repository), ("tag", &tag)]);
        let end = Instant::now() + PULL;
        let failed = |error| pull_error(&self.client, &action, error);
        let silent = |_| self.client.unresponsive(&action, SILENCE);
        let begin = timeout(SILENCE, call.send(self.client.socket()));
        let mut items = begin.await.map_err(silent)?.map_err(failed)?;
        let mut layers = Layers::default();
        loop {
            let item = timeout(SILENCE, items.document()).await.map_err(silent)?;
            if Instant::now() >= end {
                return Err(self.client.unresponsive(&action, PULL));
            }
            let Some(item) = item.map_err(failed)? else {
                return Ok(());
            };
            if let Some(error) = item["errorDetail"]["message"].as_str() {
                return Err(self.client.refused(&action, error));
            }
            layers.note(&item);
            let (done, total) = layers.sum();
            tell(done, total);
        }
    }
}

/// A 404 is about the image here, not about the container.
fn pull_error(client: &Client, action: &str, error: CallError) -> Error {
    match error {
        CallError::Refused {
            status: StatusCode::NOT_FOUND,
            message,
        } => client.refused(action, &message),
        error => client.error(action, SILENCE, error),
    }
}

/// How much of each layer has come. Only the download counts; the unpacking tells the same bytes once more.
#[derive(Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    fn note(&mut self, item: &Value) {
        let detail = &item["progressDetail"];
        let (Some(id), Some("Downloading"), Some(done), Some(total)) = (
            item["id"].as_str(),
            item["status"].as_str(),
            detail["current"].as_u64(),
            detail["total"].as_u64(),
        ) else {
            return;
        };
        self.0.insert(id.to_owned(), (done, total));
    }

    fn sum(&self) -> (u64, u64) {
        let sum = |of: fn(&(u64, u64)) -> u64| self.0.values().map(of).sum();
        (sum(|layer| layer.0), sum(|layer| layer.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pulled_by_its_name_and_one_tag() {
        let parsed = |name: &str| Reference::parse(name).map(|r| (r.repository, r.tag));
        let reference = |repository: &str, tag: &str| Some((repository.to_owned(), tag.to_owned()));
        assert_eq!(parsed("miner"), reference("miner", "latest"));
        assert_eq!(
            parsed("quay.io/team-helium/miner:miner-arm64_2022.01.12.1_GA"),
            reference("quay.io/team-helium/miner", "miner-arm64_2022.01.12.1_GA")
        );
        assert_eq!(
            parsed("127.0.0.1:5000/miner"),
            reference("127.0.0.1:5000/miner", "latest")
        );
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(parsed(&format!("m@{digest}")), reference("m", &digest));
        assert_eq!(parsed(&digest), None);
        assert_eq!(parsed(&"a".repeat(64)), None);
        assert_eq!(parsed(""), None);
    }
}
