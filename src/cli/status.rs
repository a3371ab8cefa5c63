//! `araldo status`: one message for its sender, or everything for operators.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::client::Call;
use super::error::CliError;
use super::global::Global;
use super::output::{self, text_of};
use super::services::segment;

/// Where one message, or everything, stands.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    araldo status                                  everything, with an operator's key\n  \
    araldo status --json | jq .unaccounted\n  \
    araldo status RSSMRA85T10A562S/01BX9NSMKVXXS5PSP2FATZMYYY --key-file sender.key")]
pub struct Status {
    /// FISCAL_CODE/ID of a message, or the path `araldo send` gave; needs the
    /// sender's key. Without it, or with "overall": everything.
    #[arg(default_value = "overall")]
    message: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let overall = self.message == "overall";
        let answer = if overall {
            global.operator()?.call(&Call::get("/api/operator/v1/status"))?
        } else {
            let path = message_path(&self.message)?;
            global.sender()?.call(&Call::get(&path))?
        };
        match (self.json, overall) {
            (true, _) => output::json(&answer.body),
            (false, true) => show_overall(&answer.body),
            (false, false) => show_message(&answer.body),
        }
    }
}

fn message_path(given: &str) -> Result<String, CliError> {
    let tail = given.strip_prefix("/api/v1/messages/").unwrap_or(given);
    let (code, id) = tail.split_once('/').ok_or_else(|| {
        CliError::Usage("a message is named FISCAL_CODE/ID, as its Location ends".to_owned())
    })?;
    Ok(format!("/api/v1/messages/{}/{}", segment(code)?, segment(id)?))
}

fn show_message(body: &Value) -> Result<(), CliError> {
    let mut out = output::stdout();
    let status = ["status", "rejection_reason", "status_detail"].map(|name| text_of(body, name));
    let status: Vec<_> = status.into_iter().filter(|text| !text.is_empty()).collect();
    writeln!(out, "{} (since {})", status.join(" "), text_of(body, "updated_at"))?;
    out.flush()?;
    drop(out);
    let deliveries = body["delivery"].as_array().into_iter().flatten();
    let columns = ["channel", "route", "state", "reason", "retries", "due_at", "ended_at"];
    let row = |item: &Value| columns.iter().map(|name| text_of(item, name)).collect();
    let rows: Vec<Vec<String>> = deliveries.map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    output::table(&["CHANNEL", "ROUTE", "STATE", "REASON", "RETRIES", "DUE", "ENDED"], &rows)
}

fn show_overall(body: &Value) -> Result<(), CliError> {
    let mut out = output::stdout();
    for (section, names) in [
        (
            "messages",
            &["accepted", "processed", "rejected", "expired", "recalled", "quarantined", "pending"]
                [..],
        ),
        (
            "deliveries",
            &[
                "planned",
                "delivered",
                "failed",
                "expired",
                "cancelled",
                "suppressed",
                "pending",
                "retried",
            ],
        ),
        ("delivered_by_channel", &["push", "email", "in_app"]),
        ("unaccounted", &["messages", "deliveries"]),
    ] {
        let parts = names.iter().map(|name| format!("{name} {}", text_of(&body[section], name)));
        let parts: Vec<_> = parts.collect();
        writeln!(out, "{:<21} {}", section.replace('_', " "), parts.join(", "))?;
    }
    writeln!(out, "{:<21} {} s", "up for", text_of(body, "uptime_seconds"))?;
    out.flush()?;
    drop(out);
    let columns = ["name", "kind", "state", "connections", "queued", "detail"];
    let row = |item: &Value| columns.iter().map(|name| text_of(item, name)).collect();
    let rows: Vec<Vec<String>> = body["routes"].as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    output::table(&["ROUTE", "KIND", "STATE", "CONNECTIONS", "QUEUED", "DETAIL"], &rows)
}
