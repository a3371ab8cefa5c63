//! From values to types: ranges, forms, and what must be given.
//!
//! A reader collects errors and goes on, so that one run shows them all; what
//! it returns in place of a refused value is never used, because then no
//! [`Config`] is made.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use araldo_actors::domain::id::NodeId;
use ipnet::IpNet;
use toml::Value;
use tracing_subscriber::EnvFilter;

use super::error::{ConfigError, Origin};
use super::layers::{Effective, Entry};
use super::types::{
    CitizenConfig, Config, EngineConfig, HttpConfig, LiveConfig, LogConfig, LogFormat, NodeConfig,
    RetentionConfig, RouteConfig, StoreConfig, StoreKind,
};
use super::{advice, redis, route, schema};

/// Builds the configuration; `None` beside errors.
pub fn read(effective: &Effective) -> (Option<Config>, Vec<ConfigError>) {
    let reader = Reader::new(effective);
    let config = read_with(&reader);
    advice::check_links(&reader, &config);
    let errors = reader.errors.into_inner();
    (errors.is_empty().then_some(config), errors)
}

/// The routes alone, beside what is wrong with them.
pub fn read_routes(effective: &Effective) -> (Vec<RouteConfig>, Vec<ConfigError>) {
    let reader = Reader::new(effective);
    let routes = route::read_all(&reader);
    (routes, reader.errors.into_inner())
}

/// Builds the configuration out of what `reader` gives.
pub fn read_with(reader: &Reader<'_>) -> Config {
    Config {
        http: http(reader),
        citizen: citizen(reader),
        live: live(reader),
        store: store(reader),
        node: NodeConfig {
            id: node_id(reader),
            lease: reader.seconds("node.lease_seconds", 5..=300),
        },
        engine: engine(reader),
        routes: route::read_all(reader),
        retention: RetentionConfig {
            claims: reader.hours("retention.claims_hours", 1..=720),
            deletion_grace: reader.hours("retention.deletion_grace_hours", 0..=2160),
        },
        log: log(reader),
    }
}

fn http(reader: &Reader<'_>) -> HttpConfig {
    HttpConfig {
        bind: reader.address("http.bind"),
        max_connections: reader.size("http.max_connections", 1..=1_000_000),
        header_read_timeout: reader.seconds("http.header_read_timeout_seconds", 1..=3600),
        request_timeout: reader.seconds("http.request_timeout_seconds", 1..=3600),
        drain: reader.seconds("http.drain_seconds", 0..=3600),
        body_limit: reader.size("http.body_limit_bytes", 1024..=16_777_216),
        alert_body_limit: reader.size("http.alert_body_limit_bytes", 1024..=16_777_216),
        import_body_limit: reader.size("http.import_body_limit_bytes", 1024..=1_073_741_824),
        max_imports: reader.size("http.max_imports", 1..=64),
        max_organizations: reader.size("http.max_organizations", 1..=10_000_000),
        max_services: reader.size("http.max_services", 1..=10_000_000),
        max_keys: reader.size("http.max_keys", 1..=10_000_000),
        trusted_proxies: reader.networks("http.trusted_proxies"),
        public_url: reader.optional_base_address("http.public_url"),
    }
}

fn citizen(reader: &Reader<'_>) -> CitizenConfig {
    let text = |key: &str| Some(reader.text(key)).filter(|text| !text.is_empty());
    CitizenConfig {
        issuer: text("citizen.issuer"),
        audience: text("citizen.audience"),
        fiscal_code_claim: claim(reader, "citizen.fiscal_code_claim"),
        jwks_url: text("citizen.jwks_url").inspect(|url| {
            let known = |uri: hyper::Uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
            };
            if !url.parse().is_ok_and(known) {
                reader.refuse("citizen.jwks_url", "must be an http:// or https:// address");
            }
        }),
        jwks_refresh: reader.seconds("citizen.jwks_refresh_seconds", 1..=86_400),
        jwks_file: reader.optional_path("citizen.jwks_file"),
        public_key_file: reader.optional_path("citizen.public_key_file"),
        development_key_file: reader.optional_path("citizen.development_key_file"),
        secret_file: reader.optional_path("citizen.secret_file"),
        validation: reader.hours("citizen.validation_hours", 1..=720),
    }
}

/// The name of a claim: any text (RFC 7519, 4.2 and 4.3), often an address, as
/// `https://attributes.eid.gov.it/fiscal_number`.
fn claim(reader: &Reader<'_>, key: &str) -> String {
    let text = reader.text(key);
    if !(1..=256).contains(&text.len()) || text.chars().any(char::is_control) {
        reader.refuse(key, "must be 1 to 256 bytes without control characters");
    }
    text
}

fn live(reader: &Reader<'_>) -> LiveConfig {
    LiveConfig {
        max_sessions: reader.size("live.max_sessions", 0..=1_000_000),
        max_sessions_per_citizen: reader.size("live.max_sessions_per_citizen", 1..=1000),
        keep_alive: reader.seconds("live.keep_alive_seconds", 1..=3600),
        max_replay: reader.size("live.max_replay", 1..=100_000),
    }
}

fn store(reader: &Reader<'_>) -> StoreConfig {
    let in_redis = reader.choice("store.kind", &[("embedded", false), ("redis", true)]);
    let redis = redis::read(reader, in_redis);
    StoreConfig {
        // Of a Redis without an address nothing is made: that was refused.
        kind: redis.map_or(StoreKind::Embedded, |redis| StoreKind::Redis(Box::new(redis))),
        path: reader.path("store.path"),
        cache_bytes: reader.whole("store.cache_bytes", 1_048_576..=1_099_511_627_776),
    }
}

/// The name other nodes know this one by.
fn node_id(reader: &Reader<'_>) -> NodeId {
    const KEY: &str = "node.id";
    NodeId::parse(&reader.text(KEY)).unwrap_or_else(|invalid| {
        reader.refuse(KEY, format!("must be {}", invalid.rule));
        unnamed()
    })
}

#[expect(clippy::expect_used, reason = "a constant that is a name")]
fn unnamed() -> NodeId {
    NodeId::parse("node").expect("a name")
}

fn engine(reader: &Reader<'_>) -> EngineConfig {
    EngineConfig {
        partitions: u16::try_from(reader.whole("engine.partitions", 1..=4096)).unwrap_or(u16::MAX),
        max_active: reader.size("engine.max_active", 1..=100_000),
        credits: reader.size("engine.credits", 4..=100_000),
        in_flight: reader.size("engine.in_flight", 1..=1_000_000),
        backlog: reader.whole("engine.backlog", 1..=1_000_000_000),
        max_panics: u32::try_from(reader.whole("engine.max_panics", 1..=100)).unwrap_or(u32::MAX),
    }
}

fn log(reader: &Reader<'_>) -> LogConfig {
    let filter = reader.text("log.filter");
    if let Err(error) = EnvFilter::builder().parse(&filter) {
        reader.refuse("log.filter", format!("is not a list of log directives: {error}"));
    }
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    LogConfig { filter, format: reader.choice("log.format", &formats) }
}

/// Reads values and collects what is wrong with them.
pub struct Reader<'a> {
    effective: &'a Effective,
    errors: RefCell<Vec<ConfigError>>,
    #[cfg(test)]
    pub read: RefCell<std::collections::BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub fn new(effective: &'a Effective) -> Self {
        Self {
            effective,
            errors: RefCell::default(),
            #[cfg(test)]
            read: RefCell::default(),
        }
    }

    /// A base address that must be given: scheme, host and port only.
    pub fn base_address(&self, key: &str) -> String {
        self.check_base_address(key, self.required(key))
    }

    /// A base address, if one is given.
    pub fn optional_base_address(&self, key: &str) -> Option<String> {
        let text = self.text(key);
        (!text.is_empty()).then(|| self.check_base_address(key, text))
    }

    fn check_base_address(&self, key: &str, text: String) -> String {
        let text = text.trim_end_matches('/');
        let fits = text.parse::<hyper::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
        });
        if !fits {
            self.refuse(key, "must be http:// or https:// with a host, and no path");
        }
        text.to_owned()
    }

    pub fn route_names(&self) -> Vec<&'a str> {
        self.effective.route_names()
    }

    fn get(&self, key: &str) -> Option<&'a Entry> {
        #[cfg(test)]
        self.read.borrow_mut().insert(key.to_owned());
        self.effective.get(key)
    }

    /// Where a fault of `key` is to be mended. What a route does not say is
    /// said where the route is: the defaults are nobody's to edit.
    pub fn origin(&self, key: &str) -> Origin {
        let origin_of = |key: &str| self.effective.get(key).map(|entry| entry.origin.clone());
        match (origin_of(key), schema::route_key(key)) {
            (None | Some(Origin::Default), Some((name, _))) => {
                origin_of(&format!("route.{name}.{}", schema::KIND)).unwrap_or(Origin::Default)
            }
            (origin, _) => origin.unwrap_or(Origin::Default),
        }
    }

    /// Notes that the value of `key` is refused.
    pub fn refuse(&self, key: &str, reason: impl Into<String>) {
        let origin = self.origin(key);
        self.push(ConfigError::new(origin, key, reason));
    }

    /// Notes an error.
    pub fn push(&self, error: ConfigError) {
        self.errors.borrow_mut().push(error);
    }

    /// A whole number in `range`.
    pub fn whole(&self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let number = match self.get(key).map(|entry| &entry.value) {
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = range.into_inner();
                self.refuse(key, format!("must be between {low} and {high}"));
                low
            }
        }
    }

    /// A whole number in `range`, as a size.
    pub fn size(&self, key: &str, range: RangeInclusive<u64>) -> usize {
        usize::try_from(self.whole(key, range)).unwrap_or(usize::MAX)
    }

    /// Seconds.
    pub fn seconds(&self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.whole(key, range))
    }

    /// Milliseconds.
    pub fn millis(&self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.whole(key, range))
    }

    fn hours(&self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_hours(self.whole(key, range))
    }

    /// A text that may be empty.
    pub fn text(&self, key: &str) -> String {
        self.get(key).and_then(|entry| entry.value.as_str()).unwrap_or_default().to_owned()
    }

    /// A text that must be given.
    pub fn required(&self, key: &str) -> String {
        let text = self.text(key);
        if text.trim().is_empty() {
            self.refuse(key, "is missing");
        }
        text
    }

    /// A short name of letters, digits, `-`, `_` and `.`.
    pub fn name(&self, key: &str, longest: usize) -> String {
        let text = self.required(key);
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.len() > longest || !text.chars().all(fits) {
            self.refuse(key, format!("must be 1 to {longest} letters, digits, '-', '_' or '.'"));
        }
        text
    }

    /// One of the named values.
    pub fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> T {
        let text = self.text(key);
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return value.clone();
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let suggestion = schema::nearest(&text, names.iter().copied()).map(str::to_owned);
        let origin = self.origin(key);
        let reason = format!("\"{text}\" is none of \"{}\"", names.join("\", \""));
        self.errors.borrow_mut().push(ConfigError::new(origin, key, reason).suggesting(suggestion));
        choices[0].1.clone()
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(|entry| entry.value.as_bool()).unwrap_or_default()
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Vec<String> {
        let items = self.get(key).and_then(|entry| entry.value.as_array());
        let mut texts = Vec::new();
        for item in items.into_iter().flatten() {
            match item.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.refuse(key, "must be a list of texts"),
            }
        }
        texts
    }

    /// Whether something else than the defaults says what `key` is.
    pub fn is_given(&self, key: &str) -> bool {
        self.origin(key) != Origin::Default
    }

    fn address(&self, key: &str) -> SocketAddr {
        self.text(key).parse().unwrap_or_else(|_| {
            self.refuse(key, "must be an address and a port, such as 127.0.0.1:8080 or [::1]:8080");
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// A path that must be given; a relative one starts at the directory of
    /// the file that names it.
    pub fn path(&self, key: &str) -> PathBuf {
        self.required(key);
        self.optional_path(key).unwrap_or_default()
    }

    /// A path, or none when the value is empty.
    pub fn optional_path(&self, key: &str) -> Option<PathBuf> {
        let entry = self.get(key)?;
        let text = entry.value.as_str().filter(|text| !text.is_empty())?;
        let base = match &entry.origin {
            Origin::File { path, .. } => path.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        Some(base.join(text))
    }

    fn networks(&self, key: &str) -> Vec<IpNet> {
        let items = self.get(key).and_then(|entry| entry.value.as_array());
        let mut networks = Vec::new();
        for item in items.into_iter().flatten() {
            match item.as_str().and_then(network) {
                Some(network) => networks.push(network),
                None => self.refuse(key, format!("{item} is not an address or a CIDR network")),
            }
        }
        networks
    }
}

/// A CIDR network, or a single address.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
