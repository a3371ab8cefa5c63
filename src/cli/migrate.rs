//! `araldo migrate`: from one machine to many.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::error::CliError;
use super::global::Global;
use super::output;
use crate::app;
use crate::config::Config;
use crate::store::migrate::{Moved, Progress, Stage};

/// Move an embedded store into an empty store in Redis.
#[derive(Debug, Args)]
#[command(after_help = "The configuration is that of the nodes: store.kind = \"redis\", and \
    engine.partitions as it was. The folder is what store.path was until now. Everything is kept: \
    citizens, messages and where each delivery stands, inboxes with their order and marks, alerts, \
    idempotency keys, keys of senders and operators, and the secret that seals links in mails.\n\n\
    How to:\n  \
    1. stop the server: what it would accept meanwhile could not be moved\n  \
    2. araldo check-config --config cluster.toml      Redis keeps what it answers?\n  \
    3. araldo migrate --config cluster.toml --from /var/lib/araldo\n  \
    4. araldo serve --config cluster.toml             on the first node, then on the others\n\n\
    The folder is only read: until a node was started on Redis, going back is starting the old \
    server again. When it is interrupted run it again: it goes on where it was. Nobody can use what is \
    half there. All rows are counted at the end.")]
pub struct Migrate {
    /// Folder of the embedded store.
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// Remove first what an unfinished move left in Redis; never a store in use.
    #[arg(long)]
    start_over: bool,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl Migrate {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let config = global.load()?.config;
        let bar = progress();
        let warn = |warning: String| {
            // Nothing can be done about a standard error that is closed.
            bar.suspend(|| drop(writeln!(std::io::stderr(), "warning: {warning}")));
        };
        let moved = app::migrate(&config, &self.from, self.start_over, |at| show(&bar, at), warn);
        bar.finish_and_clear();
        let moved = moved.map_err(|error| {
            let text = error.to_string();
            if error.is_configuration() { CliError::Usage(text) } else { CliError::Failed(text) }
        })?;
        report(&moved, &config, &self.from, self.json)
    }
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{bar:30} {percent}% {elapsed} (left {eta}) {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Both halves of the way, each partition by partition.
fn show(bar: &ProgressBar, at: Progress) {
    let (partitions, done) = (u64::from(at.partitions), u64::from(at.done));
    bar.set_length(2 * partitions);
    let (before, what) = match at.stage {
        Stage::Moving => (0, "moved"),
        Stage::Counting => (partitions, "counted"),
    };
    bar.set_position(before + done);
    bar.set_message(format!("{} rows {what}", at.rows));
}

fn report(moved: &Moved, config: &Config, from: &Path, as_json: bool) -> Result<(), CliError> {
    let key = config.store.admin_key_file();
    let old_key = from.join("admin.key");
    let is_elsewhere = !key.exists() && old_key.exists();
    let Moved { registered, citizens, messages, inbox_entries, waiting, alerts, rows } = *moved;
    if as_json {
        return output::json(&json!({
            "registered": registered,
            "citizens": citizens,
            "messages": messages,
            "inbox_entries": inbox_entries,
            "waiting_deliveries": waiting,
            "alerts": alerts,
            "rows": rows,
        }));
    }
    let mut out = output::stdout();
    writeln!(
        out,
        "moved {citizens} citizens, {messages} messages, {inbox_entries} inbox entries, {alerts} \
         alerts, {waiting} waiting deliveries, {registered} organisations, services and keys \
         ({rows} rows, all counted)"
    )?;
    if is_elsewhere {
        let (key, old_key) = (key.display(), old_key.display());
        writeln!(out, "the admin key is still in {old_key}: commands look for it in {key}")?;
    }
    writeln!(out, "next: araldo serve, with this configuration, on each node")?;
    Ok(out.flush()?)
}
