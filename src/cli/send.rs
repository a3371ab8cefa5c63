//! `araldo send`: one message, through the sender API.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::client::Call;
use super::error::CliError;
use super::global::Global;
use super::output::{self, text_of};
use super::services::read_json;

/// Send one message, as a service.
#[derive(Debug, Args)]
#[command(after_help = "Needs a sender's key: see `araldo keys create`. With --idempotency-key \
    the same command may be repeated safely.\n\nExamples:\n  \
    araldo send --key-file sender.key --to RSSMRA85T10A562S --subject \"Carta d'identità\" \\\n      \
    --markdown-file text.md --due-date 2030-01-31T00:00:00.000Z\n  \
    araldo send --key-file sender.key --file message.json --idempotency-key tari-2030-0001")]
pub struct Send {
    /// The whole message in a JSON file (NewMessage of the API, with
    /// fiscal_code), instead of the flags below.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "subject", "markdown"])]
    file: Option<PathBuf>,
    /// The citizen.
    #[arg(long, value_name = "FISCAL_CODE", required_unless_present = "file")]
    to: Option<String>,
    /// Subject, 10 to 120 characters.
    #[arg(long, required_unless_present = "file")]
    subject: Option<String>,
    /// Text in Markdown, 80 to 10,000 characters.
    #[arg(long, required_unless_present_any = ["file", "markdown_file"])]
    markdown: Option<String>,
    /// The text, out of a file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "markdown"])]
    markdown_file: Option<PathBuf>,
    /// Seconds for which delivery is tried, 3600 to 604800.
    #[arg(long, value_name = "SECONDS")]
    time_to_live: Option<u64>,
    /// A deadline, such as 2030-01-31T00:00:00.000Z.
    #[arg(long, value_name = "UTC")]
    due_date: Option<String>,
    /// A payment in euro cents; with --notice-number.
    #[arg(long, value_name = "CENTS", requires = "notice_number")]
    amount: Option<u64>,
    /// "Numero Avviso" of pagoPA, 18 digits; with --amount.
    #[arg(long, requires = "amount")]
    notice_number: Option<String>,
    /// A name for this request; repeated under it, the message is sent once.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Send {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let client = global.sender()?;
        let body = match &self.file {
            Some(file) => read_json(file)?,
            None => self.body()?,
        };
        let mut call = Call::json(Method::POST, "/api/v1/messages", &body);
        call.headers.extend(self.idempotency_key.map(|key| ("idempotency-key", key)));
        let answer = client.call(&call)?;
        if self.json {
            let location = answer.location;
            return output::json(&json!({"id": answer.body["id"], "location": location}));
        }
        let mut out = output::stdout();
        writeln!(out, "accepted as {}", text_of(&answer.body, "id"))?;
        if let Some(location) = answer.location {
            writeln!(out, "follow it with: araldo status {location}")?;
        }
        Ok(out.flush()?)
    }

    fn body(&self) -> Result<Value, CliError> {
        let markdown = match &self.markdown_file {
            None => self.markdown.clone(),
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                CliError::Usage(format!("cannot read {}: {error}", path.display()))
            })?),
        };
        let mut content = json!({"subject": self.subject, "markdown": markdown});
        if let Some(due_date) = &self.due_date {
            content["due_date"] = Value::from(due_date.as_str());
        }
        if let Some(amount) = self.amount {
            content["payment_data"] =
                json!({"amount": amount, "notice_number": self.notice_number});
        }
        let mut body = json!({"fiscal_code": self.to, "content": content});
        if let Some(seconds) = self.time_to_live {
            body["time_to_live"] = Value::from(seconds);
        }
        Ok(body)
    }
}
