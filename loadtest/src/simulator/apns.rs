//! APNs' rules for one request, as "Sending notification requests to APNs" states them.
//!
//! Owns the order of the checks (method, path, provider token, headers, device token, payload) and the provider token
//! table. Stricter than Apple in two places, so that a client cannot pass by luck: `apns-push-type` is always required,
//! and a payload without an `aps` object is `PayloadEmpty`.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use serde::Deserialize;

use super::any_object::AnyObject;
use super::exchange::{Delivery, Link, Rules, Verdict};
use super::mix::hash_bytes;
use super::provider_token::{ProviderTokens, TokenFault};
use super::refusal::Refusal;

/// Payload limit of an alert, bytes.
const MAX_PAYLOAD: usize = 4_096;
/// `apns-collapse-id` limit, bytes.
const MAX_COLLAPSE_ID: usize = 64;
/// Apple asks not to assume a token length; this bounds what the simulator takes, in hex digits.
const TOKEN_DIGITS: std::ops::RangeInclusive<usize> = 64..=200;

static APNS_ID: HeaderName = HeaderName::from_static("apns-id");

const PUSH_TYPES: [&str; 11] = [
    "alert",
    "background",
    "complication",
    "controls",
    "fileprovider",
    "liveactivity",
    "location",
    "mdm",
    "pushtotalk",
    "voip",
    "widgets",
];

/// The headers the rules look at, collected in one pass.
#[derive(Default)]
struct Headers<'a> {
    authorization: Option<&'a HeaderValue>,
    topic: Option<&'a HeaderValue>,
    push_type: Option<&'a HeaderValue>,
    priority: Option<&'a HeaderValue>,
    expiration: Option<&'a HeaderValue>,
    collapse_id: Option<&'a HeaderValue>,
    id: Option<&'a HeaderValue>,
    /// One of them came twice.
    doubled: bool,
}

impl<'a> Headers<'a> {
    fn read(map: &'a HeaderMap) -> Self {
        let mut headers = Self::default();
        for (name, value) in map {
            let place = match name.as_str() {
                "authorization" => &mut headers.authorization,
                "apns-topic" => &mut headers.topic,
                "apns-push-type" => &mut headers.push_type,
                "apns-priority" => &mut headers.priority,
                "apns-expiration" => &mut headers.expiration,
                "apns-collapse-id" => &mut headers.collapse_id,
                "apns-id" => &mut headers.id,
                _ => continue,
            };
            headers.doubled |= place.replace(value).is_some();
        }
        headers
    }
}

pub(crate) struct ApnsRules {
    pub(crate) topic: String,
    pub(crate) tokens: Arc<ProviderTokens>,
}

impl Rules for ApnsRules {
    fn judge(&self, link: &Link, parts: &Parts, body: &Bytes) -> Verdict {
        match self.check(link, parts, body) {
            Ok(delivery) => Verdict::Deliver(delivery),
            Err(reason) => Verdict::Refuse(Refusal::apns(reason)),
        }
    }

    fn unregistered(&self, timestamp_ms: u64) -> Refusal {
        Refusal::apns_unregistered(timestamp_ms)
    }

    fn too_large(&self) -> Refusal {
        Refusal::apns("PayloadTooLarge")
    }

    fn success(&self, _: &Delivery) -> Bytes {
        Bytes::new()
    }

    fn id_header(&self) -> Option<&'static HeaderName> {
        Some(&APNS_ID)
    }
}

impl ApnsRules {
    fn check(&self, link: &Link, parts: &Parts, body: &Bytes) -> Result<Delivery, &'static str> {
        let token = parts.uri.path().strip_prefix("/3/device/").ok_or("BadPath")?;
        if parts.method != Method::POST {
            return Err("MethodNotAllowed");
        }
        let headers = Headers::read(&parts.headers);
        self.check_provider_token(link, &headers)?;
        if headers.doubled {
            return Err("DuplicateHeaders");
        }
        let id = notification_id(&headers)?;
        self.check_topic(&headers)?;
        check_delivery_headers(&headers)?;
        let collapse = collapse_id(&headers)?;
        check_device_token(token)?;
        let message = check_payload(body, collapse)?;
        Ok(Delivery { id, message, device: hash_bytes(token.as_bytes()) })
    }

    fn check_provider_token(&self, link: &Link, headers: &Headers<'_>) -> Result<(), &'static str> {
        let value = headers.authorization.ok_or("MissingProviderToken")?;
        self.tokens.check(link, value).map_err(|fault| match fault {
            TokenFault::Invalid => "InvalidProviderToken",
            TokenFault::Expired => "ExpiredProviderToken",
            TokenFault::TooManyUpdates => "TooManyProviderTokenUpdates",
        })
    }

    fn check_topic(&self, headers: &Headers<'_>) -> Result<(), &'static str> {
        let topic = headers.topic.ok_or("MissingTopic")?;
        if topic.is_empty() || topic.to_str().is_err() {
            return Err("BadTopic");
        }
        if topic.as_bytes() != self.topic.as_bytes() {
            return Err("TopicDisallowed");
        }
        Ok(())
    }
}

/// The request's `apns-id`, or a new one as APNs makes when the client sent none.
fn notification_id(headers: &Headers<'_>) -> Result<u128, &'static str> {
    let Some(value) = headers.id else {
        return Ok(rand::random());
    };
    if value.len() != 36 {
        return Err("BadMessageId");
    }
    uuid::Uuid::try_parse_ascii(value.as_bytes()).map(|id| id.as_u128()).map_err(|_| "BadMessageId")
}

fn check_delivery_headers(headers: &Headers<'_>) -> Result<(), &'static str> {
    let push_type = headers
        .push_type
        .and_then(|value| value.to_str().ok())
        .filter(|value| PUSH_TYPES.contains(value))
        .ok_or("InvalidPushType")?;
    let priority = match headers.priority.map(|value| value.as_bytes()) {
        None | Some(b"10") => 10,
        Some(b"5") => 5,
        Some(b"1") => 1,
        Some(_) => return Err("BadPriority"),
    };
    if push_type == "background" && priority != 5 {
        return Err("BadPriority");
    }
    if let Some(value) = headers.expiration {
        let seconds: Option<u64> = value.to_str().ok().and_then(|text| text.parse().ok());
        if seconds.is_none() {
            return Err("BadExpirationDate");
        }
    }
    Ok(())
}

fn collapse_id<'a>(headers: &Headers<'a>) -> Result<Option<&'a str>, &'static str> {
    let Some(value) = headers.collapse_id else {
        return Ok(None);
    };
    if value.is_empty() || value.len() > MAX_COLLAPSE_ID {
        return Err("BadCollapseId");
    }
    value.to_str().map(Some).map_err(|_| "BadCollapseId")
}

fn check_device_token(token: &str) -> Result<(), &'static str> {
    if token.is_empty() {
        return Err("MissingDeviceToken");
    }
    let fits = TOKEN_DIGITS.contains(&token.len()) && token.len().is_multiple_of(2);
    if !fits || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("BadDeviceToken");
    }
    Ok(())
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "aps")]
    _aps: AnyObject,
    #[serde(borrow, default)]
    message_id: Option<std::borrow::Cow<'a, str>>,
}

/// Checks the payload and returns the message it belongs to (0 when it names none).
fn check_payload(body: &[u8], collapse: Option<&str>) -> Result<u128, &'static str> {
    if body.len() > MAX_PAYLOAD {
        return Err("PayloadTooLarge");
    }
    let payload: Payload<'_> = serde_json::from_slice(body).map_err(|_| "PayloadEmpty")?;
    Ok(message_number(payload.message_id.as_deref().or(collapse)))
}

/// A ULID as a number; 0 when it is none.
pub(crate) fn message_number(text: Option<&str>) -> u128 {
    text.and_then(|text| ulid::Ulid::from_string(text).ok()).map_or(0, u128::from)
}
