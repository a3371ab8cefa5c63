//! The refusals of both providers, as their documentation lists them: status, reason, body.
//!
//! Owns the two tables. APNs: "Handling notification responses from APNs". FCM: "FCM error codes" of the HTTP v1 API,
//! in Google's error model (google.rpc.Status with `FcmError` or `BadRequest` details).

use std::borrow::Cow;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Kind;

/// `@type` of FCM's own error detail.
const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
/// `@type` of a field violation.
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// APNs: reason and the status it comes with.
const APNS: [(&str, u16); 31] = [
    ("BadCollapseId", 400),
    ("BadDeviceToken", 400),
    ("BadExpirationDate", 400),
    ("BadMessageId", 400),
    ("BadPriority", 400),
    ("BadTopic", 400),
    ("DeviceTokenNotForTopic", 400),
    ("DuplicateHeaders", 400),
    ("IdleTimeout", 400),
    ("InvalidPushType", 400),
    ("MissingDeviceToken", 400),
    ("MissingTopic", 400),
    ("PayloadEmpty", 400),
    ("TopicDisallowed", 400),
    ("BadCertificate", 403),
    ("BadCertificateEnvironment", 403),
    ("BadEnvironmentKeyIdInToken", 403),
    ("ExpiredProviderToken", 403),
    ("Forbidden", 403),
    ("InvalidProviderToken", 403),
    ("MissingProviderToken", 403),
    ("UnrelatedKeyIdInToken", 403),
    ("BadPath", 404),
    ("MethodNotAllowed", 405),
    ("ExpiredToken", 410),
    ("Unregistered", 410),
    ("PayloadTooLarge", 413),
    ("TooManyProviderTokenUpdates", 429),
    ("TooManyRequests", 429),
    ("InternalServerError", 500),
    ("ServiceUnavailable", 503),
];

/// APNs' last row; apart from the rest because it announces the end of the connection.
const APNS_SHUTDOWN: (&str, u16) = ("Shutdown", 503);

/// FCM: error code, HTTP status, google.rpc status, message. Those from `UNAUTHENTICATED` on carry no `FcmError`.
const FCM: [(&str, u16, &str, &str); 10] = [
    (
        "INVALID_ARGUMENT",
        400,
        "INVALID_ARGUMENT",
        "The registration token is not a valid FCM registration token",
    ),
    ("THIRD_PARTY_AUTH_ERROR", 401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"),
    ("SENDER_ID_MISMATCH", 403, "PERMISSION_DENIED", "SenderId mismatch"),
    ("UNREGISTERED", 404, "NOT_FOUND", "Requested entity was not found."),
    (
        "QUOTA_EXCEEDED",
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric 'Send requests'",
    ),
    ("INTERNAL", 500, "INTERNAL", "Internal error encountered."),
    ("UNAVAILABLE", 503, "UNAVAILABLE", "The service is currently unavailable."),
    (
        "UNAUTHENTICATED",
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token.",
    ),
    (
        "PERMISSION_DENIED",
        403,
        "PERMISSION_DENIED",
        "Permission denied on the project of this message.",
    ),
    ("NOT_FOUND", 404, "NOT_FOUND", "Method not found."),
];

/// How many rows at the end of [`FCM`] are plain google.rpc errors.
const FCM_PLAIN: usize = 3;

/// One refusal, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The provider's reason, the key of the books.
    pub(crate) reason: &'static str,
    pub(crate) body: Bytes,
    pub(crate) retry_after: Option<u32>,
}

impl Refusal {
    /// The refusal a provider documents under this reason.
    pub(crate) fn by_reason(kind: Kind, reason: &str) -> Option<Self> {
        match kind {
            Kind::Apns => APNS
                .iter()
                .chain([&APNS_SHUTDOWN])
                .find(|row| row.0 == reason)
                .map(|row| Self::apns_row(row.0, row.1, None)),
            Kind::Fcm => FCM.iter().position(|row| row.0 == reason).map(Self::fcm_row),
            // SMTP has replies, not reasons: `smtp::reply`.
            Kind::Smtp => None,
        }
    }

    /// An APNs refusal by its literal reason.
    pub(crate) fn apns(reason: &'static str) -> Self {
        let status = APNS.iter().find(|row| row.0 == reason).map_or(500, |row| row.1);
        Self::apns_row(reason, status, None)
    }

    /// APNs' 410: the token was dead at `timestamp` (Unix milliseconds).
    pub(crate) fn apns_unregistered(timestamp_ms: u64) -> Self {
        Self::apns_row("Unregistered", 410, Some(timestamp_ms))
    }

    /// An FCM refusal by its literal error code.
    pub(crate) fn fcm(code: &'static str) -> Self {
        Self::fcm_row(FCM.iter().position(|row| row.0 == code).unwrap_or(5))
    }

    /// FCM's refusal of a device token: `FcmError` and the field `message.token`.
    pub(crate) fn fcm_bad_token() -> Self {
        let message = "The registration token is not a valid FCM registration token";
        let details = json!([
            {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"},
            {"@type": BAD_REQUEST, "fieldViolations": [{"field": "message.token", "description": message}]},
        ]);
        Self::google(
            400,
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT message.token",
            message,
            Some(details),
        )
    }

    /// FCM's refusal of another field of the request.
    pub(crate) fn fcm_bad_field(field: &str, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        let details = json!([
            {"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": description}]},
        ]);
        Self::google(
            400,
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT payload",
            &description,
            Some(details),
        )
    }

    pub(crate) fn with_retry_after(mut self, seconds: Option<u32>) -> Self {
        self.retry_after = seconds;
        self
    }

    fn apns_row(reason: &'static str, status: u16, timestamp: Option<u64>) -> Self {
        let body = match timestamp {
            Some(timestamp) => json!({"reason": reason, "timestamp": timestamp}),
            None if status == 410 => {
                json!({"reason": reason, "timestamp": super::clock::unix_ms()})
            }
            None => json!({"reason": reason}),
        };
        Self::new(status, reason, &body)
    }

    fn fcm_row(position: usize) -> Self {
        let (code, status, rpc, message) = FCM[position];
        if code == "INVALID_ARGUMENT" {
            return Self::fcm_bad_token();
        }
        let plain = position >= FCM.len() - FCM_PLAIN;
        let details = (!plain).then(|| json!([{"@type": FCM_ERROR, "errorCode": code}]));
        Self::google(status, rpc, code, message, details)
    }

    fn google(
        status: u16,
        rpc: &str,
        reason: &'static str,
        message: &str,
        details: Option<Value>,
    ) -> Self {
        let mut error = json!({"code": status, "message": message, "status": rpc});
        if let (Some(details), Some(object)) = (details, error.as_object_mut()) {
            object.insert("details".to_owned(), details);
        }
        Self::new(status, reason, &json!({ "error": error }))
    }

    fn new(status: u16, reason: &'static str, body: &Value) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            reason,
            body: Bytes::from(body.to_string()),
            retry_after: None,
        }
    }
}

/// Every reason a behaviour may name for this kind.
pub(crate) fn known_reasons(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Apns => APNS.iter().chain([&APNS_SHUTDOWN]).map(|row| row.0).collect(),
        Kind::Fcm => FCM.iter().map(|row| row.0).collect(),
        Kind::Smtp => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apns_answers_its_reason_and_a_timestamp_only_with_410() {
        for reason in known_reasons(Kind::Apns) {
            let refusal = Refusal::by_reason(Kind::Apns, reason).unwrap();
            let body: Value = serde_json::from_slice(&refusal.body).unwrap();
            assert_eq!(body["reason"], reason);
            assert_eq!(body.get("timestamp").is_some(), refusal.status.as_u16() == 410);
        }
    }

    #[test]
    fn fcm_answers_googles_error_model() {
        for code in known_reasons(Kind::Fcm) {
            let refusal = Refusal::by_reason(Kind::Fcm, code).unwrap();
            let body: Value = serde_json::from_slice(&refusal.body).unwrap();
            assert_eq!(body["error"]["code"], refusal.status.as_u16());
            assert!(body["error"]["status"].is_string());
            let details = &body["error"]["details"];
            if details.is_array() {
                assert_eq!(details[0]["@type"], FCM_ERROR);
                assert_eq!(details[0]["errorCode"], code);
            }
        }
    }
}
