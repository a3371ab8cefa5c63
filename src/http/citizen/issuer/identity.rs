//! What a token says of its bearer.

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::time::Millis;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::http::validate;

/// What SPID and CIE write before a fiscal code.
const PREFIX: &str = "TINIT-";
/// Longest name taken from a token, characters.
const LONGEST_NAME: usize = 256;

/// A citizen, as the issuer vouches.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub fiscal_code: FiscalCode,
    /// First name; empty when the token has none.
    pub given_name: String,
    /// Family name; empty when the token has none.
    pub family_name: String,
    /// YYYY-MM-DD.
    pub date_of_birth: Option<String>,
    /// The address the issuer knows.
    pub email: Option<String>,
    /// When the token was issued.
    pub issued_at: Millis,
    /// When it ends.
    pub expires_at: Millis,
}

/// Personal data: a debug print shows only that there is some.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// How claims are read.
pub(super) struct Rules {
    /// The claim with the fiscal code.
    pub fiscal_code_claim: String,
}

impl Rules {
    /// Reads claims whose signature, issuer, audience and times were checked,
    /// but for `iat`.
    pub(super) fn identity(
        &self,
        claims: &Map<String, Value>,
        now: Millis,
        leeway_seconds: u64,
    ) -> Result<Identity, &'static str> {
        let issued_at = match claims.get("iat") {
            Some(value) => instant(value).ok_or("iat of the token is not a time")?,
            None => return Err("the token has no iat"),
        };
        if issued_at.0 > now.0.saturating_add(leeway_seconds * 1000) {
            return Err("the token was issued in the future");
        }
        let expires_at =
            claims.get("exp").and_then(instant).ok_or("exp of the token is not a time")?;
        let code = text(claims, &self.fiscal_code_claim).ok_or("the token has no fiscal code")?;
        let code = code.strip_prefix(PREFIX).unwrap_or(code);
        let fiscal_code = FiscalCode::parse(code)
            .map_err(|_| "the fiscal code of the token does not have its form")?;
        let name = |claim: &str| {
            let found = text(claims, claim).unwrap_or_default();
            found.chars().take(LONGEST_NAME).collect::<String>()
        };
        let birth = text(claims, "birthdate").or_else(|| text(claims, "date_of_birth"));
        let email = text(claims, "email").filter(|email| validate::is_email(email));
        Ok(Identity {
            fiscal_code,
            given_name: name("given_name"),
            family_name: name("family_name"),
            date_of_birth: birth.filter(|day| day.parse::<Date>().is_ok()).map(str::to_owned),
            email: email.map(str::to_owned),
            issued_at,
            expires_at,
        })
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

/// A NumericDate (RFC 7519, section 2): seconds, which may have a fraction.
fn instant(value: &Value) -> Option<Millis> {
    let seconds = value.as_f64()?;
    let millis = (seconds * 1000.0).round();
    // Beyond the year 9999 nobody means it.
    (0.0..=253_402_300_799_000.0).contains(&millis).then_some(Millis(millis as u64))
}
