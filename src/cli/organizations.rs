//! `araldo organizations`.

use std::io::Write;

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use super::client::Call;
use super::error::CliError;
use super::global::Global;
use super::output::{self, text_of};

const PATH: &str = "/api/operator/v1/organizations";

/// Public bodies.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    araldo organizations put 00000000001 --name \"Comune di Prova\"\n  \
    araldo organizations list --json")]
pub enum Organizations {
    /// List all, by name.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Register one, or rename it.
    Put {
        /// Its fiscal code, 11 digits.
        fiscal_code: String,
        /// Its name, as citizens read it.
        #[arg(long)]
        name: String,
    },
}

impl Organizations {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let client = global.operator()?;
        match self {
            Self::List { json } => {
                let all = client.list(PATH)?;
                if json {
                    return output::json(&Value::Array(all));
                }
                let row = |item: &Value| vec![text_of(item, "fiscal_code"), text_of(item, "name")];
                output::table(&["FISCAL CODE", "NAME"], &all.iter().map(row).collect::<Vec<_>>())
            }
            Self::Put { fiscal_code, name } => {
                let path = format!("{PATH}/{}", super::services::segment(&fiscal_code)?);
                client.call(&Call::json(Method::PUT, &path, &json!({"name": name})))?;
                let mut out = output::stdout();
                writeln!(out, "{fiscal_code} is registered as {name}")?;
                Ok(out.flush()?)
            }
        }
    }
}
