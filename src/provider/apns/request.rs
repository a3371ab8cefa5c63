//! The request of one push: `POST /3/device/<token>` and its headers.
//!
//! Owns the parts that never change and writes the four that do into one
//! buffer, of which path and header values are slices. HPACK as Apple asks:
//! `:path` and `authorization` as literals; `apns-id`, `apns-expiration` and
//! `apns-collapse-id` indexed on the first request of a connection, so that
//! their names are in the table, and not after, so that they push nothing out.

use araldo_actors::domain::lane::Lane;
use araldo_actors::port::provider::Push;
use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Version};

use super::jwt::Bearer;
use crate::provider::OptionsError;
use crate::provider::http2::Endpoint;
use crate::provider::id_text::{ULID_LEN, UUID_LEN, put_decimal, put_ulid, put_uuid};

const APNS_TOPIC: HeaderName = HeaderName::from_static("apns-topic");
const APNS_PUSH_TYPE: HeaderName = HeaderName::from_static("apns-push-type");
const APNS_PRIORITY: HeaderName = HeaderName::from_static("apns-priority");
const APNS_EXPIRATION: HeaderName = HeaderName::from_static("apns-expiration");
const APNS_ID: HeaderName = HeaderName::from_static("apns-id");
const APNS_COLLAPSE_ID: HeaderName = HeaderName::from_static("apns-collapse-id");

const PATH: &[u8] = b"/3/device/";
/// Longest device token sent. Apple says not to assume a length; this only
/// keeps a request bounded.
const MAX_TOKEN: usize = 1_024;

/// Builds the requests of one route.
pub(super) struct Requests {
    endpoint: Endpoint,
    topic: HeaderValue,
}

impl Requests {
    pub(super) fn new(endpoint: Endpoint, topic: &str) -> Result<Self, OptionsError> {
        let fits = topic
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        let value = HeaderValue::from_str(topic).ok().filter(|value| fits && !value.is_empty());
        let topic =
            value.ok_or_else(|| OptionsError::new("topic", "must be the app's bundle id"))?;
        Ok(Self { endpoint, topic })
    }

    /// The request of `push`; none when its token cannot be an APNs token.
    /// With `indexed` the changing headers enter the connection's HPACK table.
    pub(super) fn build(&self, push: &Push, bearer: &Bearer, indexed: bool) -> Option<Request<()>> {
        let token = push.token.as_bytes();
        let fits = token.iter().all(|byte| byte.is_ascii_alphanumeric());
        if token.is_empty() || token.len() > MAX_TOKEN || !fits {
            return None;
        }
        let mut buffer =
            BytesMut::with_capacity(PATH.len() + token.len() + UUID_LEN + ULID_LEN + 20);
        buffer.put_slice(PATH);
        buffer.put_slice(token);
        let path = buffer.split().freeze();
        put_uuid(push.delivery, &mut buffer);
        let id = buffer.split().freeze();
        put_ulid(push.message, &mut buffer);
        let collapse = buffer.split().freeze();
        put_decimal(push.expires_at.0 / 1_000, &mut buffer);
        let expiration = buffer.freeze();

        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(AUTHORIZATION, bearer.value.clone());
        headers.insert(APNS_TOPIC, self.topic.clone());
        headers.insert(APNS_PUSH_TYPE, HeaderValue::from_static("alert"));
        headers.insert(APNS_PRIORITY, priority(push.lane));
        headers.insert(APNS_EXPIRATION, changing(expiration, indexed)?);
        headers.insert(APNS_ID, changing(id, indexed)?);
        headers.insert(APNS_COLLAPSE_ID, changing(collapse, indexed)?);

        let path = PathAndQuery::from_maybe_shared(path).ok()?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.endpoint.uri(path).ok()?;
        *request.headers_mut() = headers;
        Some(request)
    }
}

/// 10: at once. 5: by the device's power state (Apple: `apns-priority`).
const fn priority(lane: Lane) -> HeaderValue {
    match lane {
        Lane::Emergency | Lane::Urgent | Lane::Normal => HeaderValue::from_static("10"),
        Lane::Bulk => HeaderValue::from_static("5"),
    }
}

fn changing(bytes: Bytes, indexed: bool) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(bytes).ok()?;
    value.set_sensitive(!indexed);
    Some(value)
}

#[cfg(test)]
mod tests;
