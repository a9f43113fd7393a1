//! What people see: aligned, coloured only where somebody looks, and without what could move their cursor.

use std::io::{self, BufWriter, IsTerminal, Write};

use crate::any_error::Outcome;
use serde::Serialize;

/// How good or bad something is: its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Doubtful,
    /// Somebody should act.
    Bad,
    /// Neither.
    Plain,
}

/// One piece of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text and how good it is.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: harmless(&text.into()),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::new(text, Tone::Plain)
    }
}

/// Whether this stream is looked at by somebody who has nothing against colour (<https://no-color.org>).
pub fn coloured(stream: &impl IsTerminal) -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !no_color
}

/// Names and messages come from configurations, containers and files of others.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Writes to standard output. Nobody reading any more is no error.
pub fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    unless_closed(written)
}

/// Writes to standard error, where people read what went wrong. That nobody can is no reason to end otherwise.
pub fn err(text: &str) {
    let _ = writeln!(io::stderr(), "ostler: {text}");
}

/// Writes JSON to standard output, piece by piece: a manifest may be long.
pub fn json(value: &impl Serialize) -> Outcome<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut stdout, value).map_err(io::Error::from);
    let written = written
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush());
    Ok(unless_closed(written)?)
}

fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes rows in aligned columns; the first row is the head where there is one.
pub fn table(rows: &[Vec<Cell>]) -> io::Result<()> {
    out(&aligned(rows, coloured(&io::stdout())))
}

fn aligned(rows: &[Vec<Cell>], colour: bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let of_row = |row: &Vec<Cell>| row.get(column).map_or(0, |cell| cell.text.chars().count());
        rows.iter().map(of_row).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = " ".repeat(width - cell.text.chars().count() + 2);
            line += &painted(cell, colour);
            line += &padding;
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn painted(cell: &Cell, colour: bool) -> String {
    let code = match cell.tone {
        _ if !colour => return cell.text.clone(),
        Tone::Plain => return cell.text.clone(),
        Tone::Good => 32,
        Tone::Doubtful => 33,
        Tone::Bad => 31,
    };
    format!("\x1b[{code}m{}\x1b[0m", cell.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec!["WORKLOAD".into(), "STATE".into()],
            vec!["m\x1b[2J".into(), Cell::new("running", Tone::Good)],
        ]
    }

    #[test]
    fn columns_are_aligned_and_nothing_moves_the_cursor() {
        assert_eq!(
            aligned(&rows(), false),
            "WORKLOAD  STATE\nm\u{fffd}[2J     running\n"
        );
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let coloured = aligned(&rows(), true);
        assert!(
            coloured.ends_with("     \x1b[32mrunning\x1b[0m\n"),
            "{coloured:?}"
        );
    }
}
