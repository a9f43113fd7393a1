//! What is where: the stock device's paths, and its words for what is not.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::super::hall::{Hall, Visit};
use super::super::reply::{Reply, with_body};
use super::admin::{self, Action};
use super::dig::Dig;
use super::guard::{self, Refused};
use super::miner::Miner;
use super::status::Status;
use super::temperature::Temperatures;
use super::view::View;
use super::{Settings, log, page};
use crate::clock::Timestamp;

const JSON: &str = "application/json; charset=UTF-8";
const HTML: &str = "text/html; charset=UTF-8";
const TEXT: &str = "text/plain; charset=UTF-8";

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Page,
    Status,
    Miner,
    Temperatures,
    Speed,
    Dig,
    Led,
    Log,
    Admin(Action),
}

impl Place {
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Place::Page,
            "/status.json" => Place::Status,
            "/miner.json" => Place::Miner,
            "/temp.json" => Place::Temperatures,
            "/speed.json" => Place::Speed,
            "/dig.json" => Place::Dig,
            "/led.json" => Place::Led,
            "/log/console.log" => Place::Log,
            "/admin/reboot" => Place::Admin(Action::Reboot),
            "/admin/reset" => Place::Admin(Action::Reset),
            "/admin/resync" => Place::Admin(Action::Resync),
            "/admin/fastsync" => Place::Admin(Action::Fastsync),
            _ => return None,
        })
    }

    fn takes(self) -> &'static str {
        match self {
            Place::Admin(_) => "POST",
            _ => "GET, HEAD",
        }
    }
}

/// Answers a request, whatever it is.
pub(in super::super) async fn answer(
    hall: &Arc<Hall>,
    visit: &Visit,
    settings: &Settings,
    request: Request<Incoming>,
) -> Reply {
    let mut reply = find_and_answer(hall, visit, settings, request).await;
    // The tools open a connection for each question, and some take one that is closed behind them for an error.
    reply
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

async fn find_and_answer(
    hall: &Arc<Hall>,
    visit: &Visit,
    settings: &Settings,
    request: Request<Incoming>,
) -> Reply {
    let Some(place) = Place::find(request.uri().path()) else {
        return problem(StatusCode::NOT_FOUND, "Not Found");
    };
    let fits = match place {
        Place::Admin(_) => request.method() == Method::POST,
        _ => matches!(*request.method(), Method::GET | Method::HEAD),
    };
    if !fits {
        let mut reply = problem(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        let takes = HeaderValue::from_static(place.takes());
        reply.headers_mut().insert(ALLOW, takes);
        return reply;
    }
    let surroundings = &hall.surroundings;
    let address = visit.door.peer();
    let now = Timestamp::now();
    match place {
        Place::Page => {
            let temperatures = temperatures(hall, now);
            text(StatusCode::OK, HTML, page::page(&view(hall), &temperatures))
        }
        Place::Speed if !surroundings.dear.take(address) => rate_limited(),
        Place::Speed => ok(&surroundings.speed.get().unwrap_or_default()),
        Place::Log | Place::Admin(_) => {
            let admitted = guard::admit(
                settings.credentials.as_ref(),
                request.headers(),
                &hall.settings.names,
            )
            .await;
            match (place, admitted) {
                (_, Err(Refused(status, why))) => problem(status, why),
                (Place::Admin(action), Ok(())) => {
                    let (status, said) = admin::ask(hall, action).await;
                    text(status, HTML, said)
                }
                (_, Ok(())) => text(StatusCode::OK, TEXT, log::tail(hall).await),
            }
        }
        _ if !surroundings.cheap.take(address) => rate_limited(),
        Place::Status => ok(&Status::of(&view(hall))),
        Place::Miner => {
            let ports = surroundings.ports(settings, hall);
            let temperatures = temperatures(hall, now);
            ok(&Miner::of(&view(hall), settings, ports, &temperatures, now))
        }
        Place::Temperatures => ok(&temperatures(hall, now)),
        Place::Dig => {
            let nothing = || Dig::nothing(&settings.dig_name);
            ok(&surroundings.dig.get().unwrap_or_else(nothing))
        }
        Place::Led => ok(&json!({ "led": view(hall).led() })),
    }
}

fn view(hall: &Hall) -> View {
    View::now(&hall.state.engine, hall.state.miner.as_ref())
}

fn temperatures(hall: &Hall, now: Timestamp) -> Temperatures {
    Temperatures::of(hall.state.telemetry.borrow().as_ref(), now)
}

fn ok(body: &impl Serialize) -> Reply {
    match serde_json::to_string(body) {
        Ok(body) => text(StatusCode::OK, JSON, body),
        // Our own types have string keys and whole numbers; should one not, say so rather than die.
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Reply {
    with_body(status, kind, Full::new(Bytes::from(body)).boxed_unsync())
}

/// An error in the stock device's form.
fn problem(status: StatusCode, message: &str) -> Reply {
    let body = json!({ "message": message }).to_string();
    let mut reply = text(status, JSON, body);
    if status == StatusCode::UNAUTHORIZED {
        // The page's buttons send no credentials: the browser asks for them.
        let basic = HeaderValue::from_static("Basic realm=\"Restricted\"");
        reply.headers_mut().insert(WWW_AUTHENTICATE, basic);
    }
    reply
}

fn rate_limited() -> Reply {
    // The tools compare the whole object.
    let mut reply = problem(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded");
    reply
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}
