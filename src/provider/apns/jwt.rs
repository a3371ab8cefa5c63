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
//! answer `TooManyProviderTokenUpdates` for up to 20 minutes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use hyper::header::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::token_file::{Kept, TokenFile};
use crate::provider::{OptionsError, read_file, unix_seconds};

/// Age at which a token is renewed, seconds.
const RENEW_AT: u64 = 50 * 60;
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

/// Signs the provider tokens of one key and keeps the one in use.
pub struct TokenSource {
    key: EncodingKey,
    header: Header,
    team_id: String,
    /// Of the key, its id and the team; as secret as the key.
    identity: [u8; 32],
    file: Option<TokenFile>,
    /// Whether the token in use is not in the file yet. It gets there when it
    /// is first used: one that was never sent needs no keeping.
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
        let first = sign(&key, &header, team_id, unix_seconds(), 0).map_err(|error| {
            OptionsError::file(key_file, format!("is not an EC P-256 private key: {error}"))
        })?;
        Ok(Self {
            key,
            header,
            team_id: team_id.to_owned(),
            identity: identity(&pem, key_id, team_id),
            file: None,
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

    /// Whether both sign with the same key for the same team.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// The token to send at `now`, renewed when it is old.
    pub(super) fn bearer(&self, now: u64) -> Result<Bearer, SignError> {
        let current = self.current();
        if now.abs_diff(current.issued_at) < RENEW_AT {
            if self.unkept.load(Ordering::Relaxed) && self.unkept.swap(false, Ordering::Relaxed) {
                self.keep(&current);
            }
            return Ok(current);
        }
        self.replace(current.number, now)
    }

    fn keep(&self, bearer: &Bearer) {
        let token = bearer.value.to_str().ok().and_then(|value| value.strip_prefix(SCHEME));
        if let (Some(file), Some(token)) = (&self.file, token) {
            let kept = Kept { issued_at: bearer.issued_at, token: token.to_owned() };
            file.write(&self.identity, &kept);
        }
    }

    /// Apple calls `refused` expired.
    pub(super) fn expired(&self, refused: &Bearer, now: u64) -> Result<Renewal, SignError> {
        let current = self.current();
        if current.number != refused.number {
            return Ok(Renewal::Renewed);
        }
        let age = now.abs_diff(current.issued_at);
        if age < NOT_BEFORE {
            return Ok(Renewal::TooYoung(Duration::from_secs(NOT_BEFORE - age)));
        }
        self.replace(current.number, now).map(|_| Renewal::Renewed)
    }

    /// How long the token in use must still be kept.
    pub(super) fn until_renewable(&self, now: u64) -> Duration {
        let age = now.abs_diff(self.current().issued_at);
        Duration::from_secs(NOT_BEFORE.saturating_sub(age))
    }

    fn current(&self) -> Bearer {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces token `number`, unless somebody else just did.
    fn replace(&self, number: u64, now: u64) -> Result<Bearer, SignError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number == number {
            *current = sign(&self.key, &self.header, &self.team_id, now, number + 1)?;
            self.unkept.store(false, Ordering::Relaxed);
            self.keep(&current);
            tracing::info!("new APNs provider token");
        }
        Ok(current.clone())
    }
}

fn sign(
    key: &EncodingKey,
    header: &Header,
    team_id: &str,
    now: u64,
    number: u64,
) -> Result<Bearer, SignError> {
    let token = jsonwebtoken::encode(header, &Claims { iss: team_id, iat: now }, key)
        .map_err(|error| SignError(error.to_string()))?;
    Bearer::new(&token, now, number)
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
mod tests {
    use super::*;

    const MINUTE: u64 = 60;

    fn source() -> (TokenSource, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("AuthKey.p8");
        let key = rcgen_key();
        std::fs::write(&path, key).unwrap();
        let source = TokenSource::from_file(&path, "ABC123DEFG", "DEF123GHIJ").unwrap();
        let issued_at = source.current().issued_at;
        (source, issued_at)
    }

    fn rcgen_key() -> String {
        araldo_loadtest::simulator::Credentials::generate().unwrap().apns_key_pem
    }

    #[test]
    fn a_token_is_kept_for_50_minutes_and_then_renewed() {
        let (source, issued) = source();
        let first = source.bearer(issued).unwrap();
        assert!(first.value.is_sensitive());
        assert_eq!(source.bearer(issued + 50 * MINUTE - 1).unwrap().value, first.value);
        let second = source.bearer(issued + 50 * MINUTE).unwrap();
        assert_ne!(second.value, first.value);
        assert_eq!(source.bearer(issued + 51 * MINUTE).unwrap().value, second.value);
    }

    #[test]
    fn a_token_that_was_used_is_used_on_after_a_restart_while_it_is_young() {
        let folder = tempfile::tempdir().unwrap();
        let (key, kept) = (folder.path().join("AuthKey.p8"), folder.path().join("apns.jwt"));
        std::fs::write(&key, rcgen_key()).unwrap();
        let start = |team: &str| {
            TokenSource::from_file(&key, "ABC123DEFG", team).unwrap().kept_in(kept.clone())
        };
        let first = start("DEF123GHIJ");
        assert!(!kept.exists(), "a token that was not sent needs no keeping");
        let now = first.current().issued_at;
        let bearer = first.bearer(now).unwrap();
        let second = start("DEF123GHIJ");
        assert!(second.is_same_key(&first));
        assert_eq!(second.bearer(now).unwrap().value, bearer.value);
        assert!(second.bearer(now).unwrap().value.is_sensitive());
        // Another team's is another token.
        let other = start("XYZ123GHIJ");
        assert!(!other.is_same_key(&first));
        assert_ne!(other.bearer(now).unwrap().value, bearer.value);
        // A renewed one is kept in its place, and an old one is not taken.
        assert_eq!(second.expired(&bearer, now + 20 * MINUTE).unwrap(), Renewal::Renewed);
        let renewed = second.current();
        assert_eq!(start("DEF123GHIJ").current().value, renewed.value);
        let old = second.bearer(now - 51 * MINUTE).unwrap();
        assert_ne!(start("DEF123GHIJ").current().value, old.value);
    }

    #[test]
    fn a_token_called_expired_is_replaced_once_and_never_before_20_minutes() {
        let (source, issued) = source();
        let first = source.bearer(issued).unwrap();
        let wait = Duration::from_secs(15 * MINUTE);
        assert_eq!(source.expired(&first, issued + 5 * MINUTE).unwrap(), Renewal::TooYoung(wait));
        assert_eq!(source.until_renewable(issued + 5 * MINUTE), wait);
        let now = issued + 20 * MINUTE;
        assert_eq!(source.until_renewable(now), Duration::ZERO);
        assert_eq!(source.expired(&first, now).unwrap(), Renewal::Renewed);
        let second = source.bearer(now).unwrap();
        // The other requests that were refused with the first one do not sign again.
        assert_eq!(source.expired(&first, now).unwrap(), Renewal::Renewed);
        assert_eq!(source.bearer(now).unwrap().value, second.value);
    }

    #[test]
    fn a_clock_set_back_gives_a_token_with_the_new_time() {
        let (source, issued) = source();
        let first = source.bearer(issued).unwrap();
        assert_ne!(source.bearer(issued - 60 * MINUTE).unwrap().value, first.value);
    }

    #[test]
    fn an_unusable_key_is_named_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("AuthKey.p8");
        let read = || TokenSource::from_file(&path, "ABC123DEFG", "DEF123GHIJ");
        let text = read().err().unwrap().to_string();
        assert!(text.contains("AuthKey.p8: cannot be read"), "{text}");
        for content in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(&path, content).unwrap();
            let text = read().err().unwrap().to_string();
            assert!(text.contains("AuthKey.p8: is not an EC P-256"), "{text}");
        }
        let rsa = araldo_loadtest::simulator::Credentials::generate().unwrap();
        std::fs::write(&path, rsa.service_account.private_key).unwrap();
        let text = read().err().unwrap().to_string();
        assert!(text.contains("is not an EC P-256"), "{text}");
        std::fs::write(&path, rcgen_key()).unwrap();
        let error = TokenSource::from_file(&path, "short", "DEF123GHIJ").err().unwrap();
        assert_eq!(error.place, "key_id");
    }
}
