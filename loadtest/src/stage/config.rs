//! The server's configuration for the stage.
//!
//! Pure text. Strings are written as JSON strings, which TOML's basic strings contain.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::node::Node;
use super::{SimProcess, StageError, StageOptions, StageStore};
use crate::simulator::credentials::file;
use crate::simulator::{Credentials, Kind, SmtpTls};

/// Sender of the mails.
const FROM: &str = "Araldo <no-reply@araldo.example>";

/// The secret shared with those who mint citizens' tokens.
pub(super) fn citizen_key_file(folder: &Path) -> PathBuf {
    folder.join("citizen.key")
}

/// The password of the relay's account.
pub(super) fn password_file(folder: &Path) -> PathBuf {
    folder.join("relay.password")
}

pub(super) fn render(
    options: &StageOptions,
    node: &Node,
    first: &Node,
    credentials_folder: &Path,
    simulators: &[SimProcess],
) -> Result<String, StageError> {
    let credentials = Credentials::load(credentials_folder)?;
    let mut text = format!(
        "[http]\nbind = {}\npublic_url = {}\n\n[citizen]\ndevelopment_key_file = {}\n\n{}",
        quoted(&node.bind.to_string()),
        // Links in mails are the same from every node.
        quoted(&format!("http://{}", first.bind)),
        quoted_path(&citizen_key_file(&options.folder)),
        store(options, node)
    );
    for simulator in simulators {
        text.push_str(&route(options, &credentials, credentials_folder, simulator));
    }
    if let Some(relay) = options.relay {
        text.push_str(&section(
            options,
            "relay",
            Kind::Smtp,
            relay_rows(options, relay, SmtpTls::None),
        ));
    }
    text.push('\n');
    text.push_str(&options.extra_config);
    Ok(text)
}

fn store(options: &StageOptions, node: &Node) -> String {
    let path = quoted_path(&node.store_folder());
    match &options.store {
        StageStore::Embedded => format!("[store]\nkind = \"embedded\"\npath = {path}\n"),
        StageStore::Redis(lines) => format!(
            "[store]\nkind = \"redis\"\npath = {path}\n{}\n\n[node]\nid = {}\nlease_seconds = {}\n",
            lines.trim_end(),
            quoted(&node.name),
            options.nodes.lease_seconds
        ),
    }
}

/// Key and value, the value as TOML.
type Rows = Vec<(&'static str, String)>;

fn route(
    options: &StageOptions,
    credentials: &Credentials,
    folder: &Path,
    simulator: &SimProcess,
) -> String {
    let mut rows: Rows = vec![
        ("endpoint", quoted(&simulator.endpoint)),
        ("connections", options.connections.to_string()),
    ];
    let ca_file = ("ca_file", quoted_path(&folder.join(file::CA)));
    let name = match simulator.kind {
        Kind::Apns => {
            rows.extend([
                ("key_file", quoted_path(&folder.join(file::APNS_KEY))),
                ("key_id", quoted(&credentials.apns.key_id)),
                ("team_id", quoted(&credentials.apns.team_id)),
                ("topic", quoted(&credentials.apns.topic)),
            ]);
            "apple"
        }
        Kind::Fcm => {
            rows.extend([
                ("project_id", quoted(&credentials.service_account.project_id)),
                ("service_account_file", quoted_path(&folder.join(file::SERVICE_ACCOUNT))),
            ]);
            "google"
        }
        Kind::Smtp => {
            rows = relay_rows(options, simulator.address, options.smtp_tls());
            "relay"
        }
    };
    if options.tls && (simulator.kind != Kind::Smtp || options.smtp_tls() != SmtpTls::None) {
        rows.push(ca_file);
    }
    section(options, name, simulator.kind, rows)
}

fn relay_rows(options: &StageOptions, relay: SocketAddr, tls: SmtpTls) -> Rows {
    let tls = match tls {
        SmtpTls::None => "none",
        SmtpTls::Starttls => "starttls",
        SmtpTls::Implicit => "implicit",
    };
    let mut rows = vec![
        ("host", quoted(&relay.ip().to_string())),
        ("port", relay.port().to_string()),
        ("tls", quoted(tls)),
        ("from", quoted(FROM)),
        ("sessions", options.sessions.to_string()),
    ];
    if let (Some(account), None) = (&options.smtp.account, options.relay) {
        rows.push(("username", quoted(&account.username)));
        rows.push(("password_file", quoted_path(&password_file(&options.folder))));
    }
    rows
}

fn section(options: &StageOptions, name: &str, kind: Kind, rows: Rows) -> String {
    let mut text = format!("\n[route.{name}]\nkind = {}\n", quoted(kind.name()));
    let retry = options.retry_base_ms.map(|retry| ("retry_base_ms", retry.to_string()));
    for (key, value) in rows.into_iter().chain(retry) {
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
