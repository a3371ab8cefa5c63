//! One live citizen: `GET /api/citizen/v1/live`, kept open, opened anew where it was when it breaks.
//!
//! Owns its connection and its place (`Last-Event-ID`). A session that was told `reset`, or that came back without a place,
//! reads the inbox as the app would. It waits with back-off and full jitter after a failure, or as long as the server
//! asks; 401 and 403 end it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use serde_json::Value;

use super::Shared;
use super::book::Arrival;
use super::inbox::{message_id, read_inbox};
use super::sse::{Event, Parser};
use crate::client::Link;
use crate::simulator::books::lock;
use crate::simulator::clock::unix_us;

static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// First and longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A server that asks for more is asked again after this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// An answer must begin within this time.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// How an attempt ended.
enum End {
    /// The stream ended or broke after it had begun.
    Broken,
    /// No stream: try again after this long, or after the back-off.
    Later(Option<Duration>),
    /// The token is no longer taken.
    Refused,
}

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    /// Place of the last event seen.
    pub(super) place: Option<String>,
    /// The inbox must be read: the place was lost, or never had.
    pub(super) behind: bool,
}

impl Session {
    /// Lives until refused or dropped.
    pub(super) async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let wait = match self.attempt().await {
                End::Broken => {
                    failures = 0;
                    backoff(0)
                }
                End::Later(asked) => {
                    failures = failures.saturating_add(1);
                    asked.map_or_else(|| backoff(failures), |asked| asked + backoff(0))
                }
                End::Refused => {
                    lock(&self.shared.books[self.index]).ended = true;
                    self.shared.tell();
                    return;
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&mut self) -> End {
        let opened = {
            // The kernel's queue of new connections is finite.
            let Ok(_permit) = self.shared.openers.acquire().await else { return End::Refused };
            tokio::time::timeout(OPEN_LIMIT, self.open()).await
        };
        let (link, answer) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(reason)) => {
                tracing::debug!(reason, "live session not opened");
                return End::Later(None);
            }
            Err(_) => return End::Later(None),
        };
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return End::Refused,
            _ => return End::Later(retry_after(&answer)),
        }
        // A fresh session that had been opened before may have missed what came in between.
        let connects = {
            let mut book = lock(&self.shared.books[self.index]);
            book.connects += 1;
            book.connects
        };
        self.behind |= self.place.is_none() && connects > 1;
        self.listen(answer.into_body()).await;
        drop(link);
        End::Broken
    }

    async fn open(&self) -> Result<(Link, Response<Incoming>), String> {
        let shared = &self.shared;
        let mut request = Request::get("/api/citizen/v1/live")
            .header(HOST, &shared.authority)
            .header(ACCEPT, "text/event-stream")
            .header(AUTHORIZATION, format!("Bearer {}", shared.tokens[self.index]));
        if let Some(place) = &self.place {
            request = request.header(&LAST_EVENT_ID, place);
        }
        let request = request.body(Full::new(Bytes::new())).map_err(|error| error.to_string())?;
        let mut link = Link::open(&shared.authority).await.map_err(|error| error.to_string())?;
        let answer = link.send.send_request(request).await.map_err(|error| error.to_string())?;
        Ok((link, answer))
    }

    async fn listen(&mut self, mut body: Incoming) {
        let mut parser = Parser::default();
        while let Some(Ok(frame)) = body.frame().await {
            let Some(data) = frame.data_ref() else { continue };
            if parser.feed(data, |event| self.take(event)).is_err() {
                lock(&self.shared.books[self.index]).faults += 1;
                return;
            }
            if self.behind && self.place.is_some() {
                self.read_inbox().await;
            }
        }
    }

    /// Writes an event down.
    fn take(&mut self, event: Event) {
        let mut book = lock(&self.shared.books[self.index]);
        match event.name.as_str() {
            "message" => {
                let data = serde_json::from_str::<Value>(&event.data).ok();
                match data.as_ref().and_then(message_id) {
                    Some(message) => book.events.push(Arrival { message, at_us: unix_us() }),
                    None => book.faults += 1,
                }
            }
            "ready" => book.ready = true,
            "status" => book.statuses += 1,
            "reset" => {
                book.resets += 1;
                self.behind = true;
            }
            _ => book.faults += 1,
        }
        drop(book);
        if event.id.is_some() {
            self.place = event.id;
        }
        self.shared.tell();
    }

    /// Reads the inbox after the place was set anew: what is published from now on comes as events.
    async fn read_inbox(&mut self) {
        match read_inbox(&self.shared.base, &self.shared.tokens[self.index]).await {
            Ok(ids) => {
                self.behind = false;
                let mut book = lock(&self.shared.books[self.index]);
                book.lists += 1;
                book.listed.extend(ids);
            }
            // Tried again with the next event or connection.
            Err(error) => tracing::debug!(%error, "inbox not read"),
        }
        self.shared.tell();
    }
}

/// Full jitter: all sessions of a killed server come back at once otherwise.
fn backoff(failures: u32) -> Duration {
    let longest = BACKOFF.0.saturating_mul(1 << failures.min(10)).min(BACKOFF.1);
    longest.mul_f64(rand::random::<f64>())
}

fn retry_after(answer: &Response<Incoming>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}
