//! `/healthz`: the process answers. `/readyz`: it can do its work.

use araldo_actors::board::RouteState;
use axum::Json;
use axum::extract::State;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::app::App;
use crate::http::body::Arguments;

/// The process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "system",
    operation_id = "getHealth",
    responses((status = 200, description = "The process answers", body = String, content_type = "text/plain"))
)]
pub async fn alive() -> &'static str {
    "ok\n"
}

/// What readiness is asked about.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadyQuery {
    /// `intake`: only whether messages are taken and processed; providers may
    /// be away, messages wait for them. For load balancers.
    #[param(inline)]
    scope: Option<Scope>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Intake,
}

/// Whether the server can do its work.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    ready: bool,
    /// Whether messages are taken; with a provider away they wait safely.
    accepting: bool,
    /// Why it is not ready.
    reasons: Vec<Reason>,
}

/// One reason.
#[derive(Serialize, ToSchema)]
struct Reason {
    /// partitions or route.
    what: &'static str,
    /// Which route.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// down or halted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    state: Option<RouteState>,
    detail: String,
}

/// Whether every partition is open and every provider reachable.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "system",
    operation_id = "getReadiness",
    params(ReadyQuery),
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready, and why", body = Readiness),
    )
)]
pub async fn ready(
    State(app): State<App>,
    Arguments(query): Arguments<ReadyQuery>,
) -> (StatusCode, Json<Readiness>) {
    let board = app.engine().board();
    let accepting = app.engine().is_accepting();
    let mut reasons = Vec::new();
    if !accepting {
        reasons.push(Reason {
            what: "partitions",
            name: None,
            state: None,
            detail: "not every partition has been taken over yet, or the other nodes are not heard"
                .to_owned(),
        });
    }
    if query.scope != Some(Scope::Intake) {
        let not_up = board.routes().into_iter().filter(|route| route.state != RouteState::Up);
        reasons.extend(not_up.map(|route| Reason {
            what: "route",
            name: Some(route.id.to_string()),
            state: Some(route.state),
            detail: route.detail,
        }));
    }
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, accepting, reasons }))
}
