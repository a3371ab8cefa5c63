//! Configuration: found, merged, checked.
//!
//! Owns: the order of the sources (defaults <- file <- environment <- flags),
//! where each value came from, and the typed, validated result. The embedded
//! `config/default.toml` is the schema and the only source of defaults: a key
//! that is not in it does not exist, a value of another type is refused.
//!
//! Invariants: [`load`] reports every error it can find, each with its place;
//! nothing it returns is out of range; secrets are only named by file, but for
//! the password that the address of a Redis may hold, which is never shown. Nothing here survives a crash or needs to.

mod advice;
mod environment;
mod error;
mod file;
mod layers;
mod reader;
mod redis;
mod route;
mod schema;
mod types;

pub use advice::warnings;
pub use error::{ConfigError, ConfigErrors, Origin};
pub use layers::Effective;
pub use redis::{RedisAddress, RedisConfig, RedisTopology, RedisUrl, UrlFileError};
pub(crate) use schema::nearest;
pub use types::{
    Apns, CitizenConfig, Config, EngineConfig, Fcm, HttpConfig, LiveConfig, LogConfig, LogFormat,
    NodeConfig, Provider, RetentionConfig, RouteConfig, Smtp, SmtpTls, StoreConfig, StoreKind,
};

use std::path::PathBuf;

use layers::Layers;

/// The documentation and the only source of defaults.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// Where configuration comes from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; only those that start with `ARALDO__` count.
    pub environment: Vec<(String, String)>,
    /// `section.key=value`, as given with `--set`.
    pub flags: Vec<String>,
}

impl Sources {
    /// The given file and flags, and the environment of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<String>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self { file, environment, flags }
    }
}

/// A configuration and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The typed configuration.
    pub config: Config,
    /// Every value with its origin, for `check-config`.
    pub effective: Effective,
}

/// Reads, merges and checks all `sources`.
///
/// # Errors
/// Every error found, ordered by where it is.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let (effective, mut errors) = layers(sources).merge();
    let (config, invalid) = reader::read(&effective);
    errors.extend(invalid);
    match config {
        Some(config) if errors.is_empty() => Ok(Loaded { config, effective }),
        _ => Err(ConfigErrors::new(errors)),
    }
}

fn layers(sources: &Sources) -> Layers {
    let mut layers = Layers::of_defaults();
    if let Some(path) = &sources.file {
        file::read(path, &mut layers);
    }
    environment::read(&sources.environment, &mut layers);
    environment::read_flags(&sources.flags, &mut layers);
    layers
}

/// The routes of `sources` that have no error of their own, whatever else is
/// wrong: to check the files they name besides.
#[must_use]
pub fn usable_routes(sources: &Sources) -> Vec<RouteConfig> {
    let (effective, mut errors) = layers(sources).merge();
    let (routes, invalid) = reader::read_routes(&effective);
    errors.extend(invalid);
    let is_sound = |route: &RouteConfig| {
        let own = format!("route.{}.", route.id);
        !errors.iter().any(|error| error.key.starts_with(&own))
    };
    routes.into_iter().filter(is_sound).collect()
}

#[cfg(test)]
mod tests;
