//! The body of an FCM request.
//!
//! Owns its shape and Google's limit of 4,096 bytes, which is kept for the
//! whole body but the token (Google counts notification and data), by
//! shortening the text. One buffer, written once. Every attempt of a delivery
//! writes the same ids, collapse key and tag; only `ttl` shrinks with time.

use araldo_actors::domain::lane::Lane;
use araldo_actors::port::provider::Push;

use crate::provider::id_text::{ULID_LEN, UUID_LEN, put_decimal, put_ulid, put_uuid};
use crate::provider::text::{fit_both, put_json};

/// Largest payload, bytes (Google: "About FCM messages").
const MAX_PAYLOAD: usize = 4_096;
/// Longest device token sent.
const MAX_TOKEN: usize = 4_096;
/// Longest time to live: 28 days, seconds.
const MAX_TTL: u64 = 2_419_200;

const TOKEN: &[u8] = br#"{"message":{"token":""#;
const TITLE: &[u8] = br#"","notification":{"title":"#;
const BODY: &[u8] = br#","body":"#;
const MESSAGE: &[u8] = br#"},"data":{"message_id":""#;
const DELIVERY: &[u8] = br#"","delivery_id":""#;
const HIGH: &[u8] = br#""},"android":{"priority":"HIGH","ttl":""#;
const NORMAL: &[u8] = br#""},"android":{"priority":"NORMAL","ttl":""#;
const COLLAPSE: &[u8] = br#"s","collapse_key":""#;
const TAG: &[u8] = br#"","notification":{"tag":""#;
const END: &[u8] = br#""}}}}"#;
/// Digits of [`MAX_TTL`].
const TTL_LEN: usize = 7;
/// Everything but token and texts, at its longest; four bytes are the texts' quotes.
const FRAME: usize = TOKEN.len()
    + TITLE.len()
    + BODY.len()
    + MESSAGE.len()
    + DELIVERY.len()
    + NORMAL.len()
    + COLLAPSE.len()
    + TAG.len()
    + END.len()
    + 3 * ULID_LEN
    + UUID_LEN
    + TTL_LEN
    + 4;

/// Writes the body at `now` (seconds since the epoch); none when the token
/// cannot be an FCM token.
pub(super) fn payload(push: &Push, now: u64) -> Option<Vec<u8>> {
    let token = push.token.as_bytes();
    let fits = token.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    if token.is_empty() || token.len() > MAX_TOKEN || !fits {
        return None;
    }
    let (title, body) = fit_both(&push.notice.title, &push.notice.body, MAX_PAYLOAD - FRAME);
    let ttl = (push.expires_at.0 / 1_000).saturating_sub(now).min(MAX_TTL);
    let mut out =
        Vec::with_capacity(FRAME + token.len() + (title.len() + body.len() + 32).min(MAX_PAYLOAD));
    out.extend_from_slice(TOKEN);
    out.extend_from_slice(token);
    out.extend_from_slice(TITLE);
    put_json(&title, &mut out);
    out.extend_from_slice(BODY);
    put_json(&body, &mut out);
    out.extend_from_slice(MESSAGE);
    put_ulid(push.message, &mut out);
    out.extend_from_slice(DELIVERY);
    put_uuid(push.delivery, &mut out);
    out.extend_from_slice(match push.lane {
        Lane::Emergency | Lane::Urgent | Lane::Normal => HIGH,
        Lane::Bulk => NORMAL,
    });
    put_decimal(ttl, &mut out);
    out.extend_from_slice(COLLAPSE);
    put_ulid(push.message, &mut out);
    out.extend_from_slice(TAG);
    put_ulid(push.message, &mut out);
    out.extend_from_slice(END);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use araldo_actors::domain::citizen::{Language, Platform};
    use araldo_actors::domain::id::{DeliveryId, MessageId};
    use araldo_actors::domain::time::Millis;
    use araldo_actors::port::provider::Notice;
    use proptest::prelude::*;
    use std::sync::Arc;

    const NOW: u64 = 1_700_000_000;

    fn push(title: &str, body: &str, token: &str) -> Push {
        let message = MessageId::new(Millis(NOW * 1_000), 1);
        Push {
            delivery: DeliveryId::of(message, 1, 42),
            message,
            platform: Platform::Fcm,
            token: token.to_owned(),
            notice: Arc::new(Notice {
                title: title.to_owned(),
                body: body.to_owned(),
                language: Language::Italian,
            }),
            lane: Lane::Normal,
            expires_at: Millis((NOW + 3_600) * 1_000),
        }
    }

    fn read(push: &Push) -> serde_json::Value {
        serde_json::from_slice(&payload(push, NOW).unwrap()).unwrap()
    }

    #[test]
    fn the_body_has_the_documented_shape() {
        let push = push("Avviso", "Testo \"è\"", "abc:DEF-_1");
        let value = read(&push);
        let ulid = push.message.to_string();
        let delivery = value["message"]["data"]["delivery_id"].clone();
        assert_eq!(delivery.as_str().unwrap().len(), 36);
        assert_eq!(
            value,
            serde_json::json!({"message": {
                "token": "abc:DEF-_1",
                "notification": {"title": "Avviso", "body": "Testo \"è\""},
                "data": {"message_id": ulid, "delivery_id": delivery},
                "android": {
                    "priority": "HIGH", "ttl": "3600s", "collapse_key": ulid,
                    "notification": {"tag": ulid},
                },
            }})
        );
    }

    #[test]
    fn only_bulk_has_normal_priority() {
        for lane in Lane::ALL {
            let push = Push { lane, ..push("a", "b", "t") };
            let expected = if lane == Lane::Bulk { "NORMAL" } else { "HIGH" };
            assert_eq!(read(&push)["message"]["android"]["priority"], expected);
        }
    }

    #[test]
    fn time_to_live_is_between_0_and_28_days() {
        for (expires_at, expected) in
            [(0, "0s"), (NOW - 1, "0s"), (NOW + 5, "5s"), (u64::MAX / 1_000, "2419200s")]
        {
            let push = Push { expires_at: Millis(expires_at * 1_000), ..push("a", "b", "t") };
            assert_eq!(read(&push)["message"]["android"]["ttl"], expected);
        }
    }

    #[test]
    fn a_token_that_would_change_the_body_is_never_sent() {
        let long = "a".repeat(MAX_TOKEN + 1);
        for token in ["", "a\"b", "a\\b", "a b", "a\n", "è", &long] {
            assert!(payload(&push("a", "b", token), NOW).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_text_fits_and_stays_json(
            title in "(?s).{0,1500}",
            body in "(?s).{0,6000}|[\\x00-\\x1f\"\\\\]{0,6000}",
            ttl in 0_u64..10_000_000,
        ) {
            let token = "c".repeat(160);
            let mut push = push(&title, &body, &token);
            push.expires_at = Millis((NOW + ttl) * 1_000);
            push.lane = Lane::Bulk;
            let bytes = payload(&push, NOW).unwrap();
            prop_assert!(bytes.len() <= MAX_PAYLOAD + token.len());
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let shown = value["message"]["notification"]["body"].as_str().unwrap();
            let kept = shown.strip_suffix('…').unwrap_or(shown);
            prop_assert!(body.starts_with(kept));
        }
    }
}
