//! The typed configuration. Every value has passed its checks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use araldo_actors::domain::id::{NodeId, RouteId};
use ipnet::IpNet;

use super::redis::RedisConfig;

/// Everything `araldo serve` is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[http]`.
    pub http: HttpConfig,
    /// `[citizen]`.
    pub citizen: CitizenConfig,
    /// `[live]`.
    pub live: LiveConfig,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[node]`.
    pub node: NodeConfig,
    /// `[engine]`.
    pub engine: EngineConfig,
    /// `[route.NAME]`, by name.
    pub routes: Vec<RouteConfig>,
    /// `[retention]`.
    pub retention: RetentionConfig,
    /// `[log]`.
    pub log: LogConfig,
}

/// `[http]`; see `config/default.toml` for the meaning of each key.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Address to listen on.
    pub bind: SocketAddr,
    /// Connections served at one time.
    pub max_connections: usize,
    /// For the header of a request, and for an idle connection.
    pub header_read_timeout: Duration,
    /// For the body of a request, and again for its answer.
    pub request_timeout: Duration,
    /// For open requests when told to stop.
    pub drain: Duration,
    /// Longest body, bytes.
    pub body_limit: usize,
    /// Longest body of an alert, bytes.
    pub alert_body_limit: usize,
    /// Longest body of an import, bytes.
    pub import_body_limit: usize,
    /// Imports at one time.
    pub max_imports: usize,
    /// Most organisations.
    pub max_organizations: usize,
    /// Most services.
    pub max_services: usize,
    /// Most keys.
    pub max_keys: usize,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Base address of this server for citizens, without a path.
    pub public_url: Option<String>,
}

/// `[citizen]`; see `config/default.toml` for the meaning of each key.
#[derive(Clone, Debug)]
pub struct CitizenConfig {
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`.
    pub audience: Option<String>,
    /// The claim with the fiscal code.
    pub fiscal_code_claim: String,
    /// Where the issuer publishes its keys.
    pub jwks_url: Option<String>,
    /// How often they are asked for.
    pub jwks_refresh: Duration,
    /// The issuer's keys in a file.
    pub jwks_file: Option<PathBuf>,
    /// One public key, PEM.
    pub public_key_file: Option<PathBuf>,
    /// Secret of development tokens.
    pub development_key_file: Option<PathBuf>,
    /// This installation's secret.
    pub secret_file: Option<PathBuf>,
    /// For a link that confirms an address.
    pub validation: Duration,
}

/// `[live]`.
#[derive(Clone, Copy, Debug)]
pub struct LiveConfig {
    /// Sessions on this node.
    pub max_sessions: usize,
    /// Sessions of one citizen.
    pub max_sessions_per_citizen: usize,
    /// Between signs of life.
    pub keep_alive: Duration,
    /// Events told one by one to a returning session.
    pub max_replay: usize,
}

/// Kinds of store.
#[derive(Clone, Debug)]
pub enum StoreKind {
    /// In this machine's file system.
    Embedded,
    /// In a Redis that several nodes share.
    Redis(Box<RedisConfig>),
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Which store.
    pub kind: StoreKind,
    /// Directory of the data, or of what is this node's own beside a Redis.
    pub path: PathBuf,
    /// Memory for blocks read, bytes.
    pub cache_bytes: u64,
}

impl StoreConfig {
    /// The Redis, if that is the store.
    #[must_use]
    pub fn redis(&self) -> Option<&RedisConfig> {
        match &self.kind {
            StoreKind::Embedded => None,
            StoreKind::Redis(redis) => Some(redis),
        }
    }

    /// The file the first start writes an admin key to.
    #[must_use]
    pub fn admin_key_file(&self) -> PathBuf {
        self.path.join("admin.key")
    }
}

/// `[node]`.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Name among its peers.
    pub id: NodeId,
    /// How long a partition stays this node's unless its lease is renewed.
    pub lease: Duration,
}

/// `[engine]`.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Slices of the citizens.
    pub partitions: u16,
    /// Citizens worked on at one time, per partition.
    pub max_active: usize,
    /// Deliveries without an answer, per partition and route.
    pub credits: usize,
    /// Submissions between arrival and disk.
    pub in_flight: usize,
    /// Accepted messages that wait for their turn.
    pub backlog: u64,
    /// Failures of one message before it is set aside.
    pub max_panics: u32,
}

/// `[route.NAME]`.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Its name.
    pub id: RouteId,
    /// Whose network, and the account there.
    pub provider: Provider,
    /// HTTP/2 connections, or sessions with a relay.
    pub connections: usize,
    /// Delay before the first retry.
    pub retry_base: Duration,
    /// Longest delay.
    pub retry_max: Duration,
    /// Attempts a second of all nodes together; 0: no limit.
    pub rate_per_second: u32,
}

/// The account of a route.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Apple.
    Apns(Apns),
    /// Google.
    Fcm(Fcm),
    /// A mail relay.
    Smtp(Smtp),
}

impl Provider {
    /// Name of the kind, as in `kind`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Apns(_) => "apns",
            Self::Fcm(_) => "fcm",
            Self::Smtp(_) => "smtp",
        }
    }
}

/// An account at the Apple Push Notification service.
#[derive(Clone, Debug)]
pub struct Apns {
    /// Base address, `http://` or `https://`, without a path.
    pub endpoint: String,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The signing key.
    pub key_file: PathBuf,
    /// Its identifier.
    pub key_id: String,
    /// Its team.
    pub team_id: String,
    /// The app.
    pub topic: String,
}

/// An account at Firebase Cloud Messaging.
#[derive(Clone, Debug)]
pub struct Fcm {
    /// Base address, `http://` or `https://`, without a path.
    pub endpoint: String,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The project.
    pub project_id: String,
    /// The service account's key.
    pub service_account_file: PathBuf,
}

/// How the way to a relay is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Clear text.
    None,
    /// STARTTLS, or no session.
    StartTls,
    /// TLS from the first byte.
    Implicit,
}

/// An account at a mail relay.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the way to it is secured.
    pub tls: SmtpTls,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// User name and the file with the password.
    pub credentials: Option<(String, PathBuf)>,
    /// The sender's mailbox.
    pub from: String,
}

/// `[retention]`.
#[derive(Clone, Debug)]
pub struct RetentionConfig {
    /// For claims of an `Idempotency-Key`.
    pub claims: Duration,
    /// Between a request to be deleted and its execution.
    pub deletion_grace: Duration,
}

/// Form of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// tracing-subscriber directives.
    pub filter: String,
    /// Form.
    pub format: LogFormat,
}
