//! Every row of Apple's table, and what is in no table.

use super::*;

const AFTER: Option<Duration> = Some(Duration::from_secs(7));
const GONE: Option<Millis> = Some(Millis(1_700_000_000_000));

fn full(status: u16, reason: &str) -> Answer {
    answer(status, Some(reason), GONE, AFTER)
}

#[test]
fn accepted_is_200_and_nothing_else() {
    assert_eq!(answer(200, None, None, None), Answer::Accepted);
    assert_ne!(answer(201, None, None, None), Answer::Accepted);
}

#[test]
fn a_bad_token_is_dropped_and_never_repeated() {
    for reason in ["BadDeviceToken", "DeviceTokenNotForTopic"] {
        assert_eq!(full(400, reason), Answer::DropToken { registered_before: None, reason });
    }
}

#[test]
fn a_gone_token_is_dropped_only_if_registered_before() {
    for reason in ["Unregistered", "ExpiredToken"] {
        assert_eq!(full(410, reason), Answer::DropToken { registered_before: GONE, reason });
        assert_eq!(
            answer(410, Some(reason), None, None),
            Answer::Fail { failure: Failure::EndpointGone, reason }
        );
    }
}

#[test]
fn our_own_faults_stop_the_route() {
    for (status, reason) in [
        (400, "BadCollapseId"),
        (400, "BadExpirationDate"),
        (400, "BadMessageId"),
        (400, "BadPriority"),
        (400, "BadTopic"),
        (400, "DuplicateHeaders"),
        (400, "InvalidPushType"),
        (400, "MissingDeviceToken"),
        (400, "MissingTopic"),
        (400, "PayloadEmpty"),
        (400, "TopicDisallowed"),
        (403, "InvalidProviderToken"),
        (403, "MissingProviderToken"),
        (403, "BadCertificate"),
        (403, "BadCertificateEnvironment"),
        (403, "Forbidden"),
        (403, "BadEnvironmentKeyIdInToken"),
        (403, "BadEnvironmentKeyInToken"),
        (404, "BadPath"),
        (405, "MethodNotAllowed"),
    ] {
        assert_eq!(full(status, reason), Answer::Halt { reason });
    }
}

#[test]
fn what_needs_another_connection_or_token_goes_elsewhere_at_once() {
    for (status, reason) in [
        (400, "IdleTimeout"),
        (403, "ExpiredProviderToken"),
        (403, "UnrelatedKeyIdInToken"),
        (503, "Shutdown"),
    ] {
        assert_eq!(full(status, reason), Answer::RetryElsewhere { reason });
    }
}

#[test]
fn a_large_payload_ends_its_delivery_alone() {
    let reason = "PayloadTooLarge";
    assert_eq!(full(413, reason), Answer::Fail { failure: Failure::RefusedContent, reason });
}

#[test]
fn a_busy_device_is_asked_again_later() {
    let reason = "TooManyRequests";
    assert_eq!(full(429, reason), Answer::RetryDelivery { after: AFTER, reason });
}

#[test]
fn a_failing_server_is_asked_again_later() {
    for (status, reason) in [(500, "InternalServerError"), (503, "ServiceUnavailable")] {
        assert_eq!(full(status, reason), Answer::ProviderFailed { after: AFTER, reason });
    }
}

#[test]
fn too_many_token_updates_slow_the_route() {
    let reason = "TooManyProviderTokenUpdates";
    assert_eq!(full(429, reason), Answer::RetryRoute { after: AFTER, reason });
}

#[test]
fn an_unknown_reason_is_judged_by_status() {
    let failed = |reason| Answer::Fail { failure: Failure::RefusedContent, reason };
    assert_eq!(full(400, "NewReason"), failed("unknown_4xx"));
    assert_eq!(full(413, "NewReason"), failed("unknown_4xx"));
    assert_eq!(full(401, "NewReason"), Answer::Halt { reason: "unknown_401" });
    assert_eq!(full(403, "NewReason"), Answer::Halt { reason: "unknown_403" });
    assert_eq!(full(404, "NewReason"), Answer::Halt { reason: "unknown_404" });
    assert_eq!(full(429, "NewReason"), Answer::RetryRoute { after: AFTER, reason: "unknown_429" });
    for status in [500, 502, 503, 504, 599] {
        assert_eq!(
            full(status, "NewReason"),
            Answer::ProviderFailed { after: AFTER, reason: "unknown_5xx" }
        );
    }
}

#[test]
fn a_token_is_dropped_only_for_the_exact_status_and_reason() {
    for (status, _, _) in ROWS {
        for (expected, reason, meaning) in ROWS {
            let drops = matches!(meaning, Meaning::Drop | Meaning::DropIfOlder);
            let dropped = matches!(full(status, reason), Answer::DropToken { .. });
            assert_eq!(dropped, drops && status == expected, "{status} {reason}");
        }
        assert!(!matches!(full(status, "NewReason"), Answer::DropToken { .. }));
        assert!(!matches!(answer(status, None, GONE, None), Answer::DropToken { .. }));
    }
}

#[test]
fn a_body_that_is_not_apples_json_says_nothing() {
    for bytes in [&b""[..], b"<html>", b"[]", b"{\"reason\":5}", b"{\"reason\":\"x\",\"tim"] {
        assert_eq!(Body::read(bytes).reason(), None);
    }
    let body = Body::read(br#"{"reason":"Unregistered","timestamp":1700000000000}"#);
    assert_eq!((body.reason(), body.timestamp()), (Some("Unregistered"), GONE));
}
