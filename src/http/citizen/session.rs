//! Who calls: a citizen with a token of the configured issuer.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use axum::extract::FromRequestParts;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

use super::issuer::{Identity, Refusal};
use crate::http::app::App;
use crate::http::problem::{Kind, Problem};

/// How a citizen presents a token (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer realm=\"araldo\"";
/// The same, after a token that cannot be believed (section 3.1).
const INVALID: &str = "Bearer realm=\"araldo\", error=\"invalid_token\"";

/// A citizen, signed in.
pub struct Session {
    /// What the token says.
    pub identity: Identity,
    /// The citizen as stored; none when nobody registered with this code.
    pub citizen: Option<Citizen>,
}

impl Session {
    /// Whose session it is.
    pub const fn code(&self) -> FiscalCode {
        self.identity.fiscal_code
    }

    /// The citizen as stored.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn known(&self) -> Result<&Citizen, Problem> {
        self.citizen.as_ref().ok_or_else(unknown)
    }

    /// Whether the session holds under the `present` record: the one it began
    /// with may have been replaced while the body arrived.
    ///
    /// # Errors
    /// 401 when its citizen ended it.
    pub fn still_holds(&self, present: Option<&Citizen>) -> Result<(), Problem> {
        if is_revoked(&self.identity, present) { Err(revoked()) } else { Ok(()) }
    }

    /// As [`Session::still_holds`], by the record that the store has now.
    ///
    /// # Errors
    /// 401; 503 when the store does not answer.
    pub async fn look_again(&self, app: &App) -> Result<(), Problem> {
        self.still_holds(app.read(app.engine().citizen(self.code())).await?.as_ref())
    }

    /// Changes the citizen's own record, if the session still holds: it is
    /// asked of the very record that is replaced, so that nothing is written
    /// after the end of the session, however long ago the request began.
    ///
    /// # Errors
    /// 401; what `change` says; 503 when the store does not answer.
    pub async fn change(
        &self,
        app: &App,
        mut change: impl FnMut(Option<Citizen>) -> Result<Citizen, Problem> + Send,
    ) -> Result<Citizen, Problem> {
        let changing = app.engine().change_citizen(self.code(), |present| {
            self.still_holds(present.as_ref())?;
            change(present)
        });
        app.change(changing).await
    }
}

/// 404: the citizen has no profile here.
pub fn unknown() -> Problem {
    Problem::not_found("there is no profile with this fiscal code; POST /profile makes one")
}

/// Whether sessions that began when this one did are over.
pub fn is_revoked(identity: &Identity, citizen: Option<&Citizen>) -> bool {
    citizen.is_some_and(|citizen| identity.issued_at <= citizen.sessions_revoked_at)
}

/// 401: the session was ended.
pub fn revoked() -> Problem {
    Problem::unauthorized(INVALID, "the session was ended by its citizen; sign in again")
}

impl FromRequestParts<App> for Session {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = token(&parts.headers)?;
        let opened = app.citizens().issuer.open(token, app.engine().now()).await;
        let identity = opened.map_err(|refusal| match refusal {
            Refusal::Token(detail) => Problem::unauthorized(INVALID, detail),
            Refusal::NoKeys => Problem::unavailable()
                .with_detail("the keys of the issuer are not known yet; try again".to_owned()),
        })?;
        app.calls().take(&identity.fiscal_code, "too many calls with this fiscal code")?;
        let citizen = app.read(app.engine().citizen(identity.fiscal_code)).await?;
        if is_revoked(&identity, citizen.as_ref()) {
            return Err(revoked());
        }
        Ok(Self { identity, citizen })
    }
}

/// The token of the only `Authorization` header.
fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case("bearer ").then(|| token.trim())
    });
    match token {
        Some(token) if values.next().is_none() => Ok(token),
        Some(_) => Err(Problem::new(Kind::Invalid, "there is more than one Authorization header")),
        None => Err(Problem::unauthorized(
            CHALLENGE,
            "the header Authorization: Bearer <token> is missing",
        )),
    }
}
