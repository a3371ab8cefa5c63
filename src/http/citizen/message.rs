//! The inbox: `/messages`, `/messages/{id}` and their marks.
//!
//! The order is that of publication. A page goes down from `maximum_id`
//! (older than it) or up from `minimum_id` (newer than it, the nearest
//! first), so that pages in either direction follow each other without a gap
//! while messages arrive.

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::inbox::{InboxItem, InboxRange, MarkChange, Marks};
use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::session::Session;
use crate::http::app::App;
use crate::http::body::{self, Arguments, Segments};
use crate::http::problem::{Problem, ProblemBody};
use view::{MessageWithContent, PublicMessage};

pub mod view;

/// Most messages in a page, and how many when nothing is said.
const MOST: usize = 100;

/// Which part of the inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Most items, 1 to 100; 100 when nothing is said.
    page_size: Option<usize>,
    /// Whether items name sender, title, category and marks.
    #[serde(default)]
    enrich_result_data: bool,
    /// Whether the archive is listed instead of the inbox.
    #[serde(default)]
    archived: bool,
    /// Only messages older than this one.
    maximum_id: Option<String>,
    /// Only messages newer than this one, the nearest to it first.
    minimum_id: Option<String>,
}

/// A page of an inbox.
#[derive(Serialize, ToSchema)]
#[schema(as = PaginatedPublicMessagesCollection)]
pub struct MessagePage {
    /// Newest first.
    items: Vec<PublicMessage>,
    /// Pass it as `minimum_id` for what is newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<String>,
    /// Pass it as `maximum_id` for what is older; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The citizen's messages.
#[utoipa::path(
    get,
    path = "/api/communication/v1/messages",
    tag = "citizen",
    operation_id = "getUserMessages",
    security(("CitizenToken" = [])),
    params(ListQuery),
    responses((status = 200, description = "A page, newest first", body = MessagePage))
)]
pub async fn list(
    State(app): State<App>,
    session: Session,
    Arguments(query): Arguments<ListQuery>,
) -> Result<Json<MessagePage>, Problem> {
    let size = query.page_size.unwrap_or(MOST);
    if !(1..=MOST).contains(&size) {
        return Err(Problem::field("page_size", "must be 1 to 100"));
    }
    let code = session.code();
    let before = place(&app, code, "maximum_id", query.maximum_id.as_deref()).await?;
    let after = place(&app, code, "minimum_id", query.minimum_id.as_deref()).await?;
    let range = InboxRange { after, before, archived: Some(query.archived), limit: size + 1 };
    let mut items = app.read(app.engine().inbox(code, range)).await?;
    let is_up = after.is_some() && before.is_none();
    let is_more = items.len() > size;
    if is_more && is_up {
        // The one too many is the farthest from where the page begins.
        items.remove(0);
    }
    items.truncate(size);
    let id = |item: Option<&InboxItem>| item.map(|item| item.entry.message.to_string());
    Ok(Json(MessagePage {
        prev: id(items.first()),
        next: id(items.last().filter(|_| is_more || is_up)),
        items: items
            .iter()
            .map(|item| PublicMessage::new(&app, item, query.enrich_result_data))
            .collect(),
    }))
}

/// The place of message `id` in the order of publication.
pub async fn place(
    app: &App,
    code: FiscalCode,
    field: &'static str,
    id: Option<&str>,
) -> Result<Option<u64>, Problem> {
    let Some(id) = id else { return Ok(None) };
    let absent = || Problem::field(field, "must name a message of this inbox");
    let id = MessageId::parse(id).map_err(|_| absent())?;
    let item = app.read(app.engine().inbox_item(code, id)).await?;
    item.map(|item| Some(item.entry.sequence)).ok_or_else(absent)
}

/// How a message is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// Whether the list's attributes are added.
    #[serde(default)]
    public_message: bool,
}

/// One message with its content. Reading it does not mark it read.
#[utoipa::path(
    get,
    path = "/api/communication/v1/messages/{id}",
    tag = "citizen",
    operation_id = "getUserMessage",
    security(("CitizenToken" = [])),
    params(("id" = String, Path, description = "A ULID"), ReadQuery),
    responses(
        (status = 200, description = "Found", body = MessageWithContent),
        (status = 404, description = "No such message", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(app): State<App>,
    session: Session,
    Segments(id): Segments<String>,
    Arguments(query): Arguments<ReadQuery>,
) -> Result<Json<MessageWithContent>, Problem> {
    let id = MessageId::parse(&id).map_err(|_| absent())?;
    let item = app.read(app.engine().inbox_item(session.code(), id)).await?;
    let item = item.ok_or_else(absent)?;
    Ok(Json(MessageWithContent::new(&app, item, query.public_message)))
}

fn absent() -> Problem {
    Problem::not_found("there is no message with this id")
}

/// Which marks change.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ChangeType {
    Reading,
    Archiving,
    Bulk,
}

/// A change of marks.
#[derive(Deserialize, ToSchema)]
struct MessageStatusChange {
    /// reading needs is_read, archiving and bulk need is_archived.
    change_type: ChangeType,
    /// Only true: what was read stays read.
    is_read: Option<bool>,
    is_archived: Option<bool>,
}

impl MessageStatusChange {
    fn check(&self) -> Result<MarkChange, Problem> {
        if self.is_read == Some(false) {
            return Err(Problem::field("is_read", "must be true: what was read stays read"));
        }
        let is_read = self.is_read == Some(true);
        let archived = self.is_archived;
        match self.change_type {
            ChangeType::Reading if !is_read => Err(Problem::field("is_read", "is missing")),
            ChangeType::Reading => Ok(MarkChange { read: true, archived: None }),
            _ if archived.is_none() => Err(Problem::field("is_archived", "is missing")),
            ChangeType::Archiving => Ok(MarkChange { read: false, archived }),
            ChangeType::Bulk => Ok(MarkChange { read: is_read, archived }),
        }
    }
}

/// The marks of a message.
#[derive(Serialize, ToSchema)]
pub struct MessageStatusAttributes {
    is_read: bool,
    is_archived: bool,
}

impl From<Marks> for MessageStatusAttributes {
    fn from(marks: Marks) -> Self {
        Self { is_read: marks.read, is_archived: marks.archived }
    }
}

/// Marks a message read, or moves it into the archive or out of it.
#[utoipa::path(
    put,
    path = "/api/communication/v1/messages/{id}/status",
    tag = "citizen",
    operation_id = "upsertMessageStatusAttributes",
    security(("CitizenToken" = [])),
    params(("id" = String, Path, description = "A ULID")),
    request_body = MessageStatusChange,
    responses(
        (status = 200, description = "The marks as they are now", body = MessageStatusAttributes),
        (status = 404, description = "No such message", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn mark(
    State(app): State<App>,
    session: Session,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<MessageStatusAttributes>, Problem> {
    change_marks(&app, &session, &id, request).await
}

/// The older name of the same.
#[utoipa::path(
    put,
    path = "/api/communication/v1/messages/{id}/message-status",
    tag = "citizen",
    operation_id = "upsertMessageStatusAttributesByOlderName",
    security(("CitizenToken" = [])),
    params(("id" = String, Path, description = "A ULID")),
    request_body = MessageStatusChange,
    responses(
        (status = 200, description = "The marks as they are now", body = MessageStatusAttributes),
        (status = 404, description = "No such message", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn mark_by_older_name(
    State(app): State<App>,
    session: Session,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<MessageStatusAttributes>, Problem> {
    change_marks(&app, &session, &id, request).await
}

async fn change_marks(
    app: &App,
    session: &Session,
    id: &str,
    request: Request,
) -> Result<Json<MessageStatusAttributes>, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(app, &parts.headers, body, app.options().body_limit).await?;
    let change = body::json::<MessageStatusChange>(&body)?.check()?;
    let id = MessageId::parse(id).map_err(|_| absent())?;
    // The body may have taken its time, and the session ended meanwhile.
    session.look_again(app).await?;
    let entry = app.write(app.engine().mark(session.code(), id, change)).await?;
    let entry = entry.ok_or_else(absent)?;
    Ok(Json(entry.marks.into()))
}
