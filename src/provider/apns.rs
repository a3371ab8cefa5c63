//! Apple Push Notification service.
//!
//! Owns a route's connections to APNs: the request of one push, the provider
//! token shared by all connections of a key, and what follows from an answer
//! for the connection itself (Apple: "Sending notification requests to APNs",
//! "Handling notification responses from APNs").
//!
//! Invariants:
//! * a connection carries one request at a time until one was accepted;
//! * every attempt of a delivery carries the same `apns-id` and collapse id;
//! * nothing from a citizen's data can make a request that Apple would answer
//!   with a reason that stops the route: the device token is checked and the
//!   payload fitted before anything is sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::domain::outcome::Failure;
use araldo_actors::port::provider::{Answer, ConnectError, Connector, Link, Notification};
use async_trait::async_trait;
use bytes::Bytes;

use super::http2::{Channel, Reply, Transport, TransportOptions};
use super::{OptionsError, unix_seconds};
use answer::Body;
use jwt::{Bearer, Renewal, TokenError};
use request::Requests;

pub use answer::answer;
pub use jwt::TokenSource;
pub use shelf::Shelf;

mod answer;
mod jwt;
mod payload;
mod request;
mod shelf;
mod token_file;

/// What an APNs route needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApnsOptions {
    /// How APNs is reached.
    pub transport: TransportOptions,
    /// Apple's `.p8` download: EC P-256 key, PKCS#8 PEM.
    pub key_file: PathBuf,
    /// The key's identifier, 10 characters.
    pub key_id: String,
    /// The team's identifier, 10 characters.
    pub team_id: String,
    /// The app's bundle id.
    pub topic: String,
    /// Keeps the provider token across restarts; its folder need not exist
    /// before the first push is sent.
    pub token_file: Option<PathBuf>,
}

/// What all links of a route share.
struct Route {
    transport: Transport,
    tokens: Arc<TokenSource>,
    requests: Requests,
}

/// Opens connections of one APNs route.
pub struct ApnsConnector {
    route: Arc<Route>,
}

impl ApnsConnector {
    /// Checks the options, reads the key and signs a first provider token.
    ///
    /// # Errors
    /// [`OptionsError`] naming the option or file that cannot be used.
    pub fn new(options: ApnsOptions) -> Result<Self, OptionsError> {
        let tokens = Arc::new(Self::token_source(&options)?);
        Self::with_tokens(options, tokens)
    }

    /// The provider token of these options' key.
    ///
    /// # Errors
    /// [`OptionsError`] naming the option or file that cannot be used.
    pub fn token_source(options: &ApnsOptions) -> Result<TokenSource, OptionsError> {
        let tokens = TokenSource::from_file(&options.key_file, &options.key_id, &options.team_id)?;
        Ok(match &options.token_file {
            Some(file) => tokens.kept_in(file.clone()),
            None => tokens,
        })
    }

    /// As [`ApnsConnector::new`], with the provider token of another route of
    /// the same key: Apple wants one token per key, not one per route.
    ///
    /// # Errors
    /// [`OptionsError`] naming the option or file that cannot be used.
    pub fn with_tokens(
        options: ApnsOptions,
        tokens: Arc<TokenSource>,
    ) -> Result<Self, OptionsError> {
        let transport = Transport::new(options.transport)?;
        let requests = Requests::new(transport.endpoint().clone(), &options.topic)?;
        Ok(Self { route: Arc::new(Route { transport, tokens, requests }) })
    }

    /// The provider token of this route's key, to share with other routes.
    #[must_use]
    pub fn tokens(&self) -> Arc<TokenSource> {
        Arc::clone(&self.route.tokens)
    }
}

#[async_trait]
impl Connector for ApnsConnector {
    async fn connect(&self) -> Result<Arc<dyn Link>, ConnectError> {
        let channel = self.route.transport.connect(true).await?;
        Ok(Arc::new(ApnsLink { route: Arc::clone(&self.route), channel }))
    }
}

/// One connection to APNs.
struct ApnsLink {
    route: Arc<Route>,
    channel: Channel,
}

#[async_trait]
impl Link for ApnsLink {
    fn capacity(&self) -> usize {
        self.channel.capacity()
    }

    fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }

    async fn send(&self, notification: &Notification) -> Answer {
        let Notification::Push(push) = notification else { return super::NOT_A_PUSH };
        let deadline = self.channel.deadline();
        let bearer = match self.route.tokens.bearer(unix_seconds()).await {
            Ok(bearer) => bearer,
            Err(error) => return tokenless(&error),
        };
        let indexed = !self.channel.is_proven();
        let Some(request) = self.route.requests.build(push, &bearer, indexed) else {
            return Answer::Fail {
                failure: Failure::RefusedEndpoint,
                reason: "token is not an APNs token",
            };
        };
        let body = Bytes::from(payload::payload(&push.notice, push.message));
        match self.channel.call(request, body, deadline).await {
            Ok(reply) => self.understand(&reply, &bearer).await,
            Err(error) => error.into(),
        }
    }
}

impl ApnsLink {
    async fn understand(&self, reply: &Reply, bearer: &Bearer) -> Answer {
        let status = reply.status.as_u16();
        if status == 200 {
            self.channel.prove();
            return Answer::Accepted;
        }
        let body = Body::read(&reply.body);
        let answer = answer(status, body.reason(), body.timestamp(), reply.retry_after);
        match body.reason() {
            Some("ExpiredProviderToken") if status == 403 => self.renew(bearer).await,
            Some("TooManyProviderTokenUpdates") if status == 429 => {
                // The token in use stays; Apple takes it once it is old enough.
                let settled = self.route.tokens.until_renewable(unix_seconds());
                Answer::RetryRoute { after: Some(settled), reason: "TooManyProviderTokenUpdates" }
            }
            Some("UnrelatedKeyIdInToken" | "IdleTimeout" | "Shutdown") => {
                self.channel.retire();
                answer
            }
            _ => answer,
        }
    }

    async fn renew(&self, refused: &Bearer) -> Answer {
        const REASON: &str = "ExpiredProviderToken";
        match self.route.tokens.expired(refused, unix_seconds()).await {
            Ok(Renewal::Renewed) => Answer::RetryElsewhere { reason: REASON },
            Ok(Renewal::TooYoung(wait)) => Answer::RetryRoute { after: Some(wait), reason: REASON },
            Err(error) => tokenless(&error),
        }
    }
}

/// Until the other nodes' token can be told.
const SHARING_PAUSE: Duration = Duration::from_secs(1);

/// What becomes of an attempt for which there is no token.
fn tokenless(error: &TokenError) -> Answer {
    match error {
        TokenError::Sign(_) => Answer::Halt { reason: "provider token cannot be signed" },
        TokenError::Shelf(_) => Answer::RetryRoute {
            after: Some(SHARING_PAUSE),
            reason: "provider token cannot be shared",
        },
    }
}
