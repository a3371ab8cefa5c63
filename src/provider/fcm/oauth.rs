//! The project's OAuth access token, shared by every connection of the route.
//!
//! Owns the token in use and its replacement (Google: "Using OAuth 2.0 for
//! Server to Server Applications", RFC 7523): one exchange at a time, whoever
//! else needs the result waits for it or, while the old token still holds,
//! goes on with that one. A token is replaced 5 minutes before it ends. A
//! failed exchange is not repeated for [`PAUSE`], so that a thousand pushes
//! without a token do not make a thousand requests.
//!
//! A crash loses nothing: the next process asks for its own token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::account::ServiceAccount;
use crate::provider::http2::Transport;

mod exchange;

/// A token is replaced this long before its end, or at half of a shorter life.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// No further exchange for this long after a failed one.
const PAUSE: Duration = Duration::from_secs(3);
/// A token that FCM refused, and whose predecessor it refused too, is replaced
/// after this long at the earliest: a route resumed later gets a fresh one.
const SUBSTITUTE_PAUSE: Duration = Duration::from_secs(60);

/// Why there is no access token: one sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OauthError {
    /// The endpoint refuses the account; an operator must act.
    #[error("{0}")]
    Refused(String),
    /// The endpoint cannot be reached or has trouble of its own.
    #[error("{0}")]
    Unreachable(String),
}

/// An access token in use.
#[derive(Clone)]
pub(super) struct AccessToken(Arc<Token>);

struct Token {
    header: HeaderValue,
    number: u64,
    taken_at: Instant,
    replace_at: Instant,
    ends_at: Instant,
    /// Taken in place of one that FCM refused.
    substitute: bool,
    /// FCM accepted a request with it.
    proven: AtomicBool,
}

impl AccessToken {
    /// The `authorization` header, marked as never to be indexed.
    pub(super) fn header(&self) -> &HeaderValue {
        &self.0.header
    }

    /// FCM accepted a request with it.
    pub(super) fn prove(&self) {
        if !self.0.proven.load(Ordering::Relaxed) {
            self.0.proven.store(true, Ordering::Relaxed);
        }
    }
}

/// What an exchange gave.
struct Granted {
    header: HeaderValue,
    lifetime: Duration,
}

#[derive(Default)]
struct Flight {
    exchanges: u64,
    failed: Option<(Instant, OauthError)>,
}

/// The access tokens of one project.
pub(super) struct AccessTokens {
    account: ServiceAccount,
    current: RwLock<Option<AccessToken>>,
    /// Held during an exchange.
    flight: Mutex<Flight>,
}

impl AccessTokens {
    pub(super) fn new(account: ServiceAccount) -> Self {
        Self { account, current: RwLock::new(None), flight: Mutex::default() }
    }

    /// The token to send at `now`.
    pub(super) async fn token(
        &self,
        transport: &Transport,
        now: Instant,
    ) -> Result<AccessToken, OauthError> {
        let current = self.current();
        if let Some(token) = &current
            && now < token.0.replace_at
        {
            return Ok(token.clone());
        }
        let holds = current.filter(|token| now < token.0.ends_at);
        let Some(old) = holds else {
            let mut flight = self.flight.lock().await;
            return match self.current().filter(|token| now < token.0.replace_at) {
                Some(token) => Ok(token),
                None => self.replace(&mut flight, transport, false).await,
            };
        };
        let Ok(mut flight) = self.flight.try_lock() else {
            return Ok(old);
        };
        match self.current().filter(|token| now < token.0.replace_at) {
            Some(token) => Ok(token),
            // The old one still holds: trouble of the endpoint is not the push's.
            None => Ok(self.replace(&mut flight, transport, false).await.unwrap_or(old)),
        }
    }

    /// FCM refused `token`. True: there is another one, worth a try. False:
    /// another one would be refused as well.
    pub(super) async fn refused(
        &self,
        token: &AccessToken,
        transport: &Transport,
        now: Instant,
    ) -> Result<bool, OauthError> {
        let mut flight = self.flight.lock().await;
        let newer = self.current().is_some_and(|current| current.0.number != token.0.number);
        if newer {
            return Ok(true);
        }
        let unproven = token.0.substitute && !token.0.proven.load(Ordering::Relaxed);
        if unproven && now < token.0.taken_at + SUBSTITUTE_PAUSE {
            return Ok(false);
        }
        self.replace(&mut flight, transport, true).await.map(|_| true)
    }

    async fn replace(
        &self,
        flight: &mut Flight,
        transport: &Transport,
        substitute: bool,
    ) -> Result<AccessToken, OauthError> {
        if let Some((at, error)) = &flight.failed
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        match exchange::exchange(&self.account, transport).await {
            Ok(granted) => {
                flight.failed = None;
                flight.exchanges += 1;
                Ok(self.store(granted, flight.exchanges, substitute))
            }
            Err(error) => {
                tracing::warn!(%error, "no access token");
                flight.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn store(&self, granted: Granted, number: u64, substitute: bool) -> AccessToken {
        let now = Instant::now();
        let early = EARLY.min(granted.lifetime / 2);
        let token = AccessToken(Arc::new(Token {
            header: granted.header,
            number,
            taken_at: now,
            replace_at: now + granted.lifetime - early,
            ends_at: now + granted.lifetime,
            substitute,
            proven: AtomicBool::new(false),
        }));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        token
    }

    fn current(&self) -> Option<AccessToken> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
