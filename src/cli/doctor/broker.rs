//! The broker: whether this host can reach it and trusts it, and how long the certificates are good for. Whether it lets the agent in, the
//! agent itself knows.

use std::time::Duration;

use tokio::time::timeout;

use super::{Check, certificates};
use crate::config::{Config, Mqtt};
use crate::report::certificate;

/// How long looking up its name, connecting and shaking hands may take together.
const DEADLINE: Duration = Duration::from_secs(8);

/// Tries to connect, and looks at the certificates.
pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let Some(mqtt) = &config.mqtt else {
        return vec![Check::ok(
            "broker",
            "none is configured: nothing is reported, and commands come over the API only",
        )];
    };
    let mut checks = of_broker(mqtt).await;
    checks.extend(certificates::of_files(mqtt));
    checks
}

async fn of_broker(mqtt: &Mqtt) -> Vec<Check> {
    const NAME: &str = "broker";
    let url = &mqtt.url;
    let Ok(shown) = timeout(DEADLINE, certificate::of_broker(mqtt)).await else {
        let message = format!("{url}: no answer within {} s", DEADLINE.as_secs());
        return vec![Check::fail(
            NAME,
            message,
            "check the network, the name, the port and the firewalls between",
        )];
    };
    let mut checks = vec![match shown.result {
        Ok(()) if url.tls => Check::ok(NAME, format!("{url} can be reached, and is trusted")),
        Ok(()) => Check::ok(NAME, format!("{url} can be reached")),
        Err(problem) => Check::fail(
            NAME,
            format!("{url} cannot be reached: {problem}"),
            "check the name, the port, the network and the firewalls between, and with TLS the clock and `ca-file`",
        ),
    }];
    checks.extend(shown.validity.map(certificates::of_broker));
    checks
}
