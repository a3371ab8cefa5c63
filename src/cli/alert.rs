//! `araldo alert`: one set of texts to many citizens.
//!
//! Sending is a service's and needs its key; everything else is the operators'.

mod follow;
mod send;
mod show;

use std::io::Write;

use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::client::{Answer, Call, Client};
use super::error::CliError;
use super::global::Global;
use super::output::{self, text_of};
use super::services::segment;

/// Where operators find alerts.
const PATH: &str = "/api/operator/v1/alerts";
/// Most alerts the server lists at a time.
const PAGE: usize = 100;

/// One set of texts to many citizens.
#[derive(Debug, Subcommand)]
#[command(after_help = "`send` needs a sender's key of a service with the permission \
    ApiAlertWrite; the others an operator's.\n\nExamples:\n  \
    araldo services put allerte --name Allerte --organization 00000000001 --group ApiAlertWrite\n  \
    araldo keys create --name sala --role sender --service allerte --save alert.key\n  \
    araldo alert send --key-file alert.key --area 015 --area 016024 --lane urgent \\\n      \
    --subject \"Allerta meteo rossa\" --markdown-file text.md --expires-in 6h --follow\n  \
    araldo alert list\n  \
    araldo alert pause 01BX9NSMKVXXS5PSP2FATZMYYY\n  \
    araldo alert report 01BX9NSMKVXXS5PSP2FATZMYYY")]
pub enum Alert {
    /// Send one, as a service.
    Send(Box<send::Send>),
    /// List those of all services, the newest first.
    List(List),
    /// Show one, and how far it is.
    Show(Show),
    /// Stop one for now: from the answer on no attempt of it starts.
    Pause(One),
    /// Let a paused one go on.
    Resume(One),
    /// Stop one for good; what has reached an inbox stays there.
    ///
    /// No attempt of it starts from the call on. The answer comes when what
    /// waited has ended: at once, or within seconds while attempts made again
    /// are under way. Until then the alert is shown as it was.
    Cancel(One),
    /// What became of one, inbox and route by route.
    Report(One),
}

/// List alerts, the newest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    araldo alert list --limit 5\n  \
    araldo alert list --json | jq -r '.items[] | select(.status == \"running\") | .id'")]
pub struct List {
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only those sent before this one.
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// As JSON, with the `next` to give to --before.
    #[arg(long)]
    json: bool,
}

/// Show one alert, and how far it is.
#[derive(Debug, Args)]
#[command(after_help = "With --follow the exit code is 0 when the alert was completed, 1 when it \
    was cancelled or expired.\n\nExamples:\n  \
    araldo alert show 01BX9NSMKVXXS5PSP2FATZMYYY\n  \
    araldo alert show 01BX9NSMKVXXS5PSP2FATZMYYY --follow")]
pub struct Show {
    #[command(flatten)]
    one: One,
    /// Show its progress until it ends: bars on a terminal, lines elsewhere.
    /// Ctrl-C ends the showing, not the alert.
    #[arg(long)]
    follow: bool,
}

/// One alert.
#[derive(Debug, Args)]
pub struct One {
    /// Its id, as `araldo alert send` and `list` say it.
    id: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Alert {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        match self {
            Self::Send(send) => send.run(global),
            Self::List(list) => list.run(global),
            Self::Show(show) => show.run(global),
            Self::Pause(one) => one.change(global, "pause"),
            Self::Resume(one) => one.change(global, "resume"),
            Self::Cancel(one) => one.change(global, "cancel"),
            Self::Report(one) => {
                let alert = call(&global.operator()?, &Call::get(&one.path()?))?.body;
                if one.json { output::json(&alert) } else { show::report(&alert) }
            }
        }
    }
}

impl List {
    fn run(self, global: &Global) -> Result<(), CliError> {
        let client = global.operator()?;
        let mut items = Vec::new();
        let mut next = self.before;
        // A page may be shorter than asked for and not the last.
        while items.len() < self.limit {
            let count = PAGE.min(self.limit - items.len());
            let mut path = format!("{PATH}?limit={count}");
            if let Some(before) = &next {
                path = format!("{path}&before={}", segment(before)?);
            }
            let mut page = client.call(&Call::get(&path))?.body;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            next = page["next"].as_str().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        if self.json {
            return output::json(&json!({"items": items, "next": next}));
        }
        let columns = ["id", "status", "lane", "service_id", "accepted_at"];
        let row = |item: &Value| {
            let mut row: Vec<_> = columns.iter().map(|name| text_of(item, name)).collect();
            row.extend([show::audience(item, 2), text_of(item, "subject")]);
            row
        };
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        let header = ["ALERT", "STATUS", "LANE", "SERVICE", "ACCEPTED", "AUDIENCE", "SUBJECT"];
        output::table(&header, &rows)?;
        if let Some(next) = next {
            let mut out = output::stdout();
            writeln!(out, "there are more: araldo alert list --before {next}")?;
            out.flush()?;
        }
        Ok(())
    }
}

impl Show {
    fn run(self, global: &Global) -> Result<(), CliError> {
        let client = global.operator()?;
        let path = self.one.path()?;
        if self.follow {
            let ended = follow::follow(&client, &path, self.one.json)?;
            self.one.show(&ended)?;
            return follow::verdict(&ended);
        }
        self.one.show(&call(&client, &Call::get(&path))?.body)
    }
}

impl One {
    fn path(&self) -> Result<String, CliError> {
        Ok(format!("{PATH}/{}", segment(&self.id)?))
    }

    fn change(&self, global: &Global, change: &str) -> Result<(), CliError> {
        let path = format!("{}/{change}", self.path()?);
        let request =
            Call { method: Method::POST, path: &path, headers: Vec::new(), body: Bytes::new() };
        self.show(&call(&global.operator()?, &request)?.body)
    }

    fn show(&self, alert: &Value) -> Result<(), CliError> {
        if self.json { output::json(alert) } else { show::show(alert) }
    }
}

/// Makes a call; a refusal says what to do about it.
fn call(client: &Client, call: &Call<'_>) -> Result<Answer, CliError> {
    client.call(call).map_err(|error| match error {
        CliError::Failed(text) => {
            let hint = hint(&text);
            CliError::Failed(text + hint)
        }
        other => other,
    })
}

/// What to do about a refusal.
fn hint(refusal: &str) -> &'static str {
    if refusal.contains("permission ApiAlertWrite") {
        "\n  give it to the service beside those it has (araldo services show SERVICE): \
         araldo services put SERVICE ... --group ApiAlertWrite --group ..."
    } else if refusal.starts_with("404") {
        "\n  see the alerts there are: araldo alert list"
    } else {
        ""
    }
}
