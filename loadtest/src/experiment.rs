//! Fault experiments: several nodes over real Redis servers, something goes wrong on purpose, and three sources that share no
//! code say what came of it: who was told 201, the simulators' books, the server's own.
//!
//! Each experiment is a function of a [`Lab`] and its own options: the full size is a command (`araldo-loadtest experiment`), a
//! small one a test of `make test`. It owns its stage and its Redis, and ends them. What it finds is an [`Outcome`]: numbers,
//! some with a limit. Everything is on loopback of one machine, so what is slow here may be the machine: the limits are those
//! that the design promises anywhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::driver::DriveError;
use crate::redis_server::RedisError;
use crate::stage::{SimLauncher, StageError};

pub mod alert_kills;
pub mod cost;
pub mod failover;
mod house;
pub mod kills;
mod load;
pub mod power_cut;
pub mod redis_restarts;
pub mod rolling;
pub mod scaling;
mod verdict;
mod wait;
pub mod zombies;

pub use wait::{Waits, waits};

/// Called with each step of an experiment, in words.
pub type OnStep = Arc<dyn Fn(&str) + Send + Sync>;

/// What every experiment needs.
#[derive(Clone)]
pub struct Lab {
    /// The server's binary.
    pub araldo: PathBuf,
    /// How to start a simulator.
    pub sim: SimLauncher,
    /// Folder for stages and logs: created when missing, not removed.
    pub folder: PathBuf,
    /// Of citizens, and of which node meets its fate when.
    pub seed: u64,
    /// Told what is being done.
    pub on_step: Option<OnStep>,
}

impl Lab {
    fn step(&self, what: &str) {
        if let Some(on_step) = &self.on_step {
            on_step(what);
        }
    }
}

/// Why an experiment could not be carried out; what it found is no error.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// A node or a simulator.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A Redis server.
    #[error("redis: {0}")]
    Redis(#[from] RedisError),
    /// The load.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// Something else, worded.
    #[error("{0}")]
    Other(String),
}

impl From<crate::client::ClientError> for ExperimentError {
    fn from(error: crate::client::ClientError) -> Self {
        Self::Stage(error.into())
    }
}

/// What a number must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

impl Limit {
    /// Whether a number is within.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }
}

/// A number that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Of what.
    pub what: String,
    /// The number.
    pub value: f64,
    /// Digits after the point that mean something.
    pub digits: usize,
    /// What it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

impl Finding {
    /// Whether it is what it must be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.limit.is_none_or(|limit| limit.holds(self.value))
    }
}

/// What an experiment found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was done, in one sentence.
    pub about: String,
    /// The numbers.
    pub findings: Vec<Finding>,
    /// What else is to be said: one line each.
    pub notes: Vec<String>,
}

impl Outcome {
    fn new(about: String) -> Self {
        Self { about, ..Self::default() }
    }

    /// Whether every number is what it must be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.iter().all(Finding::holds)
    }

    /// The numbers that are not.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.holds())
    }

    fn found(&mut self, what: &str, value: f64, digits: usize, limit: Option<Limit>) {
        self.findings.push(Finding { what: what.to_owned(), value, digits, limit });
    }

    fn count(&mut self, what: &str, value: u64) {
        self.found(what, as_f64(value), 0, None);
    }

    /// There must be none.
    fn none(&mut self, what: &str, value: u64) {
        self.found(what, as_f64(value), 0, Some(Limit::AtMost(0.0)));
    }

    fn at_most(&mut self, what: &str, value: u64, limit: u64) {
        self.found(what, as_f64(value), 0, Some(Limit::AtMost(as_f64(limit))));
    }

    fn at_least(&mut self, what: &str, value: u64, limit: u64) {
        self.found(what, as_f64(value), 0, Some(Limit::AtLeast(as_f64(limit))));
    }

    fn seconds(&mut self, what: &str, value: Duration, limit: Option<Duration>) {
        let limit = limit.map(|limit| Limit::AtMost(limit.as_secs_f64()));
        self.found(&format!("{what}, s"), value.as_secs_f64(), 2, limit);
    }

    fn note(&mut self, line: String) {
        self.notes.push(line);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Carries out something that blocks for a moment, such as the end of a server.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_holds_when_every_number_does() {
        let mut outcome = Outcome::new("nothing".to_owned());
        outcome.count("messages", 5);
        outcome.none("lost", 0);
        outcome.at_most("repeated", 3, 3);
        outcome.seconds("taken over", Duration::from_secs(4), Some(Duration::from_secs(5)));
        assert!(outcome.holds());
        outcome.at_least("killed", 1, 2);
        outcome.none("lost", 1);
        assert!(!outcome.holds());
        let failed: Vec<_> = outcome.failures().map(|finding| finding.what.as_str()).collect();
        assert_eq!(failed, ["killed", "lost"]);
    }
}
