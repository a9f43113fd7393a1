//! The Docker runtime against real engines, each private to this suite.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::time::Duration;

use ostler::runtime::docker::Docker;

use crate::engine::{Engine, IMAGE, POLITE};

#[path = "../lab/engine.rs"]
mod engine;

mod container;
mod double;
mod faults;
mod helium;
mod inside;

/// More than anything that is well needs.
const GRACE: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(30);

fn docker(engine: &Engine, container: &str) -> Docker {
    Docker::new(engine.socket(), container.to_owned()).unwrap()
}

/// A running container that ends when it is asked to.
fn polite(name: &str) -> Docker {
    Engine::shared().run_container(name, &[IMAGE, "sh", "-c", POLITE]);
    docker(Engine::shared(), name)
}
