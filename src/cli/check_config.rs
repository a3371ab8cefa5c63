//! `araldo check-config`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use clap::Args;

use super::error::CliError;
use super::global::Global;
use super::output;
use crate::config::{Config, Provider};

/// Show the configuration in force, or everything that is wrong with it.
#[derive(Debug, Args)]
#[command(after_help = "Every value is shown with the place it comes from. Secrets are in files \
    that the configuration names, so none is shown; the files are only opened.\n\nExamples:\n  \
    araldo check-config --config araldo.toml\n  \
    araldo check-config            the defaults and the environment alone")]
pub struct CheckConfig {}

impl CheckConfig {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let loaded = global.load()?;
        let unreadable = unreadable(&loaded.config);
        if !unreadable.is_empty() {
            let lines = unreadable.join("\n");
            return Err(CliError::Usage(format!("the configuration is wrong\n{lines}")));
        }
        let mut out = output::stdout();
        write!(out, "{}", loaded.effective)?;
        Ok(out.flush()?)
    }
}

/// The named files that cannot be opened.
fn unreadable(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    for route in &config.routes {
        let files = match &route.provider {
            Provider::Apns(apns) => {
                [("key_file", Some(&apns.key_file)), ("ca_file", apns.ca_file.as_ref())]
            }
            Provider::Fcm(fcm) => [
                ("service_account_file", Some(&fcm.service_account_file)),
                ("ca_file", fcm.ca_file.as_ref()),
            ],
        };
        for (key, path) in files {
            if let Some(reason) = path.and_then(|path| cannot_open(path)) {
                lines.push(format!("route.{}.{key}: {reason}", route.id));
            }
        }
    }
    lines
}

fn cannot_open(path: &Path) -> Option<String> {
    let error = File::open(path).err()?;
    Some(format!("{} cannot be read: {error}", path.display()))
}
