//! How long the certificates are good for: the broker's, as it shows it, that of who vouches for it, and the device's own.

use std::path::Path;

use super::{Check, Verdict};
use crate::clock::Timestamp;
use crate::config::Mqtt;
use crate::report::certificate::{self, Validity};

/// A broker's certificate is usually renewed by itself, three or four weeks before its end: later something is wrong.
const BROKER_DAYS: i64 = 14;

/// Those in files are usually renewed by somebody who has other things to do.
const FILE_DAYS: i64 = 30;

/// The one that the broker showed.
pub(super) fn of_broker(validity: Validity) -> Check {
    age(
        "broker certificate",
        validity,
        BROKER_DAYS,
        "have the broker's certificate renewed; past its end the agent does not connect",
    )
}

/// Those in the files that the configuration names.
pub(super) fn of_files(mqtt: &Mqtt) -> Vec<Check> {
    let authorities = mqtt.ca_file.as_deref().map(of_authorities);
    let device = mqtt.cert_file.as_deref().map(of_device);
    authorities.into_iter().chain(device).collect()
}

fn of_device(file: &Path) -> Check {
    const NAME: &str = "client certificate";
    let advice = "put a new one in the place of `cert-file` and `key-file`: the next connection takes it, without a restart";
    match certificate::of_file(file) {
        // What is after the first vouches for it, and is renewed along with it.
        Ok(chain) => match chain.first() {
            Some(Some(validity)) => age(NAME, *validity, FILE_DAYS, advice),
            _ => unread(NAME, file),
        },
        Err(problem) => Check::fail(NAME, problem, "correct the file, or name another"),
    }
}

/// The agent itself goes on trusting an authority that is past its end, for it is the operator who named it; other clients do not.
fn of_authorities(file: &Path) -> Check {
    const NAME: &str = "broker authority";
    let advice = "put the authority's new certificate into `ca-file`, beside the old one until the broker has one of its own from it";
    let all = match certificate::of_file(file) {
        Ok(all) => all,
        Err(problem) => return Check::fail(NAME, problem, "correct `ca-file`, or name another"),
    };
    // It connects as long as one of them vouches for the broker, so this is never worse than a warning.
    let judged = all.iter().rev().map(|one| match one {
        Some(validity) => age(NAME, *validity, FILE_DAYS, advice),
        None => unread(NAME, file),
    });
    let worst = judged.max_by_key(|check| check.verdict);
    let mut worst = worst.unwrap_or_else(|| unread(NAME, file));
    worst.verdict = worst.verdict.min(Verdict::Warn);
    if all.len() > 1 {
        worst.message = format!("of {} in {}: {}", all.len(), file.display(), worst.message);
    }
    worst
}

fn unread(name: &'static str, file: &Path) -> Check {
    let file = file.display();
    Check::warn(
        name,
        format!("when {file} is good cannot be read"),
        format!("see it with `openssl x509 -noout -dates -in {file}`"),
    )
}

fn age(name: &'static str, validity: Validity, enough: i64, advice: &str) -> Check {
    let now = Timestamp::now();
    let Validity { from, until } = validity;
    if now < from {
        return Check::fail(
            name,
            format!(
                "it is not good before {}, and here it is {}",
                date(from),
                date(now)
            ),
            format!("see whether the clock is right (timedatectl); where it is, {advice}"),
        );
    }
    let days = (until.unix_seconds() - now.unix_seconds()).div_euclid(86_400);
    let until = date(until);
    match days {
        ..0 => Check::fail(name, format!("it ended on {until}"), advice),
        days if days < enough => {
            Check::warn(name, format!("{days} days left, until {until}"), advice)
        }
        days => Check::ok(name, format!("{days} days left, until {until}")),
    }
}

fn date(time: Timestamp) -> String {
    let time = time.to_string();
    time.split('T').next().unwrap_or(&time).to_owned()
}
