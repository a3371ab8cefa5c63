//! Arguments that all experiments have, and how one is carried out: its folder, its steps on standard error, its report.

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use araldo_loadtest::experiment::{ExperimentError, Lab, OnStep, Outcome};
use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::super::Failure;
use super::super::bench::folder::Rounds;
use super::super::bench::machine::Machine;
use super::super::bench::program;
use super::super::bench::run::block_on;
use super::report::Report;

#[derive(Debug, Args)]
pub(super) struct Common {
    /// The server's binary
    #[arg(long, value_name = "PATH")]
    araldo: PathBuf,
    /// Seed of the citizens, and of who meets which fate when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write all numbers as JSON to this file; `experiment table FILE` makes the Markdown table from it
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for configurations and logs; kept. Without it a temporary one is used and removed
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Common {
    /// Carries an experiment out and says what it found.
    pub(super) fn carry_out<S, F>(
        &self,
        name: &str,
        settings: &S,
        experiment: impl FnOnce(Lab) -> F,
    ) -> Result<ExitCode, Failure>
    where
        S: Serialize,
        F: Future<Output = Result<Outcome, ExperimentError>>,
    {
        program::check("redis-server", "redis-server")?;
        program::check("redis-cli", "redis-tools")?;
        let rounds = Rounds::new(self.folder.as_deref(), &self.araldo, String::new())?;
        let began = Instant::now();
        let lab = rounds.lab(self.seed, steps(began))?;
        let outcome = block_on(async { Ok(experiment(lab).await?) })?;
        let report = Report {
            experiment: name.to_owned(),
            machine: Machine::read(),
            settings: serde_json::to_value(settings)?,
            seed: self.seed,
            seconds: began.elapsed().as_secs_f64(),
            holds: outcome.holds(),
            outcome,
        };
        report.publish(self.json.as_deref())?;
        Ok(if report.holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A line for each step, with the seconds since the start.
fn steps(began: Instant) -> OnStep {
    Arc::new(move |step: &str| {
        let seconds = began.elapsed().as_secs_f64();
        // Nobody may be reading.
        let _ = writeln!(std::io::stderr(), "{seconds:8.1} s  {step}");
    })
}
