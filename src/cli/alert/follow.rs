//! Following an alert to its end: a bar for each walk on a terminal, lines
//! elsewhere, nothing where JSON is wanted.
//!
//! Bars go to standard error, and are gone at the end; lines are the result of
//! the command and go to standard output. A server that is away for a moment
//! (a restart) is waited for.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use super::{call, show};
use crate::cli::client::{Call, Client};
use crate::cli::error::CliError;
use crate::cli::output::{self, text_of};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the server may be away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Follows the alert at `path`; returns it as it ended.
pub fn follow(client: &Client, path: &str, quietly: bool) -> Result<Value, CliError> {
    let mut alert = call(client, &Call::get(path))?.body;
    let mut screen = Screen::new(quietly);
    let mut heard = Instant::now();
    loop {
        screen.show(&alert)?;
        if is_final(&alert) {
            screen.clear();
            return Ok(alert);
        }
        std::thread::sleep(PAUSE);
        match client.call(&Call::get(path)) {
            Ok(answer) => {
                alert = answer.body;
                heard = Instant::now();
            }
            Err(error) if heard.elapsed() > PATIENCE => {
                screen.clear();
                return Err(error);
            }
            Err(_) => {}
        }
    }
}

/// Whether an alert ended as it should.
pub fn verdict(alert: &Value) -> Result<(), CliError> {
    match alert["status"].as_str() {
        Some("completed") => Ok(()),
        status => {
            let text = format!("the alert is {}", status.unwrap_or("in an unknown state"));
            Err(CliError::Failed(text))
        }
    }
}

fn is_final(alert: &Value) -> bool {
    !matches!(alert["status"].as_str(), Some("running" | "paused"))
}

/// Where progress is shown.
enum Screen {
    /// On a terminal.
    Bars(Bars),
    /// The line written last.
    Lines(String),
    Nowhere,
}

impl Screen {
    fn new(quietly: bool) -> Self {
        if quietly {
            Self::Nowhere
        } else if std::io::stderr().is_terminal() {
            Self::Bars(Bars::new())
        } else {
            Self::Lines(String::new())
        }
    }

    fn show(&mut self, alert: &Value) -> Result<(), CliError> {
        match self {
            Self::Bars(bars) => bars.show(alert),
            Self::Lines(last) => {
                let line = line(alert);
                if line != *last {
                    let mut out = output::stdout();
                    writeln!(out, "{line}")?;
                    out.flush()?;
                    *last = line;
                }
            }
            Self::Nowhere => {}
        }
        Ok(())
    }

    fn clear(&self) {
        if let Self::Bars(bars) = self {
            // A terminal that is gone shows nothing either way.
            let _ = bars.all.clear();
        }
    }
}

/// A bar for each walk, in the order the server names them.
struct Bars {
    all: MultiProgress,
    heading: ProgressBar,
    walks: Vec<ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let heading = all.add(styled(ProgressBar::new_spinner(), "{msg}"));
        Self { all, heading, walks: Vec::new() }
    }

    fn show(&mut self, alert: &Value) {
        let status = text_of(alert, "status");
        self.heading.set_message(format!("{status}: {}", show::progress(alert)));
        let walks = alert["progress"]["walks"].as_array().into_iter().flatten();
        for (place, walk) in walks.enumerate() {
            if place == self.walks.len() {
                let bar = ProgressBar::new(count(walk, "end")).with_prefix(text_of(walk, "walk"));
                let template = "{prefix:<12} {bar:24} {percent:>3}% {msg}";
                self.walks.push(self.all.add(styled(bar, template)));
            }
            let bar = &self.walks[place];
            bar.set_message(outcome(walk));
            bar.set_length(count(walk, "end"));
            bar.set_position(count(walk, "visited"));
        }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn count(walk: &Value, name: &str) -> u64 {
    walk[name].as_u64().unwrap_or(0)
}

/// What became of a walk's deliveries; what there is none of is not said.
fn outcome(walk: &Value) -> String {
    let mut text = format!("{} delivered", count(walk, "delivered"));
    for name in ["failed", "expired", "cancelled", "suppressed", "pending", "retried"] {
        let count = count(walk, name);
        if count > 0 {
            text = format!("{text}, {count} {name}");
        }
    }
    text
}

/// Everything in one line.
fn line(alert: &Value) -> String {
    let mut line = format!("{}: {}", text_of(alert, "status"), show::progress(alert));
    for walk in alert["progress"]["walks"].as_array().into_iter().flatten() {
        line = format!("{line}; {} {}", text_of(walk, "walk"), outcome(walk));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Bars, line, verdict};

    #[test]
    fn progress_is_said_in_a_line_and_drawn_in_bars() {
        let mut alert = json!({"status": "running", "progress": {
            "citizens": 40, "of": 100, "recipients": 30,
            "walks": [
                {"walk": "inbox", "visited": 40, "end": 100, "delivered": 28, "suppressed": 2},
                {"walk": "apple", "visited": 20, "end": 100, "delivered": 13, "failed": 1,
                    "pending": 2, "retried": 5},
            ],
        }});
        assert_eq!(
            line(&alert),
            "running: 40 of 100 citizens visited, 30 recipients; inbox 28 delivered, \
             2 suppressed; apple 13 delivered, 1 failed, 2 pending, 5 retried"
        );
        let mut bars = Bars::new();
        bars.show(&alert);
        alert["progress"]["walks"][1]["visited"] = json!(60);
        bars.show(&alert);
        let places: Vec<_> = bars.walks.iter().map(|bar| (bar.position(), bar.length())).collect();
        assert_eq!(places, [(40, Some(100)), (60, Some(100))]);
        assert_eq!(bars.walks[1].prefix(), "apple");
    }

    #[test]
    fn only_a_completed_alert_ended_well() {
        assert!(verdict(&json!({"status": "completed"})).is_ok());
        for status in ["cancelled", "expired"] {
            assert!(verdict(&json!({"status": status})).is_err(), "{status}");
        }
    }
}
