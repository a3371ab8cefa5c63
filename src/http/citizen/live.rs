//! `/live`: an inbox as it changes, over Server-Sent Events (WHATWG HTML,
//! section 9.2).
//!
//! Nothing is queued for a session: it reads the store's order from the place
//! it has seen, writes what it finds and waits to be told that there is more.
//! A slow reader is behind, and finds everything when it comes to it; one
//! that does not read at all is cut by the write timeout. A session ends with
//! its token, when its citizen ends all sessions, and when the server drains.
//!
//! On a crash nothing is lost: a client comes back with `Last-Event-ID` and
//! is told what it missed, or that it must read the inbox anew (`reset`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::inbox::{InboxChange, InboxEvent, InboxEvents};
use araldo_actors::live::{LiveRefused, LiveSession};
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use hyper::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;

use super::message::view::EnrichedMessage;
use super::session::{self, Session};
use crate::http::app::App;
use crate::http::body::Arguments;
use crate::http::problem::{Kind, Problem, ProblemBody};

/// Events read from the store at one time.
const CHUNK: usize = 32;
/// Longest wait for the end of a token: timers do not reach for ever.
const LONGEST: Duration = Duration::from_hours(24 * 365);
/// What a client is told to wait where there are too many sessions.
const RETRY: Duration = Duration::from_secs(5);
/// Shortest time a client is told to wait before it comes back.
const COMEBACK: Duration = Duration::from_secs(2);

/// Asks a proxy in front to pass each event on at once (nginx, and others who
/// follow it).
const NO_BUFFERING: [(&str, &str); 1] = [("x-accel-buffering", "no")];

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LiveQuery {
    /// As the header `Last-Event-ID`, for clients that cannot set it.
    last_event_id: Option<String>,
}

/// The citizen's inbox as it changes (Server-Sent Events).
///
/// A fresh session begins with the event `ready`. Then come `message` (data:
/// an item of the enriched list) and `status` (data: `{"id", "is_read",
/// "is_archived"}`). The id of an event is its place in the order of the
/// inbox: a session opened with the last one seen goes on after it, without a
/// gap; `reset` (data: `{"reason"}`) says that it cannot, and that the inbox
/// must be read anew. Comments are signs of life.
#[utoipa::path(
    get,
    path = "/api/citizen/v1/live",
    tag = "citizen",
    operation_id = "live",
    security(("CitizenToken" = [])),
    params(
        LiveQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event seen"),
    ),
    responses(
        (status = 200, description = "Events, until the session ends", body = String,
            content_type = "text/event-stream"),
        (status = 429, description = "Too many live sessions of this citizen", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn open(
    State(app): State<App>,
    session: Session,
    Arguments(query): Arguments<LiveQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let last = match headers.get("last-event-id") {
        Some(value) => Some(value.to_str().unwrap_or_default().to_owned()),
        None => query.last_event_id,
    };
    // Nothing of the request is kept for as long as the session lasts.
    drop(headers);
    let code = session.code();
    let live = app.engine().live(code).await.map_err(refused)?;
    // A revocation just now may have come before the session was known.
    let citizen = app.read(app.engine().citizen(code)).await?;
    if session::is_revoked(&session.identity, citizen.as_ref()) {
        return Err(session::revoked());
    }
    let left = session.identity.expires_at.since(app.engine().now()).min(LONGEST);
    let retry = Some(comeback(app.engine().random_bits()));
    let mut reader = Reader {
        retry,
        draining: app.draining(),
        app,
        code,
        live,
        ends: Instant::now() + left,
        cursor: 0,
        waiting: VecDeque::new(),
    };
    reader.begin(last.as_deref()).await?;
    let keep_alive = KeepAlive::new().interval(reader.app.citizens().live.keep_alive);
    let events = unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((event, reader))
    });
    Ok((NO_BUFFERING, Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive)))
}

/// A time to wait before a client comes back, [`COMEBACK`] at least and less
/// than twice that: those whom a restart cut off do not all come at once.
fn comeback(random: u128) -> Duration {
    let spread = u64::try_from(COMEBACK.as_millis()).unwrap_or(1);
    let more = u64::try_from(random % u128::from(spread)).unwrap_or(0);
    COMEBACK + Duration::from_millis(more)
}

/// The place of `last`: a number in digits and nothing else.
fn place(last: &str) -> Option<u64> {
    let is_digits = last.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { last.parse().ok() } else { None }
}

fn refused(refused: LiveRefused) -> Problem {
    match refused {
        LiveRefused::TooManyOfCitizen => {
            Problem::new(Kind::TooManyRequests, "this citizen has too many live sessions")
                .retry_after(RETRY)
        }
        LiveRefused::TooMany => Problem::unavailable()
            .with_detail("there are too many live sessions; try again later".to_owned()),
        LiveRefused::Unavailable => Problem::unavailable(),
    }
}

/// A session, between two events.
struct Reader {
    app: App,
    code: FiscalCode,
    live: LiveSession,
    draining: watch::Receiver<bool>,
    /// When the token does.
    ends: Instant,
    /// Everything up to here was told.
    cursor: u64,
    /// How long the client shall wait before it comes back; told once.
    retry: Option<Duration>,
    /// Read and not yet written: at most [`CHUNK`].
    waiting: VecDeque<Event>,
}

impl Reader {
    /// Finds where to go on.
    async fn begin(&mut self, last: Option<&str>) -> Result<(), Problem> {
        let newest = self.events(None, 0).await?.newest;
        // A client that has seen nothing yet may say so by an empty id.
        let Some(last) = last.map(str::trim).filter(|last| !last.is_empty()) else {
            self.cursor = newest;
            self.waiting.push_back(event("ready", newest, "{}".to_owned()));
            return Ok(());
        };
        let reason = match place(last) {
            None => Some("Last-Event-ID is not a number"),
            Some(seen) if seen > newest => Some("Last-Event-ID lies ahead of this inbox"),
            Some(seen) if self.is_far_behind(seen).await? => Some("too much was missed"),
            Some(seen) => {
                self.cursor = seen;
                None
            }
        };
        if let Some(reason) = reason {
            self.cursor = newest;
            let data = json!({ "reason": reason }).to_string();
            self.waiting.push_back(event("reset", newest, data));
        }
        Ok(())
    }

    /// Whether more was missed since `seen` than is told one by one. Counts
    /// in chunks: messages are long.
    async fn is_far_behind(&self, seen: u64) -> Result<bool, Problem> {
        let most = self.app.citizens().live.max_replay;
        let (mut from, mut missed) = (seen, 0);
        loop {
            let found = self.events(Some(from), CHUNK).await?.events;
            missed += found.len();
            match found.last() {
                _ if missed > most => return Ok(true),
                Some(last) if found.len() == CHUNK => from = last.sequence,
                _ => return Ok(false),
            }
        }
    }

    async fn events(&self, after: Option<u64>, limit: usize) -> Result<InboxEvents, Problem> {
        self.app.read(self.app.engine().events(self.code, after, limit)).await
    }

    /// The next event; none when the session is over, or the store fails: the
    /// client comes back and goes on where it was.
    async fn next(&mut self) -> Option<Event> {
        loop {
            // Also while there is much to catch up with.
            let is_over = self.live.is_over() || *self.draining.borrow();
            if is_over || Instant::now() >= self.ends {
                return None;
            }
            if let Some(event) = self.waiting.pop_front() {
                return Some(match self.retry.take() {
                    Some(retry) => event.retry(retry),
                    None => event,
                });
            }
            let found = self.events(Some(self.cursor), CHUNK).await.ok()?.events;
            if let Some(last) = found.last() {
                self.cursor = last.sequence;
                self.waiting = found.iter().map(|found| show(&self.app, found)).collect();
                continue;
            }
            tokio::select! {
                is_on = self.live.changed() => if !is_on { return None },
                _ = self.draining.wait_for(|draining| *draining) => return None,
                () = sleep_until(self.ends) => return None,
            }
        }
    }
}

fn show(app: &App, found: &InboxEvent) -> Event {
    let marks = found.item.entry.marks;
    let (name, data) = match found.change {
        InboxChange::Published => {
            ("message", serde_json::to_string(&EnrichedMessage::new(app, &found.item)))
        }
        InboxChange::Marked => (
            "status",
            serde_json::to_string(&json!({
                "id": found.item.entry.message.to_string(),
                "is_read": marks.read,
                "is_archived": marks.archived,
            })),
        ),
    };
    event(name, found.sequence, data.unwrap_or_default())
}

fn event(name: &str, id: u64, data: String) -> Event {
    Event::default().event(name).id(id.to_string()).data(data)
}
