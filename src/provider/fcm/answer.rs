//! What FCM's answers mean.
//!
//! Owns the table of "FCM error codes" and the reading of Google's error
//! model (`google.rpc.Status` with `FcmError` and `BadRequest` details). Pure:
//! refreshing the access token is the link's business.
//!
//! A token is dropped for `UNREGISTERED`, and for `INVALID_ARGUMENT` only when
//! FCM's own detail *and* the field `message.token` say so. Of the other
//! fields, those that carry the citizen's content end one delivery; the rest
//! are the same in every request, so the route halts.

use std::borrow::Cow;
use std::time::Duration;

use araldo_actors::domain::outcome::Failure;
use araldo_actors::port::provider::Answer;
use serde::Deserialize;

use super::{QUOTA_RETRY, SHORTEST_RETRY};
use crate::provider::status::by_status;

/// Type name of FCM's own error detail.
const FCM_ERROR: &str = "google.firebase.fcm.v1.FcmError";
/// Type name of the detail that names fields.
const BAD_REQUEST: &str = "google.rpc.BadRequest";

/// The body of a refusal.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorBody<'a> {
    #[serde(borrow, default)]
    error: Status<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    details: Vec<Detail<'a>>,
}

#[derive(Debug, Deserialize)]
struct Detail<'a> {
    #[serde(borrow, rename = "@type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "errorCode", default)]
    error_code: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "fieldViolations", default)]
    field_violations: Vec<Violation<'a>>,
}

#[derive(Debug, Deserialize)]
struct Violation<'a> {
    #[serde(borrow, default)]
    field: Cow<'a, str>,
}

impl<'a> ErrorBody<'a> {
    /// Reads a body; one that is not Google's JSON says nothing.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    fn of_type(&self, name: &str) -> impl Iterator<Item = &Detail<'a>> {
        let name = name.to_owned();
        self.error
            .details
            .iter()
            .filter(move |detail| detail.kind.rsplit('/').next().is_some_and(|kind| kind == name))
    }

    /// FCM's own error code.
    fn fcm_code(&self) -> Option<&str> {
        self.of_type(FCM_ERROR).find_map(|detail| detail.error_code.as_deref())
    }

    fn fields(&self) -> impl Iterator<Item = &str> {
        self.of_type(BAD_REQUEST)
            .flat_map(|detail| detail.field_violations.iter())
            .map(|violation| violation.field.as_ref())
    }
}

/// What an answer means: `status`, the error in its body, and `Retry-After`.
#[must_use]
pub fn answer(status: u16, body: &ErrorBody<'_>, retry_after: Option<Duration>) -> Answer {
    let later = |reason| {
        let after = Some(retry_after.unwrap_or(SHORTEST_RETRY));
        Answer::ProviderFailed { after, reason }
    };
    let quota =
        |reason| Answer::RetryRoute { after: Some(retry_after.unwrap_or(QUOTA_RETRY)), reason };
    let rpc = body.error.status.as_ref();
    match (status, body.fcm_code(), rpc) {
        (200, _, _) => Answer::Accepted,
        (400, code, "INVALID_ARGUMENT") => invalid_argument(code, body),
        (401, Some("THIRD_PARTY_AUTH_ERROR"), _) => {
            Answer::Halt { reason: "THIRD_PARTY_AUTH_ERROR" }
        }
        (403, Some("SENDER_ID_MISMATCH"), _) => {
            Answer::Fail { failure: Failure::RefusedEndpoint, reason: "SENDER_ID_MISMATCH" }
        }
        (404, Some("UNREGISTERED"), _) => {
            Answer::DropToken { registered_before: None, reason: "UNREGISTERED" }
        }
        // The path or the project, never the token.
        (404, None, "NOT_FOUND") => Answer::Halt { reason: "NOT_FOUND" },
        (401 | 403, None, "UNAUTHENTICATED") => Answer::Halt { reason: "UNAUTHENTICATED" },
        (401 | 403, None, "PERMISSION_DENIED") => Answer::Halt { reason: "PERMISSION_DENIED" },
        (429, Some("QUOTA_EXCEEDED"), _) => quota("QUOTA_EXCEEDED"),
        (429, _, "RESOURCE_EXHAUSTED") => quota("RESOURCE_EXHAUSTED"),
        (429, _, _) => quota("unknown_429"),
        (500, Some("INTERNAL"), _) | (500, None, "INTERNAL") => later("INTERNAL"),
        (503, Some("UNAVAILABLE"), _) | (503, None, "UNAVAILABLE") => later("UNAVAILABLE"),
        (500..=599, _, _) => later("unknown_5xx"),
        _ => by_status(status, retry_after),
    }
}

fn invalid_argument(code: Option<&str>, body: &ErrorBody<'_>) -> Answer {
    let fcm = code == Some("INVALID_ARGUMENT");
    let mut token = false;
    let mut content = false;
    let mut other = false;
    for field in body.fields() {
        match field {
            "message.token" => token = true,
            "message" => content = true,
            _ if field.starts_with("message.notification") => content = true,
            _ if field.starts_with("message.data") => content = true,
            _ => other = true,
        }
    }
    let failed = |failure| Answer::Fail { failure, reason: "INVALID_ARGUMENT" };
    match (token, content, other) {
        (_, _, true) => Answer::Halt { reason: "INVALID_ARGUMENT" },
        (true, false, false) if fcm => {
            Answer::DropToken { registered_before: None, reason: "INVALID_ARGUMENT" }
        }
        (true, false, false) => failed(Failure::RefusedEndpoint),
        (_, _, false) => failed(Failure::RefusedContent),
    }
}

#[cfg(test)]
mod tests;
