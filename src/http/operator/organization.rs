//! `/organizations`: the public bodies.

use araldo_actors::domain::id::OrganizationId;
use araldo_actors::domain::service::Organization;
use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{Page, PageQuery};
use crate::http::access::{Admin, Viewer};
use crate::http::app::App;
use crate::http::body::{self, Arguments, Segments};
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::http::validate::{Faults, must_be};

/// Longest name of an organisation, department or service.
pub const LONGEST_NAME: usize = 256;

/// An organisation as it is written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OrganizationIn {
    /// Its name, as citizens read it.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
}

/// An organisation.
#[derive(Serialize, ToSchema)]
pub struct OrganizationOut {
    /// Its 11-digit fiscal code.
    fiscal_code: String,
    /// Its name, as citizens read it.
    name: String,
}

impl From<&Organization> for OrganizationOut {
    fn from(organization: &Organization) -> Self {
        Self { fiscal_code: organization.id.to_string(), name: organization.name.clone() }
    }
}

/// Registers an organisation, or renames it.
#[utoipa::path(
    put,
    path = "/api/operator/v1/organizations/{fiscal_code}",
    tag = "operator",
    operation_id = "putOrganization",
    security(("OperatorKey" = [])),
    params(("fiscal_code" = String, Path, description = "11 digits")),
    request_body = OrganizationIn,
    responses(
        (status = 200, description = "Written", body = OrganizationOut),
        (status = 400, description = "Not valid", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "http.max_organizations is reached", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    _: Admin,
    Segments(code): Segments<String>,
    request: Request,
) -> Result<Json<OrganizationOut>, Problem> {
    let id = OrganizationId::parse(&code)
        .map_err(|invalid| Problem::field("fiscal_code", must_be(invalid.rule)))?;
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().body_limit).await?;
    let given: OrganizationIn = body::json(&body)?;
    let mut faults = Faults::default();
    faults.length("name", &given.name, 1, LONGEST_NAME);
    faults.or(())?;
    let directory = app.engine().directory();
    let most = app.options().max_organizations;
    if directory.organization(&id).is_none() && directory.counts().organizations >= most {
        return Err(Problem::new(
            Kind::LimitReached,
            format!("there are {most} organisations, as many as http.max_organizations allows"),
        ));
    }
    let organization = Organization { id, name: given.name };
    let shown = OrganizationOut::from(&organization);
    app.write(app.engine().put_organization(organization)).await?;
    Ok(Json(shown))
}

/// The organisations, by name.
#[utoipa::path(
    get,
    path = "/api/operator/v1/organizations",
    tag = "operator",
    operation_id = "listOrganizations",
    security(("OperatorKey" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page", body = Page<OrganizationOut>))
)]
pub async fn list(
    State(app): State<App>,
    _: Viewer,
    Arguments(page): Arguments<PageQuery>,
) -> Result<Json<Page<OrganizationOut>>, Problem> {
    let all = app.engine().directory().organizations();
    let show = |organization: &Organization| OrganizationOut::from(organization);
    page.cut(&all, |organization| organization.id.as_str(), show).map(Json)
}
