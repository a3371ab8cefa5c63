//! The body of an APNs request.
//!
//! Owns the shape `{"aps":{"alert":{"title","body"},"sound":"default"},
//! "message_id"}` and Apple's limit of 4,096 bytes, kept by shortening the
//! text. One buffer, written once.

use araldo_actors::domain::id::MessageId;
use araldo_actors::port::provider::Notice;

use crate::provider::id_text::{ULID_LEN, put_ulid};
use crate::provider::text::{fit_both, put_json};

/// Largest payload of an alert, bytes (Apple: "Generating a remote notification").
const MAX_PAYLOAD: usize = 4_096;

const TITLE: &[u8] = br#"{"aps":{"alert":{"title":"#;
const BODY: &[u8] = br#","body":"#;
const MESSAGE: &[u8] = br#"},"sound":"default"},"message_id":""#;
const END: &[u8] = br#""}"#;
/// Everything but the two texts; four bytes are their quotes.
const FRAME: usize = TITLE.len() + BODY.len() + MESSAGE.len() + ULID_LEN + END.len() + 4;

/// Writes the payload.
pub(super) fn payload(notice: &Notice, message: MessageId) -> Vec<u8> {
    let (title, body) = fit_both(&notice.title, &notice.body, MAX_PAYLOAD - FRAME);
    let mut out = Vec::with_capacity((FRAME + title.len() + body.len() + 32).min(MAX_PAYLOAD));
    out.extend_from_slice(TITLE);
    put_json(&title, &mut out);
    out.extend_from_slice(BODY);
    put_json(&body, &mut out);
    out.extend_from_slice(MESSAGE);
    put_ulid(message, &mut out);
    out.extend_from_slice(END);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use araldo_actors::domain::citizen::Language;
    use araldo_actors::domain::time::Millis;
    use proptest::prelude::*;

    fn notice(title: &str, body: &str) -> Notice {
        Notice { title: title.to_owned(), body: body.to_owned(), language: Language::Italian }
    }

    fn read(bytes: &[u8]) -> serde_json::Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn the_payload_has_the_documented_shape() {
        let message = MessageId::new(Millis(1_700_000_000_000), 1);
        let value = read(&payload(&notice("Avviso \"1\"", "Testo\nè qui"), message));
        assert_eq!(
            value,
            serde_json::json!({
                "aps": {"alert": {"title": "Avviso \"1\"", "body": "Testo\nè qui"}, "sound": "default"},
                "message_id": message.to_string(),
            })
        );
    }

    #[test]
    fn a_long_text_uses_the_limit_and_keeps_its_title() {
        let message = MessageId::new(Millis(1), 1);
        let bytes = payload(&notice("Titolo", &"è".repeat(10_000)), message);
        assert!((MAX_PAYLOAD - 1..=MAX_PAYLOAD).contains(&bytes.len()), "{}", bytes.len());
        let value = read(&bytes);
        assert_eq!(value["aps"]["alert"]["title"], "Titolo");
        assert!(value["aps"]["alert"]["body"].as_str().unwrap().ends_with("è…"));
    }

    proptest! {
        #[test]
        fn any_text_fits_and_stays_json(
            title in "(?s).{0,1500}",
            body in "(?s).{0,6000}|[\\x00-\\x1f\"\\\\]{0,6000}",
            id: [u8; 16],
        ) {
            let bytes = payload(&notice(&title, &body), MessageId::from_bytes(id));
            prop_assert!(bytes.len() <= MAX_PAYLOAD);
            let value = read(&bytes);
            let shown = value["aps"]["alert"]["body"].as_str().unwrap();
            let kept = shown.strip_suffix('…').unwrap_or(shown);
            prop_assert!(body.starts_with(kept));
        }
    }
}
