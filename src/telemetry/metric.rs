//! Metrics of the server crate: names, labels and help, all in one place.
//!
//! Labels come from fixed sets: routes by their template, methods, statuses,
//! channels, outcomes, configured routes. Never a citizen, key, token or id.

use std::time::Duration;

use araldo_actors::board::{Board, RouteState, RouteView};
use araldo_actors::domain::books::{Books, DeliveryTotals};
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::message::RejectionReason;
use hyper::StatusCode;
use metrics::{Counter, Gauge, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const HTTP_REQUESTS: &str = "araldo_http_requests_total";
const HTTP_DURATION: &str = "araldo_http_request_duration_seconds";
const HTTP_CONNECTIONS: &str = "araldo_http_connections";
const HTTP_PANICS: &str = "araldo_http_panics_total";
const ISSUER_KEYS: &str = "araldo_citizen_keys_fetched_total";
const IMPORT_LINES: &str = "araldo_import_lines_total";
const MESSAGES_ACCEPTED: &str = "araldo_messages_accepted_total";
const MESSAGES_ENDED: &str = "araldo_messages_ended_total";
const MESSAGES_PENDING: &str = "araldo_messages_pending";
const MESSAGES_UNACCOUNTED: &str = "araldo_messages_unaccounted";
const DELIVERIES_PLANNED: &str = "araldo_deliveries_planned_total";
const DELIVERIES_ENDED: &str = "araldo_deliveries_ended_total";
const DELIVERIES_RETRIED: &str = "araldo_deliveries_retried_total";
const DELIVERIES_PENDING: &str = "araldo_deliveries_pending";
const DELIVERIES_UNACCOUNTED: &str = "araldo_deliveries_unaccounted";
const CITIZENS_ACTIVE: &str = "araldo_citizens_active";
const PARTITIONS_OPEN: &str = "araldo_partitions_all_open";
const ROUTE_STATE: &str = "araldo_route_state";
const ROUTE_CONNECTIONS: &str = "araldo_route_connections";
const ROUTE_QUEUED: &str = "araldo_route_queued";
const ROUTE_WAITS: &str = "araldo_route_waits_since_timestamp_seconds";
const VALIDATION_MAILS: &str = "araldo_validation_mails_total";
const UPTIME: &str = "araldo_uptime_seconds";

/// Upper bounds for times, in seconds: from an answer out of memory to the
/// request timeout.
pub const SECONDS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Histograms with bounds of their own.
pub const BUCKETS: &[(&str, &[f64])] = &[(HTTP_DURATION, &SECONDS)];

/// The templates of the API's paths, as label values.
const ROUTES: &[&str] = &[
    "/api/v1/messages",
    "/api/v1/messages/{fiscal_code}",
    "/api/v1/messages/{fiscal_code}/{id}",
    "/api/v1/profiles",
    "/api/v1/profiles/{fiscal_code}",
    "/api/v1/alerts",
    "/api/v1/alerts/{id}",
    "/api/v1/alerts/{id}/pause",
    "/api/v1/alerts/{id}/resume",
    "/api/v1/alerts/{id}/cancel",
    "/api/operator/v1/alerts",
    "/api/operator/v1/alerts/{id}",
    "/api/operator/v1/alerts/{id}/pause",
    "/api/operator/v1/alerts/{id}/resume",
    "/api/operator/v1/alerts/{id}/cancel",
    "/api/operator/v1/organizations",
    "/api/operator/v1/organizations/{fiscal_code}",
    "/api/operator/v1/services",
    "/api/operator/v1/services/{service_id}",
    "/api/operator/v1/keys",
    "/api/operator/v1/keys/{id}",
    "/api/operator/v1/citizens",
    "/api/operator/v1/status",
    "/api/communication/v1/messages",
    "/api/communication/v1/messages/{id}",
    "/api/communication/v1/messages/{id}/status",
    "/api/communication/v1/messages/{id}/message-status",
    "/api/communication/v1/installations/{installationID}",
    "/api/identity/v1/profile",
    "/api/identity/v1/services/{service_id}/preferences",
    "/api/identity/v1/email-validation-process",
    "/api/identity/v1/user-data-processing",
    "/api/identity/v1/user-data-processing/{choice}",
    "/api/v2/institutions",
    "/api/v2/institutions/featured",
    "/api/v2/institutions/{institutionId}/services",
    "/api/v2/services/featured",
    "/api/v2/services/{serviceId}",
    "/api/citizen/v1/live",
    "/api/citizen/v1/messages",
    "/api/citizen/v1/preferences",
    "/api/citizen/v1/devices",
    "/api/citizen/v1/devices/{id}",
    "/api/citizen/v1/sessions/revoke",
    "/api/citizen/v1/user-data",
    "/email/unsubscribe/{token}",
    "/email/validate/{token}",
    "/app",
    "/app/",
    "/app/{file}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "other",
];

/// The label value for a path template.
#[must_use]
pub fn route_label(template: &str) -> &'static str {
    ROUTES.iter().find(|route| **route == template).copied().unwrap_or("other")
}

/// Tells the recorder what each metric means.
pub fn describe() {
    describe_http();
    describe_books();
    describe_actors();
}

fn describe_http() {
    describe_counter!(HTTP_REQUESTS, "Requests answered, by route template, method and status");
    describe_histogram!(
        HTTP_DURATION,
        Unit::Seconds,
        "Time from a request's header to its answer's, by route template and method"
    );
    describe_gauge!(HTTP_CONNECTIONS, "Open connections");
    describe_counter!(HTTP_PANICS, "Requests that ended in a panic; each is a defect");
    describe_counter!(IMPORT_LINES, "Lines of citizen imports, by result");
    describe_counter!(
        ISSUER_KEYS,
        "Times the keys of the citizens' issuer were asked for, by result (ok, failed)"
    );
}

fn describe_books() {
    describe_counter!(MESSAGES_ACCEPTED, "Messages answered 201");
    describe_counter!(MESSAGES_ENDED, "Messages that reached an end, by status and reason");
    describe_gauge!(MESSAGES_PENDING, "Accepted messages whose turn is not yet recorded");
    describe_gauge!(
        MESSAGES_UNACCOUNTED,
        "Accepted messages that neither ended nor are pending; 0 at rest"
    );
    describe_counter!(DELIVERIES_PLANNED, "Deliveries planned, by channel");
    describe_counter!(DELIVERIES_ENDED, "Deliveries that ended, by channel and outcome");
    describe_counter!(DELIVERIES_RETRIED, "Attempts repeated, by channel");
    describe_gauge!(DELIVERIES_PENDING, "Deliveries without an outcome");
    describe_gauge!(
        DELIVERIES_UNACCOUNTED,
        "Planned deliveries that neither ended nor are pending; 0 at rest"
    );
}

fn describe_actors() {
    describe_gauge!(CITIZENS_ACTIVE, "Citizen actors alive");
    describe_gauge!(PARTITIONS_OPEN, "1 once every partition has been taken over");
    describe_gauge!(ROUTE_STATE, "1 for the state a route is in: up, paused, down or halted");
    describe_gauge!(ROUTE_CONNECTIONS, "Open connections of a route");
    describe_gauge!(ROUTE_QUEUED, "Deliveries in a route's queue and in flight");
    describe_gauge!(
        ROUTE_WAITS,
        Unit::Seconds,
        "Since when the first delivery in a route's queue waits, by lane, since the Unix epoch: \
         acceptance of a message not tried before, else when it came to the route; 0 where none does"
    );
    describe_counter!(VALIDATION_MAILS, "Mails that confirm an address, by how they ended");
    metrics_process::Collector::default().describe();
    describe_gauge!(UPTIME, Unit::Seconds, "Time since the server started");
}

/// Counts an answered request.
pub fn http_request(route: &'static str, method: &'static str, status: StatusCode, took: Duration) {
    let status = status_label(status);
    counter!(HTTP_REQUESTS, "route" => route, "method" => method, "status" => status).increment(1);
    histogram!(HTTP_DURATION, "route" => route, "method" => method).record(took.as_secs_f64());
}

/// The statuses the API answers with.
fn status_label(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200 => "200",
        201 => "201",
        202 => "202",
        204 => "204",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        409 => "409",
        410 => "410",
        412 => "412",
        413 => "413",
        422 => "422",
        429 => "429",
        500 => "500",
        503 => "503",
        _ => "other",
    }
}

/// Open connections.
pub fn http_connections() -> Gauge {
    gauge!(HTTP_CONNECTIONS)
}

/// Questions to the citizens' issuer, by result.
pub fn issuer_keys(result: &'static str) -> Counter {
    counter!(ISSUER_KEYS, "result" => result)
}

/// Requests that ended in a panic.
pub fn http_panics() -> Counter {
    counter!(HTTP_PANICS)
}

/// Counts imported lines.
pub fn import_lines(imported: u64, updated: u64, refused: u64) {
    counter!(IMPORT_LINES, "result" => "imported").increment(imported);
    counter!(IMPORT_LINES, "result" => "updated").increment(updated);
    counter!(IMPORT_LINES, "result" => "refused").increment(refused);
}

/// Counts a mail that confirms an address, by how it ended: sent, refused,
/// gave_up, panicked, full, no_route.
pub fn validation_mail(outcome: &'static str) {
    counter!(VALIDATION_MAILS, "outcome" => outcome).increment(1);
}

/// Memory, CPU time, files and start of the process, under the names that
/// Prometheus gives them (`process_resident_memory_bytes`,
/// `process_cpu_seconds_total`, `process_open_fds`, ...). Reads from the
/// kernel: not for a worker of the runtime.
pub fn refresh_process() {
    metrics_process::Collector::default().collect();
}

/// Sets everything that is read from the engine at a scrape: totals of all
/// partitions, and what the books of this node's `own` are against its counts.
pub fn refresh(books: &Books, own: &Books, board: &Board, uptime_seconds: u64) {
    refresh_messages(books, own, board);
    for channel in Channel::ALL {
        refresh_channel(channel, &books.deliveries[channel.index()]);
    }
    let pending = board.pending_deliveries();
    gauge!(DELIVERIES_PENDING).set(pending as f64);
    gauge!(DELIVERIES_UNACCOUNTED).set(difference(own.all_deliveries().open(), pending));
    refresh_board(board);
    gauge!(UPTIME).set(uptime_seconds as f64);
}

fn refresh_messages(books: &Books, own: &Books, board: &Board) {
    let totals = &books.messages;
    counter!(MESSAGES_ACCEPTED).absolute(totals.accepted);
    let ended = |status: &'static str, reason: &'static str, count: u64| {
        counter!(MESSAGES_ENDED, "status" => status, "reason" => reason).absolute(count);
    };
    ended("processed", "", totals.processed);
    for (reason, count) in RejectionReason::ALL.iter().zip(totals.rejected) {
        ended("rejected", reason.as_str(), count);
    }
    ended("expired", "", totals.expired);
    ended("recalled", "", totals.recalled);
    ended("quarantined", "", totals.quarantined);
    let pending = board.pending_messages();
    gauge!(MESSAGES_PENDING).set(pending as f64);
    gauge!(MESSAGES_UNACCOUNTED).set(difference(own.messages.open(), pending));
}

fn refresh_channel(channel: Channel, totals: &DeliveryTotals) {
    let channel = channel.as_str();
    counter!(DELIVERIES_PLANNED, "channel" => channel).absolute(totals.planned);
    counter!(DELIVERIES_RETRIED, "channel" => channel).absolute(totals.retried);
    for (outcome, count) in [
        ("delivered", totals.delivered),
        ("failed", totals.failed),
        ("expired", totals.expired),
        ("cancelled", totals.cancelled),
        ("suppressed", totals.suppressed),
    ] {
        counter!(DELIVERIES_ENDED, "channel" => channel, "outcome" => outcome).absolute(count);
    }
}

fn refresh_board(board: &Board) {
    gauge!(CITIZENS_ACTIVE).set(board.active_citizens() as f64);
    gauge!(PARTITIONS_OPEN).set(f64::from(u8::from(board.all_open())));
    board.routes().into_iter().for_each(refresh_route);
}

fn refresh_route(route: RouteView) {
    let name = route.id.as_str().to_owned();
    // A provider that asks to be left alone for a while is not down, but
    // nothing goes there either.
    let is_up = route.state == RouteState::Up;
    for (label, holds) in [
        ("up", is_up && !route.is_paused),
        ("paused", is_up && route.is_paused),
        ("down", route.state == RouteState::Down),
        ("halted", route.state == RouteState::Halted),
    ] {
        let gauge = gauge!(ROUTE_STATE, "route" => name.clone(), "kind" => route.kind.clone(), "state" => label);
        gauge.set(f64::from(u8::from(holds)));
    }
    gauge!(ROUTE_CONNECTIONS, "route" => name.clone(), "kind" => route.kind.clone())
        .set(route.connections as f64);
    gauge!(ROUTE_QUEUED, "route" => name.clone(), "kind" => route.kind.clone())
        .set(route.queued as f64);
    for (lane, since) in route.waits_since.iter() {
        gauge!(ROUTE_WAITS, "route" => name.clone(), "lane" => lane.as_str())
            .set(since.map_or(0.0, |at| at.0 as f64 / 1_000.0));
    }
}

/// `open - pending`, which may be below 0 for a moment while both move.
#[must_use]
pub fn difference(open: u64, pending: u64) -> f64 {
    open as f64 - pending as f64
}
