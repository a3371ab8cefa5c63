//! From configuration to the engine's routes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::domain::citizen::Platform;
use araldo_actors::pipeline::RouteOptions;
use araldo_actors::policy::backoff::RetryPolicy;
use araldo_actors::policy::breaker::BreakerLimits;
use araldo_actors::port::provider::Connector;

use super::ServeError;
use crate::config::{Apns, Config, Fcm, Provider, RouteConfig};
use crate::provider::OptionsError;
use crate::provider::apns::{ApnsConnector, ApnsOptions};
use crate::provider::fcm::{FcmConnector, FcmOptions};
use crate::provider::http2::TransportOptions;

/// Attempts without an outcome before a delivery fails; its time to live
/// usually ends first.
const RETRY_BUDGET: u16 = 100;

/// A provider that fails this often in a row is left alone, then probed.
const BREAKER: BreakerLimits =
    BreakerLimits { threshold: 20, base: Duration::from_secs(1), max: Duration::from_secs(60) };

/// All configured routes.
pub(super) fn all(config: &Config) -> Result<Vec<RouteOptions>, ServeError> {
    config.routes.iter().map(route).collect()
}

fn route(config: &RouteConfig) -> Result<RouteOptions, ServeError> {
    let (platform, connector) = connector(&config.provider)
        .map_err(|error| ServeError::Route { route: config.id.to_string(), error })?;
    Ok(RouteOptions {
        id: config.id.clone(),
        platform,
        connector,
        connections: config.connections,
        retry: RetryPolicy { base: config.retry_base, max: config.retry_max, budget: RETRY_BUDGET },
        breaker: BREAKER,
    })
}

fn connector(provider: &Provider) -> Result<(Platform, Arc<dyn Connector>), OptionsError> {
    Ok(match provider {
        Provider::Apns(apns) => (Platform::Apns, Arc::new(apns_connector(apns)?)),
        Provider::Fcm(fcm) => (Platform::Fcm, Arc::new(fcm_connector(fcm)?)),
    })
}

fn apns_connector(apns: &Apns) -> Result<ApnsConnector, OptionsError> {
    ApnsConnector::new(ApnsOptions {
        transport: transport(&apns.endpoint, apns.ca_file.as_ref()),
        key_file: apns.key_file.clone(),
        key_id: apns.key_id.clone(),
        team_id: apns.team_id.clone(),
        topic: apns.topic.clone(),
    })
}

fn fcm_connector(fcm: &Fcm) -> Result<FcmConnector, OptionsError> {
    FcmConnector::new(FcmOptions {
        transport: transport(&fcm.endpoint, fcm.ca_file.as_ref()),
        project_id: fcm.project_id.clone(),
        service_account_file: fcm.service_account_file.clone(),
    })
}

fn transport(endpoint: &str, ca_file: Option<&PathBuf>) -> TransportOptions {
    TransportOptions { ca_file: ca_file.cloned(), ..TransportOptions::new(endpoint) }
}
