//! The request on the wire, header by header.

use std::sync::Arc;

use araldo_actors::domain::citizen::{Language, Platform};
use araldo_actors::domain::id::{DeliveryId, MessageId};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::provider::Notice;

use super::*;
use crate::provider::apns::jwt::TokenSource;

fn push(token: &str, lane: Lane) -> Push {
    let message = MessageId::new(Millis(1_700_000_000_000), 1);
    Push {
        delivery: DeliveryId::of(message, 1, 42),
        message,
        platform: Platform::Apns,
        token: token.to_owned(),
        notice: Arc::new(Notice {
            title: "Titolo".to_owned(),
            body: "Testo".to_owned(),
            language: Language::Italian,
        }),
        lane,
        expires_at: Millis(1_700_000_600_999),
    }
}

fn bearer() -> Bearer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.p8");
    let credentials = araldo_loadtest::simulator::Credentials::generate().unwrap();
    std::fs::write(&path, credentials.apns_key_pem).unwrap();
    let source = TokenSource::from_file(&path, "ABC123DEFG", "DEF123GHIJ").unwrap();
    // Ready at once: nothing is shared.
    let sent = source.bearer(crate::provider::unix_seconds());
    futures_util::FutureExt::now_or_never(sent).unwrap().unwrap()
}

fn requests() -> Requests {
    let endpoint = Endpoint::parse("endpoint", "https://api.push.apple.com:2197").unwrap();
    Requests::new(endpoint, "it.example.app").unwrap()
}

#[test]
fn every_header_is_as_documented_and_the_same_on_every_attempt() {
    let bearer = bearer();
    let push = push("00aaFF", Lane::Normal);
    let request = requests().build(&push, &bearer, true).unwrap();
    assert_eq!(request.uri(), "https://api.push.apple.com:2197/3/device/00aaFF");
    assert_eq!(request.method(), Method::POST);
    let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("apns-topic"), "it.example.app");
    assert_eq!(header("apns-push-type"), "alert");
    assert_eq!(header("apns-priority"), "10");
    assert_eq!(header("apns-expiration"), "1700000600");
    assert_eq!(header("apns-collapse-id"), push.message.to_string());
    assert_eq!(header("apns-id").len(), 36);
    assert!(request.headers()["authorization"].is_sensitive());
    assert_eq!(request.headers().len(), 7);
    let again = requests().build(&push, &bearer, false).unwrap();
    assert_eq!(request.headers(), again.headers());
}

#[test]
fn changing_headers_are_indexed_only_on_the_first_request() {
    let bearer = bearer();
    let push = push("00aaFF", Lane::Normal);
    for indexed in [true, false] {
        let request = requests().build(&push, &bearer, indexed).unwrap();
        for name in ["apns-id", "apns-expiration", "apns-collapse-id"] {
            assert_eq!(request.headers()[name].is_sensitive(), !indexed);
        }
        assert!(!request.headers()["apns-topic"].is_sensitive());
    }
}

#[test]
fn only_bulk_may_wait_for_the_devices_power_state() {
    let bearer = bearer();
    for lane in Lane::ALL {
        let request = requests().build(&push("00", lane), &bearer, true).unwrap();
        let expected = if lane == Lane::Bulk { "5" } else { "10" };
        assert_eq!(request.headers()["apns-priority"], expected);
    }
}

#[test]
fn a_token_that_would_change_the_path_is_never_sent() {
    let bearer = bearer();
    let long = "a".repeat(MAX_TOKEN + 1);
    for token in ["", "a/b", "..", "a?b", "a#b", "a b", "a\r\nb", "à", "%41", &long] {
        assert!(requests().build(&push(token, Lane::Normal), &bearer, true).is_none());
    }
}

#[test]
fn a_topic_that_is_no_bundle_id_is_refused() {
    let endpoint = Endpoint::parse("endpoint", "https://host").unwrap();
    for topic in ["", "it example", "it.example\n", "è"] {
        let error = Requests::new(endpoint.clone(), topic).err().unwrap();
        assert_eq!(error.place, "topic");
    }
}
