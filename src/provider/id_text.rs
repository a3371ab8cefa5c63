//! Identifiers as the providers want them on the wire.
//!
//! Owns nothing; writes into the caller's buffer, so that a request needs no
//! string of its own.

use araldo_actors::domain::id::{DeliveryId, MessageId};
use bytes::BufMut;

/// Length of a UUID's text (RFC 9562, 4).
pub(super) const UUID_LEN: usize = 36;
/// Length of a ULID's text.
pub(super) const ULID_LEN: usize = 26;

/// Appends the delivery as a lower-case UUID.
pub(super) fn put_uuid(delivery: DeliveryId, out: &mut impl BufMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; UUID_LEN];
    let mut at = 0;
    for (index, byte) in delivery.uuid_bytes().into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 0x0f)];
        at += 2;
    }
    out.put_slice(&text);
}

/// Appends the message as a ULID: 130 bits, of which the first two are 0, in
/// Crockford's base 32.
pub(super) fn put_ulid(message: MessageId, out: &mut impl BufMut) {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut rest = u128::from_be_bytes(message.to_bytes());
    let mut text = [b'0'; ULID_LEN];
    for place in text.iter_mut().rev() {
        *place = DIGITS[usize::from(rest.to_le_bytes()[0] & 0x1f)];
        rest >>= 5;
    }
    out.put_slice(&text);
}

/// Appends a number in decimal.
pub(super) fn put_decimal(mut number: u64, out: &mut impl BufMut) {
    let mut text = [b'0'; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use araldo_actors::domain::time::Millis;
    use proptest::prelude::*;

    #[test]
    fn a_delivery_is_written_as_a_version_8_uuid() {
        let message = MessageId::new(Millis(1_700_000_000_000), 7);
        let mut text = Vec::new();
        put_uuid(DeliveryId::of(message, 1, 42), &mut text);
        let text = String::from_utf8(text).unwrap();
        let dashes: Vec<_> = text.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!(dashes, [8, 13, 18, 23]);
        assert_eq!(&text[14..15], "8");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
    }

    proptest! {
        #[test]
        fn ids_and_numbers_read_as_their_standard_text(bytes: [u8; 16], number: u64) {
            let message = MessageId::from_bytes(bytes);
            let mut text = Vec::new();
            put_ulid(message, &mut text);
            prop_assert_eq!(String::from_utf8(text).unwrap(), message.to_string());
            let mut text = Vec::new();
            put_decimal(number, &mut text);
            prop_assert_eq!(String::from_utf8(text).unwrap(), number.to_string());
        }
    }
}
