//! Who issued a citizen's token, and whether to believe it.
//!
//! Owns the keys of the configured issuer: those of files are read once, at
//! the start; those of a JWKS address are kept fresh by [`Issuer::keep_fresh`],
//! which whoever serves polls beside its connections, so that nothing runs on
//! its own. A refresh that fails keeps the keys there are.
//!
//! A token is believed when a key of the issuer signed it with an algorithm
//! of that key's own kind (RFC 8725, section 3.1: `none` and HS256 under a
//! public key are no such algorithms), when its time is now, and when issuer
//! and audience are the configured ones. Its text is never logged.
//!
//! On a crash nothing is lost: the keys are fetched again.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use araldo_actors::domain::time::Millis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::config::CitizenConfig;
use crate::http::development;

pub use identity::Identity;

use identity::Rules;
use key::Key;
use remote::Remote;

mod fetch;
mod identity;
mod key;
mod remote;

/// Longest token looked at, bytes.
const LONGEST: usize = 16 * 1024;
/// How far the issuer's clock may be from ours, seconds.
const LEEWAY: u64 = 30;
/// Longest key file read, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A key of the issuer that cannot be used: the configuration's key, the file
/// and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {file}: {reason}")]
pub struct KeyFault {
    /// Of the configuration.
    pub key: &'static str,
    /// The file it names.
    pub file: String,
    /// What is wrong; never a part of a secret.
    pub reason: String,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The token; the text says what of it.
    Token(&'static str),
    /// No key is known yet: the issuer could not be asked.
    NoKeys,
}

/// Checks tokens; cheap to clone.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    /// From files.
    fixed: Vec<Key>,
    development: Option<Key>,
    remote: Option<Remote>,
    rules: Rules,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Issuer {
    /// Reads the key files that `config` names. Asks nobody yet.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub fn new(config: &CitizenConfig) -> Result<Self, Vec<KeyFault>> {
        let mut faults = Vec::new();
        let mut fixed = Vec::new();
        let mut read = |key: &'static str, path: &Path, parse: &dyn Fn(&[u8]) -> Parsed| {
            let parsed = read_file(path).and_then(|bytes| parse(&bytes));
            let file = path.display().to_string();
            parsed.map_err(|reason| faults.push(KeyFault { key, file, reason })).unwrap_or_default()
        };
        if let Some(path) = &config.jwks_file {
            fixed.extend(read("citizen.jwks_file", path, &key::of_jwks));
        }
        if let Some(path) = &config.public_key_file {
            fixed.extend(read("citizen.public_key_file", path, &|pem| Ok(vec![Key::of_pem(pem)?])));
        }
        let mut development = None;
        if let Some(path) = &config.development_key_file {
            let parse = |_: &[u8]| Ok(vec![Key::development(&development::read_key(path)?)]);
            development = read("citizen.development_key_file", path, &parse).pop();
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let remote = config.jwks_url.as_ref().map(|url| Remote::new(url, config.jwks_refresh));
        Ok(Self(Arc::new(Inner {
            fixed,
            development,
            remote,
            rules: Rules { fiscal_code_claim: config.fiscal_code_claim.clone() },
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        })))
    }

    /// Whether tokens of development are believed.
    #[must_use]
    pub fn takes_development_tokens(&self) -> bool {
        self.0.development.is_some()
    }

    /// Keeps the issuer's published keys fresh, until it is dropped.
    pub async fn keep_fresh(&self) {
        match &self.0.remote {
            Some(remote) => remote.keep_fresh().await,
            None => std::future::pending().await,
        }
    }

    /// Whom `token` stands for. A key nobody knows yet is asked for at once,
    /// unless the issuer was asked just now.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn open(&self, token: &str, now: Millis) -> Result<Identity, Refusal> {
        match self.check(token, now) {
            Err(Checked::UnknownKey) => match &self.0.remote {
                Some(remote) if remote.asked().await => {
                    self.check(token, now).map_err(|checked| self.refusal(checked))
                }
                _ => Err(self.refusal(Checked::UnknownKey)),
            },
            checked => checked.map_err(|checked| self.refusal(checked)),
        }
    }

    fn refusal(&self, checked: Checked) -> Refusal {
        let remote = self.0.remote.as_ref();
        match checked {
            Checked::Refused(reason) => Refusal::Token(reason),
            Checked::UnknownKey if remote.is_some_and(|remote| !remote.has_keys()) => {
                Refusal::NoKeys
            }
            Checked::UnknownKey => Refusal::Token("no key of the issuer signed the token"),
        }
    }

    fn check(&self, token: &str, now: Millis) -> Result<Identity, Checked> {
        if token.len() > LONGEST {
            return Err(Checked::Refused("the token is too long"));
        }
        let Ok(header) = decode_header(token) else {
            return Err(Checked::Refused("this is not a signed token (JWT)"));
        };
        if has_critical(token) {
            return Err(Checked::Refused(
                "the token asks for an extension that is not known (crit)",
            ));
        }
        let inner = &self.0;
        if header.alg == Algorithm::HS256 {
            // Only the development key is a shared secret.
            let key = inner.development.as_ref();
            let key = key.ok_or(Checked::Refused("no shared secret signs tokens here"))?;
            return self.check_with(key, token, now);
        }
        let fetched = inner.remote.as_ref().map(Remote::keys).unwrap_or_default();
        let kid = header.kid.as_deref();
        let keys = || inner.fixed.iter().chain(fetched.iter()).filter(|key| key.takes(header.alg));
        let named = keys().find(|key| kid.is_some() && key.kid.as_deref() == kid);
        if let Some(key) = named {
            return self.check_with(key, token, now);
        }
        // Without a name on both sides, the signature finds the key.
        let mut unnamed = keys().filter(|key| kid.is_none() || key.kid.is_none());
        unnamed
            .find_map(|key| match self.check_with(key, token, now) {
                Err(Checked::UnknownKey) => None,
                checked => Some(checked),
            })
            .unwrap_or(Err(Checked::UnknownKey))
    }

    fn check_with(&self, key: &Key, token: &str, now: Millis) -> Result<Identity, Checked> {
        let claims = decode::<Map<String, Value>>(token, &key.key, &self.validation(key))
            .map_err(|error| Checked::of(error.kind()))?
            .claims;
        self.0.rules.identity(&claims, now, LEEWAY).map_err(Checked::Refused)
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::default();
        validation.algorithms.clone_from(&key.algorithms);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.validate_aud = self.0.audience.is_some();
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.0.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.0.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

type Parsed = Result<Vec<Key>, String>;

/// What a look at a token said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    /// It cannot be believed, whatever keys there are.
    Refused(&'static str),
    /// None of the keys signed it.
    UnknownKey,
}

impl Checked {
    fn of(kind: &ErrorKind) -> Self {
        Self::Refused(match kind {
            ErrorKind::InvalidSignature => return Self::UnknownKey,
            ErrorKind::ExpiredSignature => "the token has expired",
            ErrorKind::ImmatureSignature => "the token is not valid yet",
            ErrorKind::InvalidIssuer => "the token names another issuer",
            ErrorKind::InvalidAudience => "the token names another audience",
            ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
                "exp" => "the token has no exp",
                "iss" => "the token has no iss",
                "aud" => "the token has no aud",
                _ => "the token lacks a claim",
            },
            ErrorKind::InvalidClaimFormat(_) => "a claim of the token does not have its form",
            _ => "this is not a signed token (JWT)",
        })
    }
}

/// Whether the header names extensions that must be understood (`crit`, RFC
/// 7515, section 4.1.11): none is known here, so none may be named. A header
/// that cannot be read says nothing; its token is refused as a whole.
fn has_critical(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    serde_json::from_slice::<Map<String, Value>>(&header).is_ok_and(|map| map.contains_key("crit"))
}

/// Reads a small file.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    if fs::metadata(path).map_err(cannot)?.len() > MAX_FILE {
        return Err("is larger than 1 MiB, so it is not a key file".to_owned());
    }
    fs::read(path).map_err(cannot)
}
