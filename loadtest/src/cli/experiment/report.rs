//! What an experiment says: its numbers, what each must be, a verdict; as JSON, as text and as Markdown.

use std::io::{self, Write};
use std::path::Path;

use araldo_loadtest::experiment::{Finding, Limit, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Failure;
use super::super::bench::machine::Machine;
use super::super::bench::report::number;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    /// The subcommand.
    pub(super) experiment: String,
    pub(super) machine: Machine,
    /// The command's arguments.
    pub(super) settings: Value,
    pub(super) seed: u64,
    /// How long it took.
    pub(super) seconds: f64,
    /// Whether every number is what it must be.
    pub(super) holds: bool,
    pub(super) outcome: Outcome,
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
        self.write(&mut io::stdout().lock())?;
        Ok(())
    }

    /// For people: aligned, with the notes and the verdict.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "machine: {}", self.machine.line())?;
        writeln!(out, "{}", self.outcome.about)?;
        let lines: Vec<_> = self.outcome.findings.iter().map(cells).collect();
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let (what, value) = (width(0), width(1));
        for [a, b, c] in &lines {
            writeln!(out, "{}", format!("{a:<what$}  {b:>value$}  {c}").trim_end())?;
        }
        for note in &self.outcome.notes {
            writeln!(out, "{note}")?;
        }
        let failed: Vec<&str> =
            self.outcome.failures().map(|finding| finding.what.as_str()).collect();
        if failed.is_empty() {
            return writeln!(out, "HOLDS, after {:.0} s", self.seconds);
        }
        writeln!(out, "DOES NOT HOLD, after {:.0} s: {}", self.seconds, failed.join("; "))
    }

    /// As docs/benchmarks.md has it.
    pub(super) fn write_markdown(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.machine.line())?;
        writeln!(out, "\n{}\n", self.outcome.about)?;
        writeln!(out, "| | found | must be |\n|---|---|---|")?;
        for finding in &self.outcome.findings {
            writeln!(out, "| {} |", cells(finding).join(" | "))?;
        }
        Ok(())
    }
}

fn cells(finding: &Finding) -> [String; 3] {
    let text = |value: f64| {
        let digits = if value.fract() == 0.0 { 0 } else { finding.digits };
        number(value, digits)
    };
    let limit = finding.limit.map_or_else(String::new, |limit| {
        let words = match limit {
            Limit::AtMost(0.0) => "0".to_owned(),
            Limit::AtMost(limit) => format!("≤ {}", text(limit)),
            Limit::AtLeast(limit) => format!("≥ {}", text(limit)),
        };
        if finding.holds() { words } else { format!("{words} (is not)") }
    });
    [finding.what.clone(), number(finding.value, finding.digits), limit]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let finding = |what: &str, value, limit| Finding {
            what: what.to_owned(),
            value,
            digits: if value == 1_234_567.0 { 0 } else { 2 },
            limit,
        };
        let findings = vec![
            finding("messages", 1_234_567.0, None),
            finding("lost", 3.0, Some(Limit::AtMost(0.0))),
            finding("longest wait, s", 12.345, Some(Limit::AtMost(20.0))),
        ];
        let outcome = Outcome { about: "Three nodes.".to_owned(), findings, notes: Vec::new() };
        Report {
            experiment: "kills".to_owned(),
            machine: Machine::read(),
            settings: Value::Null,
            seed: 1,
            seconds: 61.4,
            holds: false,
            outcome,
        }
    }

    #[test]
    fn the_text_names_what_does_not_hold() {
        let mut text = Vec::new();
        report().write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("DOES NOT HOLD, after 61 s: lost\n"), "{text}");
        assert!(text.contains("messages         1,234,567\n"), "{text}");
    }

    #[test]
    fn the_markdown_is_a_table_and_comes_again_from_the_json() {
        let read: Report = serde_json::from_value(serde_json::json!(report())).unwrap();
        assert_eq!(read, report());
        let mut text = Vec::new();
        read.write_markdown(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("| lost | 3.00 | 0 (is not) |"), "{text}");
        assert!(text.contains("| longest wait, s | 12.35 | ≤ 20 |"), "{text}");
    }
}
