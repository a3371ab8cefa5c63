//! AUTH PLAIN and LOGIN (RFC 4954, RFC 4616): what the client claims, step by step.
//!
//! Pure. Whether the claim is right is for the session to say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Who may send.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpAccount {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for SmtpAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpAccount").finish_non_exhaustive()
    }
}

impl SmtpAccount {
    pub(super) fn is(&self, username: &str, password: &str) -> bool {
        self.username == username && self.password == password
    }
}

/// What the next line answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    Plain,
    LoginName,
    LoginPassword(String),
}

/// Where an exchange stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send this reply and wait for a line.
    Ask(Exchange, &'static str),
    /// User name and password as claimed.
    Claims(String, String),
    /// Refused with this reply.
    Fault(&'static str),
}

const MALFORMED: &str = "501 5.5.2 Error: malformed authentication";

/// The command itself.
pub(super) fn begin(mechanism: &str, initial: Option<&str>) -> Verdict {
    if mechanism.eq_ignore_ascii_case("PLAIN") {
        return match initial {
            Some(initial) => Exchange::Plain.answer(initial.as_bytes()),
            None => Verdict::Ask(Exchange::Plain, "334 "),
        };
    }
    if mechanism.eq_ignore_ascii_case("LOGIN") {
        return match initial {
            Some(initial) => Exchange::LoginName.answer(initial.as_bytes()),
            None => Verdict::Ask(Exchange::LoginName, "334 VXNlcm5hbWU6"),
        };
    }
    Verdict::Fault("504 5.5.4 Error: unknown mechanism")
}

impl Exchange {
    /// The client's next line.
    pub(super) fn answer(self, line: &[u8]) -> Verdict {
        let text = STANDARD.decode(line.trim_ascii()).ok();
        let Some(text) = text.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Verdict::Fault(MALFORMED);
        };
        match self {
            Self::Plain => match text.splitn(3, '\0').collect::<Vec<_>>()[..] {
                [_, name, password] => Verdict::Claims(name.to_owned(), password.to_owned()),
                _ => Verdict::Fault(MALFORMED),
            },
            Self::LoginName => Verdict::Ask(Self::LoginPassword(text), "334 UGFzc3dvcmQ6"),
            Self::LoginPassword(name) => Verdict::Claims(name, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_login_end_in_the_same_claim() {
        let claims = Verdict::Claims("araldo".to_owned(), "segreto".to_owned());
        let plain = STANDARD.encode("\0araldo\0segreto");
        assert_eq!(begin("plain", Some(&plain)), claims);
        assert_eq!(begin("PLAIN", None), Verdict::Ask(Exchange::Plain, "334 "));
        assert_eq!(Exchange::Plain.answer(plain.as_bytes()), claims);
        let name = STANDARD.encode("araldo");
        let Verdict::Ask(next, _) = begin("LOGIN", Some(&name)) else { panic!("no question") };
        assert_eq!(next.answer(STANDARD.encode("segreto").as_bytes()), claims);
        assert!(matches!(begin("CRAM-MD5", None), Verdict::Fault(_)));
        assert!(matches!(Exchange::Plain.answer(b"*"), Verdict::Fault(_)));
    }
}
