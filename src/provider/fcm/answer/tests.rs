//! Every row of Google's table, and what is in no table.

use super::*;
use serde_json::{Value, json};

const AFTER: Option<Duration> = Some(Duration::from_secs(7));
const TYPE: &str = "type.googleapis.com/";

fn read(status: u16, rpc: &str, details: &Value, retry_after: Option<Duration>) -> Answer {
    let body = json!({
        "error": {"code": status, "message": "text", "status": rpc, "details": details}
    });
    answer(status, &ErrorBody::read(body.to_string().as_bytes()), retry_after)
}

fn fcm(status: u16, rpc: &str, code: &str, retry_after: Option<Duration>) -> Answer {
    read(status, rpc, &json!([fcm_detail(code)]), retry_after)
}

fn plain(status: u16, rpc: &str) -> Answer {
    let body = json!({"error": {"code": status, "message": "text", "status": rpc}});
    answer(status, &ErrorBody::read(body.to_string().as_bytes()), None)
}

fn fcm_detail(code: &str) -> Value {
    json!({"@type": format!("{TYPE}{FCM_ERROR}"), "errorCode": code})
}

fn field_detail(field: &str) -> Value {
    json!({
        "@type": format!("{TYPE}{BAD_REQUEST}"),
        "fieldViolations": [{"field": field, "description": "text"}],
    })
}

fn failed(failure: Failure, reason: &'static str) -> Answer {
    Answer::Fail { failure, reason }
}

#[test]
fn accepted_is_200() {
    let body = ErrorBody::read(br#"{"name":"projects/p/messages/1"}"#);
    assert_eq!(answer(200, &body, None), Answer::Accepted);
}

#[test]
fn an_invalid_token_is_dropped_only_when_error_and_field_say_so() {
    let reason = "INVALID_ARGUMENT";
    let both = json!([fcm_detail(reason), field_detail("message.token")]);
    let dropped = Answer::DropToken { registered_before: None, reason };
    assert_eq!(read(400, reason, &both, None), dropped);
    for (details, failure) in [
        (json!([fcm_detail(reason)]), Failure::RefusedContent),
        (json!([field_detail("message.token")]), Failure::RefusedEndpoint),
        (json!([]), Failure::RefusedContent),
    ] {
        assert_eq!(read(400, reason, &details, None), failed(failure, reason));
    }
}

#[test]
fn another_field_is_our_fault() {
    let reason = "INVALID_ARGUMENT";
    for field in ["message", "message.notification.body", "message.data", "message.data[0].key"] {
        for details in
            [json!([field_detail(field)]), json!([fcm_detail(reason), field_detail(field)])]
        {
            let expected = failed(Failure::RefusedContent, reason);
            assert_eq!(read(400, reason, &details, None), expected, "{field}");
        }
    }
    for field in ["message.android.ttl", "message.android.priority", "validate_only", ""] {
        let details = json!([fcm_detail(reason), field_detail(field)]);
        assert_eq!(read(400, reason, &details, None), Answer::Halt { reason }, "{field}");
    }
}

#[test]
fn credentials_stop_the_route_and_never_touch_tokens() {
    let reason = "THIRD_PARTY_AUTH_ERROR";
    assert_eq!(fcm(401, "UNAUTHENTICATED", reason, None), Answer::Halt { reason });
    for status in [401, 403] {
        for reason in ["UNAUTHENTICATED", "PERMISSION_DENIED"] {
            assert_eq!(plain(status, reason), Answer::Halt { reason });
        }
    }
}

#[test]
fn a_token_of_another_project_fails_and_stays() {
    let reason = "SENDER_ID_MISMATCH";
    let expected = failed(Failure::RefusedEndpoint, reason);
    assert_eq!(fcm(403, "PERMISSION_DENIED", reason, None), expected);
}

#[test]
fn an_unregistered_token_is_dropped_but_a_wrong_path_halts() {
    let reason = "UNREGISTERED";
    let dropped = Answer::DropToken { registered_before: None, reason };
    assert_eq!(fcm(404, "NOT_FOUND", reason, None), dropped);
    assert_eq!(plain(404, "NOT_FOUND"), Answer::Halt { reason: "NOT_FOUND" });
    let page = ErrorBody::read(b"<html>");
    assert_eq!(answer(404, &page, None), Answer::Halt { reason: "unknown_404" });
}

#[test]
fn quota_slows_the_project_by_retry_after_or_a_minute() {
    let minute = Some(Duration::from_secs(60));
    for (given, after) in [(AFTER, AFTER), (None, minute)] {
        let reason = "QUOTA_EXCEEDED";
        let expected = Answer::RetryRoute { after, reason };
        assert_eq!(fcm(429, "RESOURCE_EXHAUSTED", reason, given), expected);
    }
    let reason = "RESOURCE_EXHAUSTED";
    assert_eq!(plain(429, reason), Answer::RetryRoute { after: minute, reason });
    let nothing = ErrorBody::default();
    let expected = Answer::RetryRoute { after: minute, reason: "unknown_429" };
    assert_eq!(answer(429, &nothing, None), expected);
}

#[test]
fn server_trouble_is_repeated_after_retry_after_or_ten_seconds() {
    let ten = Some(Duration::from_secs(10));
    for (status, reason) in [(500, "INTERNAL"), (503, "UNAVAILABLE")] {
        for (given, after) in [(AFTER, AFTER), (None, ten)] {
            let expected = Answer::ProviderFailed { after, reason };
            assert_eq!(fcm(status, reason, reason, given), expected);
        }
        assert_eq!(plain(status, reason), Answer::ProviderFailed { after: ten, reason });
    }
    for status in [500, 502, 503, 504, 599] {
        let expected = Answer::ProviderFailed { after: AFTER, reason: "unknown_5xx" };
        assert_eq!(answer(status, &ErrorBody::read(b"<html>"), AFTER), expected);
    }
}

#[test]
fn an_unknown_code_is_judged_by_status_and_drops_nothing() {
    for status in 100..600 {
        let answer = fcm(status, "NEW", "NEW", None);
        assert!(!matches!(answer, Answer::DropToken { .. }), "{status}");
    }
    assert_eq!(fcm(400, "NEW", "NEW", None), failed(Failure::RefusedContent, "unknown_4xx"));
    assert_eq!(fcm(401, "NEW", "NEW", None), Answer::Halt { reason: "unknown_401" });
    assert_eq!(fcm(403, "NEW", "NEW", None), Answer::Halt { reason: "unknown_403" });
}

#[test]
fn a_code_with_another_status_than_its_own_drops_nothing() {
    for status in [400, 401, 403, 410, 429, 500, 503] {
        let answer = fcm(status, "NOT_FOUND", "UNREGISTERED", None);
        assert!(!matches!(answer, Answer::DropToken { .. }), "{status}");
    }
}
