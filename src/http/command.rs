//! Commands: `POST /v1/commands/{operation}` with the same JSON as on MQTT, and cancelling.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, TRANSFER_ENCODING,
};
use serde_json::{Map, json};
use tokio::time::timeout;

use super::door::Door;
use super::hall::Hall;
use super::reply::{self, Problem, Reply, status_of};
use crate::operation::Answer;
use crate::protocol::{
    Command, Failure, MAX_COMMAND_BYTES, Operation, OperationId, Reason, Request, Unreadable,
};

/// How long a body may take.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// How long the journal may take: flash that is full of other writes stalls for many seconds, a dead disk for ever.
const JOURNAL_DEADLINE: Duration = Duration::from_secs(20);

/// A command that cannot become a request, and the status that says it.
struct Unfit {
    status: StatusCode,
    id: Option<OperationId>,
    failure: Failure,
}

impl Unfit {
    fn new(status: StatusCode, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status,
            id: None,
            failure: Failure::new(reason, message),
        }
    }
}

/// Takes a command: reads it, gives it to the engine, and answers with its record or its refusal.
pub(super) async fn post(
    hall: &Hall,
    door: Door,
    operation: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Reply {
    match read(operation, headers, body).await {
        Ok((known, command)) => submit(hall, door, known, command).await,
        Err(unfit) => refuse(hall, door, operation, unfit),
    }
}

/// Cancels an operation: the command `cancel`, for those who have its path already.
pub(super) async fn cancel(hall: &Hall, door: Door, id: &str) -> Result<Reply, Problem> {
    let id = OperationId::new(id).map_err(|bad| Problem::not_found(bad.to_string()))?;
    if !matches!(hall.state.engine.find(&id).await, Ok(Some(_))) {
        return Err(Problem::not_found(format!(
            "there is no operation `{id}`, or no longer"
        )));
    }
    let command = Command {
        args: Map::from_iter([("operation".to_owned(), json!(id))]),
        ..Command::default()
    };
    Ok(submit(hall, door, Operation::Cancel, command).await)
}

/// Counts a command that was not let in, and answers it.
pub(super) fn turn_away(hall: &Hall, door: Door, operation: &str, problem: Problem) -> Reply {
    let unfit = Unfit::new(problem.status, Reason::Unauthorised, problem.message);
    refuse(hall, door, operation, unfit)
}

fn refuse(hall: &Hall, door: Door, operation: &str, unfit: Unfit) -> Reply {
    let Unfit {
        status,
        id,
        failure,
    } = unfit;
    let refusal = hall
        .state
        .engine
        .refuse(id, operation, door.origin(), failure);
    reply::json(status, &refusal)
}

async fn submit(hall: &Hall, door: Door, operation: Operation, command: Command) -> Reply {
    let request = Request {
        id: command
            .id
            .unwrap_or_else(|| OperationId::made_up(operation)),
        operation,
        workload: command.workload,
        args: command.args,
        origin: door.origin(),
        expires_at: command.expires_at,
        dry_run: command.dry_run,
    };
    let engine = hall.state.engine.clone();
    // A task of its own: a requester who hangs up does not interrupt the journal.
    let submitted = tokio::spawn(async move { engine.submit(request).await });
    let Ok(submitted) = timeout(JOURNAL_DEADLINE, submitted).await else {
        let message = format!(
            "the journal did not take it within {} s; whether it was accepted can be asked by its id later",
            JOURNAL_DEADLINE.as_secs()
        );
        return Problem::from(Failure::new(Reason::JournalFailed, message)).into();
    };
    match submitted {
        Ok(Answer::Accepted(record)) => {
            let mut reply = reply::json(StatusCode::ACCEPTED, &record);
            let path = format!("/v1/operations/{}", record.id);
            if let Ok(path) = HeaderValue::try_from(path) {
                reply.headers_mut().insert(LOCATION, path);
            }
            reply
        }
        Ok(Answer::Known(record)) => reply::json(StatusCode::OK, &record),
        Ok(Answer::Refused(refusal)) => {
            reply::json(status_of(refusal.failure.reason), &refusal)
        }
        // Only where the agent is being torn down under it.
        Err(_) => Problem::from(Failure::new(
            Reason::ShuttingDown,
            "the agent is shutting down; whether the command was accepted can be asked by its id later",
        ))
        .into(),
    }
}

async fn read(
    operation: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<(Operation, Command), Unfit> {
    let known = Operation::from_name(operation).ok_or_else(|| {
        let known = Operation::ALL.map(Operation::as_str).join(", ");
        Unfit::new(
            StatusCode::NOT_FOUND,
            Reason::UnknownOperation,
            format!("there is no such operation; there are: {known}"),
        )
    })?;
    check_head(headers)?;
    let bytes = read_body(body).await?;
    Command::read(&bytes)
        .map(|command| (known, command))
        .map_err(|Unreadable { id, failure }| Unfit {
            status: status_of(failure.reason),
            id,
            failure,
        })
}

fn check_head(headers: &HeaderMap) -> Result<(), Unfit> {
    let kind = headers
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let kind = kind
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    // A page of another site can send a form without asking first, but not JSON.
    if !kind.eq_ignore_ascii_case(b"application/json") {
        return Err(Unfit::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Reason::Malformed,
            "a command is sent with `Content-Type: application/json`",
        ));
    }
    if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
        return Err(Unfit::new(
            StatusCode::LENGTH_REQUIRED,
            Reason::Malformed,
            "a command has a body, and a Content-Length; `{}` is the shortest",
        ));
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > MAX_COMMAND_BYTES as u64 => Err(too_large()),
        _ => Ok(()),
    }
}

async fn read_body(body: Incoming) -> Result<Bytes, Unfit> {
    let whole = Limited::new(body, MAX_COMMAND_BYTES).collect();
    match timeout(BODY_DEADLINE, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Unfit::new(
            StatusCode::BAD_REQUEST,
            Reason::Malformed,
            format!("the body broke off: {error}"),
        )),
        Err(_) => Err(Unfit::new(
            StatusCode::REQUEST_TIMEOUT,
            Reason::Malformed,
            format!("the body did not come within {} s", BODY_DEADLINE.as_secs()),
        )),
    }
}

fn too_large() -> Unfit {
    Unfit::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        Reason::TooLarge,
        format!("a command has at most {MAX_COMMAND_BYTES} bytes"),
    )
}
