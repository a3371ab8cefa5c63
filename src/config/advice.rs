//! What spans several sections: refused when it cannot work, advised against
//! when it works badly.

use std::net::IpAddr;

use super::error::ConfigError;
use super::reader::Reader;
use super::types::{Config, Provider};

/// Refuses relays beside no `http.public_url`: nobody could open the links in
/// their mails. All on one machine is for trying it out.
pub fn check_links(reader: &Reader<'_>, config: &Config) {
    if config.http.public_url.is_some() {
        return;
    }
    for route in &config.routes {
        let Provider::Smtp(smtp) = &route.provider else { continue };
        if config.http.bind.ip().is_loopback() && is_this_machine(&smtp.host) {
            continue;
        }
        let place = reader.origin(&format!("route.{}.kind", route.id));
        let reason = format!(
            "is missing: the mails of route \"{}\" carry links, and citizens cannot open those to \
             the address this server listens on",
            route.id
        );
        reader.push(ConfigError::new(place, "http.public_url", reason));
    }
}

/// What is allowed and should not be, a line each.
#[must_use]
pub fn warnings(config: &Config) -> Vec<String> {
    let host = |url: &str| {
        let uri: hyper::Uri = url.parse().ok()?;
        let is_clear = uri.scheme_str() == Some("http");
        uri.host().filter(|_| is_clear).map(str::to_owned)
    };
    let host = config.http.public_url.as_deref().and_then(host);
    let remote = host.filter(|host| !is_this_machine(host));
    let warning = "http.public_url: is http://, so links in mails, and what citizens read behind \
         them, travel in clear text; mail readers unsubscribe over https:// only (RFC 8058)";
    remote.map(|_| warning.to_owned()).into_iter().collect()
}

/// Whether `host`, a name or an address, is this machine.
pub fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
