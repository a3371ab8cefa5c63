//! The keys that sign citizens' tokens, each with the algorithms it may be
//! used with (RFC 8725, section 3.1).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Most keys taken from one set: an issuer publishes a handful.
const MOST: usize = 100;
/// What an RSA key may sign with when its set does not say.
const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    /// Its name (`kid`); none for keys that come alone.
    pub kid: Option<String>,
    /// Checks signatures.
    pub key: DecodingKey,
    /// What it may be used with.
    pub algorithms: Vec<Algorithm>,
}

impl Key {
    /// A public key in PEM: RSA (RS256) or EC P-256 (ES256).
    pub(super) fn of_pem(pem: &[u8]) -> Result<Self, String> {
        let made = |key, algorithm| Self { kid: None, key, algorithms: vec![algorithm] };
        if pem.windows(11).any(|part| part == b"PRIVATE KEY") {
            return Err("holds a private key; the public one is needed".to_owned());
        }
        DecodingKey::from_rsa_pem(pem)
            .map(|key| made(key, Algorithm::RS256))
            .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| made(key, Algorithm::ES256)))
            .map_err(|_| "holds no public key (PEM; RSA or EC P-256)".to_owned())
    }

    /// The secret of development tokens: HS256, and nothing else.
    pub(super) fn development(secret: &str) -> Self {
        let key = DecodingKey::from_secret(secret.as_bytes());
        Self { kid: None, key, algorithms: vec![Algorithm::HS256] }
    }

    pub(super) fn takes(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    fn of_jwk(jwk: &Jwk) -> Option<Self> {
        let for_signatures = match &jwk.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => true,
            Some(_) => false,
        };
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
            // A published secret is none.
            _ => return None,
        };
        if let Some(named) = jwk.common.key_algorithm {
            let named = named.to_string().parse::<Algorithm>().ok()?;
            algorithms.retain(|algorithm| *algorithm == named);
        }
        if !for_signatures || algorithms.is_empty() {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { kid: jwk.common.key_id.clone(), key, algorithms })
    }
}

/// The keys of a JWKS (RFC 7517) that can check signatures; what is of
/// another kind is left aside (section 5).
pub(super) fn of_jwks(text: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(text)
        .map_err(|_| "is not a set of keys (JWKS): a JSON object with \"keys\"".to_owned())?;
    if set.keys.len() > MOST {
        return Err(format!("holds more than {MOST} keys"));
    }
    let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys: Vec<_> = jwks.filter_map(|jwk| Key::of_jwk(&jwk)).collect();
    if keys.is_empty() {
        return Err("holds no public key that checks signatures (RSA, EC, Ed25519)".to_owned());
    }
    Ok(keys)
}
