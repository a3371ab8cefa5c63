//! The `authorization` header for either simulator, earned as any client earns it.
//!
//! Owns nothing. APNs: a provider token signed with the account's key. FCM: a signed assertion, exchanged for an access token
//! at the token endpoint.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::Target;
use super::connection::Dialer;
use crate::simulator::clock::unix_s;
use crate::simulator::{Credentials, Kind, SimulatorError};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// A token's answer is short.
const MAX_ANSWER: usize = 64 * 1024;

fn fault(error: impl std::fmt::Display) -> SimulatorError {
    SimulatorError::Reference(error.to_string())
}

impl Target {
    /// The simulator at `endpoint`, signed in to with these credentials; `ca_file` none for cleartext.
    ///
    /// # Errors
    /// [`SimulatorError::Reference`]: the key does not sign, or the token endpoint refuses.
    pub async fn sign_in(
        kind: Kind,
        endpoint: &str,
        credentials: &Credentials,
        ca_file: Option<&std::path::Path>,
    ) -> Result<Self, SimulatorError> {
        let mut target = Self {
            provider: kind.name().to_owned(),
            endpoint: endpoint.to_owned(),
            authorization: String::new(),
            account: match kind {
                Kind::Apns => credentials.apns.topic.clone(),
                Kind::Fcm | Kind::Smtp => credentials.service_account.project_id.clone(),
            },
        };
        target.authorization = match kind {
            Kind::Apns => provider_token(credentials)?,
            Kind::Fcm | Kind::Smtp => {
                let dialer = Dialer::new(&target, ca_file)?;
                access_token(&dialer, credentials).await?
            }
        };
        Ok(target)
    }
}

fn provider_token(credentials: &Credentials) -> Result<String, SimulatorError> {
    let key = EncodingKey::from_ec_pem(credentials.apns_key_pem.as_bytes()).map_err(fault)?;
    let mut header = Header::new(Algorithm::ES256);
    header.typ = None;
    header.kid = Some(credentials.apns.key_id.clone());
    let claims = json!({"iss": credentials.apns.team_id, "iat": unix_s()});
    Ok(format!("bearer {}", encode(&header, &claims, &key).map_err(fault)?))
}

async fn access_token(
    dialer: &Dialer,
    credentials: &Credentials,
) -> Result<String, SimulatorError> {
    let account = &credentials.service_account;
    let key = EncodingKey::from_rsa_pem(account.private_key.as_bytes()).map_err(fault)?;
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(account.private_key_id.clone());
    let now = unix_s();
    let claims = json!({"iss": account.client_email, "scope": SCOPE, "aud": account.token_uri, "iat": now, "exp": now + 3_600});
    let assertion = encode(&header, &claims, &key).map_err(fault)?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", GRANT_TYPE)
        .append_pair("assertion", &assertion)
        .finish();
    let request = Request::post(account.token_uri.as_str())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))
        .map_err(fault)?;
    let answer = dialer.connect().await?.request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(fault)?;
    let body: Value = serde_json::from_slice(&body.to_bytes()).map_err(fault)?;
    match (status, body["access_token"].as_str()) {
        (StatusCode::OK, Some(token)) => Ok(format!("Bearer {token}")),
        _ => Err(fault(format!("the token endpoint answers {status}: {}", body["error"]))),
    }
}
