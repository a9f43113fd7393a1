//! Pulling an image.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use super::client::Client;
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
        let options = CreateImageOptionsBuilder::new()
            .from_image(&repository)
            .tag(&tag)
            .build();
        let docker = self.client.connect()?;
        let mut items = docker.create_image(Some(options), None, None);
        let end = Instant::now() + PULL;
        let mut layers = Layers::default();
        loop {
            let Ok(item) = timeout(SILENCE, items.next()).await else {
                return Err(self.client.unresponsive(&action, SILENCE));
            };
            if Instant::now() >= end {
                return Err(self.client.unresponsive(&action, PULL));
            }
            match item {
                None => return Ok(()),
                Some(Err(error)) => return Err(pull_error(&self.client, &action, error)),
                Some(Ok(item)) => {
                    if let Some(error) = item.error_detail.and_then(|error| error.message) {
                        return Err(self.client.refused(&action, &error));
                    }
                    layers.note(item.id, item.status.as_deref(), item.progress_detail);
                    let (done, total) = layers.sum();
                    tell(done, total);
                }
            }
        }
    }
}

/// A 404 is about the image here, not about the container.
fn pull_error(client: &Client, action: &str, error: bollard::errors::Error) -> Error {
    match error {
        bollard::errors::Error::DockerResponseServerError {
            status_code: 404,
            message,
        } => client.refused(action, &message),
        error => client.error(action, SILENCE, error),
    }
}

/// How much of each layer has come. Only the download counts; the unpacking tells the same bytes once more.
#[derive(Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    fn note(
        &mut self,
        id: Option<String>,
        status: Option<&str>,
        detail: Option<bollard::models::ProgressDetail>,
    ) {
        let (Some(id), Some("Downloading"), Some(detail)) = (id, status, detail) else {
            return;
        };
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        if let (Some(done), Some(total)) = (bytes(detail.current), bytes(detail.total)) {
            self.0.insert(id, (done, total));
        }
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
