//! Fault experiments in small: the load tester's own, with the server under
//! test, over real Redis servers. `make experiments` runs them at full size.

use std::path::PathBuf;

use araldo_loadtest::experiment::{ExperimentError, Lab, Outcome};
use araldo_loadtest::stage::SimLauncher;

use crate::stage_kit::ARALDO;

/// Shortest lease there is, seconds.
pub const LEASE: u32 = 5;
/// Slices of the citizens: few, so that a window is little beside the load.
pub const PARTITIONS: u32 = 16;

/// Carries an experiment out; every number it finds must be what it must be.
pub async fn holds(experiment: impl AsyncFnOnce(&Lab) -> Result<Outcome, ExperimentError>) {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab {
        araldo: PathBuf::from(ARALDO),
        sim: SimLauncher { program: PathBuf::from(ARALDO), args: vec!["sim".to_owned()] },
        folder: folder.path().join("lab"),
        seed: 20_261_124,
        on_step: None,
    };
    let outcome = experiment(&lab).await.unwrap_or_else(|error| panic!("{error}"));
    // Shown with --nocapture: what was measured, beside what is allowed.
    #[expect(clippy::print_stderr, reason = "a measurement of the test")]
    let () = eprintln!("{}\n{}", outcome.about, told(&outcome));
    assert!(outcome.holds(), "{}\n{}", outcome.about, told(&outcome));
}

/// A line for each number, what must be beside it, and the notes.
fn told(outcome: &Outcome) -> String {
    let line = |finding: &araldo_loadtest::experiment::Finding| {
        let mark = if finding.holds() { "" } else { " <- IS NOT" };
        let limit = finding.limit.map_or_else(String::new, |limit| format!(" {limit:?}{mark}"));
        format!("{}: {:.*}{limit}\n", finding.what, finding.digits, finding.value)
    };
    outcome.findings.iter().map(line).collect::<String>() + &outcome.notes.join("\n")
}
