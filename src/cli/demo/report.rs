//! What the demo reports: the server's books, the simulators' own counts, what
//! the live citizens saw, and whether they agree.

use araldo_loadtest::audit::AuditReport;
use araldo_loadtest::driver::DriveReport;
use araldo_loadtest::live::LiveReport;
use araldo_loadtest::simulator::BooksReport;
use araldo_loadtest::stage::{ChannelTotals, Usage};
use serde::Serialize;
use serde_json::Value;

use super::alert::AlertReport;
use super::play::Plan;

/// Everything the demo found.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) citizens: u64,
    pub(super) messages: u64,
    pub(super) seed: u64,
    /// The server's books (`GET /api/operator/v1/status`).
    pub(super) books: Value,
    /// The books by channel (`GET /metrics`).
    pub(super) channels: Vec<ChannelTotals>,
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
    /// The same of mails and the relay.
    pub(super) mailed_per_second: f64,
    pub(super) server_peak_mb: f64,
    pub(super) server_cpu_seconds: f64,
    /// To the last push and to the last mail.
    #[serde(skip)]
    seconds_to_last: [f64; 2],
}

impl Timing {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
    pub(super) fn new(
        driven: &DriveReport,
        import_seconds: f64,
        last_arrivals: [Option<u64>; 2],
    ) -> Self {
        let seconds = |last: Option<u64>| {
            let last = last.unwrap_or(driven.finished_us);
            last.saturating_sub(driven.started_us) as f64 / 1e6
        };
        Self {
            import_seconds,
            send_seconds: driven.seconds(),
            accepted_per_second: driven.accepted_per_second(),
            pushed_per_second: 0.0,
            mailed_per_second: 0.0,
            server_peak_mb: 0.0,
            server_cpu_seconds: 0.0,
            seconds_to_last: last_arrivals.map(seconds),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes of one process")]
    pub(super) fn with_usage(mut self, usage: Usage) -> Self {
        self.server_peak_mb = usage.peak_bytes as f64 / 1_048_576.0;
        self.server_cpu_seconds = usage.cpu_seconds;
        self
    }
}

/// What was found once everything was at rest.
pub(super) struct Found {
    pub(super) at_rest: bool,
    pub(super) push: AuditReport,
    pub(super) mail: AuditReport,
    pub(super) alert: AlertReport,
    pub(super) live: LiveReport,
    /// The live citizens saw the last message they wait for.
    pub(super) seen_all: bool,
    pub(super) simulators: Vec<(&'static str, BooksReport)>,
    pub(super) channels: Vec<ChannelTotals>,
    pub(super) status: Value,
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

/// The books against the simulators and the live citizens.
#[derive(Serialize)]
pub(super) struct Proof {
    pub(super) balanced: bool,
    pub(super) at_rest: bool,
    pub(super) refused: u64,
    pub(super) gave_up: u64,
    pub(super) equations: Vec<Equation>,
    /// Of the pushes.
    pub(super) audit: AuditReport,
    /// Of the mails.
    pub(super) mail_audit: AuditReport,
    /// Of the alert.
    pub(super) alert: AlertReport,
    /// Of the live citizens.
    pub(super) live: LiveReport,
}

impl Report {
    pub(super) fn new(plan: Plan, driven: &DriveReport, found: Found, mut timing: Timing) -> Self {
        let simulators: Vec<_> = found
            .simulators
            .iter()
            .map(|(provider, books)| Simulator {
                provider,
                requests: books.requests,
                accepted: books.accepted,
                unique_deliveries: books.unique_deliveries,
                refused: books.refused,
            })
            .collect();
        let equations = equations(driven, &found, &simulators);
        let [to_push, to_mail] = timing.seconds_to_last;
        timing.pushed_per_second = rate(found.push.delivered, to_push);
        timing.mailed_per_second = rate(found.mail.delivered, to_mail);
        let balanced = found.at_rest
            && driven.gave_up == 0
            && driven.refused == 0
            && found.push.is_clean()
            && found.mail.is_clean()
            && found.alert.is_exact()
            && found.seen_all
            && found.live.is_exact()
            && equations.iter().all(Equation::holds);
        Self {
            citizens: plan.citizens,
            messages: plan.messages,
            seed: plan.seed,
            books: found.status,
            channels: found.channels,
            simulators,
            timing,
            proof: Proof {
                balanced,
                at_rest: found.at_rest,
                refused: driven.refused,
                gave_up: driven.gave_up,
                equations,
                audit: found.push,
                mail_audit: found.mail,
                alert: found.alert,
                live: found.live,
            },
        }
    }
}

/// What must be equal when nothing is lost, doubled or invented.
fn equations(driven: &DriveReport, found: &Found, simulators: &[Simulator]) -> Vec<Equation> {
    let count = |pointer: &str| found.status.pointer(pointer).and_then(Value::as_i64).unwrap_or(-1);
    let sum = |folder: &str, names: &[&str]| {
        names.iter().map(|name| count(&format!("/{folder}/{name}"))).sum()
    };
    let seen = |mail: bool| {
        let own = simulators.iter().filter(|simulator| (simulator.provider == "smtp") == mail);
        signed(own.map(|simulator| simulator.unique_deliveries).sum())
    };
    let equation = |says, left, right| Equation { says, left, right };
    let delivered = |channel: &str| count(&format!("/delivered_by_channel/{channel}"));
    let messages = ["processed", "rejected", "expired", "recalled", "quarantined", "pending"];
    let deliveries = ["delivered", "failed", "expired", "cancelled", "suppressed", "pending"];
    vec![
        equation(
            "answered 201 = accepted in the books",
            signed(driven.accepted.len() as u64),
            count("/messages/accepted"),
        ),
        equation(
            "accepted = processed + rejected + expired + recalled + quarantined + pending",
            count("/messages/accepted"),
            sum("messages", &messages),
        ),
        equation(
            "planned = delivered + failed + expired + cancelled + suppressed + pending",
            count("/deliveries/planned"),
            sum("deliveries", &deliveries),
        ),
        equation(
            "push delivered in the books = different pushes the simulators accepted",
            delivered("push"),
            seen(false),
        ),
        equation(
            "pushes the plan and the alert call for = different pushes the simulators accepted",
            signed(found.push.expected_deliveries + found.alert.push.expected),
            seen(false),
        ),
        equation(
            "e-mail delivered in the books = different Message-IDs the relay took",
            delivered("email"),
            seen(true),
        ),
        equation(
            "mails the plan and the alert call for = different Message-IDs the relay took",
            signed(found.mail.expected_deliveries + found.alert.mail.expected),
            seen(true),
        ),
        equation(
            "in the inbox = processed + citizens the alert is for",
            delivered("in_app"),
            count("/messages/processed") + signed(found.alert.inboxes_called_for),
        ),
        equation(
            "messages of the live citizens = events they saw",
            signed(found.live.expected),
            signed(found.live.events),
        ),
    ]
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a count of one run")]
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
