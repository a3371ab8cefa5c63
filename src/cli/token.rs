//! `araldo token`.

use std::io::Write;
use std::time::Duration;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::port::clock::Clock;
use clap::Args;

use super::duration;
use super::error::CliError;
use super::global::Global;
use super::output;
use crate::http::development::{self, Bearer, Issuing};
use crate::system::SystemClock;

/// Mint a citizen's token for development.
#[derive(Debug, Args)]
#[command(after_help = "The token stands for the citizen at the citizen API, as one of the \
    issuer's would. It is signed with the secret in --key-file (default: \
    citizen.development_key_file of the configuration), which the server must be told under that \
    name; issuer, audience and claim come from the configuration. Never in production: whoever \
    reads the secret can be any citizen.\n\nExamples:\n  \
    openssl rand -hex 32 > dev.key\n  \
    araldo serve --set citizen.development_key_file=dev.key --set store.path=data\n  \
    TOKEN=$(araldo token RSSMRA85T10A562S --key-file dev.key --given-name Mario --family-name Rossi)\n  \
    curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/api/identity/v1/profile\n  \
    curl -N -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/api/citizen/v1/live")]
pub struct Token {
    /// The citizen, upper case.
    fiscal_code: String,
    /// First name.
    #[arg(long, value_name = "NAME")]
    given_name: Option<String>,
    /// Family name.
    #[arg(long, value_name = "NAME")]
    family_name: Option<String>,
    /// The address the issuer would know.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// YYYY-MM-DD.
    #[arg(long, value_name = "DAY")]
    date_of_birth: Option<String>,
    /// How long it holds: 30m, 1h, 7d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    ttl: Duration,
}

impl Token {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let code = FiscalCode::parse(&self.fiscal_code)
            .map_err(|invalid| CliError::Usage(format!("FISCAL_CODE must be {}", invalid.rule)))?;
        let config = global.load()?.config;
        let secret = global.development_key(&config)?;
        let issuing = Issuing {
            issuer: config.citizen.issuer,
            audience: config.citizen.audience,
            fiscal_code_claim: config.citizen.fiscal_code_claim,
        };
        let bearer = Bearer {
            given_name: self.given_name,
            family_name: self.family_name,
            email: self.email,
            date_of_birth: self.date_of_birth,
        };
        let now = SystemClock.now();
        let token = development::mint(&secret, code, &bearer, &issuing, now, self.ttl)
            .map_err(CliError::Failed)?;
        let mut out = output::stdout();
        writeln!(out, "{token}")?;
        Ok(out.flush()?)
    }
}
