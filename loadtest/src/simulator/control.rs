//! The control listener of a simulator: HTTP/1.1, for the stage, the audit and people with curl.
//!
//! | request | answer |
//! |---|---|
//! | `GET /books` | the counts, JSON ([`super::books::BooksReport`]) |
//! | `GET /arrivals` | `application/octet-stream`: one record of 52 bytes a delivery, big-endian: delivery id (16), message ULID as a number (16), hash of the device token or first recipient (8), first accept in Unix microseconds (8), times accepted (4) |
//! | `GET /deliveries` | the same as NDJSON: `{"delivery","message","first_accept_us","accepted"}` |
//! | `GET /behaviour` | what the simulator is told now |
//! | `PUT /behaviour` | tells it something else at once; 400 with the reason when it contradicts itself |
//! | `POST /reset` | forgets all counts, deliveries and mails |
//! | `POST /goaway` | sends GOAWAY (SMTP: 421) on every open connection |
//! | `POST /disconnect` | drops every open connection |
//! | `POST /revoke` | FCM: forgets every access token issued |
//! | `GET /mails?message_id=…` | SMTP: the latest mail with this Message-ID, `message/rfc822`; 404 when it is not kept |
//! | `GET /mails?recipient=…` | SMTP: the mails kept of this recipient, the latest last: JSON list of `{"message_id","from","recipients","at_us","tls","raw"}` (`raw` as text) |
//!
//! Streams read block by block from the books, at most 4,096 records in memory a reader. Connections are owned by the
//! control task and end with it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Handle;
use super::books::{Books, Place, Record};

/// A behaviour is a short document.
const MAX_BEHAVIOUR: usize = 64 * 1024;
/// Control connections at once.
const MAX_CONNECTIONS: usize = 64;

type ControlAnswer = Response<BoxBody<Bytes, std::convert::Infallible>>;

/// Serves control requests until dropped.
pub(crate) async fn control_loop(listener: TcpListener, handle: Handle) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let handle = handle.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let handle = handle.clone();
                async move { Ok::<_, std::convert::Infallible>(answer(&handle, request).await) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "control connection ended");
            }
        });
    }
}

async fn answer(handle: &Handle, request: Request<Incoming>) -> ControlAnswer {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/books") => json_of(StatusCode::OK, &json!(handle.books())),
        (&Method::GET, "/arrivals") => stream(handle, "application/octet-stream", binary),
        (&Method::GET, "/deliveries") => stream(handle, "application/x-ndjson", lines),
        (&Method::GET, "/behaviour") => json_of(StatusCode::OK, &json!(handle.behaviour())),
        (&Method::PUT, "/behaviour") => put_behaviour(handle, request).await,
        (&Method::GET, "/mails") => mails(handle, request.uri().query().unwrap_or_default()),
        (&Method::POST, "/reset") => done(|| handle.reset()),
        (&Method::POST, "/goaway") => done(|| handle.goaway()),
        (&Method::POST, "/disconnect") => done(|| handle.disconnect()),
        (&Method::POST, "/revoke") => done(|| handle.revoke_access_tokens()),
        _ => json_of(
            StatusCode::NOT_FOUND,
            &json!({"error": "unknown request; known: GET /books, /arrivals, /deliveries, /behaviour, /mails; \
                PUT /behaviour; POST /reset, /goaway, /disconnect, /revoke"}),
        ),
    }
}

async fn put_behaviour(handle: &Handle, request: Request<Incoming>) -> ControlAnswer {
    let body = Limited::new(request.into_body(), MAX_BEHAVIOUR).collect().await;
    let told = body
        .map_err(|error| error.to_string())
        .and_then(|body| {
            serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
        })
        .and_then(|behaviour| handle.set_behaviour(behaviour).map_err(|error| error.to_string()));
    match told {
        Ok(()) => json_of(StatusCode::OK, &json!(handle.behaviour())),
        Err(reason) => json_of(StatusCode::BAD_REQUEST, &json!({ "error": reason })),
    }
}

fn done(order: impl FnOnce()) -> ControlAnswer {
    order();
    let mut answer = Response::new(Full::new(Bytes::new()).boxed());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

fn json_of(status: StatusCode, value: &serde_json::Value) -> ControlAnswer {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{value}\n"))).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn mails(handle: &Handle, query: &str) -> ControlAnswer {
    let asked = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if let Some(id) = asked("message_id") {
        // Brackets may be left out: they are a nuisance in a URL.
        let id = id.trim_matches(['<', '>']);
        let mut found = handle.mails(|mail| mail.message_id.trim_matches(['<', '>']) == id);
        let Some(mail) = found.pop() else {
            let error = json!({"error": "no mail with this message_id is kept"});
            return json_of(StatusCode::NOT_FOUND, &error);
        };
        let mut answer = Response::new(Full::new(mail.raw).boxed());
        let kind = HeaderValue::from_static("message/rfc822");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        return answer;
    }
    let Some(recipient) = asked("recipient") else {
        let error = json!({"error": "ask for a message_id or a recipient"});
        return json_of(StatusCode::BAD_REQUEST, &error);
    };
    let recipient = recipient.to_ascii_lowercase();
    let found = handle.mails(|mail| mail.recipients.contains(&recipient));
    let list = found.iter().map(|mail| {
        json!({"message_id": mail.message_id, "from": mail.from, "recipients": mail.recipients,
            "at_us": mail.at_us, "tls": mail.tls, "raw": String::from_utf8_lossy(&mail.raw)})
    });
    json_of(StatusCode::OK, &list.collect())
}

fn stream(handle: &Handle, kind: &'static str, encode: fn(&[Record]) -> Bytes) -> ControlAnswer {
    let records = Records { books: Arc::clone(&handle.books), place: Place::default(), encode };
    let mut answer = Response::new(records.boxed());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn binary(records: &[Record]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(records.len() * super::books::RECORD_BYTES);
    for record in records {
        bytes.extend_from_slice(&record.encode());
    }
    bytes.freeze()
}

fn lines(records: &[Record]) -> Bytes {
    let mut text = String::with_capacity(records.len() * 150);
    for record in records {
        let delivery = uuid::Uuid::from_u128(record.delivery);
        let line = if record.message == 0 {
            json!({"delivery": delivery.to_string(), "message": null,
                "first_accept_us": record.first_accept_us, "accepted": record.accepted})
        } else {
            json!({"delivery": delivery.to_string(), "message": ulid::Ulid::from(record.message).to_string(),
                "first_accept_us": record.first_accept_us, "accepted": record.accepted})
        };
        text.push_str(&line.to_string());
        text.push('\n');
    }
    Bytes::from(text)
}

/// The books as a response body, read block by block.
struct Records {
    books: Arc<Books>,
    place: Place,
    encode: fn(&[Record]) -> Bytes,
}

impl Body for Records {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let block = this.books.block(&mut this.place);
        Poll::Ready(block.map(|records| Ok(Frame::data((this.encode)(&records)))))
    }
}
