//! What the reference sends: the server's requests, without what the server does to come by them.
//!
//! Owns the parts that never change and writes what does into one buffer, of which path, header values and body are slices;
//! anything less careful would measure the writing of requests. Ids and device tokens are functions of the request's number.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use hyper::{Method, Request, Version};
use serde::{Deserialize, Serialize};

use crate::simulator::mix::{mix, mix2};
use crate::simulator::{Kind, SimulatorError};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TOPIC: HeaderName = HeaderName::from_static("apns-topic");
const PUSH_TYPE: HeaderName = HeaderName::from_static("apns-push-type");
const PRIORITY: HeaderName = HeaderName::from_static("apns-priority");
const EXPIRATION: HeaderName = HeaderName::from_static("apns-expiration");
const ID: HeaderName = HeaderName::from_static("apns-id");
const COLLAPSE_ID: HeaderName = HeaderName::from_static("apns-collapse-id");

/// Whom the reference sends to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `apns` or `fcm`.
    pub provider: String,
    /// Base URL of the simulator.
    pub endpoint: String,
    /// Value of the `authorization` header.
    pub authorization: String,
    /// APNs: the topic. FCM: the project.
    pub account: String,
}

impl Target {
    /// The endpoint, read.
    ///
    /// # Errors
    /// [`SimulatorError::Reference`] when it is no URL.
    pub fn uri(&self) -> Result<Uri, SimulatorError> {
        self.endpoint
            .parse()
            .map_err(|error| SimulatorError::Reference(format!("{}: {error}", self.endpoint)))
    }

    fn kind(&self) -> Result<Kind, SimulatorError> {
        match self.provider.as_str() {
            "apns" => Ok(Kind::Apns),
            "fcm" => Ok(Kind::Fcm),
            other => Err(SimulatorError::Reference(format!("`{other}` takes no pushes"))),
        }
    }
}

/// What the reference sends to each device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// ULID of the message all pushes belong to.
    pub message: String,
    /// Bytes of a request's body, filled with text.
    pub body_bytes: usize,
}

impl Push {
    /// The body of an APNs request.
    #[must_use]
    pub fn apns_body(&self) -> Vec<u8> {
        let title = "Avviso";
        let frame = apns_payload(title, "", &self.message).len();
        let text = filler(self.body_bytes.saturating_sub(frame));
        apns_payload(title, &text, &self.message).into_bytes()
    }

    /// The two parts of an FCM request's body around the device token, and the part after the delivery's id; with
    /// `token_bytes` of token and 36 of id between them it has the size asked for.
    fn fcm_parts(&self, token_bytes: usize) -> [Vec<u8>; 3] {
        let parts = |text: &str| {
            let message = &self.message;
            [
                "{\"message\":{\"token\":\"".to_owned(),
                format!(
                    "\",\"notification\":{{\"title\":\"Avviso\",\"body\":\"{text}\"}},\
                     \"data\":{{\"message_id\":\"{message}\",\"delivery_id\":\""
                ),
                format!(
                    "\"}},\"android\":{{\"priority\":\"NORMAL\",\"ttl\":\"86399s\",\"collapse_key\":\"{message}\",\
                     \"notification\":{{\"tag\":\"{message}\"}}}}}}}}"
                ),
            ]
        };
        let frame: usize = parts("").iter().map(String::len).sum::<usize>() + token_bytes + 36;
        parts(&filler(self.body_bytes.saturating_sub(frame))).map(String::into_bytes)
    }

    /// A whole FCM body to one device, without a delivery's id: the simulator makes one.
    #[must_use]
    pub fn fcm_body(&self) -> Vec<u8> {
        let mut token = BytesMut::new();
        put_fcm_token(&mut token, 0);
        let [head, middle, tail] = self.fcm_parts(token.len());
        let text = [head, token.to_vec(), middle, tail].concat();
        let text = String::from_utf8_lossy(&text).replace(",\"delivery_id\":\"\"", "");
        text.into_bytes()
    }
}

fn apns_payload(title: &str, body: &str, message: &str) -> String {
    format!(
        "{{\"aps\":{{\"alert\":{{\"title\":\"{title}\",\"body\":\"{body}\"}},\"sound\":\"default\"}},\
         \"message_id\":\"{message}\"}}"
    )
}

/// Text of so many bytes that JSON leaves as it is.
fn filler(bytes: usize) -> String {
    "Allerta meteo per piogge intense. ".chars().cycle().take(bytes).collect()
}

/// Path of a push to the device of this number, for APNs.
#[must_use]
pub fn apns_path(index: u64) -> String {
    let mut path = BytesMut::from(&b"/3/device/"[..]);
    put_apns_token(&mut path, index);
    String::from_utf8_lossy(&path).into_owned()
}

/// Builds the requests of a run.
pub(super) struct Requests {
    kind: Kind,
    scheme: Scheme,
    authority: Authority,
    /// The headers that never change; HPACK keeps `authorization` out of its table, as Apple asks.
    headers: HeaderMap,
    collapse: Bytes,
    expiration: Bytes,
    path: PathAndQuery,
    parts: [Bytes; 3],
    seed: u64,
}

impl Requests {
    pub(super) fn new(target: &Target, push: &Push) -> Result<Self, SimulatorError> {
        let fault = |error: String| SimulatorError::Reference(error);
        let kind = target.kind()?;
        let uri = target.uri()?.into_parts();
        let (Some(scheme), Some(authority)) = (uri.scheme, uri.authority) else {
            return Err(fault(format!("{}: not a base URL", target.endpoint)));
        };
        let mut bearer = HeaderValue::from_str(&target.authorization)
            .map_err(|_| fault("the authorization is no header".to_owned()))?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(AUTHORIZATION, bearer);
        let parts = match kind {
            Kind::Apns => {
                let topic = HeaderValue::from_str(&target.account);
                headers.insert(TOPIC, topic.map_err(|error| fault(error.to_string()))?);
                headers.insert(PUSH_TYPE, HeaderValue::from_static("alert"));
                headers.insert(PRIORITY, HeaderValue::from_static("5"));
                [push.apns_body(), Vec::new(), Vec::new()]
            }
            Kind::Fcm | Kind::Smtp => {
                headers.insert(CONTENT_TYPE, JSON);
                push.fcm_parts(FCM_TOKEN)
            }
        };
        let path = format!("/v1/projects/{}/messages:send", target.account);
        let expiration = crate::simulator::clock::unix_s() + 86_400;
        Ok(Self {
            kind,
            scheme,
            authority,
            headers,
            collapse: Bytes::from(push.message.clone()),
            expiration: Bytes::from(expiration.to_string()),
            path: path.parse().map_err(|_| fault("no path of the project".to_owned()))?,
            parts: parts.map(Bytes::from),
            seed: mix(crate::simulator::clock::unix_us()),
        })
    }

    /// The request of this number; with `first` the changing headers enter the connection's HPACK table, so that their
    /// names are in it.
    pub(super) fn build(&self, index: u64, first: bool) -> Option<Request<Full<Bytes>>> {
        let mut headers = self.headers.clone();
        let (path, body) = match self.kind {
            Kind::Apns => {
                let mut buffer = BytesMut::with_capacity(10 + 64 + 36);
                buffer.put_slice(b"/3/device/");
                put_apns_token(&mut buffer, index);
                let path = buffer.split().freeze();
                put_uuid(&mut buffer, self.seed, index);
                headers.insert(EXPIRATION, changing(self.expiration.clone(), first)?);
                headers.insert(ID, changing(buffer.freeze(), first)?);
                headers.insert(COLLAPSE_ID, changing(self.collapse.clone(), first)?);
                (PathAndQuery::from_maybe_shared(path).ok()?, self.parts[0].clone())
            }
            Kind::Fcm | Kind::Smtp => {
                let length: usize = self.parts.iter().map(Bytes::len).sum();
                let mut body = BytesMut::with_capacity(length + FCM_TOKEN + 36);
                body.put_slice(&self.parts[0]);
                put_fcm_token(&mut body, index);
                body.put_slice(&self.parts[1]);
                put_uuid(&mut body, self.seed, index);
                body.put_slice(&self.parts[2]);
                (self.path.clone(), body.freeze())
            }
        };
        let mut uri = hyper::http::uri::Parts::default();
        uri.scheme = Some(self.scheme.clone());
        uri.authority = Some(self.authority.clone());
        uri.path_and_query = Some(path);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_parts(uri).ok()?;
        *request.headers_mut() = headers;
        Some(request)
    }
}

fn changing(bytes: Bytes, first: bool) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(bytes).ok()?;
    value.set_sensitive(!first);
    Some(value)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn put_hex(out: &mut BytesMut, word: u64) {
    let mut digits = [0; 16];
    for (place, byte) in word.to_be_bytes().into_iter().enumerate() {
        digits[place * 2] = HEX[usize::from(byte >> 4)];
        digits[place * 2 + 1] = HEX[usize::from(byte & 15)];
    }
    out.put_slice(&digits);
}

/// 32 bytes in hex.
fn put_apns_token(out: &mut BytesMut, index: u64) {
    for part in 0..4 {
        put_hex(out, mix2(part, index));
    }
}

/// Bytes of an FCM token here, as many as a real one has.
const FCM_TOKEN: usize = 152;

fn put_fcm_token(out: &mut BytesMut, index: u64) {
    put_hex(out, mix2(9, index));
    out.put_slice(b"abcdef:APA91b");
    for part in 0..7 {
        put_hex(out, mix2(part, index));
    }
    out.put_slice(b"00000000000");
}

fn put_uuid(out: &mut BytesMut, seed: u64, index: u64) {
    let id = (u128::from(mix2(seed, index)) << 64) | u128::from(mix2(index, seed));
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    uuid::Uuid::from_u128(id).hyphenated().encode_lower(&mut text);
    out.put_slice(&text);
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn target(provider: &str) -> Target {
        Target {
            provider: provider.to_owned(),
            endpoint: "https://127.0.0.1:2197".to_owned(),
            authorization: "bearer x".to_owned(),
            account: "it.example.app".to_owned(),
        }
    }

    #[tokio::test]
    async fn bodies_are_json_of_the_size_asked_for() {
        let push = Push { message: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(), body_bytes: 700 };
        for provider in ["apns", "fcm"] {
            let requests = Requests::new(&target(provider), &push).unwrap();
            for index in 0..3 {
                let request = requests.build(index, false).unwrap();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body.len(), 700, "{provider}");
                serde_json::from_slice::<serde_json::Value>(&body).unwrap();
            }
        }
        serde_json::from_slice::<serde_json::Value>(&push.fcm_body()).unwrap();
    }

    #[test]
    fn every_request_has_a_device_and_an_id_of_its_own() {
        let push = Push { message: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(), body_bytes: 300 };
        let requests = Requests::new(&target("apns"), &push).unwrap();
        let mut seen = std::collections::HashSet::new();
        for index in 0..1_000 {
            let request = requests.build(index, false).unwrap();
            assert!(seen.insert(request.uri().path().to_owned()));
            assert!(seen.insert(request.headers()[&ID].to_str().unwrap().to_owned()));
        }
    }
}
