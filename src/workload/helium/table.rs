//! The tables that the miner's command line draws.
//!
//! Where it writes to no terminal it cuts its columns to some width: `listen_addrs` comes as `listen_add`, `unknown` as
//! `unknow`. So a column is found by the beginning of its head, and a value is known by the beginning of it.

/// The fewest letters that a head is known by.
const SHORTEST: usize = 3;

/// A table: its heads, then its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table<'a> {
    heads: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Table<'a> {
    /// Every table of a text, in order; other lines are passed over.
    pub fn all(text: &'a str) -> Vec<Self> {
        let mut tables: Vec<Self> = Vec::new();
        let mut open = false;
        for line in text.lines().map(str::trim) {
            let Some(cells) = cells(line) else {
                // A rule stands above, below and between; anything else ends a table.
                open &= line.starts_with('+');
                continue;
            };
            match tables.last_mut().filter(|_| open) {
                Some(table) => table.rows.push(cells),
                None => tables.push(Self {
                    heads: cells,
                    rows: Vec::new(),
                }),
            }
            open = true;
        }
        tables
    }

    /// The column of that head, whether head and cells are whole or cut.
    pub fn column(&self, head: &str) -> Option<Vec<&'a str>> {
        let at = self
            .heads
            .iter()
            .position(|shown| shown.len() >= SHORTEST && head.starts_with(shown))?;
        Some(
            self.rows
                .iter()
                .filter_map(|row| row.get(at).copied())
                .collect(),
        )
    }

    /// The second cell of the row that begins with this.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.rows
            .iter()
            .find(|row| row.first().is_some_and(|first| *first == name))
            .and_then(|row| row.get(1).copied())
    }
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_rows_and_by_columns() {
        let text = "+---------+-------+\n|  name   |result |\n+---------+-------+\n|connected|  yes  |\n\
                    |nat_type | none  |\n+---------+-------+\n\n";
        let tables = Table::all(text);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].value("nat_type"), Some("none"));
        assert_eq!(tables[0].value("dialable"), None);
        assert_eq!(tables[0].column("result"), Some(vec!["yes", "none"]));
    }

    #[test]
    fn tables_that_follow_each_other_are_told_apart_and_cut_heads_are_known() {
        let text = "+----+----------+\n|name|listen_add|\n+----+----------+\n|a-b |    1     |\n+----+----------+\n\n\
                    +---------------------------+\n|listen_addrs (prioritized) |\n+---------------------------+\n\
                    |/ip4/203.0.113.7/tcp/44158 |\n+---------------------------+\n\n\n";
        let tables = Table::all(text);
        assert_eq!(tables.len(), 2);
        assert_eq!(tables[0].column("listen_addrs"), Some(vec!["1"]));
        assert_eq!(
            tables[1].column("listen_addrs (prioritized)"),
            Some(vec!["/ip4/203.0.113.7/tcp/44158"])
        );
        assert_eq!(Table::all("Error: no\n||\n").len(), 1);
        assert!(Table::all("Node 'miner' not responding\n").is_empty());
    }
}
