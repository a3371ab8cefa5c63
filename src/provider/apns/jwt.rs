//! The APNs provider token: one per key, shared by every connection.
//!
//! Owns the signing key and the token in use (Apple: "Establishing a
//! token-based connection to APNs"): ES256, a new one not more often than
//! every 20 minutes and at least every 60. It is renewed at 50. Ages are taken
//! from the wall clock, because Apple compares `iat` with its own; a clock set
//! back counts as age too, so that the next token has the right `iat`.
//!
//! A restart goes on with the token that was in use, when there is a file for
//! it ([`TokenSource::kept_in`]): otherwise it signs a new one, and Apple may
//! answer `TooManyProviderTokenUpdates` for up to 20 minutes. Nodes that send
//! with one key share its token in the same way ([`TokenSource::shared_over`]):
//! none is sent before it lies where the others find it. While it cannot be
//! told what lies there, the token in use is used on, for as long as Apple
//! takes it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::header::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::shelf::{self, Shelf};
use super::token_file::{Kept, TokenFile};
use crate::provider::{OptionsError, read_file, unix_seconds};

/// Age at which a token is renewed, seconds.
const RENEW_AT: u64 = 50 * 60;
/// Age up to which a token is used when it cannot be renewed, seconds: Apple
/// takes it for an hour.
const LAST_USE: u64 = 59 * 60;
/// Age before which a token must not be renewed, seconds.
const NOT_BEFORE: u64 = 20 * 60;
/// The scheme of the `authorization` header, as Apple writes it.
const SCHEME: &str = "bearer ";

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: u64,
}

/// A provider token as header value, marked as never to be indexed.
#[derive(Clone)]
pub(super) struct Bearer {
    pub(super) value: HeaderValue,
    issued_at: u64,
    number: u64,
}

impl Bearer {
    fn new(token: &str, issued_at: u64, number: u64) -> Result<Self, SignError> {
        let mut value = HeaderValue::try_from(format!("{SCHEME}{token}"))
            .map_err(|error| SignError(error.to_string()))?;
        value.set_sensitive(true);
        Ok(Self { value, issued_at, number })
    }

    fn kept(&self) -> Kept {
        let token = self.value.to_str().ok().and_then(|value| value.strip_prefix(SCHEME));
        Kept { issued_at: self.issued_at, token: token.unwrap_or_default().to_owned() }
    }
}

/// What came of Apple's "expired".
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// There is a newer token now.
    Renewed,
    /// The token is too young to be replaced; how long until it may be.
    TooYoung(Duration),
}

/// The token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the key does not sign: {0}")]
pub struct SignError(String);

/// There is no token to send.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It could not be signed: an operator must act.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The other nodes' token could not be told.
    #[error("the provider token cannot be shared: {0}")]
    Shelf(String),
}

/// Times that other nodes' tokens may come in between.
const TRIES: usize = 4;

/// Signs the provider tokens of one key and keeps the one in use.
pub struct TokenSource {
    key: EncodingKey,
    header: Header,
    team_id: String,
    /// Of the key, its id and the team; as secret as the key.
    identity: [u8; 32],
    file: Option<TokenFile>,
    /// Instead of the file, where nodes share the token.
    shelf: Option<Arc<dyn Shelf>>,
    /// Held while the shelf is looked at.
    agreeing: tokio::sync::Mutex<()>,
    /// Whether the token in use is not in the file, or on the shelf, yet. It gets
    /// there when it is first used: one that was never sent needs no keeping.
    unkept: AtomicBool,
    current: RwLock<Bearer>,
}

impl TokenSource {
    /// Reads the key and signs a first token.
    ///
    /// # Errors
    /// [`OptionsError`] naming the option or file that cannot be used.
    pub fn from_file(key_file: &Path, key_id: &str, team_id: &str) -> Result<Self, OptionsError> {
        for (name, value) in [("key_id", key_id), ("team_id", team_id)] {
            if value.len() != 10 || !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(OptionsError::new(name, "must be 10 letters and digits"));
            }
        }
        let pem = read_file(key_file)?;
        let wrong = |_| {
            OptionsError::file(key_file, "is not an EC P-256 private key in PKCS#8 PEM form (.p8)")
        };
        let key = EncodingKey::from_ec_pem(&pem).map_err(wrong)?;
        let mut header = Header::new(Algorithm::ES256);
        header.typ = None;
        header.kid = Some(key_id.to_owned());
        let first = sign(&key, &header, team_id, unix_seconds()).map_err(|error| {
            OptionsError::file(key_file, format!("is not an EC P-256 private key: {error}"))
        })?;
        Ok(Self {
            key,
            header,
            team_id: team_id.to_owned(),
            identity: identity(&pem, key_id, team_id),
            file: None,
            shelf: None,
            agreeing: tokio::sync::Mutex::default(),
            unkept: AtomicBool::new(true),
            current: RwLock::new(first),
        })
    }

    /// Keeps the token in `file` from its first use on, and goes on with the
    /// one that is there if it is this key's and not to be renewed yet. A file
    /// that cannot be read or written is named in the log and stops nothing.
    #[must_use]
    pub fn kept_in(mut self, file: PathBuf) -> Self {
        let file = TokenFile::new(file);
        if let Some(kept) = file.read(&self.identity)
            && unix_seconds().abs_diff(kept.issued_at) < RENEW_AT
            && let Ok(bearer) = Bearer::new(&kept.token, kept.issued_at, 0)
        {
            self.current = RwLock::new(bearer);
            self.unkept = AtomicBool::new(false);
        }
        self.file = Some(file);
        self
    }

    /// Shares the token with all who reach `shelf`, and keeps it there instead of
    /// in a file.
    #[must_use]
    pub fn shared_over(mut self, shelf: Arc<dyn Shelf>) -> Self {
        self.unkept = AtomicBool::new(true);
        self.file = None;
        self.shelf = Some(shelf);
        self
    }

    /// Whether both sign with the same key for the same team.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// The token to send at `now`, renewed when it is old.
    pub(super) async fn bearer(&self, now: u64) -> Result<Bearer, TokenError> {
        let current = self.current();
        let age = now.abs_diff(current.issued_at);
        let is_kept = !self.unkept.load(Ordering::Relaxed);
        match &self.shelf {
            _ if is_kept && age < RENEW_AT => Ok(current),
            None if age < RENEW_AT => {
                if self.unkept.swap(false, Ordering::Relaxed) {
                    self.keep(&current);
                }
                Ok(current)
            }
            None => Ok(self.replace(current.number, now)?),
            Some(shelf) => match self.agree(shelf.as_ref(), None, now).await {
                Err(TokenError::Shelf(reason)) if is_kept && age < LAST_USE => {
                    tracing::warn!(reason, "the APNs provider token cannot be renewed yet");
                    Ok(current)
                }
                agreed => agreed,
            },
        }
    }

    /// The token all nodes send, other than the `refused` one: what lies on the
    /// shelf while it is good, else one of this node's in its place.
    async fn agree(
        &self,
        shelf: &dyn Shelf,
        refused: Option<&Bearer>,
        now: u64,
    ) -> Result<Bearer, TokenError> {
        let _one = self.agreeing.lock().await;
        let current = self.current();
        let is_refused = refused.is_some_and(|refused| refused.number == current.number);
        let is_good = now.abs_diff(current.issued_at) < RENEW_AT && !is_refused;
        if is_good && !self.unkept.load(Ordering::Relaxed) {
            return Ok(current);
        }
        let name = shelf::name(&self.identity);
        for _ in 0..TRIES {
            let found = shelf.look(&name).await.map_err(TokenError::Shelf)?;
            if let Some(others) = self.good_of(found.as_deref(), refused, now)? {
                return Ok(self.adopt(others));
            }
            let next = if is_good { current.clone() } else { self.sign(now)? };
            let kept = next.kept().to_text(&self.identity);
            let put = shelf.swap(&name, found.as_deref(), kept.as_bytes()).await;
            if put.map_err(TokenError::Shelf)? {
                tracing::info!("new APNs provider token, for all nodes");
                return Ok(self.adopt(next));
            }
        }
        Err(TokenError::Shelf("other nodes keep changing it".to_owned()))
    }

    /// What lies on the shelf, if it is this key's, young enough and not the
    /// `refused` one.
    fn good_of(
        &self,
        found: Option<&[u8]>,
        refused: Option<&Bearer>,
        now: u64,
    ) -> Result<Option<Bearer>, SignError> {
        let text = found.and_then(|found| std::str::from_utf8(found).ok());
        let kept = text.and_then(|text| Kept::of_text(text, &self.identity));
        let Some(kept) = kept.filter(|kept| now.abs_diff(kept.issued_at) < RENEW_AT) else {
            return Ok(None);
        };
        let bearer = Bearer::new(&kept.token, kept.issued_at, 0)?;
        let is_refused = refused.is_some_and(|refused| refused.value == bearer.value);
        Ok((!is_refused).then_some(bearer))
    }

    /// Makes `bearer` the token in use.
    fn adopt(&self, bearer: Bearer) -> Bearer {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let number = current.number + u64::from(current.value != bearer.value);
        *current = Bearer { number, ..bearer };
        self.unkept.store(false, Ordering::Relaxed);
        current.clone()
    }

    fn keep(&self, bearer: &Bearer) {
        if let Some(file) = &self.file {
            file.write(&self.identity, &bearer.kept());
        }
    }

    /// Apple calls `refused` expired.
    pub(super) async fn expired(&self, refused: &Bearer, now: u64) -> Result<Renewal, TokenError> {
        let current = self.current();
        if current.number != refused.number || self.take_others(refused, now).await? {
            return Ok(Renewal::Renewed);
        }
        let age = now.abs_diff(current.issued_at);
        if age < NOT_BEFORE {
            return Ok(Renewal::TooYoung(Duration::from_secs(NOT_BEFORE - age)));
        }
        match &self.shelf {
            None => self.replace(current.number, now).map(drop)?,
            Some(shelf) => self.agree(shelf.as_ref(), Some(refused), now).await.map(drop)?,
        }
        Ok(Renewal::Renewed)
    }

    /// Takes the token that another node put in the place of the `refused` one,
    /// if it did.
    async fn take_others(&self, refused: &Bearer, now: u64) -> Result<bool, TokenError> {
        let Some(shelf) = &self.shelf else { return Ok(false) };
        let found = shelf.look(&shelf::name(&self.identity)).await.map_err(TokenError::Shelf)?;
        let others = self.good_of(found.as_deref(), Some(refused), now)?;
        Ok(others.map(|others| self.adopt(others)).is_some())
    }

    /// How long the token in use must still be kept.
    pub(super) fn until_renewable(&self, now: u64) -> Duration {
        let age = now.abs_diff(self.current().issued_at);
        Duration::from_secs(NOT_BEFORE.saturating_sub(age))
    }

    fn current(&self) -> Bearer {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sign(&self, now: u64) -> Result<Bearer, SignError> {
        sign(&self.key, &self.header, &self.team_id, now)
    }

    /// Replaces token `number`, unless somebody else just did.
    fn replace(&self, number: u64, now: u64) -> Result<Bearer, SignError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number == number {
            *current = Bearer { number: number + 1, ..self.sign(now)? };
            self.unkept.store(false, Ordering::Relaxed);
            self.keep(&current);
            tracing::info!("new APNs provider token");
        }
        Ok(current.clone())
    }
}

fn sign(key: &EncodingKey, header: &Header, team_id: &str, now: u64) -> Result<Bearer, SignError> {
    let token = jsonwebtoken::encode(header, &Claims { iss: team_id, iat: now }, key)
        .map_err(|error| SignError(error.to_string()))?;
    Bearer::new(&token, now, 0)
}

/// What only the holder of the key can compute, and only for this key, id and
/// team.
fn identity(pem: &[u8], key_id: &str, team_id: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("araldo 2026 apns provider token file");
    // Both ids have ten characters.
    hasher.update(key_id.as_bytes()).update(team_id.as_bytes()).update(pem);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
