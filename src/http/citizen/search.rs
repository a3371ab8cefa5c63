//! `/messages?q=`: search in the inbox.
//!
//! There is no index: an inbox is one person's. A call looks at a bounded
//! number of messages and a bounded length of text, from the newest down, and
//! says where to go on. Texts are compared on the blocking threads, for a
//! bounded number of searches at one time.

use araldo_actors::domain::inbox::{InboxItem, InboxRange};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, ToSchema};

use super::fold::{Words, fold};
use super::message::{place, view::EnrichedMessage};
use super::session::Session;
use crate::http::app::App;
use crate::http::body::Arguments;
use crate::http::problem::{Kind, Problem};

/// Messages looked at in one call.
const MOST_LOOKED_AT: usize = 1000;
/// Bytes of text compared in one call; the chunk that reaches it is the last.
const MOST_TEXT: usize = 4 << 20;
/// Messages read from the store at one time.
const CHUNK: usize = 50;
/// Most messages found in one call.
const MOST: usize = 100;
/// How many when nothing is said.
const USUAL: usize = 20;

/// What is looked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Words that must all occur in subject, text, organisation or service;
    /// at most 100 characters. Case and accents do not count.
    q: String,
    /// Go on below this message: `next` of the call before.
    before: Option<String>,
    /// Most messages to answer, 1 to 100; 20 when nothing is said.
    limit: Option<usize>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageSearch)]
pub struct Found {
    /// Newest first, the archive included.
    items: Vec<EnrichedMessage>,
    /// Pass it as `before` to go on; absent when everything was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Whether the whole inbox was looked at.
    complete: bool,
}

/// Messages with the given words.
///
/// One call looks at no more than 1,000 messages, of long ones at fewer: few
/// items, or none, with `next` mean that there is more to look at. A citizen
/// may make 10 calls at once, then one a second.
#[utoipa::path(
    get,
    path = "/api/citizen/v1/messages",
    tag = "citizen",
    operation_id = "searchMessages",
    security(("CitizenToken" = [])),
    params(SearchQuery),
    responses((status = 200, description = "Looked for", body = Found))
)]
pub async fn search(
    State(app): State<App>,
    session: Session,
    Arguments(query): Arguments<SearchQuery>,
) -> Result<Json<Found>, Problem> {
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::field("limit", "must be 1 to 100"));
    }
    let words = Words::parse("q", &query.q)?;
    if words.is_empty() {
        return Err(Problem::field("q", "must have at least one word"));
    }
    let code = session.code();
    app.looks().take(&code, "too many searches with this fiscal code")?;
    let mut turn = app.look().await?;
    let mut before = place(&app, code, "before", query.before.as_deref()).await?;
    let mut found = Found { items: Vec::new(), next: None, complete: false };
    let mut read = 0;
    for _ in 0..MOST_LOOKED_AT / CHUNK {
        let range = InboxRange { before, limit: CHUNK, ..InboxRange::default() };
        let items = app.read(app.engine().inbox(code, range)).await?;
        let compared = compare(&app, turn, items, words.clone()).await?;
        turn = compared.turn;
        read += compared.bytes;
        for (item, is_match) in &compared.items {
            before = Some(item.entry.sequence);
            found.next = Some(item.entry.message.to_string());
            if *is_match {
                found.items.push(EnrichedMessage::new(&app, item));
                if found.items.len() == limit {
                    return Ok(Json(found));
                }
            }
        }
        if compared.items.len() < CHUNK {
            found.next = None;
            found.complete = true;
            return Ok(Json(found));
        }
        if read >= MOST_TEXT {
            break;
        }
    }
    Ok(Json(found))
}

/// A chunk that was looked at.
struct Compared {
    items: Vec<(InboxItem, bool)>,
    bytes: usize,
    turn: OwnedSemaphorePermit,
}

/// Folds and compares long texts where nobody waits for it. The turn goes
/// along: who stops waiting frees it only when the work is done.
async fn compare(
    app: &App,
    turn: OwnedSemaphorePermit,
    items: Vec<InboxItem>,
    words: Words,
) -> Result<Compared, Problem> {
    let app = app.clone();
    let comparing = tokio::task::spawn_blocking(move || {
        let length = |item: &InboxItem| {
            item.message.content.subject.len() + item.message.content.markdown.len()
        };
        let bytes = items.iter().map(length).sum();
        let look = |item: InboxItem| {
            let is_match = is_match(&app, &item, &words);
            (item, is_match)
        };
        Compared { items: items.into_iter().map(look).collect(), bytes, turn }
    });
    let failed = |_| Problem::new(Kind::Internal, "the search could not be carried out");
    comparing.await.map_err(failed)
}

fn is_match(app: &App, item: &InboxItem, words: &Words) -> bool {
    let content = &item.message.content;
    let (subject, text) = (fold(&content.subject), fold(&content.markdown));
    let service = app.engine().directory().service(&item.message.service);
    let (name, organization) = service.map_or_else(Default::default, |service| {
        (fold(&service.name), fold(&service.organization.name))
    });
    words.occur_in(&[&subject, &text, &name, &organization])
}
