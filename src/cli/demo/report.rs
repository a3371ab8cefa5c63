//! What the demo reports: the server's books, the simulators' own counts, and
//! whether they agree.

use araldo_loadtest::audit::AuditReport;
use araldo_loadtest::driver::DriveReport;
use araldo_loadtest::simulator::BooksReport;
use araldo_loadtest::stage::Usage;
use serde::Serialize;
use serde_json::Value;

use super::play::Plan;

/// Everything the demo found.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) citizens: u64,
    pub(super) messages: u64,
    pub(super) seed: u64,
    /// The server's books (`GET /api/operator/v1/status`).
    pub(super) books: Value,
    /// The simulators' counts.
    pub(super) simulators: Vec<Simulator>,
    pub(super) timing: Timing,
    pub(super) proof: Proof,
}

/// One simulator's count of what it took over.
#[derive(Serialize)]
pub(super) struct Simulator {
    pub(super) provider: &'static str,
    pub(super) requests: u64,
    pub(super) accepted: u64,
    pub(super) unique_deliveries: u64,
    pub(super) refused: u64,
}

/// How fast and at what cost.
#[derive(Serialize)]
pub(super) struct Timing {
    pub(super) import_seconds: f64,
    pub(super) send_seconds: f64,
    pub(super) accepted_per_second: f64,
    /// Pushes accepted by providers a second, from the first message sent to
    /// the last push accepted.
    pub(super) pushed_per_second: f64,
    pub(super) server_peak_mb: f64,
    pub(super) server_cpu_seconds: f64,
    #[serde(skip)]
    seconds_to_last_arrival: f64,
}

impl Timing {
    #[expect(clippy::cast_precision_loss, reason = "bytes and microseconds of one run")]
    pub(super) fn new(
        driven: &DriveReport,
        import_seconds: f64,
        last_arrival: Option<u64>,
        usage: Usage,
    ) -> Self {
        let last = last_arrival.unwrap_or(driven.finished_us);
        Self {
            import_seconds,
            send_seconds: driven.seconds(),
            accepted_per_second: driven.accepted_per_second(),
            pushed_per_second: 0.0,
            server_peak_mb: usage.peak_bytes as f64 / 1_048_576.0,
            server_cpu_seconds: usage.cpu_seconds,
            seconds_to_last_arrival: last.saturating_sub(driven.started_us) as f64 / 1e6,
        }
    }
}

/// One equation of the proof.
#[derive(Serialize)]
pub(super) struct Equation {
    pub(super) says: &'static str,
    pub(super) left: i64,
    pub(super) right: i64,
}

impl Equation {
    pub(super) const fn holds(&self) -> bool {
        self.left == self.right
    }
}

/// The books against the simulators.
#[derive(Serialize)]
pub(super) struct Proof {
    pub(super) balanced: bool,
    pub(super) at_rest: bool,
    pub(super) refused: u64,
    pub(super) gave_up: u64,
    pub(super) equations: Vec<Equation>,
    pub(super) audit: AuditReport,
}

impl Report {
    pub(super) fn new(
        plan: Plan,
        at_rest: bool,
        driven: &DriveReport,
        status: &Value,
        books: &[(&'static str, BooksReport)],
        audit: AuditReport,
        mut timing: Timing,
    ) -> Self {
        let simulators: Vec<_> = books
            .iter()
            .map(|(provider, books)| Simulator {
                provider,
                requests: books.requests,
                accepted: books.accepted,
                unique_deliveries: books.unique_deliveries,
                refused: books.refused,
            })
            .collect();
        let equations = equations(driven, status, &simulators, &audit);
        timing.pushed_per_second = rate(audit.delivered, timing.seconds_to_last_arrival);
        let balanced = at_rest
            && driven.gave_up == 0
            && driven.refused == 0
            && audit.is_clean()
            && equations.iter().all(Equation::holds);
        Self {
            citizens: plan.citizens,
            messages: plan.messages,
            seed: plan.seed,
            books: status.clone(),
            simulators,
            timing,
            proof: Proof {
                balanced,
                at_rest,
                refused: driven.refused,
                gave_up: driven.gave_up,
                equations,
                audit,
            },
        }
    }
}

/// What must be equal when nothing is lost, doubled or invented.
fn equations(
    driven: &DriveReport,
    status: &Value,
    simulators: &[Simulator],
    audit: &AuditReport,
) -> Vec<Equation> {
    let count = |pointer: &str| status.pointer(pointer).and_then(Value::as_i64).unwrap_or(-1);
    let sum = |names: &[&str]| names.iter().map(|name| count(name)).sum();
    let seen = |count: fn(&Simulator) -> u64| signed(simulators.iter().map(count).sum());
    let equation = |says, left, right| Equation { says, left, right };
    vec![
        equation(
            "answered 201 = accepted in the books",
            signed(driven.accepted.len() as u64),
            count("/messages/accepted"),
        ),
        equation(
            "accepted = processed + rejected + expired + recalled + quarantined + pending",
            count("/messages/accepted"),
            sum(&[
                "/messages/processed",
                "/messages/rejected",
                "/messages/expired",
                "/messages/recalled",
                "/messages/quarantined",
                "/messages/pending",
            ]),
        ),
        equation(
            "planned = delivered + failed + expired + cancelled + suppressed + pending",
            count("/deliveries/planned"),
            sum(&[
                "/deliveries/delivered",
                "/deliveries/failed",
                "/deliveries/expired",
                "/deliveries/cancelled",
                "/deliveries/suppressed",
                "/deliveries/pending",
            ]),
        ),
        equation(
            "push delivered in the books = different pushes the simulators accepted",
            count("/delivered_by_channel/push"),
            seen(|simulator| simulator.unique_deliveries),
        ),
        equation(
            "pushes the plan calls for = different pushes the simulators accepted",
            signed(audit.expected_deliveries),
            seen(|simulator| simulator.unique_deliveries),
        ),
        equation(
            "in the inbox = processed",
            count("/delivered_by_channel/in_app"),
            count("/messages/processed"),
        ),
    ]
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a count of one run")]
fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
