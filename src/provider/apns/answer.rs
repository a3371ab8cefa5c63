//! What APNs' answers mean.
//!
//! Owns the table of "Handling notification responses from APNs". Pure: what
//! follows for the connection or the provider token is the link's business.
//!
//! Where Apple's reason is the fault of the request's form (headers, path,
//! topic, credentials) every delivery would meet it, so the route halts and
//! the deliveries wait. Only what can depend on one message or one device ends
//! a single delivery. A row counts only with its documented status; a reason
//! nobody documented is judged by status alone and never drops a token.

use std::borrow::Cow;
use std::time::Duration;

use araldo_actors::domain::outcome::Failure;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::provider::Answer;
use serde::Deserialize;

use crate::provider::status::by_status;

#[derive(Clone, Copy)]
enum Meaning {
    /// Drop the token.
    Drop,
    /// Drop the token if our registration is older than the timestamp.
    DropIfOlder,
    /// Our configuration or credentials.
    Halt,
    /// This content can never be taken.
    Content,
    /// Another connection, at once.
    Elsewhere,
    /// This delivery, later.
    Later,
    /// This delivery, later; the provider failed.
    Failed,
    /// The whole route, later.
    RouteLater,
}

const ROWS: [(u16, &str, Meaning); 33] = [
    (400, "BadCollapseId", Meaning::Halt),
    (400, "BadDeviceToken", Meaning::Drop),
    (400, "BadExpirationDate", Meaning::Halt),
    (400, "BadMessageId", Meaning::Halt),
    (400, "BadPriority", Meaning::Halt),
    (400, "BadTopic", Meaning::Halt),
    (400, "DeviceTokenNotForTopic", Meaning::Drop),
    (400, "DuplicateHeaders", Meaning::Halt),
    (400, "IdleTimeout", Meaning::Elsewhere),
    (400, "InvalidPushType", Meaning::Halt),
    (400, "MissingDeviceToken", Meaning::Halt),
    (400, "MissingTopic", Meaning::Halt),
    (400, "PayloadEmpty", Meaning::Halt),
    (400, "TopicDisallowed", Meaning::Halt),
    (403, "BadCertificate", Meaning::Halt),
    (403, "BadCertificateEnvironment", Meaning::Halt),
    (403, "BadEnvironmentKeyIdInToken", Meaning::Halt),
    // The same as the row above, in the spelling also seen on the wire.
    (403, "BadEnvironmentKeyInToken", Meaning::Halt),
    // The link renews the provider token first.
    (403, "ExpiredProviderToken", Meaning::Elsewhere),
    (403, "Forbidden", Meaning::Halt),
    (403, "InvalidProviderToken", Meaning::Halt),
    (403, "MissingProviderToken", Meaning::Halt),
    // The link ends the connection first.
    (403, "UnrelatedKeyIdInToken", Meaning::Elsewhere),
    (404, "BadPath", Meaning::Halt),
    (405, "MethodNotAllowed", Meaning::Halt),
    (410, "ExpiredToken", Meaning::DropIfOlder),
    (410, "Unregistered", Meaning::DropIfOlder),
    (413, "PayloadTooLarge", Meaning::Content),
    // The link fills in how long the provider token must be kept.
    (429, "TooManyProviderTokenUpdates", Meaning::RouteLater),
    (429, "TooManyRequests", Meaning::Later),
    (500, "InternalServerError", Meaning::Failed),
    (503, "ServiceUnavailable", Meaning::Failed),
    (503, "Shutdown", Meaning::Elsewhere),
];

/// What an answer means: `status`, the body's `reason` and `timestamp`
/// (milliseconds), and `Retry-After`.
#[must_use]
pub fn answer(
    status: u16,
    reason: Option<&str>,
    timestamp: Option<Millis>,
    retry_after: Option<Duration>,
) -> Answer {
    let row = reason
        .and_then(|text| ROWS.iter().find(|(known, name, _)| *known == status && *name == text));
    let Some(&(_, reason, meaning)) = row else {
        return by_status(status, retry_after);
    };
    match meaning {
        Meaning::Drop => Answer::DropToken { registered_before: None, reason },
        Meaning::DropIfOlder => match timestamp {
            Some(before) => Answer::DropToken { registered_before: Some(before), reason },
            // Without its instant it cannot be told whether a newer registration is meant.
            None => Answer::Fail { failure: Failure::EndpointGone, reason },
        },
        Meaning::Halt => Answer::Halt { reason },
        Meaning::Content => Answer::Fail { failure: Failure::RefusedContent, reason },
        Meaning::Elsewhere => Answer::RetryElsewhere { reason },
        Meaning::Later => Answer::RetryDelivery { after: retry_after, reason },
        Meaning::Failed => Answer::ProviderFailed { after: retry_after, reason },
        Meaning::RouteLater => Answer::RetryRoute { after: retry_after, reason },
    }
}

/// The body of a refusal.
#[derive(Default, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(default)]
    timestamp: Option<u64>,
}

impl<'a> Body<'a> {
    /// Reads a body; one that is not Apple's JSON says nothing.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(super) fn timestamp(&self) -> Option<Millis> {
        self.timestamp.map(Millis)
    }
}

#[cfg(test)]
mod tests;
