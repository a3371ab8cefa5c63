//! `/services/{service_id}/preferences`: the citizen's switches for one
//! service; and all of them together, for a matrix.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::id::ServiceId;
use araldo_actors::domain::preference::{PreferencesMode, ServicePreference};
use araldo_actors::domain::service::{Service, ServiceCategory};
use araldo_actors::domain::time::Millis;
use araldo_actors::policy::routing;
use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

use super::fold::Words;
use super::session::{self, Session};
use crate::http::app::App;
use crate::http::body::{self, Arguments, Segments};
use crate::http::problem::{Kind, Problem, ProblemBody};

/// Most services one citizen has a preference for: the record is read at each
/// of the citizen's messages.
pub const MOST_PREFERENCES: usize = 1000;
/// Most services in a page of the matrix.
const MOST: usize = 200;

/// The switches for one service.
#[derive(Serialize, ToSchema)]
pub struct Switches {
    is_email_enabled: bool,
    is_inbox_enabled: bool,
    is_webhook_enabled: bool,
    /// Whether the service may know that its messages were read.
    can_access_message_read_status: bool,
}

impl Switches {
    /// What holds for `service`, as IO shows it: a service that a MANUAL
    /// citizen never switched on has everything off.
    pub fn of(citizen: &Citizen, service: &Service, now: Millis) -> Self {
        let preference = routing::preference(citizen, service, now);
        let is_stored = citizen.preferences.contains_key(&service.id);
        let shown = is_stored || preference.inbox;
        Self {
            is_email_enabled: shown && preference.email,
            is_inbox_enabled: preference.inbox,
            is_webhook_enabled: shown && preference.push,
            can_access_message_read_status: shown && preference.read_status,
        }
    }
}

/// IO's `ServicePreference`.
#[derive(Serialize, ToSchema)]
#[schema(as = ServicePreference)]
pub struct PreferenceOut {
    #[serde(flatten)]
    switches: Switches,
    settings_version: u32,
}

impl PreferenceOut {
    fn new(citizen: &Citizen, service: &Service, now: Millis) -> Self {
        let switches = Switches::of(citizen, service, now);
        Self { switches, settings_version: citizen.settings_version }
    }
}

/// The switches as they are written.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = UpsertServicePreference)]
struct PreferenceIn {
    is_email_enabled: bool,
    /// Without effect for SPECIAL services, whose activation decides.
    is_inbox_enabled: bool,
    is_webhook_enabled: bool,
    /// Stays as it is when absent.
    can_access_message_read_status: Option<bool>,
    /// As read: the settings these switches belong to.
    settings_version: u32,
}

fn known_service(app: &App, id: &str) -> Result<Arc<Service>, Problem> {
    let found = ServiceId::parse(id).ok().and_then(|id| app.engine().directory().service(&id));
    found.ok_or_else(|| Problem::not_found("there is no service with this id"))
}

fn refuse_legacy(citizen: &Citizen) -> Result<(), Problem> {
    if citizen.mode == PreferencesMode::Legacy {
        let detail = "in mode LEGACY there are no preferences by service; choose AUTO or MANUAL";
        return Err(Problem::new(Kind::Conflict, detail));
    }
    Ok(())
}

/// The citizen's switches for a service.
#[utoipa::path(
    get,
    path = "/api/identity/v1/services/{service_id}/preferences",
    tag = "citizen",
    operation_id = "getServicePreferences",
    security(("CitizenToken" = [])),
    params(("service_id" = String, Path, description = "The service")),
    responses(
        (status = 200, description = "What holds", body = PreferenceOut),
        (status = 404, description = "No such service, or no profile", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "The mode is LEGACY", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(app): State<App>,
    session: Session,
    Segments(id): Segments<String>,
) -> Result<Json<PreferenceOut>, Problem> {
    let service = known_service(&app, &id)?;
    let citizen = session.known()?;
    refuse_legacy(citizen)?;
    Ok(Json(PreferenceOut::new(citizen, &service, app.engine().now())))
}

/// Sets the citizen's switches for a service. Once this is answered, nothing
/// leaves against them.
#[utoipa::path(
    post,
    path = "/api/identity/v1/services/{service_id}/preferences",
    tag = "citizen",
    operation_id = "upsertServicePreferences",
    security(("CitizenToken" = [])),
    params(("service_id" = String, Path, description = "The service")),
    request_body = PreferenceIn,
    responses(
        (status = 200, description = "What holds now", body = PreferenceOut),
        (status = 404, description = "No such service, or no profile", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "settings_version is not the profile's, or the mode is \
            LEGACY", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn update(
    State(app): State<App>,
    session: Session,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<PreferenceOut>, Problem> {
    let service = known_service(&app, &id)?;
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().body_limit).await?;
    let given: PreferenceIn = body::json(&body)?;
    let setting =
        |present: Option<_>| set(present.ok_or_else(session::unknown)?, &service.id, given);
    let citizen = session.change(&app, setting).await?;
    Ok(Json(PreferenceOut::new(&citizen, &service, app.engine().now())))
}

fn set(mut citizen: Citizen, service: &ServiceId, given: PreferenceIn) -> Result<Citizen, Problem> {
    refuse_legacy(&citizen)?;
    if given.settings_version != citizen.settings_version {
        let detail = "settings_version is not that of the present profile; read it again";
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let stored = citizen.preferences.get(service);
    if stored.is_none() && citizen.preferences.len() >= MOST_PREFERENCES {
        let detail = format!("a citizen has preferences for at most {MOST_PREFERENCES} services");
        return Err(Problem::new(Kind::LimitReached, detail));
    }
    let read_status = stored.is_none_or(|stored| stored.read_status);
    let preference = ServicePreference {
        inbox: given.is_inbox_enabled,
        email: given.is_email_enabled,
        push: given.is_webhook_enabled,
        read_status: given.can_access_message_read_status.unwrap_or(read_status),
    };
    citizen.preferences.insert(service.clone(), preference);
    Ok(citizen)
}

/// Which part of the matrix.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MatrixQuery {
    /// Most services, 1 to 200; 200 when nothing is said.
    limit: Option<usize>,
    /// Go on after this service: `next` of the page before.
    after: Option<String>,
    /// Only services whose name or organisation has these words.
    #[serde(default)]
    search: String,
}

/// A service with its switches.
#[derive(Serialize, ToSchema)]
struct Row {
    service_id: String,
    service_name: String,
    organization_name: String,
    organization_fiscal_code: String,
    /// STANDARD or SPECIAL.
    #[schema(value_type = String)]
    category: ServiceCategory,
    #[serde(flatten)]
    switches: Switches,
}

/// A page of the matrix, by organisation and service.
#[derive(Serialize, ToSchema)]
#[schema(as = PreferenceMatrix)]
pub struct Matrix {
    /// LEGACY, AUTO or MANUAL.
    #[schema(value_type = String)]
    mode: PreferencesMode,
    /// To be named with a change of one of them.
    settings_version: u32,
    items: Vec<Row>,
    /// Pass it as `after` to go on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Every service with the citizen's switches.
#[utoipa::path(
    get,
    path = "/api/citizen/v1/preferences",
    tag = "citizen",
    operation_id = "listPreferences",
    security(("CitizenToken" = [])),
    params(MatrixQuery),
    responses(
        (status = 200, description = "A page", body = Matrix),
        (status = 404, description = "No profile", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn matrix(
    State(app): State<App>,
    session: Session,
    Arguments(query): Arguments<MatrixQuery>,
) -> Result<Json<Matrix>, Problem> {
    let limit = query.limit.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::field("limit", "must be 1 to 200"));
    }
    let words = Words::parse("search", &query.search)?;
    let citizen = session.known()?;
    let catalogue = app.catalogue().now(app.engine()).await?;
    let start = match &query.after {
        Some(after) => {
            catalogue.place(after).ok_or_else(|| {
                Problem::field("after", "is not in this list any more; begin again")
            })? + 1
        }
        None => 0,
    };
    let mut services = catalogue.services(start, &words);
    let page: Vec<_> = services.by_ref().take(limit).collect();
    let next = services.next().and(page.last()).map(|service| service.id.to_string());
    let now = app.engine().now();
    let row = |service: &Arc<Service>| Row {
        service_id: service.id.to_string(),
        service_name: service.name.clone(),
        organization_name: service.organization.name.clone(),
        organization_fiscal_code: service.organization.id.to_string(),
        category: service.category,
        switches: Switches::of(citizen, service, now),
    };
    Ok(Json(Matrix {
        mode: citizen.mode,
        settings_version: citizen.settings_version,
        items: page.into_iter().map(row).collect(),
        next,
    }))
}
