//! A container made anew: created under a name of its own, and brought to its place by renaming.
//!
//! | names | what has been done |
//! | --- | --- |
//! | `miner` | nothing, or all of it |
//! | `miner`, `miner.ostler-new` | the successor is created |
//! | `miner.ostler-old`, `miner.ostler-new` | half of the change of names, either way |
//! | `miner`, `miner.ostler-old` | the successor has the name |
//!
//! The engine starts containers by itself when it is started, by their restart policies. So the one from before is given
//! the policy `no` before it gives up its name, and its own again when it takes it back; then its successor has `no`.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::blueprint::Blueprint;
use super::connection::Call;
use super::lifecycle::{VANISHES, stop};
use super::{Docker, Error, pull, state};
use crate::runtime::{Pulled, Renewal};

/// Looking is a read from the engine's memory.
const INSPECT: Duration = Duration::from_secs(5);
/// Creating makes a layer and its mounts: slow on a busy eMMC.
const CREATE: Duration = Duration::from_secs(60);
/// A name, a restart policy, a network.
const CHANGE: Duration = Duration::from_secs(15);
/// What the engine may need beyond the grace.
const STOP: Duration = Duration::from_secs(15);
/// Removing a layer removes its files.
const REMOVE: Duration = Duration::from_secs(120);

/// Of the successor, until it has the name.
const NEW: &str = ".ostler-new";
/// Of the one from before, from then on.
const OLD: &str = ".ostler-old";

/// The restart policy of a container that the engine does not start by itself.
const NEVER: &str = "no";

#[async_trait]
impl Renewal for Docker {
    async fn origin(&self, data: &Path) -> Result<String, Error> {
        let answer = self.look().await?;
        let refuse = |why: String| Err(self.client.refused("make anew", &why));
        if state::vanishes(&answer) {
            return refuse(VANISHES.to_owned());
        }
        let image = text(&answer["Config"]["Image"]);
        if self.inside(answer, data.to_owned()).await?.is_none() {
            return refuse(format!(
                "{} is not mounted in it: its data and its identity would go with it; set `data-dir` to the directory \
                 that is",
                data.display()
            ));
        }
        match pull::has_name(&image) {
            true => Ok(image),
            false => refuse(
                "it was made from an image without a name, so no newer one can be pulled"
                    .to_owned(),
            ),
        }
    }

    async fn pull(&self, tell: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Pulled, Error> {
        let before = self.container(&self.container).await?;
        let before = before.ok_or_else(|| self.missing())?;
        let name = text(&before["Config"]["Image"]);
        self.pull_image(&name, tell).await?;
        let image = self.image(&name).await?;
        let id = text(&image["Id"]);
        Ok(Pulled {
            is_new: before["Image"] != image["Id"],
            id,
        })
    }

    async fn prepare(&self) -> Result<(), Error> {
        self.tidy().await?;
        let container = self.container(&self.container).await?;
        let container = container.ok_or_else(|| self.missing())?;
        let image = self.image(&text(&container["Image"])).await?;
        let Blueprint { body, networks } = Blueprint::of(&container, &image);
        let call = Call::post("/containers/create").query(&[("name", &self.successor())]);
        let created = self
            .client
            .ask(CREATE, "create the successor of", call.json(&body))
            .await
            .map_err(|error| self.not_the_container("create the successor of", error))?;
        for (network, endpoint) in networks {
            let body = json!({"Container": created["Id"], "EndpointConfig": endpoint});
            let call = Call::post(format!("/networks/{network}/connect")).json(&body);
            let connected = self
                .client
                .ask(CHANGE, "connect the successor of", call)
                .await;
            if let Err(error) = connected {
                // Best effort: the next attempt does the same first.
                let _ = self.tidy().await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn forward(&self, grace: Duration) -> Result<bool, Error> {
        let successor = self.container(&self.successor()).await?;
        if successor.is_none() {
            return match self.container(&self.container).await? {
                Some(_) => Ok(false),
                None => Err(self.missing()),
            };
        }
        if let Some(before) = self.container(&self.container).await? {
            self.halt(&before, grace).await?;
            if let Some(successor) = &successor {
                self.take_over(successor, &before).await?;
            }
            self.set_policy(&before, &json!({"Name": NEVER})).await?;
            self.rename(&self.container, &self.predecessor()).await?;
        }
        self.rename(&self.successor(), &self.container).await?;
        Ok(true)
    }

    async fn back(&self, grace: Duration) -> Result<bool, Error> {
        let Some(before) = self.container(&self.predecessor()).await? else {
            // It may have lost its policy, and then not its name.
            let stayed = self.container(&self.container).await?;
            if let (Some(stayed), Some(successor)) =
                (stayed, self.container(&self.successor()).await?)
            {
                self.step_back(&successor, &stayed, grace).await?;
            }
            return Ok(false);
        };
        // With its policy and not yet its name it is started when the engine is.
        self.halt(&before, grace).await?;
        if let Some(successor) = self.container(&self.container).await? {
            self.halt(&successor, grace).await?;
            self.rename(&self.container, &self.successor()).await?;
        }
        if let Some(successor) = self.container(&self.successor()).await? {
            self.step_back(&successor, &before, grace).await?;
        }
        self.rename(&self.predecessor(), &self.container).await?;
        Ok(true)
    }

    async fn tidy(&self) -> Result<bool, Error> {
        if self.container(&self.container).await?.is_none() {
            // Which of the two is to have the name is not decided here.
            return Err(self.missing());
        }
        let mut changed = false;
        for name in [self.successor(), self.predecessor()] {
            let Some(left) = self.container(&name).await? else {
                continue;
            };
            // Its volumes stay.
            let query = [("force", "true"), ("v", "false")];
            let call = Call::delete(format!("/containers/{name}")).query(&query);
            match self
                .client
                .ask(REMOVE, "remove what is left of", call)
                .await
            {
                Ok(_) => changed = true,
                Err(Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
            self.forget_image(&text(&left["Image"])).await;
        }
        Ok(changed)
    }
}

impl Docker {
    fn successor(&self) -> String {
        format!("{}{NEW}", self.container)
    }

    fn predecessor(&self) -> String {
        format!("{}{OLD}", self.container)
    }

    fn missing(&self) -> Error {
        self.client.missing()
    }

    /// All that the engine knows of a container, where there is one of that name.
    async fn container(&self, name: &str) -> Result<Option<Value>, Error> {
        let call = Call::get(format!("/containers/{name}/json"));
        match self.client.ask(INSPECT, "inspect", call).await {
            Ok(container) => Ok(Some(container)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn image(&self, name: &str) -> Result<Value, Error> {
        let call = Call::get(format!("/images/{name}/json"));
        self.client
            .ask(INSPECT, "inspect the image of", call)
            .await
            .map_err(|error| self.not_the_container("inspect the image of", error))
    }

    /// An image or a network that is not there is another thing than a container that is not there.
    fn not_the_container(&self, action: &str, error: Error) -> Error {
        match error {
            Error::Missing { .. } => self.client.refused(
                action,
                "its image, or a network or volume of it, is not there any more",
            ),
            error => error,
        }
    }

    /// Stops one that runs, with the grace of any stop.
    async fn halt(&self, container: &Value, grace: Duration) -> Result<(), Error> {
        let state = &container["State"];
        if state["Running"] != true && state["Restarting"] != true {
            return Ok(());
        }
        let call = stop(&text(&container["Id"]), grace.as_secs() + 1);
        let deadline = grace.saturating_add(STOP);
        self.client.ask(deadline, "stop", call).await.map(drop)
    }

    /// The successor, which was made with the policy of the one from before, gives it back, and runs no more: it may stay
    /// for long, and on the same data the engine must not start both.
    async fn step_back(
        &self,
        successor: &Value,
        before: &Value,
        grace: Duration,
    ) -> Result<(), Error> {
        self.halt(successor, grace).await?;
        let policy = &successor["HostConfig"]["RestartPolicy"];
        if policy["Name"] == NEVER {
            // It was so from the beginning, or has been given back.
            return Ok(());
        }
        self.set_policy(before, policy).await?;
        self.set_policy(successor, &json!({"Name": NEVER})).await
    }

    /// Gives a successor the policy of the one before, where it has given its own back.
    async fn take_over(&self, successor: &Value, before: &Value) -> Result<(), Error> {
        let policy = |of: &Value| of["HostConfig"]["RestartPolicy"].clone();
        match policy(successor)["Name"] == NEVER && policy(before)["Name"] != NEVER {
            true => self.set_policy(successor, &policy(before)).await,
            false => Ok(()),
        }
    }

    async fn set_policy(&self, container: &Value, policy: &Value) -> Result<(), Error> {
        let body = json!({"RestartPolicy": policy});
        let path = format!("/containers/{}/update", text(&container["Id"]));
        let call = Call::post(path).json(&body);
        self.client
            .ask(CHANGE, "set the restart policy of", call)
            .await
            .map(drop)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let call = Call::post(format!("/containers/{from}/rename")).query(&[("name", to)]);
        self.client.ask(CHANGE, "rename", call).await.map(drop)
    }

    /// An image that nothing is called and nothing is made from takes room on the disk and has no other use.
    async fn forget_image(&self, id: &str) {
        let Ok(image) = self.image(id).await else {
            return;
        };
        let named = |list: &Value| list.as_array().is_some_and(|names| !names.is_empty());
        if named(&image["RepoTags"]) {
            return;
        }
        let call = Call::delete(format!("/images/{id}"));
        let removed = self
            .client
            .ask(REMOVE, "remove the old image of", call)
            .await;
        if let Err(error) = removed {
            tracing::info!("an old image stays: {error}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
