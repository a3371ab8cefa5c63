//! Google's token endpoint: a signed assertion in, an opaque access token out (RFC 7523, "Using OAuth 2.0 for Server
//! to Server Applications").
//!
//! Owns the access tokens issued, at most [`MAX_TOKENS`], with their expiry. An assertion is verified with the service
//! account's public key: RS256, `iss`, `aud`, `scope`, at most one hour of validity.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rand::Rng;
use rand::distr::Alphanumeric;
use serde::Deserialize;
use serde_json::json;

use crate::simulator::books::lock;
use crate::simulator::clock::unix_s;
use crate::simulator::credentials::Credentials;
use crate::simulator::error::SimulatorError;
use crate::simulator::exchange::{Answer, Link, json_answer};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
];
/// Access tokens remembered; the one that expires first is forgotten.
const MAX_TOKENS: usize = 1_024;
/// Longest validity of an assertion, seconds.
const MAX_ASSERTION_SECONDS: u64 = 3_600;
/// Difference of clocks forgiven, seconds.
const LEEWAY_SECONDS: u64 = 300;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: u64,
    exp: u64,
}

pub(crate) struct AccessTokens {
    key: DecodingKey,
    key_id: String,
    client_email: String,
    token_uri: String,
    lifetime: Duration,
    issued: Mutex<HashMap<Vec<u8>, u64>>,
    count: std::sync::atomic::AtomicU64,
}

impl AccessTokens {
    pub(crate) fn new(
        credentials: &Credentials,
        lifetime: Duration,
    ) -> Result<Self, SimulatorError> {
        let public = credentials.service_account_public_pem()?;
        let key = DecodingKey::from_rsa_pem(public.as_bytes())
            .map_err(|error| SimulatorError::Credentials(error.to_string()))?;
        Ok(Self {
            key,
            key_id: credentials.service_account.private_key_id.clone(),
            client_email: credentials.service_account.client_email.clone(),
            token_uri: credentials.service_account.token_uri.clone(),
            lifetime,
            issued: Mutex::default(),
            count: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// Whether the `authorization` header carries a token issued here and not expired.
    pub(crate) fn check(&self, link: &Link, value: &HeaderValue) -> bool {
        let now = unix_s();
        if let Some((known, expires)) = &*lock(&link.known)
            && known == value
        {
            return now < *expires;
        }
        let token = value
            .as_bytes()
            .split_at_checked(7)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, token)| token);
        let Some(token) = token else {
            return false;
        };
        let Some(expires) = lock(&self.issued).get(token).copied() else {
            return false;
        };
        *lock(&link.known) = Some((value.clone(), expires));
        now < expires
    }

    /// How many access tokens were issued.
    pub(crate) fn issued(&self) -> u64 {
        self.count.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Forgets every token issued, so that the next request with one is refused.
    pub(crate) fn revoke_all(&self) {
        lock(&self.issued).clear();
    }

    /// Answers a request to the token endpoint.
    pub(crate) fn exchange(&self, parts: &Parts, body: &[u8]) -> Answer {
        match self.grant(parts, body) {
            Ok(token) => json_answer(
                StatusCode::OK,
                &json!({
                    "access_token": token,
                    "expires_in": self.lifetime.as_secs().saturating_sub(1),
                    "token_type": "Bearer",
                }),
            ),
            Err((error, description)) => json_answer(
                StatusCode::BAD_REQUEST,
                &json!({"error": error, "error_description": description}),
            ),
        }
    }

    fn grant(&self, parts: &Parts, body: &[u8]) -> Result<String, (&'static str, &'static str)> {
        if parts.method != Method::POST {
            return Err(("invalid_request", "POST is expected"));
        }
        let is_form = parts.headers.get(CONTENT_TYPE).is_some_and(|value| {
            value.as_bytes().starts_with(b"application/x-www-form-urlencoded")
        });
        if !is_form {
            return Err(("invalid_request", "a form is expected"));
        }
        let mut grant_type = None;
        let mut assertion = None;
        for (key, value) in form_urlencoded::parse(body) {
            match key.as_ref() {
                "grant_type" => grant_type = Some(value),
                "assertion" => assertion = Some(value),
                _ => {}
            }
        }
        if grant_type.as_deref() != Some(GRANT_TYPE) {
            return Err(("unsupported_grant_type", "Invalid grant_type"));
        }
        let assertion = assertion.ok_or(("invalid_request", "Missing assertion"))?;
        self.verify(&assertion)?;
        Ok(self.issue())
    }

    fn verify(&self, assertion: &str) -> Result<(), (&'static str, &'static str)> {
        let bad = |description| ("invalid_grant", description);
        let header =
            jsonwebtoken::decode_header(assertion).map_err(|_| bad("Malformed assertion"))?;
        if header.alg != Algorithm::RS256 {
            return Err(bad("The assertion must be signed with RS256"));
        }
        if header.kid.is_some_and(|kid| kid != self.key_id) {
            return Err(bad("Unknown key id"));
        }
        let mut rules = Validation::new(Algorithm::RS256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(assertion, &self.key, &rules)
            .map_err(|_| bad("Invalid JWT Signature."))?
            .claims;
        let now = unix_s();
        if claims.iss != self.client_email {
            return Err(bad("Invalid issuer"));
        }
        if claims.aud != self.token_uri {
            return Err(bad("Invalid audience"));
        }
        if claims.exp <= claims.iat || claims.exp - claims.iat > MAX_ASSERTION_SECONDS {
            return Err(bad("Token must be a short-lived token (60 minutes)"));
        }
        if claims.iat > now + LEEWAY_SECONDS || claims.exp + LEEWAY_SECONDS < now {
            return Err(bad("Check your iat and exp values in the JWT claim."));
        }
        if !claims.scope.split(' ').any(|scope| SCOPES.contains(&scope)) {
            return Err(("invalid_scope", "The scope does not allow sending messages"));
        }
        Ok(())
    }

    fn issue(&self) -> String {
        let secret: String =
            rand::rng().sample_iter(Alphanumeric).take(120).map(char::from).collect();
        let token = format!("ya29.{secret}");
        let mut issued = lock(&self.issued);
        if issued.len() >= MAX_TOKENS {
            let first = issued.iter().min_by_key(|entry| *entry.1);
            if let Some(first) = first.map(|entry| entry.0.clone()) {
                issued.remove(&first);
            }
        }
        issued.insert(token.clone().into_bytes(), unix_s() + self.lifetime.as_secs());
        self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        token
    }
}
