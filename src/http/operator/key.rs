//! `/keys`: who may call.

use std::sync::Arc;

use araldo_actors::domain::id::ServiceId;
use araldo_actors::domain::service::{ApiKey, Role};
use axum::Json;
use axum::extract::{Request, State};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::organization::LONGEST_NAME;
use super::page::{Page, PageQuery};
use crate::http::access::{Admin, Viewer};
use crate::http::app::App;
use crate::http::body::{self, Arguments, Segments};
use crate::http::key;
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::http::validate::{Faults, iso, must_be};

/// A key as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyIn {
    /// The person or system it belongs to.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// What it may do.
    #[schema(value_type = String, pattern = "^(viewer|sender|approver|admin)$")]
    role: Role,
    /// The service it speaks for: with the role sender, and only then.
    service_id: Option<String>,
}

/// A key just made.
#[derive(Serialize, ToSchema)]
pub struct KeyCreated {
    id: String,
    /// The key itself: shown now and never again.
    key: String,
    name: String,
    #[schema(value_type = String)]
    role: Role,
    service_id: Option<String>,
}

/// A key, without what its holder sends.
#[derive(Serialize, ToSchema)]
pub struct KeyOut {
    id: String,
    name: String,
    #[schema(value_type = String)]
    role: Role,
    service_id: Option<String>,
    created_at: String,
}

impl From<&ApiKey> for KeyOut {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            role: key.role,
            service_id: key.service.as_ref().map(ToString::to_string),
            created_at: iso(key.created_at),
        }
    }
}

impl KeyIn {
    /// The service the key will speak for, if it is a sender's.
    fn check(&self, app: &App) -> Result<Option<ServiceId>, Problem> {
        let mut faults = Faults::default();
        faults.length("name", &self.name, 1, LONGEST_NAME);
        let service = match (self.role, &self.service_id) {
            (Role::Sender, None) => {
                faults.add("service_id", "is missing: a sender's key speaks for one service");
                None
            }
            (Role::Sender, Some(text)) => service(text, app, &mut faults),
            (_, Some(_)) => {
                faults.add("service_id", "is for the role sender only");
                None
            }
            (_, None) => None,
        };
        faults.or(service)
    }
}

fn service(text: &str, app: &App, faults: &mut Faults) -> Option<ServiceId> {
    match ServiceId::parse(text) {
        Err(invalid) => {
            faults.add("service_id", must_be(invalid.rule));
            None
        }
        Ok(id) => {
            if app.engine().directory().service(&id).is_none() {
                faults.add("service_id", "is not registered; PUT the service first");
            }
            Some(id)
        }
    }
}

/// Makes a key. It is shown in this answer and never again.
#[utoipa::path(
    post,
    path = "/api/operator/v1/keys",
    tag = "operator",
    operation_id = "createKey",
    security(("OperatorKey" = [])),
    request_body = KeyIn,
    responses(
        (status = 201, description = "Made", body = KeyCreated),
        (status = 400, description = "Not valid", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "http.max_keys is reached", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(app): State<App>,
    _: Admin,
    request: Request,
) -> Result<(StatusCode, Json<KeyCreated>), Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().body_limit).await?;
    let given: KeyIn = body::json(&body)?;
    let service = given.check(&app)?;
    let most = app.options().max_keys;
    if app.engine().directory().counts().keys >= most {
        return Err(Problem::new(
            Kind::LimitReached,
            format!("there are {most} keys, as many as http.max_keys allows"),
        ));
    }
    let made = key::create(given.name, given.role, service, app.engine().now())
        .map_err(|_| Problem::new(Kind::Unavailable, "the system has no randomness to give"))?;
    let shown = KeyCreated {
        id: made.key.id.clone(),
        key: made.secret,
        name: made.key.name.clone(),
        role: made.key.role,
        service_id: made.key.service.as_ref().map(ToString::to_string),
    };
    app.write(app.engine().put_key(made.key)).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// The keys, the oldest first.
#[utoipa::path(
    get,
    path = "/api/operator/v1/keys",
    tag = "operator",
    operation_id = "listKeys",
    security(("OperatorKey" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page", body = Page<KeyOut>))
)]
pub async fn list(
    State(app): State<App>,
    _: Viewer,
    Arguments(page): Arguments<PageQuery>,
) -> Result<Json<Page<KeyOut>>, Problem> {
    let all = app.engine().directory().keys();
    let show = |key: &Arc<ApiKey>| KeyOut::from(key.as_ref());
    page.cut(&all, |key| key.id.as_str(), show).map(Json)
}

/// Revokes a key: from this answer on nobody can call with it.
#[utoipa::path(
    delete,
    path = "/api/operator/v1/keys/{id}",
    tag = "operator",
    operation_id = "revokeKey",
    security(("OperatorKey" = [])),
    params(("id" = String, Path, description = "The key's id, not the key")),
    responses(
        (status = 204, description = "Revoked"),
        (status = 404, description = "No such key", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn revoke(
    State(app): State<App>,
    _: Admin,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Problem> {
    if app.write(app.engine().remove_key(&id)).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("there is no key with this id"))
    }
}
