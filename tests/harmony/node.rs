//! A double of a node's RPC: a real HTTP server that says what a test wants. No real node can be had that is a day old,
//! or from the future, on request.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ostler::clock::Timestamp;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How it answers one method.
#[derive(Clone, Debug)]
pub enum Answer {
    Result(Value),
    Error(i64, &'static str),
    Raw(StatusCode, &'static str),
    /// Nothing, ever.
    Hang,
    /// The beginning, and then nothing.
    Stall,
    /// Bytes without an end.
    Endless,
}

/// By method, the answers to come; the last one is given again and again.
type Answers = Arc<Mutex<BTreeMap<&'static str, VecDeque<Answer>>>>;

/// A node; it ends when it is dropped.
pub struct Node {
    pub address: SocketAddr,
    answers: Answers,
    _server: JoinSet<()>,
}

impl Node {
    /// A validator of mainnet's beacon chain, in sync, with the answers of a node of today under `hmyv2_`.
    pub async fn of_today() -> Self {
        let node = Self::silent().await;
        for (method, result) in [
            ("hmyv2_getNodeMetadata", metadata_of_today()),
            ("hmyv2_latestHeader", header(50_000_000, now())),
            ("hmyv2_inSync", json!(true)),
            (
                "hmyv2_getShardingStructure",
                structure("http://127.0.0.1:9500"),
            ),
        ] {
            node.answer(method, Answer::Result(result));
        }
        node
    }

    /// The same with the answers of a node of 2020, which has fewer fields, methods under `hmy_` only, and no `inSync`.
    pub async fn of_2020() -> Self {
        let node = Self::silent().await;
        for (method, result) in [
            ("hmy_getNodeMetadata", metadata_of_2020()),
            ("hmy_latestHeader", header(3_500_000, now())),
            (
                "hmy_getShardingStructure",
                structure("http://127.0.0.1:9500"),
            ),
        ] {
            node.answer(method, Answer::Result(result));
        }
        node
    }

    /// Knows no method at all.
    pub async fn silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Answers::default();
        let mut server = JoinSet::new();
        let shared = answers.clone();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, shared.clone()));
            }
        });
        Self {
            address,
            answers,
            _server: server,
        }
    }

    /// Has a method answered like this from now on.
    pub fn answer(&self, method: &'static str, answer: Answer) {
        self.answer_in_turn(method, [answer]);
    }

    /// Has the next questions for a method answered one by one, and all after them like the last.
    pub fn answer_in_turn(&self, method: &'static str, answers: impl Into<VecDeque<Answer>>) {
        self.answers.lock().unwrap().insert(method, answers.into());
    }

    /// Has every method answered like this from now on.
    pub fn answer_all(&self, answer: &Answer) {
        for method in self.answers.lock().unwrap().values_mut() {
            *method = VecDeque::from([answer.clone()]);
        }
    }
}

async fn serve(stream: TcpStream, answers: Answers) {
    let service = service_fn(|request| respond(request, answers.clone()));
    // A client that hangs up is none of the node's business.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn respond(
    request: Request<Incoming>,
    answers: Answers,
) -> Result<Response<Body>, hyper::Error> {
    assert_eq!(request.method(), "POST");
    assert_eq!(request.headers()["content-type"], "application/json");
    let question: Value =
        serde_json::from_slice(&request.into_body().collect().await?.to_bytes()).unwrap();
    assert_eq!(
        (&question["jsonrpc"], &question["params"]),
        (&json!("2.0"), &json!([]))
    );
    let method = question["method"].as_str().unwrap();
    let unknown = Answer::Error(-32601, "the method does not exist/is not available");
    let answer = match answers.lock().unwrap().get_mut(method) {
        Some(answers) if answers.len() > 1 => answers.pop_front().unwrap(),
        Some(answers) => answers[0].clone(),
        None => unknown,
    };
    let reply = |more: Value| {
        let mut reply = json!({ "jsonrpc": "2.0", "id": question["id"] });
        reply
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Full::new(Bytes::from(reply.to_string())).boxed()
    };
    let mut status = StatusCode::OK;
    let body = match answer {
        Answer::Result(result) => reply(json!({ "result": result })),
        Answer::Error(code, message) => {
            reply(json!({ "error": { "code": code, "message": message } }))
        }
        Answer::Raw(other, text) => {
            status = other;
            Full::new(Bytes::from(text)).boxed()
        }
        Answer::Hang => std::future::pending().await,
        Answer::Stall => endless(1),
        Answer::Endless => endless(usize::MAX),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    Ok(response)
}

/// So many pieces, and then no end.
fn endless(pieces: usize) -> Body {
    let piece = |_| Ok(Frame::data(Bytes::from_static(&[b' '; 4096])));
    let stream = futures_util::StreamExt::chain(
        futures_util::stream::iter((0..pieces).map(piece)),
        futures_util::stream::pending(),
    );
    BodyExt::boxed(StreamBody::new(stream))
}

/// What the wall clock says.
pub fn now() -> i64 {
    Timestamp::now().unix_seconds()
}

/// A `latestHeader`.
pub fn header(height: u64, unixtime: i64) -> Value {
    json!({
        "blockHash": "0x5f0f6b6f", "blockNumber": height, "shardID": 0, "leader": "one1leader", "viewID": height, "epoch": 186,
        // Never to be read: versions write it differently.
        "timestamp": "2020-05-27 01:23:45 +0000 UTC", "unixtime": unixtime,
        "lastCommitSig": "00", "lastCommitBitmap": "00", "crossLinks": []
    })
}

/// A `getShardingStructure` of four shards; the first one is reached at this address.
pub fn structure(beacon: &str) -> Value {
    let shard = |id: u32| {
        let http = if id == 0 {
            beacon.to_owned()
        } else {
            format!("http://127.0.0.1:95{id}0")
        };
        json!({ "current": id == 0, "shardID": id, "http": http, "ws": "ws://127.0.0.1:9800" })
    };
    Value::from((0..4).map(shard).collect::<Vec<_>>())
}

pub fn metadata_of_2020() -> Value {
    json!({
        "blskey": ["0e1f"], "version": "Harmony (C) 2020. harmony, version v6128", "network": "mainnet",
        "chain-config": { "chain-id": 1 }, "is-leader": false, "shard-id": 0, "current-epoch": 186,
        "blocks-per-epoch": 16384, "role": "Validator", "dns-zone": "t.hmny.io", "is-archival": false
    })
}

pub fn metadata_of_today() -> Value {
    let mut metadata = metadata_of_2020();
    let more = json!({
        "current-block-number": 50_000_000, "is-backup": false, "node-unix-start-time": 1_700_000_000, "peerid": "Qm",
        "consensus": { "viewId": 1, "viewChangeId": 1, "mode": "Normal", "phase": "Announce", "blocknum": 1, "finality": 2000 },
        "p2p-connectivity": { "total-known-peers": 9, "connected": 9, "not-connected": 0 }, "sync-peers": {}
    });
    metadata
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    metadata
}
