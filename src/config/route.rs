//! `[route.NAME]`: the push accounts.

use araldo_actors::domain::id::RouteId;

use super::reader::Reader;
use super::types::{Apns, Fcm, Provider, RouteConfig};

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
        // Refused when the layers were merged.
        _ => return None,
    };
    let retry_base = reader.millis(&key("retry_base_ms"), 1..=3_600_000);
    let retry_max = reader.millis(&key("retry_max_ms"), 1..=86_400_000);
    if retry_max < retry_base {
        reader.refuse(&key("retry_max_ms"), "must not be less than retry_base_ms");
    }
    let connections = reader.size(&key("connections"), 1..=256);
    match RouteId::parse(name) {
        Ok(id) => Some(RouteConfig { id, provider, connections, retry_base, retry_max }),
        Err(invalid) => {
            reader.refuse(&key("kind"), format!("the name of the route must be {}", invalid.rule));
            None
        }
    }
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
