//! Sound checkpoints with values at every edge: the tree is what Python makes of the same text.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and writes what need not be durable"
)]

#[path = "lab/python.rs"]
mod python;
#[path = "lab/staged.rs"]
mod staged;

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use ostler::checkpoint::{Checkpoint, Layout, PLAIN_NAME, Rules};
use proptest::prelude::*;
use python::Python;
use staged::staged;

const HOTKEYS: [&str; 2] = [
    "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE",
    "5Hf5gfBKZi1y2FQGiBGeso38GmqRa5JUdyguEvibeYJBEqg2",
];
const PAIRS: [&str; 7] = [
    "BTCUSD", "DOGEUSD", "EURUSD", "USDCAD", "EURGBP", "NVDA", "SPX",
];
const WEIRD: [&str; 22] = [
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1e15",
    "1e16",
    "9999999999999998.0",
    "12345678901234567.0",
    "1e22",
    "1E+23",
    "0.0001",
    "0.00001",
    "-1.5e-7",
    "5e-324",
    "2.2250738585072014e-308",
    "1.7976931348623157E308",
    "1e-400",
    "0.1",
    "100",
    "123456789012345678901234567890",
    "9007199254740993",
    "3.0000",
];

/// Rolls that decide what is generated. proptest shrinks them to zero, which is the plainest choice.
struct Dice<'a>(&'a [u64], usize);

impl Dice<'_> {
    fn roll(&mut self) -> u64 {
        self.1 += 1;
        self.0[self.1 % self.0.len()].rotate_left((self.1 / self.0.len()) as u32)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    fn one<'b>(&mut self, of: &[&'b str]) -> &'b str {
        of[self.below(of.len())]
    }

    /// A finite number as any program may write it.
    fn number(&mut self) -> String {
        let float = f64::from_bits(self.roll());
        // Few bits after the point: the shortest decimal may then be one of two that are equally near.
        let coarse =
            (1023 + self.roll() % 60) << 52 | self.roll() >> 12 & (u64::MAX << self.below(48));
        match self.below(6) {
            3 => format!("{}", f64::from_bits(coarse)),
            // Where doubles begin to lie closer: their neighbours are not equally near.
            4 => format!("{:e}", f64::from_bits((963 + self.roll() % 120) << 52)),
            0 => self.one(&WEIRD).to_owned(),
            1 if float.is_finite() => format!("{float:e}"),
            2 if float.is_finite() && float.abs() < 1e30 => format!("{float:?}"),
            _ => format!("{}", self.roll() as i64 >> self.below(60)),
        }
    }

    /// A number that is neither negative nor so small that its inverse overflows.
    fn price(&mut self) -> String {
        let number: f64 = self.number().parse().unwrap();
        match number.abs() {
            small if small < 1e-300 => "0.5".to_owned(),
            price => format!("{price:e}"),
        }
    }

    /// A string as any program may write it; `lone` lets lone surrogates in.
    fn text(&mut self, lone: bool) -> String {
        let mut text = String::from("\"");
        for _ in 0..self.below(6) {
            let character = match self.below(3) {
                0 => char::from_u32(self.below(128) as u32),
                1 => char::from_u32(self.below(0x11_0000) as u32),
                _ => Some(
                    [
                        '"',
                        '\\',
                        '/',
                        '\u{7f}',
                        '\u{2028}',
                        '\u{ffff}',
                        '\u{1f600}',
                        'é',
                    ][self.below(8)],
                ),
            };
            match character {
                Some(plain) if plain >= ' ' && !"\"\\".contains(plain) && self.below(2) == 0 => {
                    text.push(plain)
                }
                Some(character) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        text.push_str(&format!("\\u{unit:04X}"));
                    }
                }
                None if lone => text.push_str("\\ud800"),
                None => {}
            }
        }
        text.push('"');
        text
    }

    fn integer(&mut self) -> String {
        (self.roll() as i64 >> self.below(64)).to_string()
    }

    /// `"name": value`, most of the time.
    fn maybe(
        &mut self,
        fields: &mut Vec<String>,
        name: &str,
        value: impl FnOnce(&mut Self) -> String,
    ) {
        if self.below(4) != 3 {
            let value = value(self);
            fields.push(format!("\"{name}\": {value}"));
        }
    }

    fn number_or_null(&mut self) -> String {
        if self.below(3) == 0 {
            "null".to_owned()
        } else {
            self.number()
        }
    }

    fn source(&mut self, layout: Layout) -> String {
        let mut fields = vec![
            format!("\"open\": {}", self.number()),
            format!("\"close\": {}", self.number()),
        ];
        self.maybe(&mut fields, "source", |dice| dice.text(false));
        for name in ["timespan_ms", "start_ms", "lag_ms"] {
            self.maybe(&mut fields, name, Self::integer);
        }
        for name in ["vwap", "high", "low", "bid", "ask"] {
            self.maybe(&mut fields, name, Self::number_or_null);
        }
        self.maybe(&mut fields, "websocket", |dice| {
            dice.one(&["true", "false"]).to_owned()
        });
        if layout == Layout::Ptn711 {
            self.maybe(&mut fields, "volume", Self::number);
        }
        object(fields)
    }

    fn order(&mut self, layout: Layout) -> Vec<String> {
        let kind = self.one(&["LONG", "SHORT", "FLAT"]);
        let leverage = match kind {
            "FLAT" => self.number(),
            _ => self
                .one(&["0.001", "500", "1", "0.25", "1.5e-3"])
                .to_owned(),
        };
        let mut fields = vec![
            format!("\"order_type\": \"{kind}\""),
            format!("\"leverage\": {leverage}"),
            format!("\"price\": {}", self.price()),
            format!("\"processed_ms\": {}", self.roll() >> 1),
        ];
        for name in ["bid", "ask", "slippage"] {
            self.maybe(&mut fields, name, Self::number);
        }
        self.maybe(&mut fields, "src", Self::integer);
        let sources: Vec<String> = (0..self.below(3)).map(|_| self.source(layout)).collect();
        self.maybe(&mut fields, "price_sources", |_| list(&sources));
        if layout == Layout::Vanta889 {
            for name in [
                "value",
                "quantity",
                "limit_price",
                "stop_loss",
                "take_profit",
            ] {
                self.maybe(&mut fields, name, Self::number_or_null);
            }
            for name in ["quote_usd_rate", "usd_base_rate"] {
                self.maybe(&mut fields, name, |dice| {
                    dice.one(&["0", "0.0", "-0.0", "1.25", "3"]).to_owned()
                });
            }
            let kinds = ["\"MARKET\"", "\"LIMIT\"", "\"BRACKET\""];
            self.maybe(&mut fields, "execution_type", |dice| {
                dice.one(&kinds).to_owned()
            });
        }
        self.maybe(&mut fields, "unknown", |dice| dice.text(true));
        fields
    }

    fn position(&mut self, hotkey: &str, index: usize, layout: Layout) -> String {
        let open = index == 0;
        let mut fields = vec![
            format!("\"miner_hotkey\": \"{hotkey}\""),
            format!("\"position_uuid\": \"p{index}\""),
            format!("\"open_ms\": {}", self.integer()),
            format!(
                "\"trade_pair\": [\"{}\", 1, {}]",
                self.one(&PAIRS),
                self.number()
            ),
        ];
        if open {
            self.maybe(&mut fields, "close_ms", |dice| {
                dice.one(&["null", "0"]).to_owned()
            });
            self.maybe(&mut fields, "is_closed_position", |_| "false".to_owned());
        } else {
            fields.push(format!(
                "\"close_ms\": {}, \"is_closed_position\": true",
                self.integer()
            ));
        }
        let orders: Vec<String> = (0..self.below(4))
            .map(|_| {
                let mut order = self.order(layout);
                order.push(format!("\"order_uuid\": {}", self.text(false)));
                object(order)
            })
            .collect();
        self.maybe(&mut fields, "orders", |_| list(&orders));
        for name in [
            "current_return",
            "net_leverage",
            "return_at_close",
            "average_entry_price",
            "cumulative_entry_value",
            "account_size",
            "realized_pnl",
            "net_value",
            "net_quantity",
            "unrealized_pnl",
        ] {
            self.maybe(&mut fields, name, Self::number);
        }
        let kinds = ["null", "\"LONG\"", "\"FLAT\""];
        self.maybe(&mut fields, "position_type", |dice| {
            dice.one(&kinds).to_owned()
        });
        object(fields)
    }

    fn limit_order(&mut self, index: usize) -> String {
        let mut fields = self.order(Layout::Vanta889);
        fields.push(format!("\"trade_pair_id\": \"{}\"", self.one(&PAIRS)));
        fields.push(format!("\"order_uuid\": \"o{index}\""));
        object(fields)
    }

    fn ledger(&mut self) -> String {
        let entries: Vec<String> = (0..self.below(3))
            .map(|_| {
                let mut fields = vec![
                    format!("\"last_update_ms\": {}", self.number()),
                    format!("\"prev_portfolio_ret\": {}", self.number()),
                ];
                for name in ["gain", "loss", "mdd", "realized_pnl"] {
                    self.maybe(&mut fields, name, Self::number);
                }
                self.maybe(&mut fields, "note", |dice| {
                    format!("[{}, {{\"é\": {}}}]", dice.text(true), dice.number())
                });
                object(fields)
            })
            .collect();
        let mut fields = vec![format!("\"cps\":\n{}", list(&entries))];
        self.maybe(&mut fields, "max_return", Self::number);
        self.maybe(&mut fields, "last_known_prices", |dice| {
            format!("{{\"BTCUSD\": [{}, 1]}}", dice.number())
        });
        object(fields)
    }

    fn document(&mut self, layout: Layout) -> String {
        let mut positions = Vec::new();
        let mut ledgers = Vec::new();
        let mut limits = Vec::new();
        for hotkey in HOTKEYS {
            let count = 1 + self.below(3);
            let list: Vec<String> = (0..count)
                .map(|index| self.position(hotkey, index, layout))
                .collect();
            positions.push(format!(
                "\"{hotkey}\": {{\"tier\": 0, \"positions\": [{}]}}",
                list.join(", ")
            ));
            ledgers.push(format!(
                "\"{hotkey}\": {{\"portfolio\": {}}}",
                self.ledger()
            ));
            let orders: Vec<String> = (0..self.below(3))
                .map(|index| self.limit_order(index))
                .collect();
            limits.push(format!("\"{hotkey}\": [{}]", orders.join(", ")));
        }
        let hotkey = HOTKEYS[0];
        let eliminated = format!(
            "[{{\"hotkey\": \"{hotkey}\", \"elimination_initiated_time_ms\": 1, \"reason\": \"ZOMBIE\", \"dd\": {}, {}: {}}}]",
            self.number(),
            self.text(true).replacen('"', "\"x", 1),
            self.text(true),
        );
        let updated = self.roll() % 253_370_764_800_000;
        object(vec![
            format!("\"version\": \"{layout}\""),
            "\"created_timestamp_ms\": 1, \"youngest_order_processed_ms\": Infinity, \"oldest_order_processed_ms\": 0".to_owned(),
            format!("\"positions\": {}", object(positions)),
            format!("\"eliminations\": {eliminated}"),
            format!("\"perf_ledgers\": {}", object(ledgers)),
            format!("\"challengeperiod\": {{\"{hotkey}\": {{\"bucket\": \"MAINCOMP\", \"bucket_start_time\": {}}}}}", self.integer()),
            format!(
                "\"miner_account_sizes\": {{\"{hotkey}\": [{{\"account_size\": {}, \"account_size_theta\": {}, \"update_time_ms\": {updated}}}]}}",
                self.number(),
                self.number()
            ),
            format!("\"asset_selections\": {{\"{hotkey}\": \"forex\"}}"),
            format!("\"limit_orders\": {}", object(limits)),
        ])
    }
}

fn object(fields: Vec<String>) -> String {
    format!("{{{}}}", fields.join(",  "))
}

fn list(elements: &[String]) -> String {
    format!("[ {} ]", elements.join(" ,\n"))
}

#[test]
fn the_tree_is_what_python_makes_of_the_same_text() {
    let work = python::workspace();
    let python = RefCell::new(Python::start("rules.py"));
    let run = RefCell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    });
    let rolls = proptest::collection::vec(any::<u64>(), 300);
    let tested = runner.run(&(rolls, any::<bool>()), |(rolls, new)| {
        *run.borrow_mut() += 1;
        let layout = if new {
            Layout::Vanta889
        } else {
            Layout::Ptn711
        };
        let directory = work.path().join(run.borrow().to_string());
        fs::create_dir_all(directory.join("expected")).unwrap();
        let file = directory.join(PLAIN_NAME);
        fs::write(&file, Dice(&rolls, 0).document(layout)).unwrap();

        let checkpoint = Checkpoint::open(&file).unwrap();
        let ours = directory.join("validation");
        let (report, _) = staged(&checkpoint, &Rules::default(), None, &ours).unwrap();
        prop_assert!(report.is_sound(), "{:#?}", report.problems);

        let expected = directory.join("expected/validation");
        let mut python = python.borrow_mut();
        python.tree(&file, &expected, layout.version());
        let (made, wanted) = (python.manifest(&ours), python.manifest(&expected));
        if let Some(line) = made.iter().find(|line| !wanted.contains(line)) {
            let path = line.rsplit(' ').next().unwrap();
            let read = |root: &Path| fs::read_to_string(root.parent().unwrap().join(path));
            prop_assert_eq!(read(&ours).ok(), read(&expected).ok());
        }
        prop_assert_eq!(made, wanted);
        fs::remove_dir_all(directory).unwrap();
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}
