//! `araldo check-config`.

use std::io::Write;

use clap::Args;

use super::error::CliError;
use super::global::Global;
use super::output;
use crate::{app, config};

/// Show the configuration in force, or everything that is wrong with it.
#[derive(Debug, Args)]
#[command(after_help = "Every value is shown with the place it comes from. Secrets are in files \
    that the configuration names, so none is shown, and the password in an address is left out; the \
    files are read and checked. With store.kind = \"redis\" every master is asked for its settings: one \
    that can lose what it answered is a fault (a warning with store.redis_accept_loss = true).\n\nExamples:\n  \
    araldo check-config --config araldo.toml\n  \
    araldo check-config            the defaults and the environment alone")]
pub struct CheckConfig {}

impl CheckConfig {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let sources = global.sources();
        let mut faults = app::faults_of_routes(&config::usable_routes(&sources));
        let loaded = config::load(&sources);
        let mut warnings = Vec::new();
        if let Ok(loaded) = &loaded {
            faults.extend(app::faults_of_citizens(&loaded.config.citizen));
            let redis = app::report_on_redis(&loaded.config);
            faults.extend(redis.faults);
            warnings.extend(config::warnings(&loaded.config));
            warnings.extend(redis.warnings);
        }
        let loaded = match loaded {
            Ok(loaded) if faults.is_empty() => loaded,
            loaded => {
                faults.splice(..0, loaded.err().map(|errors| errors.to_string()));
                let lines = faults.join("\n");
                return Err(CliError::Usage(format!("the configuration is wrong\n{lines}")));
            }
        };
        for warning in warnings {
            // Nothing can be done about a standard error that is closed.
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        }
        let mut out = output::stdout();
        write!(out, "{}", loaded.effective)?;
        Ok(out.flush()?)
    }
}
