//! `POST /messages`, `POST /messages/{fiscal_code}`,
//! `GET /messages/{fiscal_code}/{id}`.

use std::sync::Arc;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::message::{FeatureLevel, Message};
use araldo_actors::domain::service::Service;
use araldo_actors::engine::{Submission, SubmitError};
use araldo_actors::policy::routing;
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::message_view::MessageResponse;
use super::new_message::NewMessage;
use super::{idempotency, permission};
use crate::http::access::Sender;
use crate::http::app::App;
use crate::http::body::{self, Segments};
use crate::http::problem::{Problem, ProblemBody};
use crate::http::validate::fiscal_code;

/// The identifier of a message just accepted.
#[derive(Serialize, ToSchema)]
struct CreatedMessage {
    /// A ULID.
    #[schema(example = "01BX9NSMKVXXS5PSP2FATZMYYY")]
    id: String,
}

/// How a submission is refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers of `accept`")]
enum Refusals {
    /// Not as the contract asks; `errors` names the fields.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemBody),
    /// No key, or an unknown one.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody),
    /// The service may not do this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody),
    /// The body is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemBody),
    /// The Idempotency-Key was used with another body.
    #[response(status = 422, content_type = "application/problem+json")]
    KeyReused(ProblemBody),
    /// Too much is waiting, nothing was stored; see Retry-After.
    #[response(status = 429, content_type = "application/problem+json")]
    Overloaded(ProblemBody),
    /// Nothing was stored, or (`unconfirmed`) its fate is unknown; see
    /// Retry-After.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody),
}

/// Sends a message to the citizen named in the body.
///
/// 201 means durable: the message survives a crash. With an
/// `Idempotency-Key` a repeated request is answered as the first time for 24
/// hours, and 422 when its body differs.
#[utoipa::path(
    post,
    path = "/api/v1/messages",
    tag = "sender",
    operation_id = "submitMessageforUserWithFiscalCodeInBody",
    security(("SubscriptionKey" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    request_body = NewMessage,
    responses(
        (status = 201, description = "Accepted and durable", body = CreatedMessage,
            headers(("Location" = String, description = "Where the message can be read"))),
        Refusals,
    )
)]
pub async fn submit_with_body_code(
    State(app): State<App>,
    Sender(service): Sender,
    request: Request,
) -> Result<Response, Problem> {
    accept(&app, service, None, request).await
}

/// Sends a message to the citizen named in the path.
#[utoipa::path(
    post,
    path = "/api/v1/messages/{fiscal_code}",
    tag = "sender",
    operation_id = "submitMessageforUser",
    security(("SubscriptionKey" = [])),
    params(
        ("fiscal_code" = String, Path, description = "The citizen, upper case"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
    ),
    request_body = NewMessage,
    responses(
        (status = 201, description = "Accepted and durable", body = CreatedMessage,
            headers(("Location" = String, description = "Where the message can be read"))),
        Refusals,
    )
)]
pub async fn submit(
    State(app): State<App>,
    Sender(service): Sender,
    Segments(code): Segments<String>,
    request: Request,
) -> Result<Response, Problem> {
    let code = fiscal_code("fiscal_code", &code)?;
    accept(&app, service, Some(code), request).await
}

async fn accept(
    app: &App,
    service: Arc<Service>,
    in_path: Option<FiscalCode>,
    request: Request,
) -> Result<Response, Problem> {
    permission::require_write(&service)?;
    let (parts, body) = request.into_parts();
    let body = body::read(app, &parts.headers, body, app.options().body_limit).await?;
    let checked = body::json::<NewMessage>(&body)?.check(&service, in_path)?;
    let path = match in_path {
        Some(code) => format!("POST /api/v1/messages/{code}"),
        None => "POST /api/v1/messages".to_owned(),
    };
    let claim = idempotency::claim(&parts.headers, &service.id, &path, &body)?;
    // The body is not needed any more, and the wait for the disk is long.
    drop(body);
    let recipient = checked.recipient;
    let submission = Submission {
        service,
        recipient,
        time_to_live: checked.time_to_live,
        feature_level: checked.feature_level,
        content: checked.content,
        claim,
    };
    let submitting = app.engine().submit(submission);
    match tokio::time::timeout(app.options().request_timeout, submitting).await {
        Ok(Ok(id)) => created(recipient, id),
        Ok(Err(error)) => {
            if let SubmitError::Store(error) = &error {
                app.warn_of_store(error);
            }
            Err(Problem::of_submit(&error))
        }
        Err(_) => Err(Problem::unconfirmed()),
    }
}

fn created(recipient: FiscalCode, id: MessageId) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(format!("/api/v1/messages/{recipient}/{id}"))
        .map_err(|_| Problem::unconfirmed())?;
    let json = HeaderValue::from_static("application/json");
    let headers = [(CONTENT_TYPE, json), (LOCATION, location)];
    Ok((StatusCode::CREATED, headers, format!("{{\"id\":\"{id}\"}}")).into_response())
}

/// A message the service sent, with its status and what became of it channel
/// by channel.
#[utoipa::path(
    get,
    path = "/api/v1/messages/{fiscal_code}/{id}",
    tag = "sender",
    operation_id = "getMessage",
    security(("SubscriptionKey" = [])),
    params(
        ("fiscal_code" = String, Path, description = "The citizen, upper case"),
        ("id" = String, Path, description = "The ULID the message was accepted with"),
    ),
    responses(
        (status = 200, description = "Found", body = MessageResponse),
        (status = 401, description = "No key, or an unknown one", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 403, description = "Another service sent it", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "No such message, or an alert", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(app): State<App>,
    Sender(service): Sender,
    Segments((code, id)): Segments<(String, String)>,
) -> Result<Json<MessageResponse>, Problem> {
    permission::require(&service, permission::MESSAGE_READ)?;
    let absent = || Problem::not_found("the citizen has no message with this id");
    let code = fiscal_code("fiscal_code", &code)?;
    let id = MessageId::parse(&id).map_err(|_| absent())?;
    let found = app.read(app.engine().message(code, id)).await?;
    let (message, state) = found.ok_or_else(absent)?;
    if message.service != service.id {
        return Err(Problem::forbidden("another service sent this message"));
    }
    // A sender sees how many an alert reached, not whom: who is in the audience
    // of an area would say where somebody lives.
    if app.read(app.engine().alert(id)).await?.is_some() {
        return Err(absent());
    }
    let read_status = read_status(&app, &service, &message).await?;
    Ok(Json(MessageResponse::new(message, &state, Some(&service), read_status)))
}

/// IO's `read_status`: for ADVANCED messages, to who may read it; what the
/// citizen does not tell this service is UNAVAILABLE.
async fn read_status(
    app: &App,
    service: &Service,
    message: &Message,
) -> Result<Option<&'static str>, Problem> {
    let is_advanced = message.feature_level == FeatureLevel::Advanced;
    if !is_advanced || !service.has_group(permission::READ_ADVANCED) {
        return Ok(None);
    }
    let citizen = app.read(app.engine().citizen(message.fiscal_code)).await?;
    let tells = citizen.is_some_and(|citizen| {
        routing::preference(&citizen, service, app.engine().now()).read_status
    });
    let item = match tells {
        true => app.read(app.engine().inbox_item(message.fiscal_code, message.id)).await?,
        false => None,
    };
    Ok(Some(match item.map(|item| item.entry.marks.read) {
        Some(true) => "READ",
        Some(false) => "UNREAD",
        None => "UNAVAILABLE",
    }))
}
