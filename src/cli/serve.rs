//! `araldo serve`.

use clap::Args;

use super::error::CliError;
use super::global::Global;

/// Run the server until SIGTERM or Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "Prints `araldo listening on http://ADDRESS` on standard output once it \
    takes requests; logs go to standard error.\n\nExamples:\n  \
    araldo serve --config araldo.toml\n  \
    ARALDO__HTTP__BIND=127.0.0.1:0 araldo serve --set store.path=data")]
pub struct Serve {}

impl Serve {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let config = global.load()?.config;
        crate::app::serve(config).map_err(|error| {
            let text = error.to_string();
            if error.is_configuration() { CliError::Usage(text) } else { CliError::Failed(text) }
        })
    }
}
