//! `araldo citizens import`: a file of any size, in parts the server takes.
//!
//! The file is read line by line, never whole. A part that the server did not
//! take is repeated when it asks for that; lines replace whole records but for
//! what citizens chose themselves, so repeating the command is harmless.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::client::{Call, Client};
use super::error::CliError;
use super::global::Global;
use super::output::{self, text_of};

/// Most bytes in a part. The server takes 8 MiB by default; a smaller part is
/// answered well within its timeout, and lists more of its refused lines.
const PART: usize = 1 << 20;
/// Longest line that is sent at all; the server refuses far shorter ones.
const LONGEST_LINE: usize = 1 << 20;
/// Most refused lines and warnings kept for the report; all are counted.
const MOST_KEPT: usize = 10_000;

/// Bring citizens in.
#[derive(Debug, Subcommand)]
pub enum Citizens {
    /// Import a file: NDJSON, one citizen a line.
    Import(Import),
}

/// Import a file: NDJSON, one citizen a line.
#[derive(Debug, Args)]
#[command(after_help = "A line: {\"fiscal_code\":\"RSSMRA85T10A562S\",\"languages\":[\"it_IT\"],\
    \"devices\":[{\"platform\":\"fcm\",\"token\":\"...\"}]}\nFields and limits are described in \
    /openapi.json (CitizenLine). A refused line is reported by its number and does not stop the \
    rest; the exit code is then 1.\n\nA line replaces what was imported \
    before. Once a citizen has accepted the terms of service, e-mail address, languages, devices, \
    switches, mode and preferences are the citizen's own: a line leaves them as they are.\n\nExamples:\n  \
    araldo citizens import citizens.ndjson\n  \
    zcat citizens.ndjson.gz | araldo citizens import -")]
pub struct Import {
    /// The file; - reads standard input.
    file: PathBuf,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl Citizens {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let Self::Import(import) = self;
        import.run(global)
    }
}

impl Import {
    fn run(self, global: &Global) -> Result<(), CliError> {
        let client = global.operator()?;
        let (source, size) = open(&self.file)?;
        let bar = progress(size);
        let mut report = Report::default();
        let worked = work(source, &client, &bar, &mut report);
        bar.finish_and_clear();
        // What was done before a failure is worth knowing.
        report.show(self.json)?;
        worked?;
        if report.refused > 0 { Err(CliError::Reported) } else { Ok(()) }
    }
}

fn open(path: &Path) -> Result<(Box<dyn BufRead>, Option<u64>), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let file = File::open(path)
        .and_then(|file| Ok((file.metadata()?.len(), file)))
        .map_err(|error| CliError::Usage(format!("cannot read {}: {error}", path.display())));
    let (size, file) = file?;
    Ok((Box::new(BufReader::with_capacity(1 << 16, file)), Some(size)))
}

fn progress(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => {
            (ProgressBar::new(size), "{bar:30} {bytes}/{total_bytes} {elapsed} (left {eta}) {msg}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {elapsed} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Cuts the source into parts and sends them.
fn work(
    mut source: Box<dyn BufRead>,
    client: &Client,
    bar: &ProgressBar,
    report: &mut Report,
) -> Result<(), CliError> {
    let mut part = Vec::new();
    let mut line = Vec::new();
    let (mut number, mut first) = (0_u64, 1_u64);
    loop {
        let read = read_line(&mut source, &mut line)
            .map_err(|error| CliError::Failed(format!("cannot read on: {error}")))?;
        let ended = read == Line::End;
        if (ended || part.len() + line.len() > PART) && !part.is_empty() {
            let length = part.len() as u64;
            send(client, first, std::mem::take(&mut part), report)?;
            bar.inc(length);
            bar.set_message(format!("{} refused", report.refused));
        }
        if ended {
            return Ok(());
        }
        number += 1;
        if part.is_empty() {
            first = number;
        }
        if read == Line::TooLong {
            report.refuse(number, format!("the line is longer than {LONGEST_LINE} bytes"));
            // An empty line keeps the numbers of those after it.
            line = b"\n".to_vec();
        }
        part.append(&mut line);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads one line with its end into `line`; of one that is too long, only
/// enough to know it.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let limit = LONGEST_LINE as u64 + 1;
    if source.by_ref().take(limit).read_until(b'\n', line)? == 0 {
        return Ok(Line::End);
    }
    if line.len() <= LONGEST_LINE || line.ends_with(b"\n") {
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        return Ok(Line::Whole);
    }
    while !line.ends_with(b"\n") {
        line.clear();
        if source.by_ref().take(limit).read_until(b'\n', line)? == 0 {
            break;
        }
    }
    Ok(Line::TooLong)
}

fn send(client: &Client, first: u64, part: Vec<u8>, report: &mut Report) -> Result<(), CliError> {
    let path = format!("/api/operator/v1/citizens?first_line={first}");
    let headers = vec![("content-type", "application/x-ndjson".to_owned())];
    let call = Call { method: Method::POST, path: &path, headers, body: Bytes::from(part) };
    report.add(&client.call(&call)?.body);
    Ok(())
}

/// What became of the lines so far.
#[derive(Default)]
struct Report {
    imported: u64,
    updated: u64,
    refused: u64,
    errors: Vec<Value>,
    warnings: Vec<Value>,
}

impl Report {
    fn add(&mut self, part: &Value) {
        let count = |name: &str| part[name].as_u64().unwrap_or(0);
        self.imported += count("imported");
        self.updated += count("updated");
        self.refused += count("refused");
        keep(&mut self.errors, &part["errors"]);
        keep(&mut self.warnings, &part["warnings"]);
    }

    fn refuse(&mut self, line: u64, reason: String) {
        self.refused += 1;
        keep(&mut self.errors, &json!([{"line": line, "reason": reason}]));
    }

    /// Refused lines that are counted and not among the errors.
    fn not_listed(&self) -> u64 {
        self.refused.saturating_sub(self.errors.len() as u64)
    }

    fn show(&mut self, as_json: bool) -> Result<(), CliError> {
        self.errors.sort_by_key(|note| note["line"].as_u64());
        if as_json {
            return output::json(&json!({
                "imported": self.imported,
                "updated": self.updated,
                "refused": self.refused,
                "errors": self.errors,
                "errors_not_listed": self.not_listed(),
                "warnings": self.warnings,
            }));
        }
        let mut out = output::stdout();
        for (word, notes) in [("warning", &self.warnings), ("refused", &self.errors)] {
            for note in notes {
                let (line, reason) = (text_of(note, "line"), text_of(note, "reason"));
                writeln!(out, "line {line}: {word}: {reason}")?;
            }
        }
        if self.not_listed() > 0 {
            writeln!(out, "{} more refused lines are not listed", self.not_listed())?;
        }
        let (imported, updated, refused) = (self.imported, self.updated, self.refused);
        writeln!(out, "{imported} imported, {updated} updated, {refused} refused")?;
        Ok(out.flush()?)
    }
}

fn keep(kept: &mut Vec<Value>, notes: &Value) {
    let room = MOST_KEPT - kept.len();
    kept.extend(notes.as_array().into_iter().flatten().take(room).cloned());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{LONGEST_LINE, Line, Report, read_line};

    #[test]
    fn refused_lines_that_are_not_listed_are_counted() {
        let mut report = Report::default();
        let note = json!({"line": 1, "reason": "is missing"});
        report.add(&json!({"refused": 1500, "errors": vec![note; 1000]}));
        assert_eq!(report.not_listed(), 500);
        report.refuse(2000, "the line is too long".to_owned());
        assert_eq!(report.not_listed(), 500);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_to_its_end() {
        let mut text = vec![b'a'; LONGEST_LINE * 2 + 10];
        text.extend(b"\nnext\nlast");
        let mut source = text.as_slice();
        let mut line = Vec::new();
        let mut read = || {
            let kind = read_line(&mut source, &mut line).expect("memory can be read");
            (kind, line.clone())
        };
        assert!(read().0 == Line::TooLong);
        let (kind, line) = read();
        assert!(kind == Line::Whole && line == b"next\n");
        let (kind, line) = read();
        assert!(kind == Line::Whole && line == b"last\n");
        assert!(read().0 == Line::End);
    }
}
