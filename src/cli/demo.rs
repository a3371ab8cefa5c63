//! `araldo demo`: a morning of the public administration on one machine.
//!
//! The command is the audience and the judge: it starts `araldo serve` and the
//! simulators of APNs, FCM and a mail relay as processes of their own, imports
//! synthetic citizens, keeps a few of them live, sends the morning's messages
//! and at last a weather alert to everyone through the HTTP API, and compares
//! the server's books with what the simulators and the live citizens saw. Everything lives in a
//! temporary folder and ends with this process.

use std::io::Write;
use std::path::PathBuf;

use araldo_loadtest::stage::{SimLauncher, Stage, StageOptions};
use clap::Args;

use super::error::CliError;

use play::Plan;
use report::Report;

mod alert;
mod play;
mod report;
mod table;

/// Sessions to the relay: each carries one mail at a time, and the relay takes
/// its time.
const MAIL_SESSIONS: u32 = 32;

/// Why the demo could not be played: one sentence.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Arguments of `araldo demo`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  araldo demo                                  200,000 citizens; stays up at the end
  araldo demo --citizens 5000 --exit           a small one that ends by itself
  araldo demo --seed 7 --json demo.json        another morning, its numbers as JSON

Nobody in it exists: codici fiscali, tokens and addresses are made up. The same seed plans the same deliveries. The
exit code is 0 only if every message is accounted for, every push and every mail arrived, the alert reached everyone it
is for and nobody else, and the live citizens saw exactly their inboxes.")]
pub struct Arguments {
    /// Synthetic citizens
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    citizens: u64,
    /// Messages of the morning; as many as citizens when not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    messages: Option<u64>,
    /// Which morning
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End when the proof is shown, instead of staying up
    #[arg(long)]
    exit: bool,
    /// Write the numbers to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Plays the demo.
///
/// # Errors
/// One sentence: what could not be started, sent or written. An unbalanced
/// proof has been shown by then.
pub fn run(arguments: &Arguments) -> Result<(), CliError> {
    let played = || -> Result<bool, Failure> {
        // Asked first, so that a long run does not end in an unwritable file.
        let json = arguments.json.as_ref().map(create).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(play(arguments, json))
    };
    match played() {
        Ok(true) => Ok(()),
        Ok(false) => Err(CliError::Reported),
        Err(failure) => Err(CliError::Failed(failure.to_string())),
    }
}

fn create(path: &PathBuf) -> Result<std::fs::File, Failure> {
    std::fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

async fn play(arguments: &Arguments, json: Option<std::fs::File>) -> Result<bool, Failure> {
    let folder = tempfile::Builder::new().prefix("araldo-demo-").tempdir()?;
    let plan = Plan {
        citizens: arguments.citizens,
        messages: arguments.messages.unwrap_or(arguments.citizens),
        seed: arguments.seed,
    };
    let mut options = StageOptions::new(
        std::env::current_exe()?,
        SimLauncher { program: std::env::current_exe()?, args: vec!["sim".to_owned()] },
        folder.path().to_owned(),
    );
    options.retry_base_ms = Some(1_000);
    options.sessions = MAIL_SESSIONS;
    let stage = Stage::start(options).await?;
    let played = tokio::select! {
        balanced = show(&stage, plan, json) => balanced,
        _ = tokio::signal::ctrl_c() => Err("interrupted; everything is taken down".into()),
    };
    // Outside of the play: here Ctrl-C is the end that was asked for.
    if played.is_ok() && !arguments.exit {
        stay_up(&stage).await?;
    }
    let ended = stage.shutdown().await;
    let balanced = played?;
    ended?;
    Ok(balanced)
}

async fn show(stage: &Stage, plan: Plan, json: Option<std::fs::File>) -> Result<bool, Failure> {
    let report: Report = play::play(stage, plan).await?;
    if let Some(file) = json {
        serde_json::to_writer_pretty(file, &report)?;
    }
    table::write(&mut std::io::stdout(), &report)?;
    Ok(report.proof.balanced)
}

async fn stay_up(stage: &Stage) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "\nStill up; end with Ctrl-C.")?;
    table::write_urls(&mut out, stage)?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
