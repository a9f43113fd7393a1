//! The height of the chain, as somebody on the web knows it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::web::{self, Url};

/// How long the source may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// A height of this age is one no longer: blocks come once a minute.
const STALE: Duration = Duration::from_secs(600);

/// What is known of the chain's height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChainHeight {
    /// Nobody is asked.
    NoSource,
    /// As the source said it lately.
    Known(u64),
    /// The source has not said it for long.
    Unavailable(String),
}

/// Who is asked, and what was said last.
pub(super) struct Chain {
    url: Option<Url>,
    every: Duration,
    said: Mutex<Said>,
}

#[derive(Clone, Debug, Default)]
struct Said {
    asked: Option<Instant>,
    height: Option<(u64, Instant)>,
    error: Option<String>,
}

impl Chain {
    /// Asks there, at most once in `every`.
    pub fn new(url: Option<Url>, every: Duration) -> Self {
        Self {
            url,
            every,
            said: Mutex::default(),
        }
    }

    /// The chain's height, asked for where what is known is too old. Takes [`DEADLINE`] at most.
    pub async fn height(&self) -> ChainHeight {
        let Some(url) = &self.url else {
            return ChainHeight::NoSource;
        };
        if self.is_due() {
            let answer = web::get(url, MOST_BYTES, DEADLINE)
                .await
                .map_err(|error| error.to_string())
                .and_then(|body| {
                    read(&body).ok_or_else(|| format!("{url} gave an answer without a height"))
                });
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(height) => {
                    said.height = Some((height, Instant::now()));
                    said.error = None;
                }
                Err(error) => said.error = Some(error),
            }
        }
        self.known()
    }

    fn is_due(&self) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let due = said.asked.is_none_or(|asked| asked.elapsed() >= self.every);
        if due {
            said.asked = Some(Instant::now());
        }
        due
    }

    fn known(&self) -> ChainHeight {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match (&said.height, &said.error) {
            (Some((height, at)), _) if at.elapsed() < STALE => ChainHeight::Known(*height),
            (_, Some(error)) => ChainHeight::Unavailable(error.clone()),
            (_, None) => ChainHeight::Unavailable("its source was not asked yet".to_owned()),
        }
    }
}

/// A height as the known sources give it: `{"data":{"height":1}}`, `{"height":1}` or a plain number.
fn read(body: &[u8]) -> Option<u64> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let found = [
        value.pointer("/data/height"),
        value.get("height"),
        Some(&value),
    ];
    found.into_iter().flatten().find_map(|height| {
        height
            .as_u64()
            .or_else(|| height.as_str().and_then(|text| text.parse().ok()))
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn every_known_form_of_a_height_is_read() {
        for text in [
            "{\"data\":{\"height\":1190407}}",
            "{\"height\":1190407,\"hash\":\"x\"}",
            "{\"height\":\"1190407\"}",
            "1190407",
            " 1190407\n",
        ] {
            assert_eq!(read(text.as_bytes()), Some(1_190_407), "{text}");
        }
        for text in ["", "{}", "null", "-1", "<html>", "{\"height\":null}", "[1]"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    /// A source that answers each connection with the next of these, and then no more.
    async fn source(bodies: Vec<&'static str>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/blocks/height", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for body in bodies {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 1024];
                let read = stream.read(&mut head).await.unwrap();
                assert!(head[..read].starts_with(b"GET /v1/blocks/height HTTP/1.1\r\n"));
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url.parse().unwrap()
    }

    #[tokio::test]
    async fn a_height_is_cached_and_outlives_its_source_for_a_while() {
        let every = Duration::from_secs(60);
        let chain = Chain::new(Some(source(vec!["{\"data\":{\"height\":7}}"]).await), every);
        assert_eq!(chain.height().await, ChainHeight::Known(7));
        // The source is gone: nobody would answer.
        assert_eq!(chain.height().await, ChainHeight::Known(7));
        tokio::time::pause();
        tokio::time::advance(every).await;
        assert_eq!(chain.height().await, ChainHeight::Known(7));
        tokio::time::advance(STALE).await;
        let ChainHeight::Unavailable(why) = chain.height().await else {
            panic!("it is stale");
        };
        assert!(why.contains("http://127.0.0.1:"), "{why}");
    }

    #[tokio::test]
    async fn an_answer_without_a_height_says_where_it_came_from() {
        let chain = Chain::new(Some(source(vec!["<html>"]).await), STALE);
        let ChainHeight::Unavailable(why) = chain.height().await else {
            panic!("there is no height");
        };
        assert!(
            why.ends_with("/v1/blocks/height gave an answer without a height"),
            "{why}"
        );
        let none = Chain::new(None, STALE);
        assert_eq!(none.height().await, ChainHeight::NoSource);
    }
}
