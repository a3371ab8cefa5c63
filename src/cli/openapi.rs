//! `araldo openapi`: the description of the HTTP API, out of its handlers.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::error::CliError;
use super::output;

/// Write the description of the HTTP API.
#[derive(Debug, Args)]
pub struct Openapi {
    /// Write to FILE instead of standard output.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Openapi {
    /// Runs the command.
    pub fn run(self) -> Result<(), CliError> {
        let json = crate::http::openapi_json().map_err(|error| {
            CliError::Failed(format!("the description cannot be written: {error}"))
        })?;
        let Some(path) = self.write else {
            let mut out = output::stdout();
            out.write_all(json.as_bytes())?;
            return Ok(out.flush()?);
        };
        std::fs::write(&path, json)
            .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display())))
    }
}
