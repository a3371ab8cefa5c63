//! What a simulator is told to do wrong: latency, failures by kind, dead tokens, lost answers, broken connections.
//!
//! Owns the description (JSON, changeable while running) and its compiled form, the [`Plan`]. A decision depends on
//! the seed, the delivery id and how often that delivery was already refused, never on arrival order or time: two
//! runs with the same deliveries see the same failures. Nothing is stored; a restart starts from the options again.

use serde::{Deserialize, Serialize};

use super::Kind;
use super::error::SimulatorError;
use super::mix::{hash_bytes, mix2, unit};
use super::refusal::{Refusal, known_reasons};
use super::smtp::behaviour::{SmtpBehaviour, SmtpPlan};

/// What a simulator is told. All shares are fractions of requests in `[0, 1]`; absent fields mean "well behaved".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Seed of every decision.
    pub seed: u64,
    /// Milliseconds before every answer.
    pub latency_ms: u32,
    /// Up to this many milliseconds more, uniformly, by delivery.
    pub jitter_ms: u32,
    /// Requests refused, by reason (APNs and FCM).
    pub failures: Vec<Failure>,
    /// Share of device tokens that are dead (APNs 410 `Unregistered`, FCM 404 `UNREGISTERED`), by token hash: the same
    /// token is dead in every request and every run with the same seed. SMTP: of addresses in lower case, `550 5.1.1`.
    pub unregistered_share: f64,
    /// `timestamp` of APNs' 410 in Unix milliseconds; absent means the moment of the answer.
    pub unregistered_timestamp_ms: Option<u64>,
    /// Share of requests never answered and not delivered.
    pub hang_share: f64,
    /// Share of requests delivered and counted as accepted, whose answer is lost (never sent). SMTP: the connection
    /// closes instead of the answer to the dot.
    pub lost_answer_share: f64,
    /// Share of requests whose stream is reset, not delivered. SMTP: the connection closes after the dot.
    pub reset_share: f64,
    /// The code of those resets.
    pub reset_reason: ResetReason,
    /// GOAWAY after this many requests on a connection; 0 means never.
    pub goaway_after_requests: u64,
    /// New connections are reset at once.
    pub refuse_connections: bool,
    /// What goes wrong in mail transactions. Only the SMTP simulator looks at it, and not at `failures`: one document can
    /// be told to all.
    pub smtp: SmtpBehaviour,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            seed: 1,
            latency_ms: 0,
            jitter_ms: 0,
            failures: Vec::new(),
            unregistered_share: 0.0,
            unregistered_timestamp_ms: None,
            hang_share: 0.0,
            lost_answer_share: 0.0,
            reset_share: 0.0,
            reset_reason: ResetReason::default(),
            goaway_after_requests: 0,
            refuse_connections: false,
            smtp: SmtpBehaviour::default(),
        }
    }
}

impl Behaviour {
    /// Whether this device token is dead: the same answer in every run with the same seed and share. An auditor uses it
    /// to know which deliveries cannot succeed.
    #[must_use]
    pub fn is_unregistered(&self, token: &str) -> bool {
        self.is_dead(hash_bytes(token.as_bytes()))
    }

    /// The same by the token's hash.
    pub(crate) fn is_dead(&self, device: u64) -> bool {
        let share = self.unregistered_share;
        share > 0.0 && unit(mix2(self.seed, device)) < share
    }
}

/// One kind of refusal and how often it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The provider's reason, for example `ServiceUnavailable` (APNs) or `QUOTA_EXCEEDED` (FCM).
    pub reason: String,
    /// HTTP status; optional, and when given it must be the one the provider sends with that reason.
    #[serde(default)]
    pub status: Option<u16>,
    /// Share of requests.
    pub share: f64,
    /// `Retry-After` header, seconds.
    #[serde(default)]
    pub retry_after_seconds: Option<u32>,
    /// Only the first so many attempts of one delivery can be refused this way; absent means every attempt.
    #[serde(default)]
    pub first_attempts: Option<u32>,
}

/// The HTTP/2 error code of a reset stream (RFC 9113, 7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The request was not processed; safe to repeat.
    #[default]
    RefusedStream,
    /// The fate of the request is unknown to the client.
    InternalError,
    /// The stream is no longer needed.
    Cancel,
    /// The client is asked to slow down.
    EnhanceYourCalm,
}

impl ResetReason {
    /// The code on the wire.
    #[must_use]
    pub const fn h2(self) -> h2::Reason {
        match self {
            Self::RefusedStream => h2::Reason::REFUSED_STREAM,
            Self::InternalError => h2::Reason::INTERNAL_ERROR,
            Self::Cancel => h2::Reason::CANCEL,
            Self::EnhanceYourCalm => h2::Reason::ENHANCE_YOUR_CALM,
        }
    }
}

/// What happens to one request that the rules would accept.
#[derive(Debug, Clone)]
pub(crate) enum Decision {
    Accept,
    Refuse(Refusal),
    Hang,
    LoseAnswer,
    Reset(h2::Reason),
}

struct Slice {
    until: f64,
    first_attempts: u32,
    decision: Decision,
}

/// A behaviour checked and ready to decide.
pub(crate) struct Plan {
    pub(crate) behaviour: Behaviour,
    slices: Vec<Slice>,
    pub(crate) smtp: SmtpPlan,
}

impl Plan {
    /// Checks a behaviour for this kind of provider.
    pub(crate) fn new(kind: Kind, behaviour: Behaviour) -> Result<Self, SimulatorError> {
        share("unregistered_share", behaviour.unregistered_share)?;
        let mut slices = Vec::new();
        let mut until = 0.0;
        let failures = if kind == Kind::Smtp { &[][..] } else { &behaviour.failures };
        for (position, failure) in failures.iter().enumerate() {
            share(&format!("failures[{position}].share"), failure.share)?;
            until += failure.share;
            slices.push(Slice {
                until,
                first_attempts: failure.first_attempts.unwrap_or(u32::MAX),
                decision: Decision::Refuse(refusal(kind, position, failure)?),
            });
        }
        let rest = [
            ("hang_share", behaviour.hang_share, Decision::Hang),
            ("lost_answer_share", behaviour.lost_answer_share, Decision::LoseAnswer),
            ("reset_share", behaviour.reset_share, Decision::Reset(behaviour.reset_reason.h2())),
        ];
        for (name, value, decision) in rest {
            share(name, value)?;
            until += value;
            slices.push(Slice { until, first_attempts: u32::MAX, decision });
        }
        if until > 1.000_001 {
            return Err(SimulatorError::Behaviour(format!(
                "the shares add up to {until}, more than 1"
            )));
        }
        slices.retain(|slice| slice.until > 0.0);
        let smtp = match kind {
            Kind::Smtp => SmtpPlan::new(&behaviour.smtp)?,
            Kind::Apns | Kind::Fcm => SmtpPlan::default(),
        };
        Ok(Self { behaviour, slices, smtp })
    }

    /// Whether any request can be anything but accepted.
    pub(crate) fn is_calm(&self) -> bool {
        self.slices.is_empty()
    }

    /// The fate of attempt number `attempt` (from 0) of a delivery.
    pub(crate) fn decide(&self, delivery: u128, attempt: u32) -> Decision {
        let draw = unit(mix2(
            self.behaviour.seed ^ u64::from(attempt).wrapping_mul(0xa076_1d64_78bd_642f),
            fold(delivery),
        ));
        match self.slices.iter().find(|slice| draw < slice.until) {
            Some(slice) if attempt < slice.first_attempts => slice.decision.clone(),
            _ => Decision::Accept,
        }
    }

    /// Milliseconds to wait before answering this delivery.
    pub(crate) fn delay_ms(&self, delivery: u128) -> u64 {
        let jitter = u64::from(self.behaviour.jitter_ms);
        let base = u64::from(self.behaviour.latency_ms);
        if jitter == 0 {
            return base;
        }
        base + mix2(self.behaviour.seed.rotate_left(17), fold(delivery)) % (jitter + 1)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "folding 128 bits into 64")]
pub(crate) const fn fold(id: u128) -> u64 {
    (id >> 64) as u64 ^ (id as u64).rotate_left(32)
}

fn share(name: &str, value: f64) -> Result<(), SimulatorError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(SimulatorError::Behaviour(format!("{name} is {value}, must be between 0 and 1")))
}

fn refusal(kind: Kind, position: usize, failure: &Failure) -> Result<Refusal, SimulatorError> {
    let found = Refusal::by_reason(kind, &failure.reason).ok_or_else(|| {
        SimulatorError::Behaviour(format!(
            "failures[{position}].reason: {} has no reason `{}`; known: {}",
            kind.name(),
            failure.reason,
            known_reasons(kind).join(", ")
        ))
    })?;
    if let Some(status) = failure.status
        && status != found.status.as_u16()
    {
        return Err(SimulatorError::Behaviour(format!(
            "failures[{position}].status: `{}` comes with status {}, not {status}",
            failure.reason,
            found.status.as_u16()
        )));
    }
    Ok(found.with_retry_after(failure.retry_after_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(share: f64) -> Behaviour {
        Behaviour {
            failures: vec![Failure {
                reason: "ServiceUnavailable".to_owned(),
                status: Some(503),
                share,
                retry_after_seconds: Some(2),
                first_attempts: None,
            }],
            ..Behaviour::default()
        }
    }

    #[test]
    fn the_same_delivery_meets_the_same_fate_in_every_run() {
        let one = Plan::new(Kind::Apns, failing(0.3)).unwrap();
        let two = Plan::new(Kind::Apns, failing(0.3)).unwrap();
        for delivery in 0..1_000u128 {
            for attempt in 0..3 {
                let a = matches!(one.decide(delivery, attempt), Decision::Refuse(_));
                let b = matches!(two.decide(delivery, attempt), Decision::Refuse(_));
                assert_eq!(a, b);
            }
        }
    }

    #[test]
    fn a_share_of_one_refuses_everything_but_only_for_the_first_attempts_asked() {
        let mut behaviour = failing(1.0);
        behaviour.failures[0].first_attempts = Some(2);
        let plan = Plan::new(Kind::Apns, behaviour).unwrap();
        for delivery in 0..100u128 {
            assert!(matches!(plan.decide(delivery, 1), Decision::Refuse(_)));
            assert!(matches!(plan.decide(delivery, 2), Decision::Accept));
        }
    }

    #[test]
    fn a_contradiction_is_refused_with_its_place() {
        let mut wrong = failing(0.1);
        wrong.failures[0].status = Some(500);
        let text = Plan::new(Kind::Apns, wrong).err().unwrap().to_string();
        assert!(text.contains("failures[0].status"), "{text}");
        let text = Plan::new(Kind::Fcm, failing(0.1)).err().unwrap().to_string();
        assert!(text.contains("QUOTA_EXCEEDED"), "{text}");
        let text = Plan::new(Kind::Apns, failing(1.5)).err().unwrap().to_string();
        assert!(text.contains("between 0 and 1"), "{text}");
        let much = Behaviour { hang_share: 0.9, ..failing(0.3) };
        assert!(Plan::new(Kind::Apns, much).is_err());
    }

    #[test]
    fn dead_tokens_stay_dead_and_come_in_the_share_asked() {
        let behaviour = Behaviour { unregistered_share: 0.05, ..Behaviour::default() };
        let dead = (0..20_000u32).filter(|n| behaviour.is_unregistered(&n.to_string())).count();
        assert!((850..1_150).contains(&dead), "{dead}");
    }
}
