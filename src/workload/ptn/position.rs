//! Whether the validator could load a position, as far as that can be told cheaply.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What every position has, or the validator does not start: its file is one of `miners/*/positions/**`.
#[derive(Deserialize)]
struct Position {
    #[serde(rename = "miner_hotkey")]
    _hotkey: String,
    #[serde(rename = "position_uuid")]
    _uuid: String,
    #[serde(rename = "open_ms")]
    _open_ms: f64,
    #[serde(rename = "trade_pair")]
    _trade_pair: Vec<IgnoredAny>,
    #[serde(default)]
    orders: Vec<Order>,
}

#[derive(Deserialize)]
struct Order {
    // What was written for a price that is no number is `null`.
    #[serde(rename = "price")]
    _price: f64,
    processed_ms: f64,
}

/// When its newest order was processed, in milliseconds since 1970; `None` where it has none.
///
/// # Errors
/// Why the validator could not load it.
pub(super) fn newest_order(text: &[u8]) -> Result<Option<i64>, String> {
    if text.trim_ascii().is_empty() {
        return Err("it is empty".to_owned());
    }
    let position: Position =
        serde_json::from_slice(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => "it breaks off".to_owned(),
            _ => error.to_string(),
        })?;
    let times = position.orders.iter().map(|order| order.processed_ms);
    // Whole milliseconds, far from where a float loses them.
    Ok(times
        .fold(None, |newest: Option<f64>, at| {
            Some(newest.map_or(at, |newest| newest.max(at)))
        })
        .map(|at| at as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"miner_hotkey": "5X", "position_uuid": "u", "open_ms": 1, "trade_pair": ["BTCUSD", "BTC/USD", 0.003, 0.01, 0.5],
        "orders": [{"price": 1, "processed_ms": 1762610000000}, {"price": 1.5, "processed_ms": 1762620000000}], "close_ms": null}"#;

    #[test]
    fn a_position_tells_its_newest_order() {
        assert_eq!(newest_order(GOOD.as_bytes()), Ok(Some(1_762_620_000_000)));
        let none =
            r#"{"miner_hotkey": "5X", "position_uuid": "u", "open_ms": 1, "trade_pair": []}"#;
        assert_eq!(newest_order(none.as_bytes()), Ok(None));
    }

    #[test]
    fn one_that_cannot_be_loaded_says_why() {
        for (text, told) in [
            (String::new(), "it is empty"),
            (GOOD[..GOOD.len() - 1].to_owned(), "it breaks off"),
            (GOOD.replace("1.5,", "null,"), "invalid type: null"),
            (GOOD.replace("1.5,", "NaN,"), "expected value"),
            (
                GOOD.replace("\"open_ms\"", "\"x\""),
                "missing field `open_ms`",
            ),
            ("[]".to_owned(), "invalid length"),
        ] {
            let error = newest_order(text.as_bytes()).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
