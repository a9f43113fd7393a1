//! Answers: JSON, and errors as `{"error": {"reason", "message"}}`.

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::protocol::{Failure, Reason};

/// What every answer carries: a whole body or an event stream.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer.
pub(super) type Reply = Response<Body>;

/// Keeps a browser from guessing a type.
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    match serde_json::to_vec(body) {
        Ok(bytes) => with_body(
            status,
            "application/json",
            Full::new(bytes.into()).boxed_unsync(),
        ),
        // Our own types have string keys and finite numbers; should one not, say so rather than die.
        Err(error) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            error.to_string(),
        )
        .into(),
    }
}

/// An answer with any body.
pub(super) fn with_body(status: StatusCode, kind: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    add_what_the_status_asks_for(reply)
}

/// Some statuses mean little without their header.
fn add_what_the_status_asks_for(mut reply: Reply) -> Reply {
    let header = match reply.status() {
        StatusCode::UNAUTHORIZED => (WWW_AUTHENTICATE, "Bearer realm=\"ostler\""),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => (RETRY_AFTER, "5"),
        _ => return reply,
    };
    reply
        .headers_mut()
        .insert(header.0, HeaderValue::from_static(header.1));
    reply
}

/// Why a request is not answered as asked.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// For programs.
    pub reason: String,
    /// For people: what, and what to do.
    pub message: String,
    allow: Option<&'static str>,
}

impl Problem {
    pub fn new(status: StatusCode, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            message: message.into(),
            allow: None,
        }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                format!("this takes {allow} only"),
            )
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let reason = match serde_json::to_value(failure.reason) {
            Ok(serde_json::Value::String(reason)) => reason,
            _ => "internal".to_owned(),
        };
        Self::new(status_of(failure.reason), reason, failure.message)
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let body = serde_json::json!({
            "error": { "reason": problem.reason, "message": problem.message }
        });
        let mut reply = json(problem.status, &body);
        if let Some(allow) = problem.allow {
            reply
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allow));
        }
        reply
    }
}

/// The status that says the same as a reason.
pub(super) fn status_of(reason: Reason) -> StatusCode {
    match reason {
        Reason::Malformed
        | Reason::Retained
        | Reason::Expired
        | Reason::Unsupported
        | Reason::BadArguments => StatusCode::BAD_REQUEST,
        Reason::Unauthorised => StatusCode::UNAUTHORIZED,
        Reason::UnknownOperation | Reason::UnknownWorkload | Reason::WorkloadMissing => {
            StatusCode::NOT_FOUND
        }
        Reason::IdReused
        | Reason::NotPossible
        | Reason::Cancelled
        | Reason::ConditionsNotMet
        | Reason::Unsound
        | Reason::Busy => StatusCode::CONFLICT,
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::QueueFull => StatusCode::TOO_MANY_REQUESTS,
        Reason::JournalFailed | Reason::ShuttingDown | Reason::RuntimeAbsent | Reason::NotReady => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Reason::RuntimeFailed | Reason::BucketFailed | Reason::DownloadFailed => {
            StatusCode::BAD_GATEWAY
        }
        Reason::RuntimeUnresponsive => StatusCode::GATEWAY_TIMEOUT,
        Reason::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        Reason::Interrupted
        | Reason::TooManyTransitions
        | Reason::Damaged
        | Reason::UncleanStop
        | Reason::OutOfTime
        | Reason::DataFailed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
