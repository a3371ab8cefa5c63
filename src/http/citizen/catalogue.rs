//! `/api/v2`: the institutions and their services.
//!
//! Answers come out of a snapshot of the registry, sorted and folded for
//! search once, and made anew when the registry has changed, at most once a
//! second and off the threads that serve. Only services that are switched on,
//! and institutions that have one, are shown.

use std::sync::Arc;

use araldo_actors::domain::id::ServiceId;
use araldo_actors::domain::service::{Service, ServiceCategory};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::fold::Words;
use super::session::Session;
use crate::http::app::App;
use crate::http::body::{Arguments, Segments};
use crate::http::problem::{Problem, ProblemBody};

pub use snapshot::Catalogue;

mod snapshot;

/// Most results in a page.
const MOST: usize = 100;
/// How many when nothing is said.
const USUAL: usize = 20;
/// Farthest a search is paged.
const FARTHEST: usize = 100_000;
/// The registry does not say which services are national: all are shown under
/// one scope.
const SCOPE: Scope = Scope::Local;
/// Services have no version of their own.
const VERSION: u32 = 1;

/// IO's `ScopeType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Scope {
    National,
    Local,
}

/// Which institutions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindQuery {
    /// Words of the name; case and accents do not count.
    #[serde(default)]
    search: String,
    /// The registry does not tell scopes apart: everything is LOCAL.
    #[param(inline)]
    scope: Option<Scope>,
    /// Most results, 1 to 100; 20 when nothing is said.
    limit: Option<usize>,
    /// Results left out at the beginning, at most 100000.
    offset: Option<usize>,
}

/// Which part of the services.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ServicesQuery {
    /// Most results, 1 to 100; 20 when nothing is said.
    limit: Option<usize>,
    /// Results left out at the beginning, at most 100000.
    offset: Option<usize>,
}

fn part(limit: Option<usize>, offset: Option<usize>) -> Result<(usize, usize), Problem> {
    let (limit, offset) = (limit.unwrap_or(USUAL), offset.unwrap_or(0));
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::field("limit", "must be 1 to 100"));
    }
    if offset > FARTHEST {
        return Err(Problem::field("offset", "must be at most 100000"));
    }
    Ok((limit, offset))
}

/// A public body.
#[derive(Clone, Serialize, ToSchema)]
pub struct Institution {
    /// Its fiscal code.
    id: String,
    name: String,
    fiscal_code: String,
}

/// A page of institutions, by name.
#[derive(Serialize, ToSchema)]
#[schema(as = InstitutionsResource)]
pub struct InstitutionPage {
    institutions: Vec<Institution>,
    offset: usize,
    limit: usize,
    /// All that were found.
    count: usize,
}

/// A service in a list.
#[derive(Serialize, ToSchema)]
pub struct ServiceMinified {
    id: String,
    name: String,
    version: u32,
}

/// A page of services, by name.
#[derive(Serialize, ToSchema)]
#[schema(as = InstitutionServicesResource)]
pub struct ServicePage {
    services: Vec<ServiceMinified>,
    offset: usize,
    limit: usize,
    /// All that there are.
    count: usize,
}

/// A service.
#[derive(Serialize, ToSchema)]
pub struct ServiceDetails {
    id: String,
    name: String,
    /// The department it belongs to; its name where there is none.
    description: String,
    organization: ServiceOrganization,
    metadata: ServiceMetadata,
}

/// Whose service it is.
#[derive(Serialize, ToSchema)]
#[schema(as = CatalogueOrganization)]
struct ServiceOrganization {
    name: String,
    fiscal_code: String,
}

/// What the catalogue says beside.
#[derive(Serialize, ToSchema)]
struct ServiceMetadata {
    scope: Scope,
    /// STANDARD or SPECIAL.
    #[schema(value_type = String)]
    category: ServiceCategory,
}

/// Institutions, by name.
#[utoipa::path(
    get,
    path = "/api/v2/institutions",
    tag = "citizen",
    operation_id = "findInstitutions",
    security(("CitizenToken" = [])),
    params(FindQuery),
    responses((status = 200, description = "A page", body = InstitutionPage))
)]
pub async fn institutions(
    State(app): State<App>,
    _: Session,
    Arguments(query): Arguments<FindQuery>,
) -> Result<Json<InstitutionPage>, Problem> {
    let (limit, offset) = part(query.limit, query.offset)?;
    let words = Words::parse("search", &query.search)?;
    let catalogue = app.catalogue().now(app.engine()).await?;
    let in_scope = query.scope.is_none_or(|scope| scope == SCOPE);
    let found: Vec<_> = catalogue.institutions(&words).filter(|_| in_scope).collect();
    let shown = found.iter().skip(offset).take(limit).map(|institution| Institution {
        id: institution.id.to_string(),
        name: institution.name.clone(),
        fiscal_code: institution.id.to_string(),
    });
    Ok(Json(InstitutionPage { institutions: shown.collect(), offset, limit, count: found.len() }))
}

/// The services of an institution, by name.
#[utoipa::path(
    get,
    path = "/api/v2/institutions/{institutionId}/services",
    tag = "citizen",
    operation_id = "findInstutionServices",
    security(("CitizenToken" = [])),
    params(("institutionId" = String, Path, description = "Its fiscal code"), ServicesQuery),
    responses((status = 200, description = "A page", body = ServicePage))
)]
pub async fn services(
    State(app): State<App>,
    _: Session,
    Segments(id): Segments<String>,
    Arguments(query): Arguments<ServicesQuery>,
) -> Result<Json<ServicePage>, Problem> {
    let (limit, offset) = part(query.limit, query.offset)?;
    let catalogue = app.catalogue().now(app.engine()).await?;
    let all = catalogue.services_of(&id);
    let shown = all.iter().skip(offset).take(limit).map(|service| ServiceMinified {
        id: service.id.to_string(),
        name: service.name.clone(),
        version: VERSION,
    });
    Ok(Json(ServicePage { services: shown.collect(), offset, limit, count: all.len() }))
}

/// A service.
#[utoipa::path(
    get,
    path = "/api/v2/services/{serviceId}",
    tag = "citizen",
    operation_id = "getServiceById",
    security(("CitizenToken" = [])),
    params(("serviceId" = String, Path, description = "The service")),
    responses(
        (status = 200, description = "Found", body = ServiceDetails),
        (status = 404, description = "No such service", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn service(
    State(app): State<App>,
    _: Session,
    Segments(id): Segments<String>,
) -> Result<Json<ServiceDetails>, Problem> {
    let found = ServiceId::parse(&id).ok().and_then(|id| app.engine().directory().service(&id));
    let service = found.filter(|service: &Arc<Service>| service.enabled);
    let service = service.ok_or_else(|| Problem::not_found("there is no service with this id"))?;
    let department = Some(&service.department).filter(|department| !department.is_empty());
    Ok(Json(ServiceDetails {
        id: service.id.to_string(),
        name: service.name.clone(),
        description: department.unwrap_or(&service.name).clone(),
        organization: ServiceOrganization {
            name: service.organization.name.clone(),
            fiscal_code: service.organization.id.to_string(),
        },
        metadata: ServiceMetadata { scope: SCOPE, category: service.category },
    }))
}

/// Institutions to show first.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Institutions)]
pub struct FeaturedInstitutions {
    institutions: Vec<Institution>,
}

/// Services to show first.
#[derive(Default, Serialize, ToSchema)]
pub struct FeaturedServices {
    services: Vec<ServiceMinified>,
}

/// Institutions to show first: Araldo prefers none, so the list is empty.
#[utoipa::path(
    get,
    path = "/api/v2/institutions/featured",
    tag = "citizen",
    operation_id = "getFeaturedInstitutions",
    security(("CitizenToken" = [])),
    responses((status = 200, description = "None", body = FeaturedInstitutions))
)]
pub async fn featured_institutions(_: Session) -> Json<FeaturedInstitutions> {
    Json(FeaturedInstitutions::default())
}

/// Services to show first: Araldo prefers none, so the list is empty.
#[utoipa::path(
    get,
    path = "/api/v2/services/featured",
    tag = "citizen",
    operation_id = "getFeaturedServices",
    security(("CitizenToken" = [])),
    responses((status = 200, description = "None", body = FeaturedServices))
)]
pub async fn featured_services(_: Session) -> Json<FeaturedServices> {
    Json(FeaturedServices::default())
}
