//! FCM's rules for one request of the HTTP v1 API, and the OAuth token endpoint on the same address.
//!
//! Owns the order of the checks (path, access token, JSON shape, fields, device token) and the issued access tokens.
//! Stricter than Google in one place: a device token has the shape of a real one (100 characters or more with a colon).

use bytes::Bytes;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderName};
use hyper::http::request::Parts;

use super::apns::message_number;
use super::exchange::{Delivery, Link, Rules, Verdict};
use super::mix::hash_bytes;
use super::refusal::Refusal;
use message::{Android, Request};
use oauth::AccessTokens;

mod message;
pub(crate) mod oauth;

/// Limit of notification and data together, bytes.
const MAX_PAYLOAD: usize = 4_096;
/// Largest time to live: 28 days.
const MAX_TTL_SECONDS: f64 = 2_419_200.0;

pub(crate) struct FcmRules {
    pub(crate) project_id: String,
    /// `/v1/projects/<project>/messages:send`.
    pub(crate) path: String,
    /// Path of the token endpoint.
    pub(crate) token_path: String,
    pub(crate) tokens: std::sync::Arc<AccessTokens>,
}

impl Rules for FcmRules {
    fn judge(&self, link: &Link, parts: &Parts, body: &Bytes) -> Verdict {
        if parts.uri.path() == self.token_path {
            return Verdict::Other(self.tokens.exchange(parts, body));
        }
        match self.check(link, parts, body) {
            Ok(delivery) => Verdict::Deliver(delivery),
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }

    fn unregistered(&self, _: u64) -> Refusal {
        Refusal::fcm("UNREGISTERED")
    }

    fn too_large(&self) -> Refusal {
        Refusal::fcm_bad_field("message", "Request payload size exceeds the limit")
    }

    fn success(&self, delivery: &Delivery) -> Bytes {
        Bytes::from(format!(
            "{{\"name\":\"projects/{}/messages/{}\"}}",
            self.project_id,
            uuid::Uuid::from_u128(delivery.id).simple()
        ))
    }

    fn id_header(&self) -> Option<&'static HeaderName> {
        None
    }
}

impl FcmRules {
    fn check(&self, link: &Link, parts: &Parts, body: &Bytes) -> Result<Delivery, Refusal> {
        let path = parts.uri.path();
        if path != self.path {
            let other_project =
                path.starts_with("/v1/projects/") && path.ends_with("/messages:send");
            return Err(Refusal::fcm(if other_project {
                "PERMISSION_DENIED"
            } else {
                "NOT_FOUND"
            }));
        }
        if parts.method != Method::POST {
            return Err(Refusal::fcm("NOT_FOUND"));
        }
        let bearer = parts.headers.get(AUTHORIZATION);
        if !bearer.is_some_and(|value| self.tokens.check(link, value)) {
            return Err(Refusal::fcm("UNAUTHENTICATED"));
        }
        let request: Request<'_> = serde_json::from_slice(body).map_err(|error| {
            // serde's text names fields and types of ours, never content of the message.
            Refusal::fcm_bad_field(
                "message",
                format!("Invalid JSON payload received. {}", place(&error)),
            )
        })?;
        check_message(request)
    }
}

/// Where a body does not parse, without repeating any of its content.
fn place(error: &serde_json::Error) -> String {
    format!("Line {}, column {}.", error.line(), error.column())
}

fn check_message(request: Request<'_>) -> Result<Delivery, Refusal> {
    let message = request.message;
    if message.topic.is_some() || message.condition.is_some() {
        return Err(Refusal::fcm_bad_field(
            "message",
            "Only tokens are accepted as recipient here.",
        ));
    }
    let token = message
        .token
        .ok_or_else(|| Refusal::fcm_bad_field("message", "Recipient of the message is not set."))?;
    let android = message.android.unwrap_or_default();
    check_android(&android)?;
    let mut size = message.notification.as_ref().map_or(0, |text| {
        text.title.as_deref().map_or(0, str::len) + text.body.as_deref().map_or(0, str::len)
    });
    let mut message_id = None;
    let mut delivery_id = None;
    for (key, value) in &message.data {
        size += key.len() + value.len();
        if key == "from"
            || key == "message_type"
            || key.starts_with("google.")
            || key.starts_with("gcm.")
        {
            return Err(Refusal::fcm_bad_field("message.data", "Invalid data payload key"));
        }
        match key.as_ref() {
            "message_id" => message_id = Some(value.as_ref()),
            "delivery_id" => delivery_id = Some(value.as_ref()),
            _ => {}
        }
    }
    if size > MAX_PAYLOAD {
        return Err(Refusal::fcm_bad_field("message", "Android message is too big"));
    }
    if !has_token_shape(&token) {
        return Err(Refusal::fcm_bad_token());
    }
    let id = match delivery_id {
        None => rand::random(),
        Some(text) => uuid::Uuid::try_parse(text)
            .map(|id| id.as_u128())
            .map_err(|_| Refusal::fcm_bad_field("message.data", "delivery_id is not a UUID"))?,
    };
    Ok(Delivery {
        id,
        message: message_number(message_id.or(android.collapse_key.as_deref())),
        device: hash_bytes(token.as_bytes()),
    })
}

fn check_android(android: &Android<'_>) -> Result<(), Refusal> {
    if let Some(ttl) = &android.ttl {
        let seconds = ttl
            .strip_suffix('s')
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
            .and_then(|number| number.parse::<f64>().ok());
        if !seconds.is_some_and(|seconds| seconds <= MAX_TTL_SECONDS) {
            return Err(Refusal::fcm_bad_field("message.android.ttl", "Invalid time to live"));
        }
    }
    if let Some(priority) = &android.priority
        && !matches!(priority.as_ref(), "NORMAL" | "HIGH" | "normal" | "high")
    {
        return Err(Refusal::fcm_bad_field(
            "message.android.priority",
            "Invalid value for an enum",
        ));
    }
    Ok(())
}

/// A registration token: an instance id, a colon and a long part, all in URL-safe characters.
fn has_token_shape(token: &str) -> bool {
    let characters = token
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':'));
    (100..=4_096).contains(&token.len()) && characters && token.contains(':')
}
