//! Flags every command takes: which configuration, which server, which key.

use std::path::{Path, PathBuf};

use clap::Args;

use super::client::{Client, Key};
use super::error::CliError;
use crate::config::{self, Config, Loaded, Sources};
use crate::http::development;

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration file (TOML).
    #[arg(long, global = true, value_name = "FILE", env = "ARALDO_CONFIG")]
    config: Option<PathBuf>,
    /// Override one key of the configuration; may be repeated.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Server to talk to [default: http:// and `http.bind` of the configuration].
    #[arg(long, global = true, value_name = "URL", env = "ARALDO_URL")]
    url: Option<String>,
    /// File that holds the key to call with
    /// [default: <store.path>/admin.key of the configuration].
    #[arg(long, global = true, value_name = "FILE", env = "ARALDO_KEY_FILE")]
    key_file: Option<PathBuf>,
}

impl Global {
    /// Where the configuration comes from.
    pub fn sources(&self) -> Sources {
        Sources::of_process(self.config.clone(), self.set.clone())
    }

    /// Loads the configuration.
    pub fn load(&self) -> Result<Loaded, CliError> {
        config::load(&self.sources())
            .map_err(|errors| CliError::Usage(format!("the configuration is wrong\n{errors}")))
    }

    /// A client with an operator's key.
    pub fn operator(&self) -> Result<Client, CliError> {
        let path = match &self.key_file {
            Some(path) => path.clone(),
            None => self.load()?.config.store.admin_key_file(),
        };
        Client::new(&self.server()?, Key::Operator(read_key(&path)?))
    }

    /// A client with a sender's key, which must be named.
    pub fn sender(&self) -> Result<Client, CliError> {
        let path = self.key_file.as_ref().ok_or_else(|| {
            CliError::Usage(
                "--key-file is needed: a sender's key, as made by `araldo keys create --role sender`"
                    .to_owned(),
            )
        })?;
        Client::new(&self.server()?, Key::Sender(read_key(path)?))
    }

    /// The secret of development tokens: the file named with --key-file, else
    /// `citizen.development_key_file` of `config`.
    pub fn development_key(&self, config: &Config) -> Result<String, CliError> {
        let named = self.key_file.as_ref().or(config.citizen.development_key_file.as_ref());
        let path = named.ok_or_else(|| {
            CliError::Usage(
                "no secret to sign with: name its file with --key-file, or as \
                 citizen.development_key_file in the configuration"
                    .to_owned(),
            )
        })?;
        development::read_key(path)
            .map_err(|reason| CliError::Usage(format!("{}: {reason}", path.display())))
    }

    fn server(&self) -> Result<String, CliError> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let bind = self.load()?.config.http.bind;
        if bind.port() == 0 {
            let text = "http.bind has port 0, so the server's port is not known; give --url, as \
                        the server printed it";
            return Err(CliError::Usage(text.to_owned()));
        }
        Ok(format!("http://{bind}"))
    }
}

fn read_key(path: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        CliError::Usage(format!("cannot read the key in {path}: {error}; see --key-file"))
    })?;
    let key = text.trim();
    if key.is_empty() || key.len() > 256 || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(CliError::Usage(format!("{} does not hold a key", path.display())));
    }
    Ok(key.to_owned())
}
