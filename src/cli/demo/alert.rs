//! The end of the play: a weather alert to everyone, and what became of it.

use std::time::Duration;

use araldo_loadtest::alert_audit::{AlertAudit, audit_alert};
use araldo_loadtest::live::LiveCrowd;
use araldo_loadtest::population::Population;
use araldo_loadtest::simulator::Record;
use araldo_loadtest::stage::{AlertState, SentAlert, Stage};
use araldo_loadtest::weather::{self, Calls};
use serde::Serialize;
use serde_json::json;

use super::Failure;
use super::play::{LIVE, bar};
use super::report::rate;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(3_600);

/// An alert that has ended, with what the rules call for.
pub(super) struct Played {
    sent: SentAlert,
    state: AlertState,
    calls: Calls,
}

/// What became of it.
#[derive(Serialize)]
pub(super) struct AlertReport {
    pub(super) status: String,
    /// Citizens in whose inbox it should be, and in whose inbox it is.
    pub(super) inboxes_called_for: u64,
    pub(super) inboxes: u64,
    /// From its acceptance to its end.
    pub(super) seconds: f64,
    /// Pushes and mails a second, over that time.
    pub(super) deliveries_per_second: f64,
    pub(super) push: AlertAudit,
    pub(super) mail: AlertAudit,
}

/// Sends the alert and waits for its end.
pub(super) async fn play(
    stage: &Stage,
    population: &Population,
    crowd: &LiveCrowd,
) -> Result<Played, Failure> {
    let calls = weather::calls(population);
    let groups = ["ApiMessageWrite", "ApiMessageRead", "ApiAlertWrite"];
    let fields = json!({ "groups": groups });
    let key = stage.create_service_with(weather::SERVICE, weather::NAME, &fields).await?;
    let total = calls.devices.len() + calls.addresses.len();
    let bar = bar("alert to everyone", u64::try_from(total).unwrap_or(u64::MAX));
    let sent = stage.send_alert(&key, &weather::body()).await?;
    let show = |state: &AlertState| bar.set_position(state.delivered_by_routes());
    let state = stage.wait_alert(&key, sent, LIMIT, show).await?;
    bar.finish();
    expect(population, crowd, sent);
    Ok(Played { sent, state, calls })
}

/// Those of the live citizens whose inbox takes it must have seen it.
fn expect(population: &Population, crowd: &LiveCrowd, sent: SentAlert) {
    for index in 0..population.size().min(LIVE) {
        if weather::enters_inbox(population, index) {
            crowd.expect(usize::try_from(index).unwrap_or(usize::MAX), [sent.id]);
        }
    }
}

impl Played {
    /// Whether a record is of this alert.
    pub(super) const fn owns(&self, record: &Record) -> bool {
        record.message == self.sent.id
    }

    /// Joins it with its pushes and mails.
    pub(super) fn judge(self, pushes: &[Record], mails: &[Record]) -> AlertReport {
        let Self { sent, state, calls } = self;
        let seconds = state.seconds().unwrap_or_default();
        let push = audit_alert(sent.id, calls.devices, pushes);
        let mail = audit_alert(sent.id, calls.addresses, mails);
        AlertReport {
            inboxes_called_for: calls.inboxes,
            inboxes: state.walk("inbox").map_or(0, |walk| walk.delivered),
            seconds,
            deliveries_per_second: rate(push.reached + mail.reached, seconds),
            push,
            mail,
            status: state.status,
        }
    }
}

impl AlertReport {
    /// Whether everyone it is for was reached, once, and nobody else.
    pub(super) fn is_exact(&self) -> bool {
        self.status == "completed"
            && self.inboxes == self.inboxes_called_for
            && self.push.is_exact()
            && self.mail.is_exact()
    }
}
