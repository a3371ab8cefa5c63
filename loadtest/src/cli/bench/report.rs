//! What a bench says: a table of medians and spreads with their budgets, a line `ratio`, a verdict; as JSON, as text and as
//! the Markdown of docs/benchmarks.md.
//!
//! Passive data and its writing. The JSON holds everything the text says, so that a table can be written again from it.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Failure;
use super::machine::Machine;
use super::spread::Spread;

/// What a number should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Budget {
    AtLeast(f64),
    AtMost(f64),
}

impl Budget {
    fn is_held(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }

    fn text(self, digits: usize) -> String {
        match self {
            Self::AtLeast(limit) => format!("≥ {}", number(limit, digits)),
            Self::AtMost(limit) => format!("≤ {}", number(limit, digits)),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    name: String,
    /// Digits after the point.
    digits: usize,
    #[serde(flatten)]
    spread: Spread,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budget: Option<Budget>,
}

impl Row {
    /// The values of all rounds, shown with so many digits.
    pub(super) fn new(name: &str, digits: usize, values: impl IntoIterator<Item = f64>) -> Self {
        Self { name: name.to_owned(), digits, spread: Spread::of(values), budget: None }
    }

    #[must_use]
    pub(super) fn at_least(mut self, limit: f64) -> Self {
        self.budget = Some(Budget::AtLeast(limit));
        self
    }

    #[must_use]
    pub(super) fn at_most(mut self, limit: f64) -> Self {
        self.budget = Some(Budget::AtMost(limit));
        self
    }

    fn misses_its_budget(&self) -> bool {
        self.budget.is_some_and(|budget| !budget.is_held(self.spread.median))
    }

    fn cells(&self) -> [String; 5] {
        let of = |value| number(value, self.digits);
        let budget = self.budget.map_or_else(String::new, |budget| {
            let mark = if self.misses_its_budget() { " (missed)" } else { "" };
            format!("{}{mark}", budget.text(budget_digits(budget, self.digits)))
        });
        let Spread { median, min, max } = self.spread;
        [self.name.clone(), of(median), of(min), of(max), budget]
    }
}

/// A budget is a round number more often than what is measured against it.
fn budget_digits(budget: Budget, digits: usize) -> usize {
    let (Budget::AtLeast(limit) | Budget::AtMost(limit)) = budget;
    if limit.fract() == 0.0 { 0 } else { digits }
}

/// What a bench found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    /// The subcommand.
    pub(super) bench: String,
    pub(super) machine: Machine,
    /// What was done, in one sentence.
    pub(super) about: String,
    /// The command's arguments.
    pub(super) settings: Value,
    pub(super) rows: Vec<Row>,
    /// The server's rate over the reference's: the median over the rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<f64>,
    /// Whether every round was complete and correct.
    pub(super) sound: bool,
    /// That in words.
    pub(super) verdict: String,
    /// A line about each round.
    pub(super) remarks: Vec<String>,
    /// What else is to be said.
    #[serde(default)]
    pub(super) notes: Vec<String>,
    /// Everything measured in each round.
    pub(super) rounds: Vec<Value>,
}

impl Report {
    /// Reads one written by [`Report::publish`].
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
        serde_json::from_str(&text).map_err(|error| fault(&error).into())
    }

    /// Prints it, and writes it to `json` if there is such a file.
    pub(super) fn publish(&self, json: Option<&Path>) -> Result<(), Failure> {
        if let Some(path) = json {
            let text = serde_json::to_vec_pretty(self)?;
            std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        self.write(&mut std::io::stdout().lock())?;
        Ok(())
    }

    /// For people: aligned, with what every round says.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "machine: {}", self.machine.line())?;
        writeln!(out, "{}", self.about)?;
        let mut lines = vec![["", "median", "min", "max", "budget"].map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let [name, median, min, max] = [0, 1, 2, 3].map(width);
        for line in &lines {
            let [a, b, c, d, e] = line;
            let text = format!("{a:<name$}  {b:>median$}  {c:>min$}  {d:>max$}  {e}");
            writeln!(out, "{}", text.trim_end())?;
        }
        for (number, remark) in (1..).zip(&self.remarks) {
            writeln!(out, "round {number}: {remark}")?;
        }
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        if let Some(ratio) = self.ratio {
            writeln!(out, "ratio {ratio:.3}")?;
        }
        let missed: Vec<&str> = self
            .rows
            .iter()
            .filter(|row| row.misses_its_budget())
            .map(|row| row.name.as_str())
            .collect();
        if !missed.is_empty() {
            writeln!(out, "budgets missed: {}", missed.join("; "))?;
        }
        writeln!(out, "{}: {}", if self.sound { "sound" } else { "NOT SOUND" }, self.verdict)
    }

    /// As docs/benchmarks.md has it.
    pub(super) fn write_markdown(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.machine.line())?;
        writeln!(out, "\n{}\n", self.about)?;
        let budgets = self.rows.iter().any(|row| row.budget.is_some());
        let columns = if budgets { 5 } else { 4 };
        let head = ["", "median", "min", "max", "budget"].map(str::to_owned);
        writeln!(out, "|{} |", head[..columns].join(" | ").trim_end())?;
        writeln!(out, "|{}", "---|".repeat(columns))?;
        for row in &self.rows {
            writeln!(out, "| {} |", row.cells()[..columns].join(" | "))?;
        }
        if let Some(ratio) = self.ratio {
            writeln!(out, "\n```\nratio {ratio:.3}\n```")?;
        }
        Ok(())
    }
}

/// A number with commas between the thousands.
pub(in crate::cli) fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match rest {
        Some(rest) => format!("{sign}{grouped}.{rest}"),
        None => format!("{sign}{grouped}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        Report {
            bench: "push".to_owned(),
            machine: Machine::read(),
            about: "One alert.".to_owned(),
            settings: json!({"citizens": 10}),
            rows: vec![
                Row::new("deliveries a second", 0, [41_000.0, 42_345.4, 39_000.0])
                    .at_least(42_000.0),
                Row::new("server CPU a delivery, µs", 1, [20.25]).at_most(25.0),
            ],
            ratio: Some(0.5129),
            sound: true,
            verdict: "every device once".to_owned(),
            remarks: vec!["nothing".to_owned()],
            notes: Vec::new(),
            rounds: Vec::new(),
        }
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!(number(1_234_567.0, 0), "1,234,567");
        assert_eq!(number(-1_234.56, 1), "-1,234.6");
        assert_eq!(number(999.0, 0), "999");
        assert_eq!(number(0.5, 3), "0.500");
    }

    #[test]
    fn the_text_has_the_ratio_and_what_missed_its_budget() {
        let mut text = Vec::new();
        report().write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.lines().any(|line| line == "ratio 0.513"), "{text}");
        assert!(text.contains("budgets missed: deliveries a second\n"), "{text}");
        assert!(text.contains("sound: every device once"), "{text}");
    }

    #[test]
    fn the_markdown_is_a_table_and_comes_again_from_the_json() {
        let read: Report = serde_json::from_value(json!(report())).unwrap();
        assert_eq!(read, report());
        let mut text = Vec::new();
        read.write_markdown(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let row = "| deliveries a second | 41,000 | 39,000 | 42,345 | ≥ 42,000 (missed) |";
        assert!(text.contains(row) && text.contains("|---|---|---|---|---|"), "{text}");
        assert!(text.contains("| | median | min | max | budget |"), "{text}");
    }
}
