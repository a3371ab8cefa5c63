//! What a relay's answers mean.
//!
//! Owns the table from (where in the session, code, enhanced code) to the
//! engine's [`Answer`] (RFC 5321, 4.2 and 4.5.4; RFC 3463). Pure: what follows
//! for the session is [`session`](super::session)'s business.
//!
//! What is refused before a recipient is named, or for want of credentials,
//! meets every mail alike: the route halts or slows down and the mails wait.
//! Only what a relay says of one recipient or one mail ends a delivery, and
//! only "no such mailbox" (5.1.1, 5.1.6) costs the citizen the address: a bare
//! 550 is used for everything.
//!
//! A 4xx waits at least the route's base delay, since RFC 5321, 4.5.4.1 asks
//! for 30 minutes between attempts: the delay goes along as the relay's wish,
//! which the engine never shortens. A 421 is about the session, so that the
//! breaker, not the delivery, decides when to try again.

use std::time::Duration;

use araldo_actors::domain::outcome::Failure;
use araldo_actors::port::provider::{Answer, Reason};

use super::reply::Status;

/// Where in a transaction a reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// To MAIL FROM.
    Mail,
    /// To RCPT TO.
    Recipient,
    /// To DATA.
    Data,
    /// To the end of the mail.
    End,
}

/// Why a mail, or one of its recipients, was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The relay refused it.
    Refused(Stage, Status),
    /// The relay never had the end of the mail.
    NotSent(Reason),
    /// The relay had all of it and did not answer.
    Unknown(Reason),
    /// Larger than the relay takes (SIZE, RFC 1870).
    TooLarge,
    /// The address needs SMTPUTF8 (RFC 6531), which the relay does not offer.
    NotAscii,
}

/// What `outcome` of a delivery means; a 4xx waits at least `wait`.
#[must_use]
pub fn answer(outcome: Result<(), Fault>, wait: Duration) -> Answer {
    match outcome {
        Ok(()) => Answer::Accepted,
        Err(Fault::Refused(stage, status)) => refused(stage, status, wait),
        Err(Fault::NotSent(reason)) => Answer::RetryElsewhere { reason },
        Err(Fault::Unknown(reason)) => Answer::Unknown { reason },
        Err(Fault::TooLarge) => {
            Answer::Fail { failure: Failure::RefusedContent, reason: "larger than SIZE" }
        }
        Err(Fault::NotAscii) => {
            Answer::Fail { failure: Failure::RefusedEndpoint, reason: "address needs SMTPUTF8" }
        }
    }
}

fn refused(stage: Stage, status: Status, wait: Duration) -> Answer {
    let reason = reason(stage, status);
    if status.code == 421 {
        // Postfix says so when a session was idle, just as the next mail comes.
        return if stage == Stage::Mail && status.is(4, 2) {
            Answer::RetryElsewhere { reason }
        } else {
            Answer::RetryRoute { after: None, reason }
        };
    }
    if status.is_transient() {
        return match stage {
            Stage::Mail => Answer::RetryRoute { after: None, reason },
            _ => Answer::RetryDelivery { after: Some(wait), reason },
        };
    }
    if status.code / 100 != 5 {
        // Neither yes nor no: not what the command can be answered with.
        return Answer::ProviderFailed { after: Some(wait), reason: "unexpected reply" };
    }
    let content = Answer::Fail { failure: Failure::RefusedContent, reason };
    let too_large = status.is(3, 4) || status.is(2, 3);
    let credentials = matches!(status.code, 530 | 535) || status.is(7, 26);
    match stage {
        _ if credentials => Answer::Halt { reason },
        Stage::Mail if status.code == 552 || too_large => content,
        Stage::Mail => Answer::Halt { reason },
        Stage::Recipient if too_large => content,
        Stage::Recipient if status.is(1, 1) || status.is(1, 6) => {
            Answer::DropToken { registered_before: None, reason }
        }
        Stage::Recipient => Answer::Fail { failure: Failure::RefusedEndpoint, reason },
        Stage::Data | Stage::End => content,
    }
}

/// Names for the enhanced codes that say most (RFC 3463, RFC 7372), by subject
/// and detail.
const ENHANCED: [(u16, u16, Reason); 20] = [
    (1, 1, "no such mailbox (x.1.1)"),
    (1, 2, "no such domain (x.1.2)"),
    (1, 3, "bad address (x.1.3)"),
    (1, 6, "mailbox moved (x.1.6)"),
    (1, 8, "bad sender address (x.1.8)"),
    (2, 1, "mailbox disabled (x.2.1)"),
    (2, 2, "mailbox full (x.2.2)"),
    (2, 3, "mail too large (x.2.3)"),
    (3, 1, "system full (x.3.1)"),
    (3, 2, "system not accepting (x.3.2)"),
    (3, 4, "mail too large (x.3.4)"),
    (4, 1, "no answer from host (x.4.1)"),
    (4, 2, "connection timed out (x.4.2)"),
    (5, 1, "bad sequence (x.5.1)"),
    (5, 3, "too many recipients (x.5.3)"),
    (7, 0, "security (x.7.0)"),
    (7, 1, "not authorized (x.7.1)"),
    (7, 8, "wrong credentials (x.7.8)"),
    (7, 26, "not authenticated (x.7.26)"),
    (7, 28, "rate limited (x.7.28)"),
];

/// Names for the codes, where the enhanced one says nothing.
const CODES: [(u16, Reason); 14] = [
    (421, "421"),
    (450, "450"),
    (451, "451"),
    (452, "452"),
    (454, "454"),
    (501, "501"),
    (503, "503"),
    (530, "530"),
    (535, "535"),
    (550, "550"),
    (551, "551"),
    (552, "552"),
    (553, "553"),
    (554, "554"),
];

/// The word for a refusal: from fixed lists, never the relay's text, in which
/// addresses stand.
fn reason(stage: Stage, status: Status) -> Reason {
    let enhanced = status.enhanced.and_then(|(_, subject, detail)| {
        ENHANCED.iter().find(|(s, d, _)| (*s, *d) == (subject, detail)).map(|row| row.2)
    });
    let code = || CODES.iter().find(|(code, _)| *code == status.code).map(|row| row.1);
    enhanced.or_else(code).unwrap_or(match (stage, status.is_transient()) {
        (Stage::Mail, true) => "4xx to MAIL",
        (Stage::Mail, false) => "5xx to MAIL",
        (Stage::Recipient, true) => "4xx to RCPT",
        (Stage::Recipient, false) => "5xx to RCPT",
        (Stage::Data | Stage::End, true) => "4xx to DATA",
        (Stage::Data | Stage::End, false) => "5xx to DATA",
    })
}

#[cfg(test)]
mod tests;
