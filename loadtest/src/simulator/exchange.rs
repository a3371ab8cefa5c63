//! One request from the first byte to the answer, the same for both providers.
//!
//! Owns the order of things: collect the body, judge it by the provider's rules, let the behaviour decide, write the
//! books, wait the latency, answer. A delivery is in the books before its answer is sent, so an answer a client saw is
//! always an arrival the audit finds. A hanging request holds only its own stream and ends with the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::sync::{Notify, watch};

use super::behaviour::{Decision, Plan};
use super::books::{Books, bump};
use super::clock::{unix_ms, unix_us};
use super::refusal::Refusal;

/// Bytes of a request body that are read at all; more is refused as too large. Both providers allow 4,096 bytes of
/// payload, and FCM wraps them in JSON.
const MAX_BODY: usize = 64 * 1024;

pub(crate) type Answer = Response<Full<Bytes>>;

/// What the rules of a provider say about one complete request.
pub(crate) enum Verdict {
    /// A notification they would take.
    Deliver(Delivery),
    /// A refusal by the rules.
    Refuse(Refusal),
    /// Not a notification (the token endpoint).
    Other(Answer),
}

/// A notification that obeys the rules.
pub(crate) struct Delivery {
    /// Identity of the delivery, the same on every attempt.
    pub(crate) id: u128,
    /// The message's ULID, 0 when absent.
    pub(crate) message: u128,
    /// Hash of the device token.
    pub(crate) device: u64,
}

/// A provider's rules: pure but for its provider tokens.
pub(crate) trait Rules: Send + Sync + 'static {
    /// Judges a complete request.
    fn judge(&self, connection: &Link, parts: &Parts, body: &Bytes) -> Verdict;
    /// The refusal of a dead token.
    fn unregistered(&self, timestamp_ms: u64) -> Refusal;
    /// The refusal of a body over every limit.
    fn too_large(&self) -> Refusal;
    /// The body of a success.
    fn success(&self, delivery: &Delivery) -> Bytes;
    /// The header that carries the notification's id back, if this provider has one.
    fn id_header(&self) -> Option<&'static HeaderName>;
}

/// One connection, as its requests see it.
#[derive(Default)]
pub(crate) struct Link {
    requests: AtomicU64,
    in_flight: AtomicU32,
    authorized: AtomicBool,
    /// Provider token last found valid here, so that the usual request compares bytes and asks no table.
    pub(crate) known: std::sync::Mutex<Option<(HeaderValue, u64)>>,
    /// Asks the connection to send GOAWAY.
    pub(crate) goaway: Notify,
}

/// What all requests of a simulator share.
pub(crate) struct Shared {
    pub(crate) rules: Box<dyn Rules>,
    pub(crate) books: Arc<Books>,
    pub(crate) plan: watch::Sender<Arc<Plan>>,
    pub(crate) one_stream_until_authorized: bool,
}

/// Why a stream is reset instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("stream reset by the simulator")]
pub(crate) struct Reset(#[source] h2::Error);

impl Reset {
    fn new(reason: h2::Reason) -> Self {
        Self(h2::Error::from(reason))
    }
}

struct InFlight<'a>(&'a Link);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one request.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    link: Arc<Link>,
    request: Request<Incoming>,
) -> Result<Answer, Reset> {
    let others = link.in_flight.fetch_add(1, Ordering::Relaxed);
    let _in_flight = InFlight(&link);
    if shared.one_stream_until_authorized && others > 0 && !link.authorized.load(Ordering::Relaxed)
    {
        bump(&shared.books.count.early_streams);
        return Err(Reset::new(h2::Reason::REFUSED_STREAM));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = read(body).await else {
        return Err(Reset::new(h2::Reason::CANCEL));
    };
    let size = body.as_ref().map_or(0, Bytes::len);
    let verdict = match body {
        Some(body) => shared.rules.judge(&link, &parts, &body),
        None => Verdict::Refuse(shared.rules.too_large()),
    };
    let plan = Arc::clone(&shared.plan.borrow());
    if let Verdict::Other(answer) = verdict {
        return Ok(answer);
    }
    bump(&shared.books.count.requests);
    shared.books.count.body_bytes.fetch_add(size as u64, Ordering::Relaxed);
    count_request(&link, &plan);
    let id = shared.rules.id_header().and_then(|name| {
        let value = parts.headers.get(name)?;
        Some((name, value.clone()))
    });
    let delivery = match verdict {
        Verdict::Deliver(delivery) => delivery,
        Verdict::Refuse(refusal) => return Ok(refuse(&shared, refusal, id)),
        Verdict::Other(answer) => return Ok(answer),
    };
    link.authorized.store(true, Ordering::Relaxed);
    deliver(&shared, &plan, delivery, id).await
}

type IdHeader = Option<(&'static HeaderName, HeaderValue)>;

async fn deliver(
    shared: &Shared,
    plan: &Plan,
    delivery: Delivery,
    id: IdHeader,
) -> Result<Answer, Reset> {
    if plan.behaviour.is_dead(delivery.device) {
        let timestamp = plan.behaviour.unregistered_timestamp_ms.unwrap_or_else(unix_ms);
        return Ok(refuse(shared, shared.rules.unregistered(timestamp), id));
    }
    let decision = if plan.is_calm() {
        Decision::Accept
    } else {
        plan.decide(delivery.id, shared.books.attempt(delivery.id))
    };
    let count = &shared.books.count;
    match decision {
        Decision::Accept => {
            shared.books.accept(delivery.id, delivery.message, delivery.device, unix_us());
        }
        Decision::LoseAnswer => {
            shared.books.accept(delivery.id, delivery.message, delivery.device, unix_us());
            bump(&count.lost_answers);
            return std::future::pending().await;
        }
        Decision::Hang => {
            bump(&count.hung);
            return std::future::pending().await;
        }
        Decision::Reset(reason) => {
            bump(&count.reset);
            return Err(Reset::new(reason));
        }
        Decision::Refuse(refusal) => {
            wait(plan.delay_ms(delivery.id)).await;
            return Ok(refuse(shared, refusal, id));
        }
    }
    wait(plan.delay_ms(delivery.id)).await;
    let id = id.or_else(|| {
        let text = uuid::Uuid::from_u128(delivery.id).to_string();
        Some((shared.rules.id_header()?, HeaderValue::from_str(&text).ok()?))
    });
    Ok(answer(StatusCode::OK, shared.rules.success(&delivery), id))
}

fn count_request(link: &Link, plan: &Plan) {
    let served = link.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if served == plan.behaviour.goaway_after_requests {
        link.goaway.notify_one();
    }
}

async fn wait(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

fn refuse(shared: &Shared, refusal: Refusal, id: IdHeader) -> Answer {
    shared.books.refuse(refusal.reason);
    let mut answer = answer(refusal.status, refusal.body, id);
    if let Some(seconds) = refusal.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

fn answer(status: StatusCode, body: Bytes, id: IdHeader) -> Answer {
    let has_body = !body.is_empty();
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    if has_body {
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    }
    if let Some((name, value)) = id {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// A JSON answer outside the notification path.
pub(crate) fn json_answer(status: StatusCode, value: &serde_json::Value) -> Answer {
    answer(status, Bytes::from(value.to_string()), None)
}

/// Reads a body of bounded size: `Ok(None)` when it is larger than [`MAX_BODY`].
async fn read(mut body: Incoming) -> Result<Option<Bytes>, hyper::Error> {
    let mut whole = Bytes::new();
    let mut joined: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let length = joined.as_ref().map_or(whole.len(), BytesMut::len) + data.len();
        if length > MAX_BODY {
            return Ok(None);
        }
        match &mut joined {
            Some(joined) => joined.extend_from_slice(&data),
            None if whole.is_empty() => whole = data,
            None => {
                let mut buffer = BytesMut::with_capacity(length);
                buffer.extend_from_slice(&whole);
                buffer.extend_from_slice(&data);
                joined = Some(buffer);
            }
        }
    }
    Ok(Some(joined.map_or(whole, BytesMut::freeze)))
}
