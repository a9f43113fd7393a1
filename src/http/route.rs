//! What is where: one `match` over the path, then over the method.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap};
use hyper::{Method, Request, StatusCode};

use super::door::{Access, Door};
use super::hall::{Hall, Visit};
use super::reply::{Problem, Reply};
use super::{answers, bobcat, command, events};

/// The most records of one answer.
const MAX_RECORDS: usize = 1000;

/// The records of one answer where no number was asked for.
const DEFAULT_RECORDS: usize = 100;

/// The most lines of a log in one answer.
const MAX_LINES: usize = 10_000;

/// The lines of a log where no number was asked for.
const DEFAULT_LINES: usize = 100;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Health,
    Device,
    Telemetry,
    Workloads,
    Workload(&'a str),
    Logs(&'a str),
    Snapshots(&'a str),
    Operations,
    Operation(&'a str),
    Events,
    Cancel(&'a str),
    Command(&'a str),
}

impl<'a> Place<'a> {
    /// No name in a path needs an escape, so `%` leads nowhere, as do `//` and a slash at the end.
    fn find(path: &'a str) -> Option<Self> {
        let mut levels = path.strip_prefix("/v1/")?.split('/');
        let read = [levels.next(), levels.next(), levels.next(), levels.next()];
        Some(match read {
            [Some("health"), None, ..] => Place::Health,
            [Some("device"), None, ..] => Place::Device,
            [Some("telemetry"), None, ..] => Place::Telemetry,
            [Some("events"), None, ..] => Place::Events,
            [Some("workloads"), None, ..] => Place::Workloads,
            [Some("workloads"), Some(name), None, _] => Place::Workload(name),
            [Some("workloads"), Some(name), Some("logs"), None] => Place::Logs(name),
            [Some("workloads"), Some(name), Some("snapshots"), None] => Place::Snapshots(name),
            [Some("operations"), None, ..] => Place::Operations,
            [Some("operations"), Some(id), None, _] => Place::Operation(id),
            [Some("operations"), Some(id), Some("cancel"), None] => Place::Cancel(id),
            [Some("commands"), Some(operation), None, _] => Place::Command(operation),
            _ => return None,
        })
    }

    fn access(&self) -> Access {
        match self {
            Place::Cancel(_) | Place::Command(_) => Access::Change,
            Place::Health
            | Place::Device
            | Place::Telemetry
            | Place::Workloads
            | Place::Workload(_)
            | Place::Logs(_)
            | Place::Snapshots(_)
            | Place::Operations
            | Place::Operation(_)
            | Place::Events => Access::Read,
        }
    }
}

/// Answers a request, whatever it is.
pub(super) async fn answer(hall: &Arc<Hall>, visit: &Visit, request: Request<Incoming>) -> Reply {
    let reply = match (visit.door, &hall.settings.bobcat) {
        (Door::Bobcat(_), Some(settings)) => bobcat::answer(hall, visit, settings, request).await,
        _ => find_and_answer(hall, visit, request)
            .await
            .unwrap_or_else(Reply::from),
    };
    if reply.status().as_u16() >= 400 {
        hall.counts.refused_requests.add(1);
    }
    reply
}

async fn find_and_answer(
    hall: &Arc<Hall>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    let place = Place::find(head.uri.path());
    // Who asks comes first: a stranger does not learn what there is.
    let access = place.as_ref().map_or(Access::Read, Place::access);
    let admitted = visit.door.admit(
        access,
        &head,
        &hall.settings.names,
        hall.settings.token.as_ref(),
    );
    let place = match (place, admitted) {
        (Some(Place::Command(operation)), Err(problem)) => {
            return Ok(command::turn_away(hall, visit.door, operation, problem));
        }
        (_, Err(problem)) => return Err(problem),
        (None, Ok(())) => {
            return Err(Problem::not_found(
                "there is nothing here; docs/protocol.md lists what there is",
            ));
        }
        (Some(place), Ok(())) => place,
    };
    match (place.access(), &head.method) {
        (Access::Read, &Method::GET | &Method::HEAD) | (Access::Change, &Method::POST) => {}
        (Access::Read, _) => return Err(Problem::method_not_allowed("GET, HEAD")),
        (Access::Change, _) => return Err(Problem::method_not_allowed("POST")),
    }
    check_accept(&head.headers, &place)?;
    let query = head.uri.query();
    match place {
        Place::Health => Ok(answers::health(hall)),
        Place::Device => answers::shown(&*hall.state.device.borrow(), "the device report"),
        Place::Telemetry => answers::shown(&*hall.state.telemetry.borrow(), "the first sample"),
        Place::Workloads => Ok(answers::workloads(hall)),
        Place::Workload(name) => answers::workload(hall, name),
        Place::Logs(name) => {
            let lines = number(query, "lines", DEFAULT_LINES, MAX_LINES)?;
            answers::logs(hall, name, lines).await
        }
        Place::Snapshots(name) => answers::snapshots(hall, name).await,
        Place::Operations => {
            let limit = number(query, "limit", DEFAULT_RECORDS, MAX_RECORDS)?;
            Ok(answers::operations(hall, limit))
        }
        Place::Operation(id) => answers::operation(hall, id).await,
        Place::Events => events::stream(hall, visit),
        Place::Cancel(id) => command::cancel(hall, visit.door, id).await,
        Place::Command(operation) => {
            Ok(command::post(hall, visit.door, operation, &head.headers, body).await)
        }
    }
}

/// The one number that a query may hold.
fn number(query: Option<&str>, key: &str, default: usize, max: usize) -> Result<usize, Problem> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(default);
    };
    query
        .split_once('=')
        .filter(|(name, _)| *name == key)
        .and_then(|(_, value)| value.parse().ok())
        .filter(|value| (1..=max).contains(value))
        .ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "bad-arguments",
                format!("the query may be `{key}=` and a number from 1 to {max}, and nothing else"),
            )
        })
}

/// Whoever takes nothing that there is, is told so. Weights are not weighed: there is one form of everything.
fn check_accept(headers: &HeaderMap, place: &Place<'_>) -> Result<(), Problem> {
    let (all, ours) = match place {
        Place::Events => ("text/*", "text/event-stream"),
        _ => ("application/*", "application/json"),
    };
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|range| {
            range
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii()
        })
        .peekable();
    let matches = |range: &[u8]| {
        ["*/*", all, ours]
            .iter()
            .any(|known| range.eq_ignore_ascii_case(known.as_bytes()))
    };
    match ranges.peek().is_none() || ranges.any(matches) {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "not-acceptable",
            format!("this is {ours}, which the request does not accept"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_leads_to_its_place_and_all_others_nowhere() {
        assert_eq!(
            Place::find("/v1/workloads/miner/logs"),
            Some(Place::Logs("miner"))
        );
        assert_eq!(
            Place::find("/v1/workloads/miner/snapshots"),
            Some(Place::Snapshots("miner"))
        );
        assert_eq!(
            Place::find("/v1/operations/a/cancel"),
            Some(Place::Cancel("a"))
        );
        assert_eq!(
            Place::find("/v1/commands/restart"),
            Some(Place::Command("restart"))
        );
        for nowhere in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v1//device",
            "/v1/device/",
            "/v1/device/x",
            "/v2/device",
            "/v1/workloads/miner/logs/",
            "/v1/workloads/miner/logs/x/y",
            "/v1/commands",
            "/v1/commands/restart/x",
            "/v1/operations/x/cancel/y",
            "/v1/%64evice",
        ] {
            assert_eq!(Place::find(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_query_holds_one_number_in_range_or_nothing() {
        let lines = |query| number(query, "lines", 100, 500).ok();
        assert_eq!(lines(None), Some(100));
        assert_eq!(lines(Some("")), Some(100));
        assert_eq!(lines(Some("lines=7")), Some(7));
        for bad in [
            "lines=0",
            "lines=501",
            "lines=-1",
            "lines=",
            "line=7",
            "lines=7&x=1",
            "lines",
            "lines=%37",
        ] {
            assert_eq!(lines(Some(bad)), None, "{bad}");
        }
    }
}
