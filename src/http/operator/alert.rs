//! `/alerts`: those of all services.
//!
//! Operators see and stop alerts; sending them is the services'.

use axum::Json;
use axum::extract::State;

use araldo_actors::domain::alert::AlertRecord;

use crate::http::access::{AlertOperator, AlertViewer};
use crate::http::alert::{self, AlertView, AlertsPage, AlertsQuery, Change};
use crate::http::app::App;
use crate::http::body::{Arguments, Segments};
use crate::http::problem::{Problem, ProblemBody};

/// The alerts of all services, the newest first.
#[utoipa::path(
    get,
    path = "/api/operator/v1/alerts",
    tag = "operator",
    operation_id = "listAllAlerts",
    security(("OperatorKey" = [])),
    params(AlertsQuery),
    responses(
        (status = 200, description = "A page", body = AlertsPage),
        (status = 503, description = "The store does not answer", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<App>,
    _: AlertViewer,
    Arguments(query): Arguments<AlertsQuery>,
) -> Result<Json<AlertsPage>, Problem> {
    query.read(&app, |_| true).await.map(Json)
}

/// An alert, with how far it is.
#[utoipa::path(
    get,
    path = "/api/operator/v1/alerts/{id}",
    tag = "operator",
    operation_id = "getAnyAlert",
    security(("OperatorKey" = [])),
    params(("id" = String, Path, description = "The ULID the alert was accepted with")),
    responses(
        (status = 200, description = "Found", body = AlertView),
        (status = 404, description = "No such alert", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(app): State<App>,
    _: AlertViewer,
    Segments(id): Segments<String>,
) -> Result<Json<AlertView>, Problem> {
    let record = any(&app, &id).await?;
    AlertView::read(&app, &record).await.map(Json)
}

/// Pauses a running alert: from this answer on no attempt of it starts.
#[utoipa::path(
    post,
    path = "/api/operator/v1/alerts/{id}/pause",
    tag = "operator",
    operation_id = "pauseAnyAlert",
    security(("OperatorKey" = [])),
    params(("id" = String, Path, description = "The ULID the alert was accepted with")),
    responses(
        (status = 200, description = "Paused", body = AlertView),
        (status = 404, description = "No such alert", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "It is not running", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(app): State<App>,
    _: AlertOperator,
    Segments(id): Segments<String>,
) -> Result<Json<AlertView>, Problem> {
    Change::Pause.make(&app, any(&app, &id).await?.alert.id).await.map(Json)
}

/// Lets a paused alert go on.
#[utoipa::path(
    post,
    path = "/api/operator/v1/alerts/{id}/resume",
    tag = "operator",
    operation_id = "resumeAnyAlert",
    security(("OperatorKey" = [])),
    params(("id" = String, Path, description = "The ULID the alert was accepted with")),
    responses(
        (status = 200, description = "Running", body = AlertView),
        (status = 404, description = "No such alert", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "It is not paused", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(app): State<App>,
    _: AlertOperator,
    Segments(id): Segments<String>,
) -> Result<Json<AlertView>, Problem> {
    Change::Resume.make(&app, any(&app, &id).await?.alert.id).await.map(Json)
}

/// Stops a running or paused alert for good. What has reached an inbox stays
/// there.
///
/// No attempt of it starts from the call on. It is answered when what waited
/// has ended: at once, or within seconds while attempts made again are under
/// way. Until then the alert is shown as it was.
#[utoipa::path(
    post,
    path = "/api/operator/v1/alerts/{id}/cancel",
    tag = "operator",
    operation_id = "cancelAnyAlert",
    security(("OperatorKey" = [])),
    params(("id" = String, Path, description = "The ULID the alert was accepted with")),
    responses(
        (status = 200, description = "Cancelled", body = AlertView),
        (status = 404, description = "No such alert", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "It has ended", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    State(app): State<App>,
    _: AlertOperator,
    Segments(id): Segments<String>,
) -> Result<Json<AlertView>, Problem> {
    Change::Cancel.make(&app, any(&app, &id).await?.alert.id).await.map(Json)
}

/// The alert called `id`.
async fn any(app: &App, id: &str) -> Result<AlertRecord, Problem> {
    alert::find(app, id).await?.ok_or_else(|| Problem::not_found("there is no such alert"))
}
