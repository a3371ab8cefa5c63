//! `araldo services`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value};

use super::client::Call;
use super::error::CliError;
use super::global::Global;
use super::output::{self, text_of};

const PATH: &str = "/api/operator/v1/services";

/// Services of public bodies.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    araldo services put anagrafe --name Anagrafe --organization 00000000001\n  \
    araldo services put allerta --name Allerte --organization 00000000001 --lane emergency\n  \
    araldo services put allerte --name Allerte --organization 00000000001 --group ApiAlertWrite\n  \
    araldo services put tributi --file tributi.json\n  \
    araldo services show anagrafe")]
pub enum Services {
    /// List all, by identifier.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one, as JSON.
    Show {
        /// Its identifier.
        service_id: String,
    },
    /// Register one, or replace it as a whole.
    Put(Box<Put>),
}

/// Register a service, or replace it as a whole.
#[derive(Debug, Args)]
pub struct Put {
    /// Its identifier: 1 to 64 letters, digits, '-' or '_'.
    service_id: String,
    /// All fields in a JSON file, instead of the flags below.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "organization"])]
    file: Option<PathBuf>,
    /// Its name, as citizens read it.
    #[arg(long, required_unless_present = "file")]
    name: Option<String>,
    /// Fiscal code of its organisation, which must be registered.
    #[arg(long, required_unless_present = "file", value_name = "FISCAL_CODE")]
    organization: Option<String>,
    /// Department within the organisation.
    #[arg(long)]
    department: Option<String>,
    /// STANDARD, or SPECIAL: only for citizens who activated it.
    #[arg(long)]
    category: Option<String>,
    /// emergency, urgent, normal or bulk.
    #[arg(long)]
    lane: Option<String>,
    /// Never by e-mail, and pushes show nothing of the messages.
    #[arg(long)]
    secure: bool,
    /// Highest payment in euro cents; without it, none.
    #[arg(long, value_name = "CENTS")]
    max_payment: Option<u64>,
    /// Permission of its keys (one of IO's groups, or ApiAlertWrite), in place
    /// of the usual ones; may be repeated.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Network its keys may call from; may be repeated.
    #[arg(long = "cidr", value_name = "CIDR")]
    cidrs: Vec<String>,
    /// Whom it may write to when limited; may be repeated.
    #[arg(long = "recipient", value_name = "FISCAL_CODE")]
    recipients: Vec<String>,
    /// Switched off: its calls are refused.
    #[arg(long)]
    disabled: bool,
}

impl Services {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        match self {
            Self::List { json } => list(global, json),
            Self::Show { service_id } => {
                let path = format!("{PATH}/{}", segment(&service_id)?);
                output::json(&global.operator()?.call(&Call::get(&path))?.body)
            }
            Self::Put(put) => put.run(global),
        }
    }
}

fn list(global: &Global, json: bool) -> Result<(), CliError> {
    let all = global.operator()?.list(PATH)?;
    if json {
        return output::json(&Value::Array(all));
    }
    let columns = ["service_id", "name", "organization_name", "lane", "category", "enabled"];
    let row = |item: &Value| columns.iter().map(|name| text_of(item, name)).collect();
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    output::table(&["SERVICE", "NAME", "ORGANIZATION", "LANE", "CATEGORY", "ENABLED"], &rows)
}

impl Put {
    fn run(self, global: &Global) -> Result<(), CliError> {
        let client = global.operator()?;
        let path = format!("{PATH}/{}", segment(&self.service_id)?);
        let id = self.service_id.clone();
        let body = match &self.file {
            Some(file) => read_json(file)?,
            None => self.body(),
        };
        client.call(&Call::json(Method::PUT, &path, &body))?;
        let mut out = output::stdout();
        writeln!(out, "{id} is registered")?;
        Ok(out.flush()?)
    }

    fn body(self) -> Value {
        let mut body = Map::new();
        let texts = [
            ("name", self.name),
            ("organization_fiscal_code", self.organization),
            ("department_name", self.department),
            ("category", self.category),
            ("lane", self.lane),
        ];
        for (name, value) in texts {
            body.extend(value.map(|value| (name.to_owned(), Value::from(value))));
        }
        if let Some(cents) = self.max_payment {
            body.insert("max_allowed_payment_amount".to_owned(), Value::from(cents));
        }
        let lists = [
            ("groups", self.groups),
            ("authorized_cidrs", self.cidrs),
            ("authorized_recipients", self.recipients),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                body.insert(name.to_owned(), Value::from(list));
            }
        }
        body.insert("require_secure_channels".to_owned(), Value::from(self.secure));
        body.insert("enabled".to_owned(), Value::from(!self.disabled));
        Value::Object(body)
    }
}

/// Reads a JSON file.
pub fn read_json(path: &std::path::Path) -> Result<Value, CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::Usage(format!("cannot read {shown}: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| CliError::Usage(format!("{shown} is not JSON: {error}")))
}

/// An identifier as a part of a path: what would need escaping is no
/// identifier.
pub fn segment(id: &str) -> Result<&str, CliError> {
    let fits =
        !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fits {
        Ok(id)
    } else {
        Err(CliError::Usage("an identifier has only letters, digits, '-' and '_'".to_owned()))
    }
}
