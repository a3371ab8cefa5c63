//! The assembly: the one place that knows every part of the server.
//!
//! Start: socket, routes, issuer, store, secret, first key, engine, post
//! office, HTTP. Each step can fail
//! with one sentence and leaves nothing running; the store comes after all
//! that only reads, so that a wrong configuration makes none. End, from the
//! outside in: HTTP finishes open requests, the engine what is in flight, the
//! store its last group. The engine or the store ending by itself ends the
//! process with an error: what is durable is safe, and the next start takes
//! it up.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::pipeline::{self, NodeOptions, Ports, Running, StartError};
use araldo_actors::port::store::StoreError;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{CitizenConfig, Config, RouteConfig};
use crate::http::citizen::issuer::{Issuer, KeyFault};
use crate::http::{self, Http};
use crate::post;
use crate::provider::OptionsError;
use crate::store::embedded::OpenError;
use crate::store::migrate::MigrateError;
use crate::store::redis::OpenError as RedisOpenError;
use crate::system::{SystemClock, SystemRng};
use crate::telemetry::{self, Metrics, TelemetryError};

mod citizen;
mod first_key;
mod links;
mod migrate;
mod open_files;
mod route;
mod settings;
mod store;

pub use migrate::migrate;
pub use store::{RedisReport, report_on_redis};

use route::{Routes, Tokens};
use store::OpenedStore;

/// How long what is in flight gets to finish at the end.
const DRAIN: Duration = Duration::from_secs(30);

/// Why the server could not start or had to end: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("http.bind: cannot listen on {address}: {error}")]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store in Redis cannot be opened.
    #[error(transparent)]
    Redis(#[from] RedisOpenError),
    /// The file with the address of the Redis cannot be used.
    #[error("store.redis_url_file: {0}")]
    RedisUrl(String),
    /// The Redis can lose what it answered: at least one reason.
    #[error("{}", .0.join("\n"))]
    Unsafe(Vec<String>),
    /// A store can only be moved into Redis.
    #[error("store.kind: must be \"redis\": the configuration is that of the nodes")]
    NotRedis,
    /// The store was not moved.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// This node's folder cannot be made.
    #[error("store.path: the folder {} cannot be made: {error}", path.display())]
    Folder {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A route's options cannot be used.
    #[error("route.{route}: {error}")]
    Route {
        /// Its name.
        route: String,
        /// Which file or option, and why.
        error: OptionsError,
    },
    /// Several things are wrong with the routes: at least one.
    #[error("{}", lines(.0))]
    Routes(Vec<ServeError>),
    /// Keys of the citizens' issuer cannot be used: at least one.
    #[error("{}", key_lines(.0))]
    Issuer(Vec<KeyFault>),
    /// This installation's secret cannot be read or made.
    #[error("citizen.secret_file: {file}: {error}", file = .file.display())]
    Secret {
        /// As configured, or in the store's directory.
        file: PathBuf,
        /// What the system said, or what is wrong with it.
        error: io::Error,
    },
    /// The secret that nodes share cannot be read or made.
    #[error("this installation's secret cannot be read: {0}")]
    SharedSecret(StoreError),
    /// The engine could not start.
    #[error("the engine cannot start: {0}")]
    Engine(#[from] StartError),
    /// The first admin key could not be made or written.
    #[error("the first admin key cannot be written: {0}")]
    FirstKey(String),
    /// A part of the running server gave up.
    #[error("{0}; what was accepted is safe, start again")]
    Ended(String),
    /// Logs or metrics cannot be installed.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Signals, standard output or the socket.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ServeError {
    /// Whether another configuration would have started.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Route { .. } | Self::Routes(_) | Self::Issuer(_) | Self::Secret { .. } => true,
            Self::RedisUrl(_) | Self::Unsafe(_) | Self::Folder { .. } | Self::NotRedis => true,
            Self::Migrate(error) => matches!(error, MigrateError::NoSource(_)),
            Self::Redis(error) => !matches!(error, RedisOpenError::Unavailable { .. }),
            Self::Store(error) => {
                matches!(error, OpenError::Partitions { .. } | OpenError::PartitionRange(_))
            }
            _ => false,
        }
    }
}

/// Everything that is wrong with the files the routes name, a line each; as
/// the server's start would find it, and without writing anything.
#[must_use]
pub fn faults_of_routes(routes: &[RouteConfig]) -> Vec<String> {
    // Where tokens are kept says nothing of whether a route can be used.
    let links = links::placeholder();
    let tokens = Tokens { folder: Path::new(""), shelf: None };
    let errors = route::all(routes, tokens, &links, None).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

/// Everything that is wrong with the files that `[citizen]` names, a line
/// each, without writing anything.
#[must_use]
pub fn faults_of_citizens(config: &CitizenConfig) -> Vec<String> {
    let mut faults = match Issuer::new(config) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    };
    let secret = config.secret_file.as_deref().map(links::shared_secret);
    faults.extend(secret.and_then(Result::err).map(|error| error.to_string()));
    faults
}

fn key_lines(faults: &[KeyFault]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn lines(errors: &[ServeError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Threads for reads of the store; more would only hold memory.
const BLOCKING_THREADS: usize = 32;

/// Runs the server until it is told to stop.
///
/// # Errors
/// [`ServeError`], one sentence for the operator.
pub fn serve(mut config: Config) -> Result<(), ServeError> {
    telemetry::hide_panic_texts();
    let metrics = telemetry::install(&config.log)?;
    // Measured: they add 50 to 110 MB to a server of 150 MB and no speed.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
    open_files::settle(&mut config);
    araldo_actors::metric::describe();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    runtime.block_on(start(config, metrics))
}

async fn start(config: Config, metrics: Metrics) -> Result<(), ServeError> {
    let address = config.http.bind;
    let listener =
        TcpListener::bind(address).await.map_err(|error| ServeError::Bind { address, error })?;
    // Read first: a route that cannot be used makes no store and no secret.
    let tokens = Tokens { folder: &config.store.path, shelf: None };
    route::all(&config.routes, tokens, &links::placeholder(), None).map_err(ServeError::Routes)?;
    let issuer = Issuer::new(&config.citizen).map_err(ServeError::Issuer)?;
    config.citizen.secret_file.as_deref().map(links::shared_secret).transpose()?;
    let incarnation = rand::random();
    let store = OpenedStore::open(&config, incarnation).await?;
    let secret = links::secret(&config, &store).await?;
    let links = links::links(&config, &secret, listener.local_addr()?);
    let tokens = Tokens { folder: &config.store.path, shelf: store.shelf() };
    let Routes { routes, relay } =
        route::all(&config.routes, tokens, &links, route::longest_attempt(&config))
            .map_err(ServeError::Routes)?;
    let node = NodeOptions {
        id: config.node.id.clone(),
        incarnation,
        address: format!("http://{}", listener.local_addr()?),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let ports = Ports {
        store: store.port(),
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
        cluster: store.membership(&node),
        budget: store.budget(),
    };
    first_key::ensure(&store, &config.store.admin_key_file()).await?;
    let running = pipeline::start(settings::engine(&config, &secret), ports, routes).await?;
    let (post, office) = post::open(relay);
    let citizens = citizen::side(&config, issuer, links, post);
    let http = Http {
        engine: running.engine.clone(),
        node,
        metrics: metrics.handle.clone(),
        options: config.http,
        citizens,
    };
    let served = run(http, listener, &store, running, metrics).await;
    office.close().await;
    let closed = store.close().await;
    served.and(closed)
}

/// Serves until a signal, or until a part gives up; then ends in order.
async fn run(
    http: Http,
    listener: TcpListener,
    store: &OpenedStore,
    mut running: Running,
    metrics: Metrics,
) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    writeln!(io::stdout(), "araldo listening on http://{}", listener.local_addr()?)?;
    let mut gave_up = None;
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            () = running.ended() => gave_up = Some("the engine gave up".to_owned()),
            reason = store.failed() => gave_up = Some(format!("the store failed: {reason}")),
            () = metrics.tend() => {}
        }
    };
    let served = http::serve(listener, http, shutdown).await;
    running.shutdown(DRAIN).await;
    served?;
    gave_up.map_or(Ok(()), |reason| Err(ServeError::Ended(reason)))
}
