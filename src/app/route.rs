//! From configuration to the engine's routes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::cluster::lease;
use araldo_actors::domain::citizen::Platform;
use araldo_actors::domain::notification::Carrier;
use araldo_actors::pipeline::RouteOptions;
use araldo_actors::policy::backoff::RetryPolicy;
use araldo_actors::policy::breaker::BreakerLimits;
use araldo_actors::policy::rate::Rate;
use araldo_actors::port::provider::Connector;

use super::ServeError;
use crate::config::{Apns, Config, Fcm, Provider, RouteConfig, Smtp, SmtpTls};
use crate::link::Links;
use crate::provider::OptionsError;
use crate::provider::apns::{ApnsConnector, ApnsOptions, Shelf, TokenSource};
use crate::provider::fcm::{FcmConnector, FcmOptions};
use crate::provider::http2::TransportOptions;
use crate::provider::smtp::{Security, SmtpConnector, SmtpOptions, Timeouts};

/// Attempts without an outcome before a delivery fails; its time to live
/// usually ends first.
const RETRY_BUDGET: u16 = 100;

/// A provider that fails this often in a row is left alone, then probed.
const BREAKER: BreakerLimits =
    BreakerLimits { threshold: 20, base: Duration::from_secs(1), max: Duration::from_secs(60) };

/// Where provider tokens are kept.
#[derive(Clone)]
pub(super) struct Tokens<'a> {
    /// Across restarts of this process.
    pub(super) folder: &'a Path,
    /// By all nodes together, if there are several.
    pub(super) shelf: Option<Arc<dyn Shelf>>,
}

/// The longest that an attempt at a push provider may take: of several nodes none
/// may outlive its partition's lease.
pub(super) fn longest_attempt(config: &Config) -> Option<Duration> {
    config.store.redis().map(|_| lease::longest_attempt(config.node.lease))
}

/// All configured routes; mails point to `links`.
///
/// Reads the files the routes name and writes none.
///
/// # Errors
/// [`ServeError::Route`] of each route that cannot be used.
pub(super) fn all(
    configured: &[RouteConfig],
    tokens: Tokens<'_>,
    links: &Arc<Links>,
    patience: Option<Duration>,
) -> Result<Routes, Vec<ServeError>> {
    let mut builder = Builder { tokens, links, patience, sources: Vec::new(), relay: None };
    let mut errors = Vec::new();
    let mut routes = Vec::with_capacity(configured.len());
    for route in configured {
        match builder.connector(route) {
            Ok((carrier, connector)) => routes.push(options(route, carrier, connector)),
            Err(error) => errors.push(ServeError::Route { route: route.id.to_string(), error }),
        }
    }
    if errors.is_empty() { Ok(Routes { routes, relay: builder.relay }) } else { Err(errors) }
}

/// What the configured routes become.
pub(super) struct Routes {
    /// For the engine.
    pub(super) routes: Vec<RouteOptions>,
    /// The first relay, for mails that are no deliveries.
    pub(super) relay: Option<SmtpConnector>,
}

fn options(config: &RouteConfig, carrier: Carrier, connector: Arc<dyn Connector>) -> RouteOptions {
    RouteOptions {
        id: config.id.clone(),
        carrier,
        connector,
        connections: config.connections,
        retry: RetryPolicy { base: config.retry_base, max: config.retry_max, budget: RETRY_BUDGET },
        breaker: BREAKER,
        rate: Rate::per_second(config.rate_per_second),
    }
}

/// What routes share.
struct Builder<'a> {
    /// Where provider tokens are kept.
    tokens: Tokens<'a>,
    /// What mails point to.
    links: &'a Arc<Links>,
    /// The longest that an attempt may take, if it may not take the usual time.
    patience: Option<Duration>,
    /// The APNs keys seen so far: Apple wants one provider token of a key,
    /// however many routes send with it.
    sources: Vec<Arc<TokenSource>>,
    /// The first relay seen.
    relay: Option<SmtpConnector>,
}

impl Builder<'_> {
    fn connector(
        &mut self,
        route: &RouteConfig,
    ) -> Result<(Carrier, Arc<dyn Connector>), OptionsError> {
        Ok(match &route.provider {
            Provider::Apns(apns) => (Carrier::Push(Platform::Apns), Arc::new(self.apns(apns)?)),
            Provider::Fcm(fcm) => (Carrier::Push(Platform::Fcm), Arc::new(self.fcm(fcm)?)),
            Provider::Smtp(smtp) => {
                let options = smtp_options(smtp, route.retry_base);
                let connector = SmtpConnector::new(options, Arc::clone(self.links))?;
                self.relay.get_or_insert_with(|| connector.clone());
                (Carrier::Email, Arc::new(connector))
            }
        })
    }

    fn fcm(&self, fcm: &Fcm) -> Result<FcmConnector, OptionsError> {
        FcmConnector::new(FcmOptions {
            transport: self.transport(&fcm.endpoint, fcm.ca_file.as_ref()),
            project_id: fcm.project_id.clone(),
            service_account_file: fcm.service_account_file.clone(),
        })
    }

    fn transport(&self, endpoint: &str, ca_file: Option<&PathBuf>) -> TransportOptions {
        let usual = TransportOptions::new(endpoint);
        let request_timeout = self.patience.unwrap_or(usual.request_timeout);
        TransportOptions { ca_file: ca_file.cloned(), request_timeout, ..usual }
    }

    fn apns(&mut self, apns: &Apns) -> Result<ApnsConnector, OptionsError> {
        let options = ApnsOptions {
            transport: self.transport(&apns.endpoint, apns.ca_file.as_ref()),
            key_file: apns.key_file.clone(),
            key_id: apns.key_id.clone(),
            team_id: apns.team_id.clone(),
            topic: apns.topic.clone(),
            // The configuration takes letters and digits only for a key id.
            token_file: Some(self.tokens.folder.join(format!("apns-{}.jwt", apns.key_id))),
        };
        let mut own = ApnsConnector::token_source(&options)?;
        if let Some(shelf) = &self.tokens.shelf {
            own = own.shared_over(Arc::clone(shelf));
        }
        let known = self.sources.iter().find(|source| source.is_same_key(&own)).cloned();
        let tokens = known.unwrap_or_else(|| {
            let own = Arc::new(own);
            self.sources.push(Arc::clone(&own));
            own
        });
        ApnsConnector::with_tokens(options, tokens)
    }
}

fn smtp_options(smtp: &Smtp, retry_after: Duration) -> SmtpOptions {
    SmtpOptions {
        host: smtp.host.clone(),
        port: smtp.port,
        security: match smtp.tls {
            SmtpTls::None => Security::None,
            SmtpTls::StartTls => Security::StartTls,
            SmtpTls::Implicit => Security::Implicit,
        },
        ca_file: smtp.ca_file.clone(),
        credentials: smtp.credentials.clone(),
        from: smtp.from.clone(),
        retry_after,
        timeouts: Timeouts::RFC,
    }
}
