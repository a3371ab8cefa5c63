//! One exchange: a signed assertion for an access token (RFC 7523).
//!
//! Owns one short HTTP/1.1 connection to the `token_uri` of the service
//! account and reads at most [`MAX_ANSWER`] bytes. The connection is driven by
//! the exchange itself and ends with it. Of a refusal only the OAuth error
//! code is repeated, never its free text.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, Header};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Granted, OauthError};
use crate::provider::fcm::account::ServiceAccount;
use crate::provider::http2::{Dialed, Protocol, Transport};
use crate::provider::unix_seconds;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// The grant type `urn:ietf:params:oauth:grant-type:jwt-bearer`, form-encoded;
/// an assertion needs no encoding.
const FORM: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
/// Validity of an assertion, seconds (Google: at most an hour).
const ASSERTION_LIFETIME: u64 = 3_600;
/// An answer of the token endpoint, bytes.
const MAX_ANSWER: usize = 16 * 1024;
/// A token is never believed to live longer.
const MAX_LIFETIME: u64 = 24 * 3_600;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl ServiceAccount {
    /// The assertion signed at `now` (seconds since the epoch).
    pub(in crate::provider::fcm) fn assertion(
        &self,
        now: u64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.key_id.clone());
        let claims = Claims {
            iss: &self.client_email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: now,
            exp: now + ASSERTION_LIFETIME,
        };
        jsonwebtoken::encode(&header, &claims, &self.key)
    }
}

/// Exchanges an assertion for a token, within half of the transport's request
/// timeout: the push that waits for it needs the rest.
pub(super) async fn exchange(
    account: &ServiceAccount,
    transport: &Transport,
) -> Result<Granted, OauthError> {
    let limit = transport.options().request_timeout / 2;
    let place = account.token_endpoint.authority();
    match tokio::time::timeout(limit, ask(account, transport)).await {
        Ok(result) => result,
        Err(_) => Err(OauthError::Unreachable(format!("{place}: no answer within {limit:?}"))),
    }
}

async fn ask(account: &ServiceAccount, transport: &Transport) -> Result<Granted, OauthError> {
    let endpoint = &account.token_endpoint;
    let refused =
        |reason: String| OauthError::Refused(format!("{}: {reason}", endpoint.authority()));
    let assertion = account
        .assertion(unix_seconds())
        .map_err(|_| refused("the service account's key does not sign".to_owned()))?;
    let host = HeaderValue::from_str(endpoint.authority().as_str())
        .map_err(|_| refused("token_uri does not fit into a header".to_owned()))?;
    let request = Request::post(endpoint.path().as_str())
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(format!("{FORM}{assertion}"))))
        .map_err(|_| refused("token_uri does not fit into a request".to_owned()))?;
    let dialed = transport
        .dial(endpoint, Protocol::Http1)
        .await
        .map_err(|error| OauthError::Unreachable(error.to_string()))?;
    let (status, body) = match dialed {
        Dialed::Plain(io) => post(io, request).await,
        Dialed::Tls(io) => post(io, request).await,
    }
    .map_err(|reason| OauthError::Unreachable(format!("{}: {reason}", endpoint.authority())))?;
    understand(endpoint.authority().as_str(), status, &body)
}

/// Sends the request on a connection of its own.
async fn post<T>(io: T, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lost = |error: hyper::Error| format!("HTTP: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(lost)?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await.map_err(lost)?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|_| "the answer is broken or too long".to_owned())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    let answer: Result<Response<Bytes>, String> = tokio::select! {
        answer = &mut answer => answer,
        // The connection may end first; what it read is still in the answer.
        _ = &mut connection => answer.await,
    };
    answer.map(|answer| (answer.status(), answer.into_body()))
}

fn understand(place: &str, status: StatusCode, body: &[u8]) -> Result<Granted, OauthError> {
    if status.is_success() {
        let wrong = || OauthError::Unreachable(format!("{place}: the answer holds no token"));
        let grant: Grant = serde_json::from_slice(body).map_err(|_| wrong())?;
        let mut header =
            HeaderValue::try_from(format!("Bearer {}", grant.access_token)).map_err(|_| wrong())?;
        header.set_sensitive(true);
        let lifetime = Duration::from_secs(grant.expires_in.clamp(1, MAX_LIFETIME));
        return Ok(Granted { header, lifetime });
    }
    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        let code = serde_json::from_slice::<Refusal>(body).map_or("", |refusal| known(&refusal));
        return Err(OauthError::Refused(format!(
            "{place}: the token endpoint refuses the service account: {code} (status {})",
            status.as_u16()
        )));
    }
    Err(OauthError::Unreachable(format!("{place}: token endpoint: status {}", status.as_u16())))
}

/// The documented error codes (RFC 6749, 5.2; Google).
fn known(refusal: &Refusal) -> &'static str {
    const CODES: [&str; 8] = [
        "invalid_grant",
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "access_denied",
        "admin_policy_enforced",
    ];
    CODES.into_iter().find(|code| *code == refusal.error).unwrap_or("unknown error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_and_its_life_clamped() {
        for (expires_in, expected) in [(0, 1), (3_599, 3_599), (u64::MAX, MAX_LIFETIME)] {
            let body = serde_json::json!({
                "access_token": "ya29.x", "expires_in": expires_in, "token_type": "Bearer"
            });
            let granted =
                understand("host", StatusCode::OK, body.to_string().as_bytes()).ok().unwrap();
            assert_eq!(granted.lifetime, Duration::from_secs(expected));
            assert_eq!(granted.header, "Bearer ya29.x");
            assert!(granted.header.is_sensitive());
        }
    }

    #[test]
    fn a_refusal_is_named_by_its_code_and_trouble_is_not_a_refusal() {
        let body = br#"{"error":"invalid_grant","error_description":"secret text"}"#;
        let error = understand("host:1", StatusCode::BAD_REQUEST, body).err().unwrap();
        assert!(matches!(error, OauthError::Refused(_)));
        let text = error.to_string();
        assert!(text.contains("host:1") && text.contains("invalid_grant"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        for status in [429, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = understand("host", status, b"").err().unwrap();
            assert!(matches!(error, OauthError::Unreachable(_)));
        }
        let error = understand("host", StatusCode::OK, b"{}").err().unwrap();
        assert!(matches!(error, OauthError::Unreachable(_)));
    }
}
