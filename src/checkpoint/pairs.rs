//! The trade pairs that a validator knows, and how it writes them.
//!
//! Source: the table of pairs in the validator's configuration, the same in 7.1.1 and 8.8.9. Pairs
//! that are blocked for trading are still valid in files.

/// The market a pair belongs to; it decides fees and leverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Market {
    Crypto,
    Forex,
    Equities,
    Indices,
}

/// One trade pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Its id, which is also a directory name.
    pub(crate) id: &'static str,
    market: Market,
}

const TABLE: [(Market, &[&str]); 4] = [
    (
        Market::Crypto,
        &[
            "BTCUSD", "ETHUSD", "SOLUSD", "XRPUSD", "DOGEUSD", "ADAUSD", "TAOUSD",
        ],
    ),
    (
        Market::Forex,
        &[
            "AUDCAD", "AUDCHF", "AUDUSD", "AUDJPY", "AUDNZD", "CADCHF", "CADJPY", "CHFJPY",
            "EURAUD", "EURCAD", "EURUSD", "EURCHF", "EURGBP", "EURJPY", "EURNZD", "NZDCAD",
            "NZDCHF", "NZDJPY", "NZDUSD", "GBPAUD", "GBPCAD", "GBPCHF", "GBPJPY", "GBPNZD",
            "GBPUSD", "USDCAD", "USDCHF", "USDJPY", "USDMXN", "XAUUSD", "XAGUSD",
        ],
    ),
    (
        Market::Equities,
        &["NVDA", "AAPL", "TSLA", "AMZN", "MSFT", "GOOG", "META"],
    ),
    (
        Market::Indices,
        &["SPX", "DJI", "NDX", "VIX", "FTSE", "GDAXI"],
    ),
];

/// The markets that a miner can choose, as `asset_selections` names them.
pub(crate) const MARKETS: [&str; 4] = ["crypto", "forex", "indices", "equities"];

impl Pair {
    /// The pair with this id.
    pub(crate) fn find(id: &str) -> Option<Self> {
        TABLE.iter().find_map(|(market, ids)| {
            let id = ids.iter().find(|known| **known == id)?;
            Some(Self {
                id,
                market: *market,
            })
        })
    }

    /// The list that stands for the pair in a position's file.
    ///
    /// Bitcoin and ether carry the fee of an old release there, whatever the validator charges now.
    pub(crate) fn push_list(self, out: &mut Vec<u8>) {
        let fee = match self.id {
            "BTCUSD" | "ETHUSD" => "0.003",
            _ => self.fee(),
        };
        let (least, most) = self.leverage();
        let (id, name) = (self.id, self.name());
        out.extend(format!("[\"{id}\", \"{name}\", {fee}, {least}, {most}]").bytes());
    }

    /// The object that stands for the pair in a limit order's file (8.8.9).
    pub(crate) fn push_object(self, out: &mut Vec<u8>) {
        let (least, most) = self.leverage();
        let market = match self.market {
            Market::Crypto => "crypto",
            Market::Forex => "forex",
            Market::Equities => "equities",
            Market::Indices => "indices",
        };
        let (id, name, fee) = (self.id, self.name(), self.fee());
        out.extend(
            format!(
                "{{\"trade_pair_id\": \"{id}\", \"trade_pair\": \"{name}\", \"fees\": {fee}, \
                 \"min_leverage\": {least}, \"max_leverage\": {most}, \"trade_pair_category\": \"{market}\"}}"
            )
            .bytes(),
        );
    }

    /// The currency or share that is traded.
    pub(crate) fn base(self) -> &'static str {
        match self.market {
            Market::Crypto | Market::Forex => &self.id[..self.id.len() - 3],
            Market::Equities | Market::Indices => self.id,
        }
    }

    /// The currency its price is in.
    pub(crate) fn quote(self) -> &'static str {
        match self.market {
            Market::Forex => &self.id[self.id.len() - 3..],
            Market::Crypto | Market::Equities | Market::Indices => "USD",
        }
    }

    fn name(self) -> String {
        match self.market {
            Market::Crypto | Market::Forex => format!("{}/{}", self.base(), self.quote()),
            Market::Equities | Market::Indices => self.id.to_owned(),
        }
    }

    fn fee(self) -> &'static str {
        match self.market {
            Market::Crypto => "0.001",
            Market::Forex => "7e-05",
            Market::Equities | Market::Indices => "9e-05",
        }
    }

    fn leverage(self) -> (&'static str, &'static str) {
        match self.market {
            Market::Crypto => ("0.01", "0.5"),
            Market::Equities => ("0.1", "3"),
            Market::Forex | Market::Indices => ("0.1", "5"),
        }
    }
}
