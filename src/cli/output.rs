//! Writing results: text for people, JSON for scripts.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde_json::Value;

use super::error::CliError;

/// Standard output, buffered; a write may fail, and then the command ends.
pub fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Writes a value as JSON.
pub fn json(value: &Value) -> Result<(), CliError> {
    let mut out = stdout();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// Writes rows in columns, each as wide as its widest cell.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = stdout();
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(out.flush()?)
}

/// A member of an object as text in one line; empty when absent. What others
/// wrote, such as a subject, may hold what a terminal would obey: that becomes
/// blanks.
pub fn text_of(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.replace(char::is_control, " "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text_of;

    #[test]
    fn what_a_terminal_would_obey_is_not_shown_to_it() {
        let value = json!({"subject": "Allerta\r\nmeteo\u{1b}[31m \u{9b}2J rossa", "count": 3});
        assert_eq!(text_of(&value, "subject"), "Allerta  meteo [31m  2J rossa");
        assert_eq!((text_of(&value, "count"), text_of(&value, "x")), ("3".into(), String::new()));
    }
}
