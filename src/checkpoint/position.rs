//! One position: the rules it has to obey, and the bytes of its file.
//!
//! Fields, their order and their defaults are those of the validator's `Position` model, of 7.1.1 and 8.8.9.

use super::json::{Path, Value};
use super::layout::Layout;
use super::names::{shown, uuid_fault};
use super::order::{self, ORDER_TYPES, Order};
use super::pairs::Pair;
use super::record::{Absent, Record};
use super::report::Problems;

/// What the walk needs to know of a position that was rewritten without a problem.
#[derive(Debug)]
pub(crate) struct Position<'a> {
    pub(crate) uuid: &'a str,
    pub(crate) pair: Pair,
    pub(crate) closed: bool,
    pub(crate) orders: Vec<Order<'a>>,
}

/// Rewrites a position of `hotkey` to the end of `out`. `None` if anything is wrong with it, which is then noted.
pub(crate) fn rewrite<'a>(
    value: &'a Value,
    hotkey: &str,
    layout: Layout,
    path: &Path<'_>,
    out: &mut Vec<u8>,
    problems: &mut Problems,
) -> Option<Position<'a>> {
    let Value::Object(object) = value else {
        problems.add(path, format!("is {}, not a position", value.kind()));
        return None;
    };
    let before = problems.total();
    let pair = find_pair(object.get("trade_pair"), path, problems);
    let mut orders = Vec::new();

    let mut record = Record::begin(object, path, out, problems);
    if let Some(inner) = record.text("miner_hotkey", Absent::Refused)
        && inner != hotkey
    {
        let what = format!(
            "is `{}`, but the position is listed under `{}`",
            shown(inner),
            shown(hotkey)
        );
        record.problem("miner_hotkey", what);
    }
    let uuid = record.text("position_uuid", Absent::Refused);
    if let Some((name, fault)) = uuid.and_then(|name| Some((name, uuid_fault(name)?))) {
        record.problem("position_uuid", format!("`{}` {fault}", shown(name)));
    }
    record.integer("open_ms", Absent::Refused, i64::MIN);
    record.with("trade_pair", |out| {
        if let Some(pair) = pair {
            pair.push_list(out);
        }
    });
    let count = record.list("orders", |value, path, out, problems| {
        orders.extend(order::rewrite(value, pair, layout, path, out, problems));
    });
    if count == 0 {
        record.warning(
            "orders",
            "is empty: a position without an order has no value",
        );
    }
    record.float("current_return", Absent::Is(1.0));
    let close_ms = record.integer_or_null("close_ms");
    record.float("net_leverage", Absent::Is(0.0));
    if layout == Layout::Vanta889 {
        record.float("net_value", Absent::Is(0.0));
        record.float("net_quantity", Absent::Is(0.0));
    }
    record.float("return_at_close", Absent::Is(1.0));
    record.float("average_entry_price", Absent::Is(0.0));
    record.float("cumulative_entry_value", Absent::Is(0.0));
    record.float("account_size", Absent::Is(0.0));
    record.float("realized_pnl", Absent::Is(0.0));
    if layout == Layout::Vanta889 {
        record.float("unrealized_pnl", Absent::Is(0.0));
    }
    record.word_or_null("position_type", &ORDER_TYPES);
    let closed = record.flag("is_closed_position");
    if closed == Some(true) && close_ms.is_none() {
        record.problem("close_ms", "is needed, for the position is closed");
    }
    record.end();

    if problems.total() > before {
        return None;
    }
    Some(Position {
        uuid: uuid?,
        pair: pair?,
        closed: closed?,
        orders,
    })
}

/// The pair is a list of which the validator reads the first element only, the id.
fn find_pair(value: Option<&Value>, path: &Path<'_>, problems: &mut Problems) -> Option<Pair> {
    let path = path.key("trade_pair");
    let id = match value {
        Some(Value::Array(list)) => list.first().and_then(Value::as_str),
        Some(_) => None,
        None => {
            problems.add(&path, "is missing");
            return None;
        }
    };
    let Some(id) = id else {
        problems.add(
            &path,
            "is not a list that starts with the id of a trade pair",
        );
        return None;
    };
    let pair = Pair::find(id);
    if pair.is_none() {
        problems.add(
            &path,
            format!("`{}` is not a trade pair of this validator", shown(id)),
        );
    }
    pair
}
