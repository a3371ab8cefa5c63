//! Citizens' tokens for the citizen API, minted by the load tester itself: JWT, HS256, under a secret that it gives to the
//! server as `citizen.development_key_file`.
//!
//! Owns the secret. Claims: `iat` (with a fraction of a second, so that a token minted right after sessions were revoked is
//! newer than that), `exp`, `fiscal_code`, `given_name`, `family_name`.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::population::Citizen;
use crate::simulator::clock::unix_ms;

/// Mints tokens under one secret.
#[derive(Clone)]
pub struct CitizenTokens {
    secret: String,
    key: EncodingKey,
}

impl std::fmt::Debug for CitizenTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CitizenTokens").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iat: f64,
    exp: u64,
    fiscal_code: &'a str,
    given_name: &'a str,
    family_name: &'a str,
}

impl CitizenTokens {
    /// A new secret: 256 bits in hexadecimal.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()))
    }

    /// Under a secret that the server has.
    #[must_use]
    pub fn new(secret: String) -> Self {
        let key = EncodingKey::from_secret(secret.as_bytes());
        Self { secret, key }
    }

    /// What the server's `citizen.development_key_file` holds.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// A token of this citizen, valid for `ttl` from now.
    ///
    /// # Errors
    /// When the crypto library refuses, which it does for no such claims.
    pub fn mint(
        &self,
        fiscal_code: &str,
        names: (&str, &str),
        ttl: Duration,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let now_ms = unix_ms();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit an f64")]
        let iat = now_ms as f64 / 1_000.0;
        let claims = Claims {
            iat,
            exp: now_ms / 1_000 + ttl.as_secs(),
            fiscal_code,
            given_name: names.0,
            family_name: names.1,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key)
    }

    /// A token of a synthetic citizen, valid for a day.
    ///
    /// # Errors
    /// As [`CitizenTokens::mint`].
    pub fn of(&self, citizen: &Citizen) -> Result<String, jsonwebtoken::errors::Error> {
        let names = (citizen.given_name, citizen.surname);
        self.mint(&citizen.fiscal_code, names, Duration::from_secs(86_400))
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;

    use super::*;
    use crate::population::{Mix, Population};

    #[test]
    fn a_token_says_who_the_citizen_is_under_the_secret() {
        let tokens = CitizenTokens::generate();
        assert_eq!(tokens.secret().len(), 64);
        let citizen = Population::new(1, 10, Mix::Real).citizen(3);
        let token = tokens.of(&citizen).unwrap();
        let key = DecodingKey::from_secret(tokens.secret().as_bytes());
        let validation = Validation::new(Algorithm::HS256);
        let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
        assert_eq!(claims["fiscal_code"], citizen.fiscal_code);
        assert_eq!(claims["family_name"], citizen.surname);
        assert!(claims["exp"].as_u64().unwrap() > claims["iat"].as_f64().unwrap() as u64 + 80_000);
        let other = DecodingKey::from_secret(b"another");
        assert!(jsonwebtoken::decode::<Value>(&token, &other, &validation).is_err());
    }
}
