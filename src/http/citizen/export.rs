//! `/user-data`: everything held of a citizen, as one JSON document (GDPR
//! articles 15 and 20).
//!
//! Written as it is read, a few messages at a time, so that a long inbox
//! takes no more memory than a short one. If the store fails on the way, the
//! connection is broken off: a document that ends is whole.

use std::io;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::message::Message;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::issuer::Identity;
use super::session::{self, Session};
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::sender::message_view::MessageResponse;
use crate::http::validate::iso;
use record::Record;

mod record;

/// Names the form of the document.
const FORMAT: &str = "araldo.user-data.v1";
/// Messages read at one time: of the longest ones, less than a megabyte.
const CHUNK: usize = 16;

/// Everything held of a citizen.
#[derive(Serialize, ToSchema)]
pub struct UserData {
    /// araldo.user-data.v1
    format: String,
    exported_at: String,
    /// null when nobody registered with this fiscal code.
    profile: Option<Record>,
    /// Every message addressed to the fiscal code, the oldest first: those in
    /// the inbox and those that never got there.
    messages: Vec<ExportedMessage>,
}

/// A message with everything that became of it.
#[derive(Serialize, ToSchema)]
pub struct ExportedMessage {
    #[serde(flatten)]
    message: MessageResponse,
    service_name: Option<String>,
    organization_name: Option<String>,
    /// Its place in the inbox; null when it is not there.
    inbox: Option<InboxMarks>,
}

/// What the citizen did with a message.
#[derive(Serialize, ToSchema)]
struct InboxMarks {
    published_at: String,
    is_read: bool,
    is_archived: bool,
}

/// Everything held of the citizen, as one JSON document.
///
/// Times are ISO 8601 in UTC, texts are UTF-8. The document is complete when
/// it ends: a failure on the way breaks the connection off, and so does the
/// end of the session.
#[utoipa::path(
    get,
    path = "/api/citizen/v1/user-data",
    tag = "citizen",
    operation_id = "getUserData",
    security(("CitizenToken" = [])),
    responses((status = 200, description = "The whole document", body = UserData))
)]
pub async fn read(State(app): State<App>, session: Session) -> Result<Response, Problem> {
    let code = session.code();
    app.looks().take(&code, "too many searches and copies with this fiscal code")?;
    let identity = session.identity;
    let exported_at = iso(app.engine().now());
    let profile = session.citizen.map(Record::new);
    let profile = serde_json::to_string(&profile).map_err(|_| Problem::unavailable())?;
    let head = format!(
        "{{\"format\":\"{FORMAT}\",\"exported_at\":\"{exported_at}\",\"profile\":{profile},\
         \"messages\":["
    );
    let writer = Writer { app, code, identity, part: Part::Head(head) };
    let parts = unfold(writer, async |mut writer| {
        let bytes = writer.next().await.transpose()?;
        Some((bytes, writer))
    });
    let name = HeaderValue::from_static("attachment; filename=\"araldo-user-data.json\"");
    let json = HeaderValue::from_static("application/json");
    let headers = [(CONTENT_TYPE, json), (CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// What is written next.
enum Part {
    Head(String),
    Messages { after: Option<MessageId> },
    End,
}

struct Writer {
    app: App,
    code: FiscalCode,
    identity: Identity,
    part: Part,
}

impl Writer {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match std::mem::replace(&mut self.part, Part::End) {
            Part::Head(head) => {
                self.part = Part::Messages { after: None };
                Ok(Some(Bytes::from(head)))
            }
            Part::Messages { after } => self.messages(after).await.map(Some),
            Part::End => Ok(None),
        }
    }

    async fn messages(&mut self, after: Option<MessageId>) -> io::Result<Bytes> {
        let engine = self.app.engine();
        // For one part only: whoever reads slowly keeps nobody waiting.
        let _turn = self.app.look().await.map_err(broken)?;
        let citizen = self.app.read(engine.citizen(self.code)).await.map_err(broken)?;
        if session::is_revoked(&self.identity, citizen.as_ref()) {
            return Err(broken(session::revoked()));
        }
        let found = self.app.read(engine.addressed(self.code, after, CHUNK)).await;
        let found = found.map_err(broken)?;
        let (count, last) = (found.len(), found.last().map(|(message, _)| message.id));
        let mut text = Vec::new();
        for (index, (message, state)) in found.into_iter().enumerate() {
            if index > 0 || after.is_some() {
                text.push(b',');
            }
            let item = self.app.read(engine.inbox_item(self.code, message.id)).await;
            let item = item.map_err(broken)?;
            let service = engine.directory().service(&message.service);
            let service = service.as_deref();
            let exported = ExportedMessage {
                message: MessageResponse::new(Message::clone(&message), &state, service, None),
                service_name: service.map(|service| service.name.clone()),
                organization_name: service.map(|service| service.organization.name.clone()),
                inbox: item.map(|item| InboxMarks {
                    published_at: iso(item.entry.published_at),
                    is_read: item.entry.marks.read,
                    is_archived: item.entry.marks.archived,
                }),
            };
            serde_json::to_writer(&mut text, &exported)?;
        }
        if count == CHUNK {
            self.part = Part::Messages { after: last };
        } else {
            text.extend_from_slice(b"]}\n");
        }
        Ok(Bytes::from(text))
    }
}

fn broken(problem: Problem) -> io::Error {
    io::Error::other(problem.detail().to_owned())
}
