//! E-mail addresses: the one rule for those who bring them in (the APIs, the
//! import) and for those who write to them (the composer), so that what is
//! taken can be written to.
//!
//! Whether a mailbox exists only a mail can tell.

use lettre::Address;

/// Longest address, bytes (RFC 5321, 4.5.3.1.3 without the brackets).
const LONGEST: usize = 254;

/// Reads an address, the domain in the form mail servers know it by (A-labels,
/// RFC 5891). None is one that no header and no envelope can hold: with a line
/// end, another control character, white space or an angle bracket (RFC 5321,
/// 4.1.2), or with local part or domain of another form.
#[must_use]
pub fn parse(text: &str) -> Option<Address> {
    let unfit = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>');
    if text.len() > LONGEST || text.chars().any(unfit) {
        return None;
    }
    let address: Address = text.parse().ok()?;
    if address.domain().is_ascii() {
        return Some(address);
    }
    let domain = idna::domain_to_ascii(address.domain()).ok()?;
    let address = Address::new(address.user(), domain).ok()?;
    (AsRef::<str>::as_ref(&address).len() <= LONGEST).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, parse};

    fn read(text: &str) -> Option<String> {
        parse(text).map(|address| address.to_string())
    }

    #[test]
    fn what_headers_and_envelopes_cannot_hold_is_no_address() {
        let long = format!("a@{}it", "b.".repeat(LONGEST / 2));
        for wrong in [
            "",
            "nobody",
            "@b.it",
            "a@",
            "a,b@c.it",
            "a>@b.it",
            "<a@b.it>",
            "a b@c.it",
            "a@b.it\r\nBcc: c@d.it",
            "a@b@c.it",
            "a@b.it,c.it",
            &format!("{}@b.it", "a".repeat(65)),
            &long,
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_address_is_kept_as_written_but_for_the_domain_in_other_letters() {
        for kept in ["mario.rossi+avvisi@example.it", "O'Neill@example.it"] {
            assert_eq!(read(kept).as_deref(), Some(kept));
        }
        assert_eq!(read("mario@pùblico.it").as_deref(), Some("mario@xn--pblico-iya.it"));
    }
}
