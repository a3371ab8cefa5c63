//! `POST /profiles` and `GET /profiles/{fiscal_code}`: may this service write
//! to this citizen?

use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::service::Service;
use araldo_actors::policy::routing::sender_allowed;
use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::permission;
use crate::http::access::Sender;
use crate::http::app::App;
use crate::http::body::{self, Segments};
use crate::http::problem::{Problem, ProblemBody};
use crate::http::validate::fiscal_code;

/// The citizen asked about.
#[derive(Deserialize, ToSchema)]
struct FiscalCodePayload {
    /// The citizen, upper case.
    #[schema(example = "SPNDNL80R13C555X")]
    fiscal_code: String,
}

/// What a sender may know of a citizen.
#[derive(Serialize, ToSchema)]
pub struct LimitedProfile {
    /// Whether the service may write to the citizen.
    sender_allowed: bool,
    /// The citizen's languages, the best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, example = json!(["it_IT"]))]
    preferred_languages: Vec<Language>,
}

/// Whether the service may write to the citizen named in the body.
#[utoipa::path(
    post,
    path = "/api/v1/profiles",
    tag = "sender",
    operation_id = "getProfileByPOST",
    security(("SubscriptionKey" = [])),
    request_body = FiscalCodePayload,
    responses(
        (status = 200, description = "Found", body = LimitedProfile),
        (status = 400, description = "Not as the contract asks", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, description = "No key, or an unknown one", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 403, description = "The service may not ask", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "No profile, or its inbox is off", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read_by_post(
    State(app): State<App>,
    Sender(service): Sender,
    request: Request,
) -> Result<Json<LimitedProfile>, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().body_limit).await?;
    let payload: FiscalCodePayload = body::json(&body)?;
    let code = fiscal_code("fiscal_code", &payload.fiscal_code)?;
    profile(&app, &service, code).await
}

/// Whether the service may write to the citizen named in the path.
#[utoipa::path(
    get,
    path = "/api/v1/profiles/{fiscal_code}",
    tag = "sender",
    operation_id = "getProfile",
    security(("SubscriptionKey" = [])),
    params(("fiscal_code" = String, Path, description = "The citizen, upper case")),
    responses(
        (status = 200, description = "Found", body = LimitedProfile),
        (status = 401, description = "No key, or an unknown one", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 403, description = "The service may not ask", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "No profile, or its inbox is off", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(app): State<App>,
    Sender(service): Sender,
    Segments(code): Segments<String>,
) -> Result<Json<LimitedProfile>, Problem> {
    let code = fiscal_code("fiscal_code", &code)?;
    profile(&app, &service, code).await
}

async fn profile(
    app: &App,
    service: &Service,
    code: FiscalCode,
) -> Result<Json<LimitedProfile>, Problem> {
    if !service.has_group(permission::FULL_PROFILE_READ) {
        permission::require(service, permission::LIMITED_PROFILE_READ)?;
    }
    // Before the look-up, so that a limited key learns nothing of who is
    // registered.
    permission::require_recipient(service, &code)?;
    let found = app.read(app.engine().citizen(code)).await?;
    let citizen = found
        .filter(|citizen| citizen.inbox_enabled)
        .ok_or_else(|| Problem::not_found("no citizen with this fiscal code takes messages"))?;
    Ok(Json(LimitedProfile {
        sender_allowed: sender_allowed(&citizen, service, app.engine().now()),
        preferred_languages: citizen.languages,
    }))
}
