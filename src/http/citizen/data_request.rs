//! `/user-data-processing`: a copy of everything, or the end of everything.
//!
//! DOWNLOAD is done at once: the document is made when it is fetched
//! (`/api/citizen/v1/user-data`). DELETE waits for
//! `retention.deletion_grace_hours`, in which it can be taken back; the
//! engine carries it out. Without a grace it is done when it is answered.

use std::time::Duration;

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::{DataChoice, DataRequest, DataRequestStatus};
use araldo_actors::domain::time::Millis;
use axum::Json;
use axum::extract::{Request, State};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::session::{self, Session};
use crate::http::app::App;
use crate::http::body::{self, Segments};
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::http::validate::iso;

/// What is asked for.
#[derive(Deserialize, ToSchema)]
struct UserDataProcessingChoiceRequest {
    /// DOWNLOAD or DELETE.
    #[schema(value_type = String)]
    choice: DataChoice,
}

/// A request and where it stands.
#[derive(Serialize, ToSchema)]
pub struct UserDataProcessing {
    /// DOWNLOAD or DELETE.
    #[schema(value_type = String)]
    choice: DataChoice,
    /// PENDING, WIP, CLOSED, FAILED or ABORTED.
    #[schema(value_type = String)]
    status: DataRequestStatus,
    created_at: String,
    updated_at: String,
    version: u32,
    /// With DELETE: when it is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
}

impl UserDataProcessing {
    /// Shows a request.
    pub fn new(choice: DataChoice, request: &DataRequest) -> Self {
        Self {
            choice,
            status: request.status,
            created_at: iso(request.created_at),
            updated_at: iso(request.updated_at),
            version: request.version,
            due_at: (choice == DataChoice::Delete).then(|| iso(request.due)),
        }
    }
}

const fn is_open(status: DataRequestStatus) -> bool {
    matches!(status, DataRequestStatus::Pending | DataRequestStatus::Wip)
}

/// Asks for a copy of everything, or for the end of everything.
///
/// A DOWNLOAD can be fetched at once, from `/api/citizen/v1/user-data`. A
/// DELETE can be taken back until it is carried out.
#[utoipa::path(
    post,
    path = "/api/identity/v1/user-data-processing",
    tag = "citizen",
    operation_id = "upsertUserDataProcessing",
    security(("CitizenToken" = [])),
    request_body = UserDataProcessingChoiceRequest,
    responses(
        (status = 200, description = "Taken up", body = UserDataProcessing),
        (status = 404, description = "No profile", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "The same was asked for and is not done yet",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn ask(
    State(app): State<App>,
    session: Session,
    request: Request,
) -> Result<Json<UserDataProcessing>, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().body_limit).await?;
    let choice = body::json::<UserDataProcessingChoiceRequest>(&body)?.choice;
    let grace = app.citizens().deletion_grace;
    let now = app.engine().now();
    let asking =
        |present: Option<_>| asked(present.ok_or_else(session::unknown)?, choice, now, grace);
    let citizen = session.change(&app, asking).await?;
    let mut request = citizen.data_requests.get(&choice).copied().ok_or_else(absent)?;
    if choice == DataChoice::Delete && grace.is_zero() {
        app.write(app.engine().erase(session.code())).await?;
        request.status = DataRequestStatus::Closed;
    }
    Ok(Json(UserDataProcessing::new(choice, &request)))
}

fn asked(
    mut citizen: Citizen,
    choice: DataChoice,
    now: Millis,
    grace: Duration,
) -> Result<Citizen, Problem> {
    let before = citizen.data_requests.get(&choice);
    if before.is_some_and(|request| is_open(request.status)) {
        return Err(Problem::new(Kind::Conflict, "this was asked for and is not done yet"));
    }
    let (status, due) = match choice {
        DataChoice::Download => (DataRequestStatus::Closed, now),
        DataChoice::Delete => (DataRequestStatus::Pending, now.after(grace)),
    };
    let version = before.map_or(0, |request| request.version.saturating_add(1));
    let request = DataRequest { status, created_at: now, updated_at: now, version, due };
    citizen.data_requests.insert(choice, request);
    Ok(citizen)
}

fn choice(text: &str) -> Result<DataChoice, Problem> {
    match text {
        "DOWNLOAD" => Ok(DataChoice::Download),
        "DELETE" => Ok(DataChoice::Delete),
        _ => Err(Problem::field("choice", "must be \"DOWNLOAD\" or \"DELETE\"")),
    }
}

fn absent() -> Problem {
    Problem::not_found("this was not asked for")
}

/// Where a request stands.
#[utoipa::path(
    get,
    path = "/api/identity/v1/user-data-processing/{choice}",
    tag = "citizen",
    operation_id = "getUserDataProcessing",
    security(("CitizenToken" = [])),
    params(("choice" = String, Path, description = "DOWNLOAD or DELETE")),
    responses(
        (status = 200, description = "The last one of this kind", body = UserDataProcessing),
        (status = 404, description = "There was none", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read(
    session: Session,
    Segments(text): Segments<String>,
) -> Result<Json<UserDataProcessing>, Problem> {
    let choice = choice(&text)?;
    let found = session.citizen.as_ref().and_then(|citizen| citizen.data_requests.get(&choice));
    found.map(|request| Json(UserDataProcessing::new(choice, request))).ok_or_else(absent)
}

/// Takes a request back that is not carried out yet.
#[utoipa::path(
    delete,
    path = "/api/identity/v1/user-data-processing/{choice}",
    tag = "citizen",
    operation_id = "abortUserDataProcessing",
    security(("CitizenToken" = [])),
    params(("choice" = String, Path, description = "DOWNLOAD or DELETE")),
    responses(
        (status = 202, description = "Taken back"),
        (status = 404, description = "There was none", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "It is being carried out, done, or taken back already",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn abort(
    State(app): State<App>,
    session: Session,
    Segments(text): Segments<String>,
) -> Result<StatusCode, Problem> {
    let choice = choice(&text)?;
    let now = app.engine().now();
    let aborting = |present: Option<Citizen>| {
        let mut citizen = present.ok_or_else(absent)?;
        let request = citizen.data_requests.get_mut(&choice).ok_or_else(absent)?;
        if request.status != DataRequestStatus::Pending {
            let detail = "only what waits can be taken back; this does not wait any more";
            return Err(Problem::new(Kind::Conflict, detail));
        }
        request.status = DataRequestStatus::Aborted;
        request.updated_at = now;
        request.version = request.version.saturating_add(1);
        Ok(citizen)
    };
    session.change(&app, aborting).await?;
    Ok(StatusCode::ACCEPTED)
}
