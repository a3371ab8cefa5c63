//! `/services`: what a citizen can switch on or off.

use std::sync::Arc;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{OrganizationId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::service::{Organization, Service, ServiceCategory};
use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::organization::LONGEST_NAME;
use super::page::{Page, PageQuery};
use crate::config::nearest;
use crate::http::access::{Admin, Viewer};
use crate::http::app::App;
use crate::http::body::{self, Arguments, Segments};
use crate::http::origin;
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::http::sender::permission;
use crate::http::validate::{Faults, must_be};

/// Most networks and most recipients of one service: both are looked through
/// at each call.
const MOST_ITEMS: usize = 100;
/// Largest payment pagoPA takes, in euro cents.
const MOST_CENTS: u64 = 9_999_999_999;

/// A service as it is written. What is not given has its default: a PUT
/// replaces the whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ServiceIn {
    /// Name, as citizens read it.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// The organisation, which must be registered.
    #[schema(pattern = "^[0-9]{11}$")]
    organization_fiscal_code: String,
    /// Department within the organisation.
    #[serde(default)]
    #[schema(max_length = 256)]
    department_name: String,
    /// SPECIAL services reach only those who activated them.
    #[serde(default)]
    #[schema(value_type = String, default = "STANDARD", pattern = "^(STANDARD|SPECIAL)$")]
    category: ServiceCategory,
    /// No e-mail, and pushes show nothing of the messages.
    #[serde(default)]
    require_secure_channels: bool,
    /// Euro cents; 0 forbids payments.
    #[serde(default)]
    #[schema(maximum = 9_999_999_999_u64)]
    max_allowed_payment_amount: u64,
    /// Priority of its messages.
    #[serde(default)]
    #[schema(value_type = String, default = "normal", pattern = "^(emergency|urgent|normal|bulk)$")]
    lane: Lane,
    /// Permissions (IO's groups, and ApiAlertWrite). When absent:
    /// ApiMessageWrite, ApiMessageRead, ApiLimitedProfileRead.
    groups: Option<Vec<String>>,
    /// Networks its keys may call from; none means any.
    #[serde(default)]
    authorized_cidrs: Vec<String>,
    /// Whom it may write to with ApiLimitedMessageWrite only.
    #[serde(default)]
    authorized_recipients: Vec<String>,
    /// Off refuses its calls and stops what is queued.
    #[serde(default = "on")]
    enabled: bool,
}

const fn on() -> bool {
    true
}

/// A service.
#[derive(Serialize, ToSchema)]
pub struct ServiceOut {
    service_id: String,
    name: String,
    organization_fiscal_code: String,
    organization_name: String,
    department_name: String,
    #[schema(value_type = String)]
    category: ServiceCategory,
    require_secure_channels: bool,
    max_allowed_payment_amount: u64,
    #[schema(value_type = String)]
    lane: Lane,
    groups: Vec<String>,
    authorized_cidrs: Vec<String>,
    authorized_recipients: Vec<String>,
    enabled: bool,
}

impl From<&Service> for ServiceOut {
    fn from(service: &Service) -> Self {
        let recipients = service.authorized_recipients.iter();
        Self {
            service_id: service.id.to_string(),
            name: service.name.clone(),
            organization_fiscal_code: service.organization.id.to_string(),
            organization_name: service.organization.name.clone(),
            department_name: service.department.clone(),
            category: service.category,
            require_secure_channels: service.require_secure_channels,
            max_allowed_payment_amount: service.max_payment_cents,
            lane: service.lane,
            groups: service.groups.clone(),
            authorized_cidrs: service.authorized_cidrs.clone(),
            authorized_recipients: recipients.map(ToString::to_string).collect(),
            enabled: service.enabled,
        }
    }
}

impl ServiceIn {
    fn check(self, id: ServiceId, app: &App) -> Result<Service, Problem> {
        let mut faults = Faults::default();
        faults.length("name", &self.name, 1, LONGEST_NAME);
        faults.length("department_name", &self.department_name, 0, LONGEST_NAME);
        let organization = organization(&self.organization_fiscal_code, app, &mut faults);
        if self.max_allowed_payment_amount > MOST_CENTS {
            faults.add("max_allowed_payment_amount", "must be 0 to 9999999999 euro cents");
        }
        let groups = self
            .groups
            .unwrap_or_else(|| permission::DEFAULT.iter().map(|&group| group.into()).collect());
        check_groups(&groups, &mut faults);
        check_networks(&self.authorized_cidrs, &mut faults);
        let recipients = recipients(&self.authorized_recipients, &mut faults);
        let Some(organization) = organization else {
            return Err(faults.or(()).err().unwrap_or_else(|| Problem::invalid("the body")));
        };
        faults.or(Service {
            id,
            name: self.name,
            department: self.department_name,
            organization,
            category: self.category,
            require_secure_channels: self.require_secure_channels,
            max_payment_cents: self.max_allowed_payment_amount,
            lane: self.lane,
            groups,
            authorized_cidrs: self.authorized_cidrs,
            authorized_recipients: recipients,
            enabled: self.enabled,
        })
    }
}

fn organization(code: &str, app: &App, faults: &mut Faults) -> Option<Organization> {
    let field = "organization_fiscal_code";
    match OrganizationId::parse(code) {
        Err(invalid) => {
            faults.add(field, must_be(invalid.rule));
            None
        }
        Ok(id) => {
            let found = app.engine().directory().organization(&id);
            if found.is_none() {
                faults.add(field, "is not registered; PUT the organisation first");
            }
            found
        }
    }
}

fn check_groups(groups: &[String], faults: &mut Faults) {
    for (place, group) in groups.iter().enumerate() {
        if !permission::ALL.contains(&group.as_str()) {
            let hint = nearest(group, permission::ALL.into_iter())
                .map_or_else(String::new, |name| format!(" (did you mean \"{name}\"?)"));
            faults.add(format!("groups[{place}]"), format!("is not a group there is{hint}"));
        }
    }
}

fn check_networks(networks: &[String], faults: &mut Faults) {
    if networks.len() > MOST_ITEMS {
        faults.add("authorized_cidrs", format!("must be at most {MOST_ITEMS}"));
    }
    for (place, text) in networks.iter().enumerate().take(MOST_ITEMS) {
        if origin::network(text).is_none() {
            faults
                .add(format!("authorized_cidrs[{place}]"), "must be an address or a CIDR network");
        }
    }
}

fn recipients(codes: &[String], faults: &mut Faults) -> Vec<FiscalCode> {
    if codes.len() > MOST_ITEMS {
        faults.add("authorized_recipients", format!("must be at most {MOST_ITEMS}"));
    }
    let mut recipients = Vec::new();
    for (place, text) in codes.iter().enumerate().take(MOST_ITEMS) {
        match FiscalCode::parse(text) {
            Ok(code) => recipients.push(code),
            Err(invalid) => {
                faults.add(format!("authorized_recipients[{place}]"), must_be(invalid.rule));
            }
        }
    }
    recipients
}

fn service_id(text: &str) -> Result<ServiceId, Problem> {
    ServiceId::parse(text).map_err(|invalid| Problem::field("service_id", must_be(invalid.rule)))
}

/// Registers a service, or replaces it.
#[utoipa::path(
    put,
    path = "/api/operator/v1/services/{service_id}",
    tag = "operator",
    operation_id = "putService",
    security(("OperatorKey" = [])),
    params(("service_id" = String, Path, description = "1 to 64 letters, digits, '-' or '_'")),
    request_body = ServiceIn,
    responses(
        (status = 200, description = "Written", body = ServiceOut),
        (status = 400, description = "Not valid", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "http.max_services is reached", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    _: Admin,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<ServiceOut>, Problem> {
    let id = service_id(&id)?;
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().body_limit).await?;
    let service = body::json::<ServiceIn>(&body)?.check(id, &app)?;
    let directory = app.engine().directory();
    let most = app.options().max_services;
    if directory.service(&service.id).is_none() && directory.counts().services >= most {
        return Err(Problem::new(
            Kind::LimitReached,
            format!("there are {most} services, as many as http.max_services allows"),
        ));
    }
    let shown = ServiceOut::from(&service);
    app.write(app.engine().put_service(service)).await?;
    Ok(Json(shown))
}

/// One service.
#[utoipa::path(
    get,
    path = "/api/operator/v1/services/{service_id}",
    tag = "operator",
    operation_id = "getService",
    security(("OperatorKey" = [])),
    params(("service_id" = String, Path, description = "1 to 64 letters, digits, '-' or '_'")),
    responses(
        (status = 200, description = "Found", body = ServiceOut),
        (status = 404, description = "No such service", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(app): State<App>,
    _: Viewer,
    Segments(id): Segments<String>,
) -> Result<Json<ServiceOut>, Problem> {
    let found = app.engine().directory().service(&service_id(&id)?);
    let service = found.ok_or_else(|| Problem::not_found("there is no such service"))?;
    Ok(Json(ServiceOut::from(service.as_ref())))
}

/// The services, by identifier.
#[utoipa::path(
    get,
    path = "/api/operator/v1/services",
    tag = "operator",
    operation_id = "listServices",
    security(("OperatorKey" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page", body = Page<ServiceOut>))
)]
pub async fn list(
    State(app): State<App>,
    _: Viewer,
    Arguments(page): Arguments<PageQuery>,
) -> Result<Json<Page<ServiceOut>>, Problem> {
    let all = app.engine().directory().services();
    let show = |service: &Arc<Service>| ServiceOut::from(service.as_ref());
    page.cut(&all, |service| service.id.as_str(), show).map(Json)
}
