//! What must hold once everything is at rest: three sources that share no
//! code agree (the senders' answers, the simulators' books, the server's),
//! on each of the three channels.

use std::collections::BTreeMap;
use std::time::Duration;

use araldo_loadtest::audit::{AuditReport, audit};
use araldo_loadtest::morning::{Expected, Message};
use araldo_loadtest::simulator::Behaviour;
use araldo_loadtest::stage::ChannelTotals;
use serde_json::Value;

use super::load::{Driven, Registry};
use crate::stage_kit::Setting;

/// Every so many messages one is looked at by itself.
const SAMPLE: usize = 97;

/// The audits of the channels that leave the server.
#[derive(Debug)]
pub struct Verdict {
    pub push: AuditReport,
    pub mail: AuditReport,
}

/// Asserts everything but the duplicates, which the caller knows.
pub async fn judge(setting: &Setting, registry: &Registry, driven: &Driven) -> Verdict {
    let status = setting.rest(Duration::from_secs(60)).await;
    assert_eq!((driven.refused, driven.gave_up), (0, 0), "{driven:?}");
    assert_eq!(driven.accepted.len() as u64, driven.sent, "{driven:?}");

    let alive = Behaviour::default();
    let morning = &registry.morning;
    let pushes = |index| Some(morning.expected_pushes(&morning.message(index), &alive));
    let mails = |index| Some(morning.expected_mails(&morning.message(index)));
    let pushed = setting.stage.records().await.unwrap();
    let mailed = setting.stage.mail_records().await.unwrap();
    let verdict = Verdict {
        push: audit(&driven.accepted, &pushed, pushes, Some(&status)),
        mail: audit(&driven.accepted, &mailed, mails, Some(&status)),
    };
    for report in [&verdict.push, &verdict.mail] {
        assert_eq!((report.lost, report.phantoms), (0, 0), "{report:?}");
        // One repeated under another id would be a delivery too many.
        assert_eq!((report.excess, report.delivered), (0, report.expected_deliveries));
        assert_eq!(report.distinct_ids, report.accepted, "one id for two messages: {report:?}");
        assert!(report.is_clean(), "{report:?}");
        assert!(report.delivered > 0, "nothing to judge: {report:?}");
    }

    let plan = Plan::of(registry, driven);
    plan.compare_messages(&status, verdict.push.accepted);
    plan.compare_channels(&setting.stage.channels().await.unwrap(), &verdict);
    for none in ["failed", "expired", "cancelled", "pending"] {
        assert_eq!(status["deliveries"][none], 0, "{none}: {status}");
    }
    setting.assert_conserved().await;
    for accepted in driven.accepted.iter().step_by(SAMPLE) {
        look_at(setting, registry, accepted.index, accepted.id).await;
    }
    verdict
}

/// What the published rules make of everything that was accepted.
#[derive(Default)]
struct Plan {
    /// Messages by the reason they are rejected for; empty: processed.
    messages: BTreeMap<&'static str, u64>,
    /// Devices of citizens who take the message, but no push of it.
    unwanted_pushes: u64,
    /// Addresses of citizens who take the message, but no mail of it.
    unwanted_mails: u64,
}

impl Plan {
    fn of(registry: &Registry, driven: &Driven) -> Self {
        let mut plan = Self::default();
        for accepted in &driven.accepted {
            let message = registry.morning.message(accepted.index);
            *plan.messages.entry(end(message.expected).1).or_default() += 1;
            let (pushes, mails) = unwanted(registry, &message);
            plan.unwanted_pushes += pushes;
            plan.unwanted_mails += mails;
        }
        plan
    }

    fn messages(&self, reason: &str) -> u64 {
        self.messages.get(reason).copied().unwrap_or(0)
    }

    /// Each message ended once, and as it must.
    fn compare_messages(&self, status: &Value, accepted: u64) {
        let messages = &status["messages"];
        assert_eq!(messages["accepted"], accepted, "{status}");
        assert_eq!(messages["processed"], self.messages(""), "{status}");
        for reason in ["USER_NOT_FOUND", "SERVICE_NOT_ALLOWED"] {
            let rejected = &messages["rejected_by_reason"][reason];
            assert_eq!(*rejected, self.messages(reason), "{reason}: {status}");
        }
        for none in ["expired", "recalled", "quarantined", "pending"] {
            assert_eq!(messages[none], 0, "{none}: {status}");
        }
    }

    /// Each delivery of each channel ended once, and as it must.
    fn compare_channels(&self, channels: &[ChannelTotals], verdict: &Verdict) {
        for found in channels {
            let (delivered, suppressed) = match found.channel {
                "in_app" => (self.messages(""), 0),
                "push" => (verdict.push.delivered, self.unwanted_pushes),
                _ => (verdict.mail.delivered, self.unwanted_mails),
            };
            let wanted = ChannelTotals {
                channel: found.channel,
                planned: delivered + suppressed,
                delivered,
                suppressed,
                // How often is the crash's business.
                retried: found.retried,
                ..ChannelTotals::default()
            };
            assert_eq!(*found, wanted);
        }
    }
}

/// Devices and addresses that a message which is taken must not reach.
fn unwanted(registry: &Registry, message: &Message) -> (u64, u64) {
    let Expected::Processed { pushes, email } = message.expected else { return (0, 0) };
    let citizen = registry.population.citizen(message.recipient);
    let devices = if pushes == 0 { citizen.devices.len() as u64 } else { 0 };
    (devices, u64::from(!email && citizen.email.is_some()))
}

/// Status and reason a message must end with.
const fn end(expected: Expected) -> (&'static str, &'static str) {
    match expected {
        Expected::UserNotFound => ("REJECTED", "USER_NOT_FOUND"),
        Expected::ServiceNotAllowed => ("REJECTED", "SERVICE_NOT_ALLOWED"),
        Expected::Processed { .. } => ("PROCESSED", ""),
    }
}

/// One message, as its sender reads it: ended, with every delivery delivered
/// that the citizen wants, and no other.
async fn look_at(setting: &Setting, registry: &Registry, index: u64, id: u128) {
    let message = registry.morning.message(index);
    let (status, reason) = end(message.expected);
    let body: Value = serde_json::from_str(&message.body).unwrap();
    let to = body["fiscal_code"].as_str().unwrap();
    let seen = setting.message(&registry.keys[message.service], to, id).await;
    assert_eq!(seen["status"], status, "message {index}");
    if !reason.is_empty() {
        assert_eq!(seen["rejection_reason"], reason, "message {index}");
    }
    assert_eq!(seen["message"]["content"]["subject"], body["content"]["subject"]);
    let (pushes, email) = match message.expected {
        Expected::Processed { pushes, email } => (pushes > 0, email),
        _ => (false, false),
    };
    let deliveries = seen["delivery"].as_array().unwrap();
    for delivery in deliveries {
        let wanted = match delivery["channel"].as_str().unwrap() {
            "push" => pushes,
            "email" => email,
            channel => channel == "in_app",
        };
        let state = if wanted { "delivered" } else { "suppressed" };
        assert_eq!(delivery["state"], state, "message {index}: {delivery}");
    }
    let mails = deliveries.iter().filter(|delivery| delivery["channel"] == "email").count();
    assert!(mails <= 1 && (mails == 1 || !email), "message {index}: {mails} mails");
}
