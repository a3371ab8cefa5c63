//! `/alerts`: one set of texts from a service to an audience.
//!
//! An alert answered 201 is durable and goes out: a crash, of the server or of
//! the client, changes nothing of that. A service sees its own alerts only; of
//! another's it does not even learn that there are any.

use std::sync::Arc;
use std::time::Duration;

use araldo_actors::domain::alert::AlertRecord;
use araldo_actors::domain::service::Service;
use araldo_actors::engine::{AlertSubmission, SubmitAlertError, SubmittedAlert};
use araldo_actors::port::alert_store::AlertProgress;
use araldo_actors::port::store::IdempotencyClaim;
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderValue, LOCATION};
use hyper::{HeaderMap, StatusCode};
use utoipa::IntoResponses;

use super::new_alert::NewAlert;
use super::{idempotency, permission};
use crate::http::access::Sender;
use crate::http::alert::{self, AlertView, AlertsPage, AlertsQuery, Change};
use crate::http::app::App;
use crate::http::body::{self, Arguments, Segments};
use crate::http::problem::{Kind, Problem, ProblemBody};

/// What an Idempotency-Key of an alert is scoped to, beside the service.
const SCOPE: &str = "POST /api/v1/alerts";
/// What a sender is told to wait while too many alerts are under way: they end
/// by the minute, not by the second.
const RETRY_FULL: Duration = Duration::from_secs(60);
/// What a sender is told to wait while other long alerts arrive.
const RETRY_LONG: Duration = Duration::from_secs(2);

/// How an alert is refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers of `submit`")]
enum Refusals {
    /// Not as described here; `errors` names every field.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemBody),
    /// The service lacks the permission ApiAlertWrite.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody),
    /// The Idempotency-Key was used with another body.
    #[response(status = 422, content_type = "application/problem+json")]
    KeyReused(ProblemBody),
    /// Too many alerts are under way, nothing was stored; see Retry-After.
    #[response(status = 429, content_type = "application/problem+json")]
    Overloaded(ProblemBody),
    /// Nothing was stored, or (`unconfirmed`) its fate is unknown; see
    /// Retry-After.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody),
}

/// How an alert of another service is refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers of `own`")]
enum NotOwn {
    /// The service lacks the permission ApiAlertWrite.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody),
    /// The service has no such alert.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemBody),
}

/// Sends an alert: one set of texts to everybody, or to who lives in some
/// municipalities, provinces or regions.
///
/// 201 means durable: the alert goes out, whatever happens to this server or
/// to the sender. With an `Idempotency-Key` a repeated request is answered
/// with the same alert for 24 hours, and 422 when its body differs. The
/// service needs the permission ApiAlertWrite, which none has unless it is
/// given.
#[utoipa::path(
    post,
    path = "/api/v1/alerts",
    tag = "sender",
    operation_id = "submitAlert",
    security(("SubscriptionKey" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    request_body = NewAlert,
    responses(
        (status = 201, description = "Accepted and durable", body = AlertView,
            headers(("Location" = String, description = "Where the alert can be read"))),
        Refusals,
    )
)]
pub async fn submit(
    State(app): State<App>,
    Sender(service): Sender,
    request: Request,
) -> Result<Response, Problem> {
    permission::require(&service, permission::ALERT_WRITE)?;
    let (parts, body) = request.into_parts();
    let SubmittedAlert { record, replayed } =
        match read_alert(&app, service, &parts.headers, body).await? {
            Arrived::New(submission) => accept(&app, submission).await?,
            Arrived::Again(submitted) => submitted,
        };
    let view = if replayed {
        AlertView::read(&app, &record).await?
    } else {
        // Nothing to read: it has come nowhere yet.
        AlertView::with_progress(&app, &record, AlertProgress::default())
    };
    let location = HeaderValue::try_from(format!("/api/v1/alerts/{}", record.alert.id))
        .map_err(|_| Problem::unconfirmed())?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

/// Hands an alert to the engine.
async fn accept(app: &App, submission: AlertSubmission) -> Result<SubmittedAlert, Problem> {
    let claim = submission.claim;
    match app.within_write(app.engine().submit_alert(submission)).await? {
        Ok(submitted) => Ok(submitted),
        // A repetition needs no place among those under way: it has one.
        Err(error @ SubmitAlertError::TooMany { .. }) => {
            replayed(app, claim).await?.ok_or_else(|| refused(app, &error))
        }
        Err(error) => Err(refused(app, &error)),
    }
}

/// The alert that the same request made before.
async fn replayed(
    app: &App,
    claim: Option<IdempotencyClaim>,
) -> Result<Option<SubmittedAlert>, Problem> {
    match claim {
        Some(claim) => app.read(app.engine().replayed_alert(claim)).await,
        None => Ok(None),
    }
}

/// What a request turned out to be.
enum Arrived {
    /// To be submitted; perhaps not for the first time.
    New(AlertSubmission),
    /// Submitted before, and too late to be submitted now.
    Again(SubmittedAlert),
}

/// Reads and checks an alert; its body is gone when this returns.
async fn read_alert(
    app: &App,
    service: Arc<Service>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Arrived, Problem> {
    let body = read_body(app, headers, body).await?;
    let claim = idempotency::claim(headers, &service.id, SCOPE, &body)?;
    let checked = match body::json::<NewAlert>(&body)?.check(app.engine().now()) {
        Ok(checked) => checked,
        // A repetition of what passed its checks then is no new alert.
        Err(problem) => {
            return replayed(app, claim).await?.map(Arrived::Again).ok_or(problem);
        }
    };
    Ok(Arrived::New(AlertSubmission {
        service,
        expires_at: checked.expires_at,
        lane: checked.lane,
        texts: checked.texts,
        fallback: checked.fallback,
        audience: checked.audience,
        require_secure_channels: checked.require_secure_channels,
        claim,
    }))
}

/// Reads a body. One that may be longer than an ordinary one needs a place
/// among few: slow senders of long ones can neither fill the memory nor keep a
/// short alert waiting.
async fn read_body(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let ordinary = app.options().body_limit;
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let is_ordinary = declared.is_some_and(|length: usize| length <= ordinary);
    let _place = match is_ordinary {
        true => None,
        false => Some(app.long_bodies().try_acquire().map_err(|_| {
            Problem::new(Kind::Overloaded, "other long alerts are being read; nothing was stored")
                .retry_after(RETRY_LONG)
        })?),
    };
    body::read(app, headers, body, app.options().alert_body_limit).await
}

/// What a refused alert is to the client.
fn refused(app: &App, error: &SubmitAlertError) -> Problem {
    match error {
        SubmitAlertError::Invalid(why) => Problem::invalid(format!("the alert: {why}")),
        SubmitAlertError::TooMany { limit } => Problem::new(
            Kind::Overloaded,
            format!("{limit} alerts are under way, as many as there can be; nothing was stored"),
        )
        .retry_after(RETRY_FULL),
        SubmitAlertError::KeyReused => Problem::new(
            Kind::KeyReused,
            "this Idempotency-Key came before with another body; nothing was stored",
        ),
        SubmitAlertError::Store(error) => {
            app.warn_of_store(error);
            Problem::of_store(error)
        }
    }
}

/// The service's alerts, the newest first.
///
/// They are found among everybody's, a bounded number of which is looked
/// through at a time: a page may have fewer items than asked for, or none, and
/// still a `next`.
#[utoipa::path(
    get,
    path = "/api/v1/alerts",
    tag = "sender",
    operation_id = "listAlerts",
    security(("SubscriptionKey" = [])),
    params(AlertsQuery),
    responses(
        (status = 200, description = "A page", body = AlertsPage),
        (status = 403, description = "The service lacks the permission ApiAlertWrite",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "The service lists too often; see Retry-After",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<App>,
    Sender(service): Sender,
    Arguments(query): Arguments<AlertsQuery>,
) -> Result<Json<AlertsPage>, Problem> {
    permission::require(&service, permission::ALERT_WRITE)?;
    app.lists().take_service(&service.id, "the service lists its alerts too often")?;
    query.read(&app, |record| record.alert.service == service.id).await.map(Json)
}

/// An alert of the service, with how far it is.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/{id}",
    tag = "sender",
    operation_id = "getAlert",
    security(("SubscriptionKey" = [])),
    params(("id" = String, Path, description = "The ULID the alert was accepted with")),
    responses(
        (status = 200, description = "Found", body = AlertView),
        NotOwn,
    )
)]
pub async fn read(
    State(app): State<App>,
    Sender(service): Sender,
    Segments(id): Segments<String>,
) -> Result<Json<AlertView>, Problem> {
    let record = own(&app, &service, &id).await?;
    AlertView::read(&app, &record).await.map(Json)
}

/// Pauses a running alert: from this answer on no attempt of it starts.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{id}/pause",
    tag = "sender",
    operation_id = "pauseAlert",
    security(("SubscriptionKey" = [])),
    params(("id" = String, Path, description = "The ULID the alert was accepted with")),
    responses(
        (status = 200, description = "Paused", body = AlertView),
        NotOwn,
        (status = 409, description = "It is not running", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(app): State<App>,
    Sender(service): Sender,
    Segments(id): Segments<String>,
) -> Result<Json<AlertView>, Problem> {
    let record = own(&app, &service, &id).await?;
    Change::Pause.make(&app, record.alert.id).await.map(Json)
}

/// Lets a paused alert go on.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{id}/resume",
    tag = "sender",
    operation_id = "resumeAlert",
    security(("SubscriptionKey" = [])),
    params(("id" = String, Path, description = "The ULID the alert was accepted with")),
    responses(
        (status = 200, description = "Running", body = AlertView),
        NotOwn,
        (status = 409, description = "It is not paused", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(app): State<App>,
    Sender(service): Sender,
    Segments(id): Segments<String>,
) -> Result<Json<AlertView>, Problem> {
    let record = own(&app, &service, &id).await?;
    Change::Resume.make(&app, record.alert.id).await.map(Json)
}

/// Stops a running or paused alert for good. What has reached an inbox stays
/// there.
///
/// No attempt of it starts from the call on. It is answered when what waited
/// has ended: at once, or within seconds while attempts made again are under
/// way. Until then the alert is shown as it was.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{id}/cancel",
    tag = "sender",
    operation_id = "cancelAlert",
    security(("SubscriptionKey" = [])),
    params(("id" = String, Path, description = "The ULID the alert was accepted with")),
    responses(
        (status = 200, description = "Cancelled", body = AlertView),
        NotOwn,
        (status = 409, description = "It has ended", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    State(app): State<App>,
    Sender(service): Sender,
    Segments(id): Segments<String>,
) -> Result<Json<AlertView>, Problem> {
    let record = own(&app, &service, &id).await?;
    Change::Cancel.make(&app, record.alert.id).await.map(Json)
}

/// The alert called `id`, if `service` may send alerts and sent it.
async fn own(app: &App, service: &Service, id: &str) -> Result<AlertRecord, Problem> {
    permission::require(service, permission::ALERT_WRITE)?;
    let absent = || Problem::not_found("the service has no alert with this id");
    let found = alert::find(app, id).await?;
    found.filter(|record| record.alert.service == service.id).ok_or_else(absent)
}
