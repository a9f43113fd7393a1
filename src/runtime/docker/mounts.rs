//! What a container sees of this host's files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Docker, Error};
use crate::looks::LOOK;

impl Docker {
    /// The path of a file of this host inside the container that the engine described so.
    pub(super) async fn inside(
        &self,
        answer: Value,
        on_host: PathBuf,
    ) -> Result<Option<PathBuf>, Error> {
        let action = format!("find {} in", on_host.display());
        // A mount may be of a server that hangs.
        let seen = self.looks.look(move || inside(&answer, &on_host)).await;
        seen.ok_or_else(|| {
            let why = format!(
                "the disk or the server of a mount of it did not answer within {} s",
                LOOK.as_secs()
            );
            self.client.refused(&action, &why)
        })
    }
}

/// The path of a file of this host inside the container, by its closest mount.
fn inside(answer: &Value, on_host: &Path) -> Option<PathBuf> {
    // The engine's paths are as they were given; two ways may lead to one directory.
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let on_host = real(on_host);
    let mounts = answer["Mounts"].as_array().into_iter().flatten();
    let seen = mounts.filter_map(|mount| {
        let source = real(Path::new(mount["Source"].as_str()?));
        let below = on_host.strip_prefix(&source).ok()?;
        let inside = Path::new(mount["Destination"].as_str()?).join(below);
        Some((source.components().count(), inside))
    });
    seen.max_by_key(|(depth, _)| *depth)
        .map(|(_, inside)| inside.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_mount_counts() {
        let answer = r#"{"Mounts": [
            {"Type": "bind", "Source": "/no/such/miner", "Destination": "/var/data"},
            {"Type": "bind", "Source": "/no/such/miner/snap", "Destination": "/snapshots"}]}"#;
        let answer = serde_json::from_str(answer).unwrap();
        let seen = |path: &str| inside(&answer, Path::new(path));
        assert_eq!(seen("/no/such/miner"), Some("/var/data".into()));
        assert_eq!(seen("/no/such/miner/log/a"), Some("/var/data/log/a".into()));
        assert_eq!(seen("/no/such/miner/snap/b"), Some("/snapshots/b".into()));
        assert_eq!(seen("/no/such/miners"), None);
    }
}
