//! What the SMTP simulator is told to do wrong, beside what all simulators share.
//!
//! Owns the description (the `smtp` section of a behaviour) and its compiled form. A failure names the stage of the
//! mail transaction it strikes at (RFC 5321, section 3.3) and the reply, or `close` for a connection that ends without
//! one. Who is struck depends on the seed, on whom the stage is about and on how often it was tried, never on time:
//! at `rcpt`, `data` and `body` that is the recipient, at `end` the Message-ID; `connect` and `mail` know neither, there
//! it is the number of the connection or transaction.

use serde::{Deserialize, Serialize};

use super::reply::Reply;
use crate::simulator::error::SimulatorError;
use crate::simulator::mix::{mix2, unit};

/// The `smtp` section of a behaviour. Absent fields mean "well behaved".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpBehaviour {
    /// What is refused or cut off, the first that strikes counts.
    pub failures: Vec<SmtpFailure>,
    /// First-time recipients are put off.
    pub greylist: Option<Greylist>,
    /// Milliseconds before every reply but the one after the dot (that one is delayed by `latency_ms`).
    pub command_delay_ms: u32,
}

/// Greylisting: a pair of sender and recipient that was never seen is answered `451 4.7.1` at RCPT, until either condition
/// holds; then it passes for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greylist {
    /// Passes when this many seconds went by since the first try. 0: with the second try.
    pub seconds: u32,
    /// Passes at the try with this number, however early.
    #[serde(default)]
    pub attempts: Option<u32>,
}

/// Where in a mail transaction something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpStage {
    /// Instead of the greeting.
    Connect,
    /// In answer to MAIL.
    Mail,
    /// In answer to RCPT: this recipient only.
    Rcpt,
    /// In answer to DATA, before the content.
    Data,
    /// After the 354, before any content is read: `close` only.
    Body,
    /// In answer to the dot; the mail is not taken.
    End,
}

impl SmtpStage {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Body => "body",
            Self::End => "end",
        }
    }
}

/// One kind of failure and how often it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpFailure {
    /// Where.
    pub at: SmtpStage,
    /// The reply, for example `451 4.3.0 Try again later`, `550 5.1.1`, `550`; 421 also closes. `close`: the connection
    /// ends without a reply.
    pub reply: String,
    /// Share of those it can strike.
    pub share: f64,
    /// Only recipients that match (`*` stands for any text, case does not matter); at `data`, `body` and `end` one match
    /// among the recipients suffices.
    #[serde(default)]
    pub recipient: Option<String>,
    /// Only the first so many tries: of the recipient at this stage, of the Message-ID at `end`, of the simulator at
    /// `connect` and `mail`.
    #[serde(default)]
    pub first_attempts: Option<u32>,
}

impl SmtpFailure {
    /// A failure that strikes every time.
    #[must_use]
    pub fn always(at: SmtpStage, reply: &str) -> Self {
        Self { at, reply: reply.to_owned(), share: 1.0, recipient: None, first_attempts: None }
    }
}

/// What to do at a stage that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answer this; close after it when it is a 421.
    Refuse(Reply),
    /// Close without an answer.
    Close,
}

struct Compiled {
    at: SmtpStage,
    fault: Fault,
    share: f64,
    recipient: Option<String>,
    first_attempts: u32,
}

/// The section checked and ready to decide.
#[derive(Default)]
pub(crate) struct SmtpPlan {
    failures: Vec<Compiled>,
    pub(crate) greylist: Option<Greylist>,
    pub(crate) command_delay_ms: u64,
}

impl SmtpPlan {
    pub(crate) fn new(told: &SmtpBehaviour) -> Result<Self, SimulatorError> {
        let failures = told
            .failures
            .iter()
            .enumerate()
            .map(|(position, failure)| {
                compile(failure).map_err(|reason| {
                    SimulatorError::Behaviour(format!("smtp.failures[{position}].{reason}"))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            failures,
            greylist: told.greylist,
            command_delay_ms: u64::from(told.command_delay_ms),
        })
    }

    /// Whether anything can go wrong at this stage.
    pub(crate) fn can_fail(&self, at: SmtpStage) -> bool {
        self.failures.iter().any(|failure| failure.at == at)
    }

    /// What goes wrong at this stage for `whom` at try number `attempt` (from 0).
    pub(crate) fn fault(
        &self,
        seed: u64,
        at: SmtpStage,
        whom: u64,
        attempt: u32,
        recipients: &[String],
    ) -> Option<&Fault> {
        let draw = |place: usize| {
            let salt = mix2(place as u64, u64::from(attempt));
            unit(mix2(seed ^ salt, whom))
        };
        let strikes = |place: usize, failure: &Compiled| {
            failure.at == at
                && attempt < failure.first_attempts
                && draw(place) < failure.share
                && failure.recipient.as_ref().is_none_or(|pattern| {
                    recipients.iter().any(|recipient| matches(pattern, recipient))
                })
        };
        let hit =
            self.failures.iter().enumerate().find(|(place, failure)| strikes(*place, failure));
        hit.map(|(_, failure)| &failure.fault)
    }
}

fn compile(failure: &SmtpFailure) -> Result<Compiled, String> {
    if !(0.0..=1.0).contains(&failure.share) {
        return Err(format!("share is {}, must be between 0 and 1", failure.share));
    }
    if failure.recipient.is_some() && matches!(failure.at, SmtpStage::Connect | SmtpStage::Mail) {
        return Err(format!("recipient: no recipient is known at `{}`", failure.at.name()));
    }
    let fault = if failure.reply == "close" {
        Fault::Close
    } else if failure.at == SmtpStage::Body {
        return Err("reply: at `body` only `close` is possible".to_owned());
    } else {
        Fault::Refuse(Reply::parse(failure.at.name(), &failure.reply)?)
    };
    Ok(Compiled {
        at: failure.at,
        fault,
        share: failure.share,
        recipient: failure.recipient.as_ref().map(|pattern| pattern.to_ascii_lowercase()),
        first_attempts: failure.first_attempts.unwrap_or(u32::MAX),
    })
}

/// Whether a lower-case text matches a lower-case pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pattern.rsplit_once('*').map(|(_, last)| last) else {
        return rest.is_empty();
    };
    let middle = pattern.matches('*').count() - 1;
    for part in parts.take(middle) {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(failures: Vec<SmtpFailure>) -> SmtpPlan {
        SmtpPlan::new(&SmtpBehaviour { failures, ..SmtpBehaviour::default() }).unwrap()
    }

    #[test]
    fn patterns_match_whole_addresses() {
        for (pattern, text, expected) in [
            ("*@gone.example", "a@gone.example", true),
            ("*@gone.example", "a@gone.example.org", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a@b.example", "a@b.example", true),
            ("a@b.example", "aa@b.example", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_share_strikes_the_same_recipients_in_every_run_and_only_the_first_tries_asked() {
        let mut failure = SmtpFailure::always(SmtpStage::Rcpt, "451 4.3.0");
        failure.share = 0.3;
        failure.first_attempts = Some(1);
        let (one, two) = (plan(vec![failure.clone()]), plan(vec![failure]));
        let struck = |plan: &SmtpPlan, attempt| -> Vec<u64> {
            let hit = |whom: &u64| plan.fault(7, SmtpStage::Rcpt, *whom, attempt, &[]).is_some();
            (0..10_000).filter(hit).collect()
        };
        assert_eq!(struck(&one, 0), struck(&two, 0));
        assert!((2_800..3_200).contains(&struck(&one, 0).len()));
        assert!(struck(&one, 1).is_empty());
        assert!(one.fault(7, SmtpStage::End, 1, 0, &[]).is_none());
    }

    #[test]
    fn one_recipient_of_many_can_be_named() {
        let mut failure = SmtpFailure::always(SmtpStage::Rcpt, "550 5.1.1 No such user");
        failure.recipient = Some("*@Gone.example".to_owned());
        let plan = plan(vec![failure]);
        let asked =
            |address: &str| plan.fault(1, SmtpStage::Rcpt, 1, 0, &[address.to_owned()]).is_some();
        assert!(asked("b@gone.example") && !asked("a@posta.example"));
    }

    #[test]
    fn a_contradiction_is_refused_with_its_place() {
        for (at, reply, expected) in [
            (SmtpStage::Body, "451", "only `close`"),
            (SmtpStage::Rcpt, "250 ok", "4 or 5"),
            (SmtpStage::Rcpt, "soon", "three digits"),
            (SmtpStage::End, "550 4.1.1", "class"),
        ] {
            let failures = vec![SmtpFailure::always(at, reply)];
            let told = SmtpBehaviour { failures, ..SmtpBehaviour::default() };
            let text = SmtpPlan::new(&told).err().unwrap().to_string();
            assert!(text.contains("smtp.failures[0].reply") && text.contains(expected), "{text}");
        }
    }
}
