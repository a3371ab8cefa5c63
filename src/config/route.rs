//! `[route.NAME]`: the push accounts and mail relays.

use araldo_actors::domain::id::RouteId;
use lettre::message::Mailbox;
use rustls::pki_types::ServerName;

use super::advice::is_this_machine;
use super::reader::Reader;
use super::types::{Apns, Fcm, Provider, RouteConfig, Smtp, SmtpTls};

/// What an alert's way through the inboxes is called beside those of the routes,
/// in its progress and in metrics.
const WALK: &str = "inbox";

/// Highest `rate_per_second`.
const HIGHEST_RATE: u64 = 1_000_000;

/// Reads every route whose kind is known.
pub fn read_all(reader: &Reader<'_>) -> Vec<RouteConfig> {
    reader.route_names().into_iter().filter_map(|name| read(reader, name)).collect()
}

fn read(reader: &Reader<'_>, name: &str) -> Option<RouteConfig> {
    let key = |key: &str| format!("route.{name}.{key}");
    let provider = match reader.text(&key("kind")).as_str() {
        "apns" => Provider::Apns(Apns {
            endpoint: reader.base_address(&key("endpoint")),
            ca_file: reader.optional_path(&key("ca_file")),
            key_file: reader.path(&key("key_file")),
            key_id: ten_characters(reader, &key("key_id")),
            team_id: ten_characters(reader, &key("team_id")),
            topic: reader.name(&key("topic"), 255),
        }),
        "fcm" => Provider::Fcm(Fcm {
            endpoint: reader.base_address(&key("endpoint")),
            ca_file: reader.optional_path(&key("ca_file")),
            project_id: reader.name(&key("project_id"), 128),
            service_account_file: reader.path(&key("service_account_file")),
        }),
        "smtp" => Provider::Smtp(smtp(reader, &key)),
        // Refused when the layers were merged.
        _ => return None,
    };
    let retry_base = reader.millis(&key("retry_base_ms"), 1..=3_600_000);
    let retry_max = reader.millis(&key("retry_max_ms"), 1..=86_400_000);
    if retry_max < retry_base {
        reader.refuse(&key("retry_max_ms"), "must not be less than retry_base_ms");
    }
    let connections = match provider {
        Provider::Smtp(_) => reader.size(&key("sessions"), 1..=256),
        _ => reader.size(&key("connections"), 1..=256),
    };
    let rate = reader.whole(&key("rate_per_second"), 0..=HIGHEST_RATE);
    if name == WALK {
        reader
            .refuse(&key("kind"), "a route cannot be named \"inbox\": alerts have a walk so named");
    }
    match RouteId::parse(name) {
        Ok(id) => Some(RouteConfig {
            id,
            provider,
            connections,
            retry_base,
            retry_max,
            // Within the range.
            rate_per_second: u32::try_from(rate).unwrap_or(u32::MAX),
        }),
        Err(invalid) => {
            reader.refuse(&key("kind"), format!("the name of the route must be {}", invalid.rule));
            None
        }
    }
}

fn smtp(reader: &Reader<'_>, key: &impl Fn(&str) -> String) -> Smtp {
    let host = reader.required(&key("host"));
    if !host.is_empty() && ServerName::try_from(host.as_str()).is_err() {
        reader.refuse(&key("host"), "must be a host name or an address, without a port");
    }
    let modes =
        [("none", SmtpTls::None), ("starttls", SmtpTls::StartTls), ("implicit", SmtpTls::Implicit)];
    let tls = reader.choice(&key("tls"), &modes);
    let username = reader.text(&key("username"));
    let password_file = reader.optional_path(&key("password_file"));
    let credentials = match (username.is_empty(), password_file) {
        (true, None) => None,
        (false, Some(file)) => Some((username, file)),
        (true, Some(_)) => {
            reader.refuse(&key("username"), "is missing beside password_file");
            None
        }
        (false, None) => {
            reader.refuse(&key("password_file"), "is missing beside username");
            None
        }
    };
    if credentials.is_some() && tls == SmtpTls::None && !is_this_machine(&host) {
        let reason =
            "must not be \"none\" with a username: the password would be sent in clear text";
        reader.refuse(&key("tls"), reason);
    }
    Smtp {
        port: u16::try_from(reader.whole(&key("port"), 1..=65_535)).unwrap_or(u16::MAX),
        ca_file: reader.optional_path(&key("ca_file")),
        from: mailbox(reader, &key("from")),
        host,
        tls,
        credentials,
    }
}

/// A mailbox (RFC 5322, 3.4) that every relay and reader takes.
fn mailbox(reader: &Reader<'_>, key: &str) -> String {
    let text = reader.required(key);
    let ascii = |mailbox: Mailbox| AsRef::<str>::as_ref(&mailbox.email).is_ascii();
    if !text.is_empty() && !text.parse().is_ok_and(ascii) {
        let reason =
            "must be an address in ASCII, with or without a name: \"Name <name@example.it>\"";
        reader.refuse(key, reason);
    }
    text
}

/// Identifiers of Apple: ten upper-case letters and digits (Apple, "Establishing
/// a token-based connection to APNs").
fn ten_characters(reader: &Reader<'_>, key: &str) -> String {
    let text = reader.required(key);
    let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if !text.is_empty() && (text.len() != 10 || !text.bytes().all(fits)) {
        reader.refuse(key, "must be ten upper-case letters and digits");
    }
    text
}
