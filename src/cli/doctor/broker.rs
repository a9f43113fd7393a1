//! The broker: whether this host can reach it and trusts it, and how long the certificates are good for. Whether it lets the agent in, the
//! agent itself knows.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::Check;
use crate::clock::Timestamp;
use crate::config::{Config, Mqtt};
use crate::report::certificate;

/// How long looking up its name, connecting and shaking hands may take together.
const DEADLINE: Duration = Duration::from_secs(8);

/// A broker's certificate is usually renewed by itself, three or four weeks before its end: later something is wrong.
const BROKER_DAYS: i64 = 14;

/// A device's certificate is usually renewed by somebody who has other things to do.
const DEVICE_DAYS: i64 = 30;

/// Tries to connect, and looks at the certificates.
pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let Some(mqtt) = &config.mqtt else {
        return vec![Check::ok(
            "broker",
            "none is configured: nothing is reported, and commands come over the API only",
        )];
    };
    let mut checks = of_broker(mqtt).await;
    checks.extend(mqtt.cert_file.as_deref().map(of_device));
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
    if let Some(until) = shown.good_until {
        checks.push(age(
            "broker certificate",
            until,
            BROKER_DAYS,
            "have the broker's certificate renewed; past its end the agent does not connect",
        ));
    }
    checks
}

fn of_device(file: &Path) -> Check {
    const NAME: &str = "client certificate";
    let shown = file.display();
    match certificate::of_device(file) {
        Ok(Some(until)) => age(
            NAME,
            until,
            DEVICE_DAYS,
            "put a new one in the place of `cert-file` and `key-file`: the next connection takes it, without a restart",
        ),
        Ok(None) => Check::warn(
            NAME,
            format!("the end of {shown} cannot be read"),
            format!("see it with `openssl x509 -noout -enddate -in {shown}`"),
        ),
        Err(problem) => Check::fail(NAME, problem, "correct the file, or name another"),
    }
}

fn age(name: &'static str, until: Timestamp, enough: i64, advice: &str) -> Check {
    let days = (until.unix_seconds() - Timestamp::now().unix_seconds()).div_euclid(86_400);
    let date = until.to_string();
    let date = date.split('T').next().unwrap_or(&date);
    match days {
        ..0 => Check::fail(name, format!("it ended on {date}"), advice),
        days if days < enough => {
            Check::warn(name, format!("{days} days left, until {date}"), advice)
        }
        days => Check::ok(name, format!("{days} days left, until {date}")),
    }
}
