//! `araldo keys`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::client::{Call, Client};
use super::error::CliError;
use super::global::Global;
use super::output::{self, text_of};
use super::services::segment;

const PATH: &str = "/api/operator/v1/keys";

/// Keys of senders and operators.
#[derive(Debug, Subcommand)]
#[command(after_help = "A key is shown, or saved, once: the server keeps only its hash.\n\n\
    Examples:\n  \
    araldo keys create --name gestionale --role sender --service anagrafe --save sender.key\n  \
    araldo keys create --name \"Anna Bianchi\" --role viewer\n  \
    araldo keys revoke key_0123456789abcdef")]
pub enum Keys {
    /// List all, the oldest first.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make one.
    Create(Create),
    /// Revoke one: nobody can call with it any more.
    Revoke {
        /// Its identifier, as listed; not the key itself.
        id: String,
    },
}

/// Make a key.
#[derive(Debug, Args)]
pub struct Create {
    /// The person or system it belongs to.
    #[arg(long)]
    name: String,
    /// viewer, sender, approver or admin.
    #[arg(long)]
    role: String,
    /// The service it speaks for; with the role sender.
    #[arg(long, value_name = "SERVICE_ID")]
    service: Option<String>,
    /// Write the key to FILE, readable by you only, instead of showing it.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    save: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Keys {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let client = global.operator()?;
        match self {
            Self::List { json } => list(&client, json),
            Self::Create(create) => create.run(&client),
            Self::Revoke { id } => {
                let path = format!("{PATH}/{}", segment(&id)?);
                client.call(&Call::json(Method::DELETE, &path, &Value::Null))?;
                let mut out = output::stdout();
                writeln!(out, "{id} is revoked")?;
                Ok(out.flush()?)
            }
        }
    }
}

fn list(client: &Client, json: bool) -> Result<(), CliError> {
    let all = client.list(PATH)?;
    if json {
        return output::json(&Value::Array(all));
    }
    let columns = ["id", "role", "service_id", "created_at", "name"];
    let row = |item: &Value| columns.iter().map(|name| text_of(item, name)).collect();
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    output::table(&["ID", "ROLE", "SERVICE", "CREATED", "NAME"], &rows)
}

impl Create {
    fn run(self, client: &Client) -> Result<(), CliError> {
        // Before the key is made: it can be written only once.
        let mut file = self.save.as_deref().map(private_file).transpose()?;
        let mut body = json!({"name": self.name, "role": self.role});
        if let Some(service) = &self.service {
            body["service_id"] = Value::from(service.as_str());
        }
        let created = client.call(&Call::json(Method::POST, PATH, &body));
        let created = match (created, &self.save) {
            (Ok(created), _) => created.body,
            (Err(error), Some(path)) => {
                // The empty file is ours and of no use.
                let _ = std::fs::remove_file(path);
                return Err(error);
            }
            (Err(error), None) => return Err(error),
        };
        if self.json {
            return output::json(&created);
        }
        let (id, key) = (text_of(&created, "id"), text_of(&created, "key"));
        let mut out = output::stdout();
        match (&mut file, &self.save) {
            (Some(file), Some(path)) => {
                let path = path.display();
                writeln!(file, "{key}").and_then(|()| file.sync_all()).map_err(|error| {
                    CliError::Failed(format!("{id} is made, but {path} was not written: {error}"))
                })?;
                writeln!(out, "{id} is in {path}")?;
            }
            _ => writeln!(out, "{key}")?,
        }
        Ok(out.flush()?)
    }
}

/// Creates a file only its owner reads; an existing one is left alone.
fn private_file(path: &Path) -> Result<std::fs::File, CliError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| CliError::Usage(format!("cannot create {}: {error}", path.display())))
}
