//! `/speed.json`: how fast the connection is, measured now and then where the configuration says how.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame};
use hyper::header::HOST;
use serde::{Serialize, Serializer};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::web::{self, Url, wire};

/// How long each way is measured at most.
const LONGEST: Duration = Duration::from_secs(10);

/// The most bytes of each way.
const MOST_BYTES: u64 = 64 << 20;

/// What is sent, again and again.
const PIECE: usize = 64 * 1024;

/// The body, in this order. What was not measured is 0: an empty text would have the tools ask for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Speed {
    #[serde(serialize_with = "megabits")]
    pub download_speed: u64,
    #[serde(serialize_with = "megabits")]
    pub upload_speed: u64,
    #[serde(serialize_with = "milliseconds")]
    pub latency: Duration,
}

fn megabits<S: Serializer>(speed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{speed} Mbit/s"))
}

/// Always in milliseconds: some tools know no other unit.
fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let text = format!("{:.6}", time.as_secs_f64() * 1000.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    serializer.collect_str(&format_args!("{text}ms"))
}

/// Measures one after the other; what fails is 0.
pub(super) async fn measure(how: &super::Speed) -> Speed {
    Speed {
        latency: latency(&how.download).await.unwrap_or_default(),
        download_speed: download(&how.download).await.unwrap_or_default(),
        upload_speed: match &how.upload {
            Some(url) => upload(url).await.unwrap_or_default(),
            None => 0,
        },
    }
}

/// What a connection takes.
async fn latency(url: &Url) -> Option<Duration> {
    let begun = Instant::now();
    let connected = timeout(LONGEST, TcpStream::connect((url.host(), url.port()))).await;
    connected.ok()?.ok().map(|_| begun.elapsed())
}

async fn download(url: &Url) -> Option<u64> {
    let mut bytes = 0;
    let begun = Instant::now();
    // What came within the time counts, all of it or not.
    let _ = timeout(LONGEST, fetch(url, &mut bytes)).await;
    rate(bytes, begun.elapsed())
}

async fn fetch(url: &Url, bytes: &mut u64) -> Option<()> {
    let wire = web::connect(url, None).await.ok()?;
    let request = Request::get(url.path())
        .header(HOST, url.authority())
        .body(wire::whole(Bytes::new()))
        .ok()?;
    let mut answer = wire.send(request).await.ok()?;
    let body = answer.response.body_mut();
    while let Some(frame) = body.frame().await {
        *bytes += frame.ok()?.data_ref().map_or(0, |data| data.len() as u64);
        if *bytes >= MOST_BYTES {
            break;
        }
    }
    Some(())
}

async fn upload(url: &Url) -> Option<u64> {
    let sent = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let _ = timeout(LONGEST, send(url, sent.clone())).await;
    rate(sent.load(Ordering::Relaxed), begun.elapsed())
}

async fn send(url: &Url, sent: Arc<AtomicU64>) -> Option<()> {
    let piece = Bytes::from(vec![0; PIECE]);
    let pieces = (0..MOST_BYTES / PIECE as u64).map(move |_| {
        sent.fetch_add(PIECE as u64, Ordering::Relaxed);
        Ok::<_, Infallible>(Frame::data(piece.clone()))
    });
    let body = StreamBody::new(stream::iter(pieces));
    let wire = web::connect(url, None).await.ok()?;
    let request = Request::post(url.path())
        .header(HOST, url.authority())
        .body(body.boxed_unsync())
        .ok()?;
    wire.send(request).await.ok().map(drop)
}

/// Whole megabits a second; `None` where nothing went through.
fn rate(bytes: u64, time: Duration) -> Option<u64> {
    let megabits = bytes as f64 * 8.0 / 1e6 / time.as_secs_f64().max(0.001);
    (bytes > 0).then(|| megabits.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_never_empty_and_a_latency_is_in_milliseconds() {
        let shown = |speed: &Speed| serde_json::to_string(speed).unwrap();
        let nothing =
            "{\"DownloadSpeed\":\"0 Mbit/s\",\"UploadSpeed\":\"0 Mbit/s\",\"Latency\":\"0ms\"}";
        assert_eq!(shown(&Speed::default()), nothing);
        let speed = Speed {
            download_speed: 94,
            upload_speed: 57,
            latency: Duration::from_nanos(7_669_083),
        };
        let body = "{\"DownloadSpeed\":\"94 Mbit/s\",\"UploadSpeed\":\"57 Mbit/s\",\"Latency\":\"7.669083ms\"}";
        assert_eq!(shown(&speed), body);
        assert_eq!(rate(12_500_000, Duration::from_secs(1)), Some(100));
        assert_eq!(rate(0, Duration::from_secs(1)), None);
    }
}
