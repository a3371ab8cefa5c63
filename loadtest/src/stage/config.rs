//! The server's configuration for the stage.
//!
//! Pure text. Strings are written as JSON strings, which TOML's basic strings contain.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{SimProcess, StageError, StageOptions};
use crate::simulator::credentials::file;
use crate::simulator::{Credentials, Kind};

pub(super) fn store_folder(folder: &Path) -> PathBuf {
    folder.join("store")
}

pub(super) fn render(
    options: &StageOptions,
    bind: SocketAddr,
    credentials_folder: &Path,
    simulators: &[SimProcess],
) -> Result<String, StageError> {
    let credentials = Credentials::load(credentials_folder)?;
    let store = store_folder(&options.folder);
    let mut text = format!(
        "[http]\nbind = {}\n\n[store]\nkind = \"embedded\"\npath = {}\n",
        quoted(&bind.to_string()),
        quoted_path(&store)
    );
    for simulator in simulators {
        text.push_str(&route(options, &credentials, credentials_folder, simulator));
    }
    text.push('\n');
    text.push_str(&options.extra_config);
    Ok(text)
}

fn route(
    options: &StageOptions,
    credentials: &Credentials,
    folder: &Path,
    simulator: &SimProcess,
) -> String {
    let name = match simulator.kind {
        Kind::Apns => "apple",
        Kind::Fcm => "google",
    };
    let mut rows = vec![
        ("kind", quoted(simulator.kind.name())),
        ("endpoint", quoted(&simulator.endpoint)),
        ("connections", options.connections.to_string()),
    ];
    if options.tls {
        rows.push(("ca_file", quoted_path(&folder.join(file::CA))));
    }
    match simulator.kind {
        Kind::Apns => rows.extend([
            ("key_file", quoted_path(&folder.join(file::APNS_KEY))),
            ("key_id", quoted(&credentials.apns.key_id)),
            ("team_id", quoted(&credentials.apns.team_id)),
            ("topic", quoted(&credentials.apns.topic)),
        ]),
        Kind::Fcm => rows.extend([
            ("project_id", quoted(&credentials.service_account.project_id)),
            ("service_account_file", quoted_path(&folder.join(file::SERVICE_ACCOUNT))),
        ]),
    }
    if let Some(retry) = options.retry_base_ms {
        rows.push(("retry_base_ms", retry.to_string()));
    }
    let mut text = format!("\n[route.{name}]\n");
    for (key, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_path(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    quoted(&absolute.display().to_string())
}
