//! Tokens for development: HS256 under a secret that server and command line
//! share. Never in production: whoever reads the file can be any citizen.

use std::fs;
use std::path::Path;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::time::Millis;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Shortest secret: HS256 asks for as many bits as its hash has (RFC 7518,
/// section 3.2).
const SHORTEST: usize = 32;
/// Longest secret, bytes.
const LONGEST: usize = 4096;

/// What a development token says.
#[derive(Clone, Default)]
pub struct Bearer {
    /// First name.
    pub given_name: Option<String>,
    /// Family name.
    pub family_name: Option<String>,
    /// Address the issuer would know.
    pub email: Option<String>,
    /// YYYY-MM-DD.
    pub date_of_birth: Option<String>,
}

/// Who issues it, as the server's configuration asks.
#[derive(Clone, Default)]
pub struct Issuing {
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`.
    pub audience: Option<String>,
    /// The claim with the fiscal code.
    pub fiscal_code_claim: String,
}

/// Reads the secret: the text of the file, without the white space around it.
///
/// # Errors
/// Why it cannot be used.
pub fn read_key(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let secret = text.trim();
    if !(SHORTEST..=LONGEST).contains(&secret.len()) {
        return Err(format!(
            "must hold {SHORTEST} to {LONGEST} characters, such as those of `openssl rand -hex 32`"
        ));
    }
    Ok(secret.to_owned())
}

/// A token for `code` that holds from `now` for `lifetime`. `iat` has
/// milliseconds, so that a revocation tells the tokens of one second apart.
///
/// # Errors
/// When it cannot be signed.
pub fn mint(
    secret: &str,
    code: FiscalCode,
    bearer: &Bearer,
    issuing: &Issuing,
    now: Millis,
    lifetime: Duration,
) -> Result<String, String> {
    let mut claims = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            claims.insert(name.to_owned(), value);
        }
    };
    let text = |given: &Option<String>| given.clone().map(Value::String);
    say(&issuing.fiscal_code_claim, Some(json!(code.as_str())));
    say("given_name", text(&bearer.given_name));
    say("family_name", text(&bearer.family_name));
    say("email", text(&bearer.email));
    say("birthdate", text(&bearer.date_of_birth));
    say("iss", text(&issuing.issuer));
    say("aud", text(&issuing.audience));
    say("iat", Some(json!(now.0 as f64 / 1000.0)));
    say("exp", Some(json!(now.after(lifetime).0.div_ceil(1000))));
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|_| "the key does not sign".to_owned())
}
