//! Orders and the price sources in them: their rules and their bytes.
//!
//! Fields, their order and their defaults are those of the validator's `Order` and `PriceSource`.

use super::json::{Path, Value};
use super::layout::Layout;
use super::names::{shown, uuid_fault};
use super::pairs::Pair;
use super::record::{Absent, Record};
use super::report::Problems;

/// The directions of an order, and of a position.
pub(crate) const ORDER_TYPES: [&str; 3] = ["LONG", "SHORT", "FLAT"];
const EXECUTION_TYPES: [&str; 4] = ["MARKET", "LIMIT", "LIMIT_CANCEL", "BRACKET"];

/// The leverage that 7.1.1 lets an order have, unless it closes the position.
const LEVERAGE: std::ops::RangeInclusive<f64> = 0.001..=500.0;

/// Sources of an order (`src`) that have not been filled: a limit order and a bracket (8.8.9).
const UNFILLED: [i64; 2] = [5, 8];

/// What the walk needs to know of an order.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) uuid: &'a str,
    pub(crate) processed_ms: i64,
}

/// A limit order, which has a file of its own (8.8.9).
#[derive(Debug)]
pub(crate) struct LimitOrder<'a> {
    pub(crate) uuid: &'a str,
    pub(crate) pair: Pair,
    pub(crate) unfilled: bool,
}

/// Rewrites one order of a position. `None` if anything is wrong with it, which is then noted.
pub(crate) fn rewrite<'a>(
    value: &'a Value,
    pair: Option<Pair>,
    layout: Layout,
    path: &Path<'_>,
    out: &mut Vec<u8>,
    problems: &mut Problems,
) -> Option<Order<'a>> {
    let Value::Object(object) = value else {
        problems.add(path, format!("is {}, not an order", value.kind()));
        return None;
    };
    let mut record = Record::begin(object, path, out, problems);
    let fields = fields(&mut record, pair, layout, Place::Position);
    record.end();
    Some(Order {
        uuid: fields.uuid?,
        processed_ms: fields.processed_ms?,
    })
}

/// Rewrites one limit order as 8.8.9 keeps it: with its pair, in a file of its own.
pub(crate) fn rewrite_limit<'a>(
    value: &'a Value,
    path: &Path<'_>,
    out: &mut Vec<u8>,
    problems: &mut Problems,
) -> Option<LimitOrder<'a>> {
    let Value::Object(object) = value else {
        problems.add(path, format!("is {}, not an order", value.kind()));
        return None;
    };
    let before = problems.total();
    let mut record = Record::begin(object, path, out, problems);
    let pair = record
        .peek("trade_pair_id")
        .and_then(Value::as_str)
        .and_then(Pair::find);
    match pair {
        Some(pair) => record.with("trade_pair", |out| pair.push_object(out)),
        None => record.problem(
            "trade_pair_id",
            "is not the id of a trade pair of this validator",
        ),
    }
    let fields = fields(&mut record, pair, Layout::Vanta889, Place::OwnFile);
    if let Some((name, fault)) = fields.uuid.and_then(|name| Some((name, uuid_fault(name)?))) {
        record.problem("order_uuid", format!("`{}` {fault}", shown(name)));
    }
    record.end();
    if problems.total() > before {
        return None;
    }
    Some(LimitOrder {
        uuid: fields.uuid?,
        pair: pair?,
        unfilled: UNFILLED.contains(&fields.source?),
    })
}

/// Where an order is kept. A default of the model that is no double is made one inside a position only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Position,
    OwnFile,
}

struct Fields<'a> {
    uuid: Option<&'a str>,
    processed_ms: Option<i64>,
    source: Option<i64>,
}

fn fields<'a>(
    record: &mut Record<'_, 'a>,
    pair: Option<Pair>,
    layout: Layout,
    place: Place,
) -> Fields<'a> {
    let direction = record.word("order_type", &ORDER_TYPES, Absent::Refused);
    size(record, direction, layout);
    if layout == Layout::Vanta889 {
        record.float_or_null("value", None);
        record.float_or_null("quantity", None);
        record.word("execution_type", &EXECUTION_TYPES, Absent::Is("MARKET"));
        record.float_or_null("limit_price", None);
        record.float_or_null("stop_loss", None);
        record.float_or_null("take_profit", None);
    }
    let price = record.float("price", Absent::Refused);
    if price.is_some_and(|price| price < 0.0) {
        record.problem("price", "is negative");
    }
    for name in ["bid", "ask", "slippage"] {
        if place == Place::OwnFile && record.peek(name).is_none() {
            record.with(name, |out| out.push(b'0'));
        } else {
            record.float(name, Absent::Is(0.0));
        }
    }
    if layout == Layout::Vanta889 {
        rates(record, pair, price);
    }
    let processed_ms = record.integer("processed_ms", Absent::Refused, 0);
    let uuid = record.text("order_uuid", Absent::Refused);
    record.list("price_sources", |value, path, out, problems| {
        price_source(value, layout, path, out, problems);
    });
    let source = record.integer("src", Absent::Is(0), i64::MIN);
    Fields {
        uuid,
        processed_ms,
        source,
    }
}

/// The leverage. 7.1.1 needs one within limits and makes a short order's negative; 8.8.9 takes it as it is.
fn size(record: &mut Record<'_, '_>, direction: Option<&str>, layout: Layout) {
    if layout == Layout::Vanta889 {
        let leverage = record.float_or_null("leverage", None);
        if direction == Some("LONG") && leverage.is_some_and(|leverage| leverage < 0.0) {
            record.problem("leverage", "is negative in a LONG order");
        }
        return;
    }
    let Some(leverage) = record.read_float("leverage", Absent::Refused) else {
        return;
    };
    if direction == Some("LONG") && leverage < 0.0 {
        record.problem("leverage", "is negative in a LONG order");
    }
    if direction != Some("FLAT") && !LEVERAGE.contains(&leverage.abs()) {
        record.problem(
            "leverage",
            format!("is {leverage}, not within 0.001 and 500"),
        );
    }
    let signed = if direction == Some("SHORT") {
        -leverage.abs()
    } else {
        leverage
    };
    record.push("leverage", signed);
}

/// The two conversion rates, which 8.8.9 derives from the price where they are zero.
fn rates(record: &mut Record<'_, '_>, pair: Option<Pair>, price: Option<f64>) {
    let quote_usd = record.read_float("quote_usd_rate", Absent::Is(0.0));
    let usd_base = record.read_float("usd_base_rate", Absent::Is(0.0));
    let (Some(mut quote_usd), Some(mut usd_base), Some(pair), Some(price)) =
        (quote_usd, usd_base, pair, price)
    else {
        return;
    };
    if price != 0.0 {
        let (base, quote) = (pair.base(), pair.quote());
        if quote_usd == 0.0 && quote == "USD" {
            quote_usd = 1.0;
        } else if quote_usd == 0.0 && base == "USD" {
            quote_usd = 1.0 / price;
        }
        if usd_base == 0.0 && base == "USD" {
            usd_base = 1.0;
        } else if usd_base == 0.0 && quote == "USD" {
            usd_base = 1.0 / price;
        }
        if !(quote_usd.is_finite() && usd_base.is_finite()) {
            record.problem("price", "is too small to derive a conversion rate from");
        }
    }
    record.push("quote_usd_rate", quote_usd);
    record.push("usd_base_rate", usd_base);
}

fn price_source(
    value: &Value,
    layout: Layout,
    path: &Path<'_>,
    out: &mut Vec<u8>,
    problems: &mut Problems,
) {
    let Value::Object(object) = value else {
        problems.add(path, format!("is {}, not a price source", value.kind()));
        return;
    };
    let mut record = Record::begin(object, path, out, problems);
    record.text("source", Absent::Is("unknown"));
    record.integer("timespan_ms", Absent::Is(0), i64::MIN);
    match layout {
        // A source without these two is written, and then the validator cannot read it again.
        Layout::Ptn711 => {
            record.float("open", Absent::Refused);
            record.float("close", Absent::Refused);
            for name in ["vwap", "high", "low"] {
                record.float_or_null(name, None);
            }
        }
        // A plain dataclass there: numbers stay what they are.
        Layout::Vanta889 => {
            for name in ["open", "close", "vwap", "high", "low"] {
                record.number_as_is(name, Absent::Is(b"null"), true);
            }
        }
    }
    record.integer("start_ms", Absent::Is(0), i64::MIN);
    record.flag("websocket");
    record.integer("lag_ms", Absent::Is(0), i64::MIN);
    for name in ["bid", "ask"] {
        match layout {
            Layout::Ptn711 => {
                record.float_or_null(name, Some(0.0));
            }
            Layout::Vanta889 => record.number_as_is(name, Absent::Is(b"0.0"), true),
        }
    }
    if layout == Layout::Vanta889 {
        record.only(&[
            "source",
            "timespan_ms",
            "open",
            "close",
            "vwap",
            "high",
            "low",
            "start_ms",
            "websocket",
            "lag_ms",
            "bid",
            "ask",
        ]);
    }
    record.end();
}
