//! Arguments that all benches have, and what follows from them: where rounds live, what the server is told.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::folder::Rounds;
use super::machine::Machine;
use super::report::{Report, Row};

#[derive(Debug, Args, Serialize)]
pub(super) struct Common {
    /// The server's binary
    #[arg(long, value_name = "PATH")]
    #[serde(skip)]
    araldo: PathBuf,
    /// Rounds, each on an empty store; fewer than three say nothing of the spread
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) rounds: u16,
    /// Seed of population and decisions
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Further lines of TOML for the server's configuration
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    server_config: Option<PathBuf>,
    /// Write all numbers as JSON to this file; `bench table FILE` makes the Markdown table from it
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(super) json: Option<PathBuf>,
    /// Folder for stores and logs; kept. Without it a temporary one is used and removed
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip)]
    folder: Option<PathBuf>,
}

impl Common {
    /// Where the rounds live.
    pub(super) fn folders(&self) -> Result<Rounds, Failure> {
        let extra = match &self.server_config {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?,
        };
        Rounds::new(self.folder.as_deref(), &self.araldo, extra)
    }

    /// `round 2/3`, for progress bars.
    pub(super) fn name(&self, round: u16) -> String {
        format!("round {round}/{}", self.rounds)
    }
}

/// The report of rounds of one kind, before its rows are filled in.
pub(super) fn report<S: Serialize, R: Serialize>(
    bench: &str,
    settings: &S,
    rounds: &[R],
) -> Result<Report, Failure> {
    Ok(Report {
        bench: bench.to_owned(),
        machine: Machine::read(),
        about: String::new(),
        settings: serde_json::to_value(settings)?,
        rows: Vec::new(),
        ratio: None,
        sound: false,
        verdict: String::new(),
        remarks: Vec::new(),
        notes: Vec::new(),
        rounds: rounds.iter().map(serde_json::to_value).collect::<Result<_, _>>()?,
    })
}

/// A row of one number of each round.
pub(super) fn row<R>(rounds: &[R], name: &str, digits: usize, value: impl Fn(&R) -> f64) -> Row {
    Row::new(name, digits, rounds.iter().map(value))
}
