//! `GET /status`: the books, the routes and the two conservation laws.

use araldo_actors::board::{RouteState, RouteView};
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::message::RejectionReason;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::http::access::Viewer;
use crate::http::app::App;
use crate::http::problem::{Problem, ProblemBody};

/// Where everything stands.
#[derive(Serialize, ToSchema)]
pub struct Status {
    messages: Messages,
    deliveries: Deliveries,
    /// Deliveries delivered, by channel: push, email, in_app.
    delivered_by_channel: BTreeMap<&'static str, u64>,
    /// Of all nodes: the worst state, and connections and queues added up.
    routes: Vec<Route>,
    unaccounted: Unaccounted,
    /// Names of the nodes that live.
    nodes: Vec<String>,
    /// Seconds since the node that answers started.
    uptime_seconds: u64,
}

/// Totals of messages since the store was created.
#[derive(Serialize, ToSchema)]
struct Messages {
    accepted: u64,
    processed: u64,
    rejected: u64,
    rejected_by_reason: BTreeMap<&'static str, u64>,
    expired: u64,
    recalled: u64,
    quarantined: u64,
    /// Accepted and not yet processed, as the partitions count them.
    pending: u64,
}

/// Totals of deliveries since the store was created.
#[derive(Serialize, ToSchema)]
struct Deliveries {
    planned: u64,
    delivered: u64,
    failed: u64,
    expired: u64,
    cancelled: u64,
    suppressed: u64,
    /// Planned and without an outcome, as the partitions count them.
    pending: u64,
    /// Attempts repeated.
    retried: u64,
}

/// A route.
#[derive(Serialize, ToSchema)]
struct Route {
    name: String,
    kind: String,
    /// up, down or halted.
    #[schema(value_type = String)]
    state: RouteState,
    connections: usize,
    /// Deliveries in its queue and in flight.
    queued: usize,
    /// Why it is not up; empty when it is.
    detail: String,
}

/// What the books and the counts of the partitions differ by; 0 at rest.
#[derive(Serialize, ToSchema)]
struct Unaccounted {
    messages: i64,
    deliveries: i64,
}

/// Where everything stands.
#[utoipa::path(
    get,
    path = "/api/operator/v1/status",
    tag = "operator",
    operation_id = "getStatus",
    security(("OperatorKey" = [])),
    responses(
        (status = 200, description = "Now", body = Status),
        (status = 503, description = "The store does not answer", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn read(State(app): State<App>, _: Viewer) -> Result<Json<Status>, Problem> {
    let books = app.read(app.engine().books()).await?;
    let (messages, deliveries) = (books.messages, books.all_deliveries());
    let (pending_messages, pending_deliveries) = app.engine().pending();
    let by_reason = RejectionReason::ALL.iter().map(|reason| reason.as_str());
    let delivered = |channel: Channel| books.deliveries[channel.index()].delivered;
    let status = Status {
        messages: Messages {
            accepted: messages.accepted,
            processed: messages.processed,
            rejected: messages.rejected.iter().sum(),
            rejected_by_reason: by_reason.zip(messages.rejected).collect(),
            expired: messages.expired,
            recalled: messages.recalled,
            quarantined: messages.quarantined,
            pending: pending_messages,
        },
        deliveries: Deliveries {
            planned: deliveries.planned,
            delivered: deliveries.delivered,
            failed: deliveries.failed,
            expired: deliveries.expired,
            cancelled: deliveries.cancelled,
            suppressed: deliveries.suppressed,
            pending: pending_deliveries,
            retried: deliveries.retried,
        },
        delivered_by_channel: Channel::ALL
            .into_iter()
            .map(|channel| (channel.as_str(), delivered(channel)))
            .collect(),
        routes: routes(&app),
        unaccounted: Unaccounted {
            messages: difference(messages.open(), pending_messages),
            deliveries: difference(deliveries.open(), pending_deliveries),
        },
        nodes: super::cluster::names(&app),
        uptime_seconds: app.uptime_seconds(),
    };
    Ok(Json(status))
}

fn routes(app: &App) -> Vec<Route> {
    let views = app.engine().cluster();
    if views.is_empty() {
        return app.engine().board().routes().into_iter().map(Route::of).collect();
    }
    let mut all: Vec<Route> = Vec::new();
    for view in views {
        for mut route in view.routes.into_iter().map(Route::of) {
            if !route.detail.is_empty() {
                route.detail = format!("{}: {}", view.id, route.detail);
            }
            match all.iter_mut().find(|known| known.name == route.name) {
                Some(known) => known.add(route),
                None => all.push(route),
            }
        }
    }
    all
}

impl Route {
    fn of(view: RouteView) -> Self {
        Self {
            name: view.id.to_string(),
            kind: view.kind,
            state: view.state,
            connections: view.connections,
            queued: view.queued,
            detail: view.detail,
        }
    }

    /// The same route on another node.
    fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.queued += other.queued;
        if badness(other.state) > badness(self.state) {
            (self.state, self.detail) = (other.state, other.detail);
        } else if self.detail.is_empty() {
            self.detail = other.detail;
        }
    }
}

const fn badness(state: RouteState) -> u8 {
    match state {
        RouteState::Up => 0,
        RouteState::Down => 1,
        RouteState::Halted => 2,
    }
}

/// `open - pending`, which may be below 0 for a moment while both move.
fn difference(open: u64, pending: u64) -> i64 {
    let clamp = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    clamp(open) - clamp(pending)
}
