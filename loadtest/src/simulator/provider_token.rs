//! APNs provider tokens: the JWT rules of "Establishing a token-based connection to APNs".
//!
//! Owns the tokens found valid, at most [`MAX_TOKENS`]: a signature is checked once, every later request costs one
//! comparison with the token its connection used last, or one look-up. ES256, `kid` and `iss` as registered, `iat` not
//! older than an hour; a further new token within the update interval is refused (Apple: not more than one in 20 min).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use hyper::header::HeaderValue;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::time::Instant;

use super::books::lock;
use super::clock::unix_s;
use super::credentials::Credentials;
use super::error::SimulatorError;
use super::exchange::Link;

/// Valid tokens remembered; the oldest is forgotten and would be verified again.
const MAX_TOKENS: usize = 1_024;
/// Apple refuses tokens issued more than an hour ago.
const MAX_AGE_SECONDS: u64 = 3_600;
/// How far a client's clock may be ahead.
const MAX_AHEAD_SECONDS: u64 = 300;

/// Why a provider token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenFault {
    Invalid,
    Expired,
    TooManyUpdates,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    iat: u64,
}

#[derive(Default)]
struct Known {
    issued_at: HashMap<Vec<u8>, u64>,
    newest: Option<Instant>,
}

pub(crate) struct ProviderTokens {
    key: DecodingKey,
    key_id: String,
    team_id: String,
    update_interval: Duration,
    known: Mutex<Known>,
}

impl ProviderTokens {
    pub(crate) fn new(
        credentials: &Credentials,
        update_interval: Duration,
    ) -> Result<Self, SimulatorError> {
        let public = credentials.apns_public_pem()?;
        let key = DecodingKey::from_ec_pem(public.as_bytes())
            .map_err(|error| SimulatorError::Credentials(error.to_string()))?;
        Ok(Self {
            key,
            key_id: credentials.apns.key_id.clone(),
            team_id: credentials.apns.team_id.clone(),
            update_interval,
            known: Mutex::default(),
        })
    }

    /// Checks the `authorization` header of a request on this connection.
    pub(crate) fn check(&self, link: &Link, value: &HeaderValue) -> Result<(), TokenFault> {
        let now = unix_s();
        if let Some((known, issued_at)) = &*lock(&link.known)
            && known == value
        {
            return fresh(*issued_at, now);
        }
        let token = value
            .as_bytes()
            .split_at_checked(7)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, token)| token)
            .ok_or(TokenFault::Invalid)?;
        let issued_at = self.issued_at(token, now)?;
        *lock(&link.known) = Some((value.clone(), issued_at));
        fresh(issued_at, now)
    }

    /// How many tokens were found valid.
    pub(crate) fn verified(&self) -> usize {
        lock(&self.known).issued_at.len()
    }

    fn issued_at(&self, token: &[u8], now: u64) -> Result<u64, TokenFault> {
        if let Some(issued_at) = lock(&self.known).issued_at.get(token) {
            return Ok(*issued_at);
        }
        let issued_at = self.verify(token)?;
        fresh(issued_at, now)?;
        let mut known = lock(&self.known);
        let soon = known.newest.is_some_and(|newest| newest.elapsed() < self.update_interval);
        if soon && !known.issued_at.contains_key(token) {
            return Err(TokenFault::TooManyUpdates);
        }
        if known.issued_at.len() >= MAX_TOKENS {
            let oldest = known.issued_at.iter().min_by_key(|entry| *entry.1);
            if let Some(oldest) = oldest.map(|entry| entry.0.clone()) {
                known.issued_at.remove(&oldest);
            }
        }
        known.issued_at.insert(token.to_vec(), issued_at);
        known.newest = Some(Instant::now());
        Ok(issued_at)
    }

    fn verify(&self, token: &[u8]) -> Result<u64, TokenFault> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenFault::Invalid)?;
        if header.alg != Algorithm::ES256 || header.kid.as_deref() != Some(&self.key_id) {
            return Err(TokenFault::Invalid);
        }
        let mut rules = Validation::new(Algorithm::ES256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &rules)
            .map_err(|_| TokenFault::Invalid)?
            .claims;
        if claims.iss != self.team_id {
            return Err(TokenFault::Invalid);
        }
        Ok(claims.iat)
    }
}

fn fresh(issued_at: u64, now: u64) -> Result<(), TokenFault> {
    if issued_at > now + MAX_AHEAD_SECONDS {
        return Err(TokenFault::Invalid);
    }
    if now.saturating_sub(issued_at) > MAX_AGE_SECONDS {
        return Err(TokenFault::Expired);
    }
    Ok(())
}
