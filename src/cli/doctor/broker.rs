//! The broker: whether this host can reach it. Whether it lets the agent in, the agent itself knows.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Check;
use crate::config::Config;

/// How long looking up its name and connecting may take together.
const DEADLINE: Duration = Duration::from_secs(5);

/// Tries to connect.
pub(super) async fn check(config: &Config) -> Check {
    const NAME: &str = "broker";
    let Some(mqtt) = &config.mqtt else {
        return Check::ok(
            NAME,
            "none is configured: nothing is reported, and commands come over the API only",
        );
    };
    let (host, port) = (mqtt.url.host.as_str(), mqtt.url.port);
    let problem = match timeout(DEADLINE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => return Check::ok(NAME, format!("{host}:{port} can be reached")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", DEADLINE.as_secs()),
    };
    Check::fail(
        NAME,
        format!("{host}:{port} cannot be reached: {problem}"),
        "check the network, the name, the port and the firewalls between",
    )
}
