//! The sections that become one file per record: positions and, in 8.8.9, limit orders.

use std::collections::HashSet;

use super::fingerprint::Content;
use super::held::{Held, HeldPosition};
use super::json::{Kind, Path};
use super::position::Position;
use super::walk::{Stop, Walk};
use super::{order, position};

impl Walk<'_> {
    /// `positions`: `{hotkey: {"positions": [position, …], …}}`.
    pub(super) fn positions(&mut self) -> Result<(), Stop> {
        self.each_hotkey("positions", &[], |walk, hotkey, path| {
            if walk.expect(Kind::Object, path)? {
                walk.miner(hotkey, path)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn miner(&mut self, hotkey: &str, path: &Path<'_>) -> Result<(), Stop> {
        let list = path.key("positions");
        self.reader.open_object()?;
        let mut found = 0;
        let mut first = true;
        while let Some(key) = self.reader.next_key(first)? {
            first = false;
            if key.as_str() != Some("positions") {
                self.reader.skip()?;
                continue;
            }
            found += 1;
            if found > 1 {
                self.problems.add(&list, "is there twice");
                self.reader.skip()?;
            } else if self.expect(Kind::Array, &list)? {
                self.miners_positions(hotkey, &list)?;
            }
        }
        if found == 0 {
            self.problems.add(&list, "is missing");
        }
        Ok(())
    }

    fn miners_positions(&mut self, hotkey: &str, list: &Path<'_>) -> Result<(), Stop> {
        self.reader.open_array()?;
        let mut held = Held::default();
        let mut open = HashSet::new();
        let mut index = 0;
        while self.reader.next_element(index == 0)? {
            self.place.index = Some(index);
            let path = list.index(index);
            let value = self.record(&path)?;
            self.out.clear();
            let rewritten = position::rewrite(
                &value,
                hotkey,
                self.layout,
                &path,
                &mut self.out,
                &mut self.problems,
            );
            index += 1;
            if let Some(position) = rewritten {
                self.keep(hotkey, &position, &mut held, &mut open, &path)?;
            }
        }
        self.summary.miners += u64::from(index > 0);
        if index == 0 {
            self.problems.warn(list, "is empty: the miner is left out");
        } else {
            self.compared(hotkey, held);
        }
        Ok(())
    }

    /// Counts a sound position and makes its file.
    fn keep(
        &mut self,
        hotkey: &str,
        position: &Position<'_>,
        held: &mut Held,
        open: &mut HashSet<&'static str>,
        path: &Path<'_>,
    ) -> Result<(), Stop> {
        let content = Content::of(&self.out);
        let mut of_it = HeldPosition::with(content);
        if self.compare.is_some() {
            for order in &position.orders {
                of_it.add(order.uuid, Some(order.processed_ms));
            }
        }
        if !held.add(position.uuid, of_it) {
            let what = format!(
                "`{}` is the uuid of another position of this miner too",
                position.uuid
            );
            self.problems.add(&path.key("position_uuid"), what);
        }
        if !position.closed && !open.insert(position.pair.id) {
            let what = format!("is a second open position in {}", position.pair.id);
            self.problems.add(path, what);
        }
        let summary = &mut self.summary;
        summary.positions += 1;
        summary.open_positions += u64::from(!position.closed);
        summary.orders += position.orders.len() as u64;
        for order in &position.orders {
            let time = order.processed_ms;
            summary.newest_order_ms = summary.newest_order_ms.max(Some(time));
            summary.oldest_order_ms = Some(
                summary
                    .oldest_order_ms
                    .map_or(time, |oldest| oldest.min(time)),
            );
        }
        if self.problems.total() > 0 {
            return Ok(());
        }
        let state = if position.closed { "closed" } else { "open" };
        let directory = format!("miners/{hotkey}/positions/{}/{state}", position.pair.id);
        self.sink
            .file(&directory, position.uuid, &self.out, content)?;
        Ok(())
    }

    /// `limit_orders` of 8.8.9: `{hotkey: [order, …]}`.
    pub(super) fn limit_orders(&mut self) -> Result<(), Stop> {
        self.each_hotkey("limit_orders", &[], |walk, hotkey, path| {
            if !walk.expect(Kind::Array, path)? {
                return Ok(());
            }
            walk.reader.open_array()?;
            let mut seen = HashSet::new();
            let mut index = 0;
            while walk.reader.next_element(index == 0)? {
                walk.place.index = Some(index);
                let path = path.index(index);
                index += 1;
                let value = walk.record(&path)?;
                walk.out.clear();
                let Some(order) =
                    order::rewrite_limit(&value, &path, &mut walk.out, &mut walk.problems)
                else {
                    continue;
                };
                if !seen.insert(order.uuid.to_owned()) {
                    let what = format!(
                        "`{}` is the uuid of another limit order of this miner too",
                        order.uuid
                    );
                    walk.problems.add(&path.key("order_uuid"), what);
                }
                walk.summary.limit_orders += 1;
                if walk.problems.total() == 0 {
                    let state = if order.unfilled { "unfilled" } else { "closed" };
                    let directory =
                        format!("miners/{hotkey}/limit_orders/{}/{state}", order.pair.id);
                    let content = Content::of(&walk.out);
                    walk.sink.file(&directory, order.uuid, &walk.out, content)?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}
