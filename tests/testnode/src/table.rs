//! Tables as the miner's command line draws them.

use std::fmt::Write;

/// A table with one line of headers. A column is as wide as its widest cell, or as `widths` says: then what is
/// longer is cut. Cells stand in the middle.
pub fn draw(headers: &[&str], rows: &[Vec<String>], widths: Option<&[usize]>) -> String {
    let widths: Vec<usize> = match widths {
        Some(widths) => widths.to_vec(),
        None => (0..headers.len())
            .map(|column| {
                let cells = rows.iter().map(|row| row[column].len());
                cells.fold(headers[column].len(), usize::max)
            })
            .collect(),
    };
    let rule: String = widths
        .iter()
        .map(|w| format!("+{}", "-".repeat(*w)))
        .collect();
    let headers: Vec<String> = headers.iter().map(|&header| header.to_owned()).collect();
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write!(text, "{rule}+\n{}\n{rule}+\n", line(&headers, &widths));
    for row in rows {
        let _ = writeln!(text, "{}", line(row, &widths));
    }
    let _ = writeln!(text, "{rule}+");
    text
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cut = &cell[..cell.len().min(*width)];
        let left = (width - cut.len()) / 2;
        let right = width - cut.len() - left;
        let _ = write!(line, "|{}{cut}{}", " ".repeat(left), " ".repeat(right));
    }
    line + "|"
}
