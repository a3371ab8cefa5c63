//! `[store] redis_*`: how the Redis that nodes share is reached and used.
//!
//! The address may hold a password: it is checked here, given on only through
//! [`RedisUrl::reveal`], and never written anywhere else: neither into errors,
//! nor by `Debug`, nor by `check-config` (see [`without_password`]).

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};
use toml::Value;

use super::error::{ConfigError, Origin};
use super::reader::Reader;

/// Most replicas that can be waited for.
const MOST_REPLICAS: u64 = 16;
/// Longest file with an address, bytes.
const LONGEST: u64 = 4 * 1024;

/// What an address must look like.
const FORM: &str = "must be redis://[user:password@]host:port[/db], or rediss:// for TLS";

/// `[store]` with `kind = "redis"`; see `config/default.toml`.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where Redis is.
    pub address: RedisAddress,
    /// What kind of deployment it is.
    pub topology: RedisTopology,
    /// Further nodes of the Cluster, or the sentinels.
    pub nodes: Vec<RedisUrl>,
    /// What every key begins with.
    pub prefix: String,
    /// Replicas that confirm a write.
    pub replicas: u8,
    /// How long they are waited for.
    pub confirm: Duration,
    /// How long an operation may take in all.
    pub answer: Duration,
    /// Whether settings under which Redis loses writes are only warned of.
    pub accept_loss: bool,
}

/// Where the address of Redis is said.
#[derive(Clone, Debug)]
pub enum RedisAddress {
    /// In the configuration.
    Given(RedisUrl),
    /// In a file, which is read at the start.
    File(PathBuf),
}

/// Kinds of deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single,
    /// A master that Sentinels watch.
    Sentinel {
        /// The name they know it by.
        master: String,
    },
    /// A Cluster.
    Cluster,
}

/// An address that can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    url: String,
    database: i64,
}

impl RedisUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence and without quoting it.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let info = url.into_connection_info().map_err(|_| FORM)?;
        match info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }
                if !host.is_empty() => {}
            _ => return Err(FORM),
        }
        Ok(Self { url: url.to_owned(), database: info.redis_settings().db() })
    }

    /// The whole of it with the user and password of `other`, unless it has its
    /// own: nodes of a Cluster have the same.
    #[must_use]
    pub fn reveal_with(&self, other: &Self) -> String {
        let credentials = |url: &str| {
            let (_, rest) = url.split_once("://")?;
            rest.rsplit_once('@').map(|(user, _)| user.to_owned())
        };
        match (self.url.split_once("://"), credentials(&self.url), credentials(&other.url)) {
            (Some((scheme, rest)), None, Some(user)) => format!("{scheme}://{user}@{rest}"),
            _ => self.url.clone(),
        }
    }

    /// The whole of it; it may hold a password.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.url
    }
}

/// Without what may be secret.
impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.url))
    }
}

/// The file with the address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {reason}", file = .file.display())]
pub struct UrlFileError {
    file: PathBuf,
    reason: String,
}

impl RedisConfig {
    /// The address, from its file if it is in one.
    ///
    /// # Errors
    /// [`UrlFileError`]: what is wrong with the file.
    pub fn url(&self) -> Result<RedisUrl, UrlFileError> {
        match &self.address {
            RedisAddress::Given(url) => Ok(url.clone()),
            RedisAddress::File(file) => read_file(file, &self.topology)
                .map_err(|reason| UrlFileError { file: file.clone(), reason }),
        }
    }
}

fn read_file(file: &Path, topology: &RedisTopology) -> Result<RedisUrl, String> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    read.map_err(|error| format!("cannot be read: {error}"))?;
    let url = RedisUrl::parse(text.trim())?;
    check_database(&url, topology)?;
    Ok(url)
}

fn check_database(url: &RedisUrl, topology: &RedisTopology) -> Result<(), &'static str> {
    if *topology == RedisTopology::Cluster && url.database != 0 {
        return Err("names a database, and a Cluster has only database 0: leave it out");
    }
    Ok(())
}

/// `url` with its password replaced. What does not look like an address is
/// hidden whole: nobody knows where a password would be in it.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.is_empty() { String::new() } else { "***".to_owned() };
    };
    // A password may hold any character: the last '@' ends it.
    match rest.rsplit_once('@') {
        None => format!("{scheme}://{rest}"),
        Some((user, at)) => match user.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:***@{at}"),
            None => format!("{scheme}://{user}@{at}"),
        },
    }
}

/// A value of the configuration as it may be shown.
pub(super) fn shown(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("store.redis_url", Value::String(url)) => Value::String(without_password(url)),
        ("store.redis_nodes", Value::Array(urls)) => {
            let hidden = |url: &Value| url.as_str().map_or_else(|| "***".into(), without_password);
            Value::Array(urls.iter().map(|url| Value::String(hidden(url))).collect())
        }
        _ => value.clone(),
    }
}

/// Reads the section; all of it is checked whatever kind of store is chosen.
pub(super) fn read(reader: &Reader<'_>, chosen: bool) -> Option<RedisConfig> {
    let topology = topology(reader);
    let address = address(reader, chosen, &topology);
    let nodes = nodes(reader, &topology);
    let (confirm, answer) = patience(reader);
    let replicas = u8::try_from(reader.whole("store.redis_replicas", 0..=MOST_REPLICAS));
    Some(RedisConfig {
        topology,
        nodes,
        prefix: prefix(reader),
        replicas: replicas.unwrap_or(u8::MAX),
        confirm,
        answer,
        accept_loss: reader.flag("store.redis_accept_loss"),
        address: address?,
    })
}

fn topology(reader: &Reader<'_>) -> RedisTopology {
    let master = reader.name("store.redis_master", 64);
    let kinds = [
        ("single", RedisTopology::Single),
        ("sentinel", RedisTopology::Sentinel { master }),
        ("cluster", RedisTopology::Cluster),
    ];
    let topology = reader.choice("store.redis_topology", &kinds);
    if !matches!(topology, RedisTopology::Sentinel { .. }) && reader.is_given("store.redis_master")
    {
        reader.refuse(
            "store.redis_master",
            "is the name that sentinels know the master by, and store.redis_topology is not \
             \"sentinel\"",
        );
    }
    topology
}

/// Exactly one of both, where Redis is the store, and none where it is not.
fn address(reader: &Reader<'_>, chosen: bool, topology: &RedisTopology) -> Option<RedisAddress> {
    const URL: &str = "store.redis_url";
    const FILE: &str = "store.redis_url_file";
    let (url, file) = (reader.text(URL), reader.optional_path(FILE));
    if !chosen {
        let given = [(URL, !url.is_empty()), (FILE, file.is_some())];
        for (key, _) in given.iter().filter(|(_, is_given)| *is_given) {
            reader.refuse(key, "is given, but store.kind is not \"redis\"");
        }
        return None;
    }
    match (url.as_str(), file) {
        ("", None) => {
            // Where Redis is asked for: the defaults are nobody's to edit.
            let place = reader.origin("store.kind");
            let reason = "is missing, and so is store.redis_url_file: give one of both";
            reader.push(ConfigError::new(place, URL, reason));
            None
        }
        ("", Some(file)) => Some(RedisAddress::File(file)),
        (_, Some(_)) => {
            reader.refuse(FILE, "is given, and so is store.redis_url: give one of both");
            None
        }
        (url, None) => {
            let read = RedisUrl::parse(url)
                .and_then(|url| check_database(&url, topology).map(|()| url))
                .map_err(|reason| reader.refuse(URL, reason));
            read.ok().map(RedisAddress::Given)
        }
    }
}

fn nodes(reader: &Reader<'_>, topology: &RedisTopology) -> Vec<RedisUrl> {
    const KEY: &str = "store.redis_nodes";
    let texts = reader.texts(KEY);
    match topology {
        RedisTopology::Single if !texts.is_empty() => reader.refuse(
            KEY,
            "names further servers, and store.redis_topology is \"single\": use \"cluster\" (nodes \
             of a Cluster) or \"sentinel\" (the sentinels)",
        ),
        RedisTopology::Sentinel { .. } if texts.is_empty() => {
            let place = match reader.origin(KEY) {
                Origin::Default => reader.origin("store.redis_topology"),
                given => given,
            };
            let reason =
                "is empty: with store.redis_topology = \"sentinel\" it names the sentinels";
            reader.push(ConfigError::new(place, KEY, reason));
        }
        _ => {}
    }
    let mut nodes = Vec::with_capacity(texts.len());
    for (number, text) in (1..).zip(texts) {
        match RedisUrl::parse(&text).and_then(|url| check_database(&url, topology).map(|()| url)) {
            Ok(url) => nodes.push(url),
            Err(reason) => reader.refuse(KEY, format!("number {number} {reason}")),
        }
    }
    nodes
}

fn prefix(reader: &Reader<'_>) -> String {
    const KEY: &str = "store.redis_prefix";
    let prefix = reader.required(KEY);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if prefix.len() > 32 || !prefix.chars().all(fits) {
        reader.refuse(KEY, "must be 1 to 32 letters, digits, '-' or '_'");
    }
    prefix
}

/// How long replicas are waited for, and how long an operation may take.
fn patience(reader: &Reader<'_>) -> (Duration, Duration) {
    const CONFIRM: &str = "store.redis_confirm_ms";
    let confirm = reader.millis(CONFIRM, 10..=20_000);
    let answer = reader.millis("store.redis_answer_ms", 100..=30_000);
    if confirm > answer * 2 / 3 {
        reader.refuse(
            CONFIRM,
            "must be at most two thirds of store.redis_answer_ms: what the replicas say has to \
             arrive within that time",
        );
    }
    (confirm, answer)
}

#[cfg(test)]
mod tests {
    use super::{RedisUrl, without_password};

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://r.example.it:6379/2", "redis://r.example.it:6379/2"),
            ("redis://:hunter2@r.example.it:6379", "redis://:***@r.example.it:6379"),
            ("rediss://araldo:hun:t@er2@r:1", "rediss://araldo:***@r:1"),
            ("redis://araldo@r:1", "redis://araldo@r:1"),
            ("hunter2", "***"),
            ("", ""),
        ] {
            assert_eq!(without_password(url), shown);
        }
        let url = RedisUrl::parse("redis://:hunter2@r:1").expect("an address");
        assert_eq!(format!("{url:?}"), "redis://:***@r:1");
        assert_eq!(url.reveal(), "redis://:hunter2@r:1");
    }

    #[test]
    fn a_node_without_a_password_is_reached_with_the_one_of_the_first() {
        let read = |url| RedisUrl::parse(url).expect("an address");
        let first = read("rediss://araldo:hun@ter2@r1:1");
        let reached = |url| read(url).reveal_with(&first);
        assert_eq!(reached("rediss://r2:1"), "rediss://araldo:hun@ter2@r2:1");
        assert_eq!(reached("rediss://own:pw@r2:1"), "rediss://own:pw@r2:1");
        assert_eq!(read("redis://r2:1").reveal_with(&read("redis://r1:1")), "redis://r2:1");
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_being_quoted() {
        for url in [
            "",
            "r:6379",
            "http://r:1",
            "unix:///run/redis.sock",
            "redis://:hunter2@",
            "redis://r:port",
        ] {
            let reason = RedisUrl::parse(url).expect_err(url);
            assert!(reason.starts_with("must be redis://"), "{reason}");
        }
    }
}
