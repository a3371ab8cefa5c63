//! `araldo alert send`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use araldo_actors::port::clock::Clock;
use clap::{ArgGroup, Args};
use hyper::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{call, follow, show};
use crate::cli::client::Call;
use crate::cli::duration;
use crate::cli::error::CliError;
use crate::cli::global::Global;
use crate::cli::output::{self, text_of};
use crate::cli::services::{read_json, segment};
use crate::system::SystemClock;

/// Where senders find alerts.
const PATH: &str = "/api/v1/alerts";

/// Send one alert, as a service.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("audience").required(true).args(["everyone", "areas"])),
    group(ArgGroup::new("text").required(true).args(["texts", "subject"])),
    after_help = "Needs a sender's key of a service with the permission ApiAlertWrite: see \
    `araldo alert --help`. With --idempotency-key the same command may be repeated safely; give \
    it --expires-at then, or no expiry at all: --expires-in counts from now, and a repetition that \
    says another instant is refused.\n\nA file for --texts: \
    {\"it_IT\": {\"subject\": \"...\", \"markdown\": \"...\"}, \"de_DE\": {...}}; a citizen gets \
    the first preferred language that there is, else it_IT, or what --fallback-language says.\n\n\
    With --follow the exit code is 0 when the alert was completed, 1 when it was cancelled or \
    expired.\n\nExamples:\n  \
    araldo alert send --key-file alert.key --everyone --subject \"Allerta meteo rossa\" \\\n      \
    --markdown-file text.md --lane emergency --expires-in 6h --follow\n  \
    araldo alert send --key-file alert.key --area 015146,015 --area 03 --texts texts.json \\\n      \
    --idempotency-key piena-2030-11-04"
)]
pub struct Send {
    /// To every citizen.
    #[arg(long)]
    everyone: bool,
    /// To who lives there: ISTAT code of a municipality (6 digits), a province
    /// (3) or a region (2); may be repeated, or several with commas.
    #[arg(long = "area", id = "areas", value_name = "CODE", value_delimiter = ',')]
    areas: Vec<String>,
    /// Subject, 10 to 120 characters; with --markdown or --markdown-file.
    #[arg(long)]
    subject: Option<String>,
    /// Text in Markdown, 80 to 10,000 characters.
    #[arg(long, requires = "subject", conflicts_with = "markdown_file")]
    markdown: Option<String>,
    /// The text, out of a file.
    #[arg(long, value_name = "FILE", requires = "subject")]
    markdown_file: Option<PathBuf>,
    /// Language of subject and text: it_IT, en_GB, es_ES, de_DE or fr_FR.
    #[arg(long, default_value = "it_IT", conflicts_with = "texts")]
    language: String,
    /// Subjects and texts by language in a JSON file, instead of one.
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// The language of who prefers none of those there are.
    #[arg(long, value_name = "LANGUAGE")]
    fallback_language: Option<String>,
    /// emergency, urgent, normal or bulk [default: bulk].
    #[arg(long)]
    lane: Option<String>,
    /// No attempt starts later than this from now: 1m to 7d [default: 24h].
    #[arg(long, value_name = "TIME", value_parser = duration::parse, conflicts_with = "expires_at")]
    expires_in: Option<Duration>,
    /// The same as an instant with a zone, such as 2030-01-31T12:00:00+01:00.
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<String>,
    /// Never by e-mail, and pushes show nothing of the alert.
    #[arg(long)]
    secure: bool,
    /// A name for this request; repeated under it, the alert is sent once.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Show its progress until it ends: bars on a terminal, lines elsewhere.
    /// Ctrl-C ends the showing, not the alert.
    #[arg(long)]
    follow: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Send {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let client = global.sender()?;
        let body = self.body()?;
        let mut request = Call::json(Method::POST, PATH, &body);
        request.headers.extend(self.idempotency_key.clone().map(|key| ("idempotency-key", key)));
        let accepted = call(&client, &request).map_err(|error| self.explain(error))?.body;
        let id = text_of(&accepted, "id");
        if !self.follow {
            return if self.json { output::json(&accepted) } else { said(&id) };
        }
        if !self.json {
            said(&id)?;
        }
        let ended = follow::follow(&client, &format!("{PATH}/{}", segment(&id)?), self.json)?;
        if self.json {
            output::json(&ended)?;
        } else {
            show::report(&ended)?;
        }
        follow::verdict(&ended)
    }

    /// Says what a refused repetition comes from.
    fn explain(&self, error: CliError) -> CliError {
        match error {
            CliError::Failed(text) if text.starts_with("422") && self.expires_in.is_some() => {
                CliError::Failed(format!(
                    "{text}\n  --expires-in counts from now, so a repetition says another \
                     instant: give --expires-at, or no expiry"
                ))
            }
            other => other,
        }
    }

    fn body(&self) -> Result<Value, CliError> {
        let audience = match self.everyone {
            true => json!({"everyone": true}),
            false => json!({"areas": self.areas}),
        };
        let mut body = json!({"texts": self.texts()?, "audience": audience});
        for (name, text) in [
            ("fallback_language", self.fallback_language.clone()),
            ("lane", self.lane.clone()),
            ("expires_at", self.expires()?),
        ] {
            if let Some(text) = text {
                body[name] = Value::from(text);
            }
        }
        if self.secure {
            body["require_secure_channels"] = Value::from(true);
        }
        Ok(body)
    }

    fn texts(&self) -> Result<Value, CliError> {
        if let Some(file) = &self.texts {
            return read_json(file);
        }
        let markdown = match (&self.markdown, &self.markdown_file) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
                CliError::Usage(format!("cannot read {}: {error}", path.display()))
            })?,
            (None, None) => {
                let text = "a text is needed beside --subject: --markdown or --markdown-file";
                return Err(CliError::Usage(text.to_owned()));
            }
        };
        let text = json!({"subject": self.subject, "markdown": markdown});
        Ok(Value::Object(Map::from_iter([(self.language.clone(), text)])))
    }

    fn expires(&self) -> Result<Option<String>, CliError> {
        let Some(time) = self.expires_in else { return Ok(self.expires_at.clone()) };
        let at = i64::try_from(SystemClock.now().after(time).0).ok();
        let at = at.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let at = at.ok_or_else(|| CliError::Usage("--expires-in is too far ahead".to_owned()))?;
        Ok(Some(at.to_string()))
    }
}

fn said(id: &str) -> Result<(), CliError> {
    let mut out = output::stdout();
    writeln!(out, "accepted as {id}")?;
    writeln!(out, "follow it with: araldo alert show {id} --follow")?;
    Ok(out.flush()?)
}
