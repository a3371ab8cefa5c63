//! What a relay offers (RFC 5321, 4.1.1.1: the reply to EHLO).

/// Ways to sign in that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login.
    Login,
}

/// The extensions that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// RFC 2920: several commands at once.
    pub(super) pipelining: bool,
    /// RFC 3207.
    pub(super) start_tls: bool,
    /// RFC 4954; the best of what is offered that we know.
    pub(super) auth: Option<Mechanism>,
    /// RFC 1870: whether MAIL takes SIZE.
    pub(super) size: bool,
    /// Largest mail, bytes; none when the relay says no limit.
    pub(super) max_size: Option<usize>,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531: addresses that are not ASCII.
    pub(super) utf8: bool,
}

impl Capabilities {
    /// Reads the lines of the reply; the first is a greeting.
    pub(super) fn read(lines: &[String]) -> Self {
        let mut found = Self::default();
        for line in lines.iter().skip(1) {
            // Some old relays write AUTH=LOGIN.
            let mut words = line.split([' ', '=']);
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => found.pipelining = true,
                "STARTTLS" => found.start_tls = true,
                "8BITMIME" => found.eight_bit = true,
                "SMTPUTF8" => found.utf8 = true,
                "SIZE" => {
                    found.size = true;
                    let limit = words.next().and_then(|word| word.parse().ok());
                    // 0 means no limit (RFC 1870, 4).
                    found.max_size = limit.filter(|limit| *limit > 0);
                }
                "AUTH" => {
                    let offers = |name: &str| words.clone().any(|w| w.eq_ignore_ascii_case(name));
                    let best = if offers("PLAIN") {
                        Some(Mechanism::Plain)
                    } else {
                        offers("LOGIN").then_some(Mechanism::Login)
                    };
                    found.auth = best.or(found.auth);
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, Mechanism};

    fn read(lines: &[&str]) -> Capabilities {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        Capabilities::read(&lines)
    }

    #[test]
    fn what_is_offered_is_read_whatever_its_case() {
        let all = read(&[
            "relay.example greets you",
            "pipelining",
            "SIZE 10240000",
            "StartTLS",
            "AUTH CRAM-MD5 LOGIN plain",
            "8BITMIME",
            "SMTPUTF8",
            "CHUNKING",
        ]);
        let expected = Capabilities {
            pipelining: true,
            start_tls: true,
            auth: Some(Mechanism::Plain),
            size: true,
            max_size: Some(10_240_000),
            eight_bit: true,
            utf8: true,
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_not_offered_is_not_assumed() {
        assert_eq!(read(&["PIPELINING"]), Capabilities::default(), "that is the greeting");
        assert_eq!(read(&["relay", "AUTH GSSAPI"]).auth, None);
        assert_eq!(read(&["relay", "AUTH=LOGIN"]).auth, Some(Mechanism::Login));
        assert_eq!(read(&["relay", "SIZE", "SIZE 0"]).max_size, None);
    }
}
