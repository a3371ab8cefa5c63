//! Replies: code, enhanced status code (RFC 3463) and text, as bytes of the wire and as a key of the books.
//!
//! Passive data.

use bytes::Bytes;

/// One reply of a single line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The line with its CRLF.
    pub(crate) line: Bytes,
    /// SmtpStage, code and enhanced code: how the books name it.
    pub(crate) reason: String,
    /// The reply ends the session (RFC 5321, section 3.8: 421).
    pub(crate) closes: bool,
}

impl Reply {
    /// A refusal written as `CODE [ENHANCED] [TEXT]`, answered at `stage`.
    pub(crate) fn parse(stage: &str, text: &str) -> Result<Self, String> {
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("reply: `{text}` does not start with a code of three digits"));
        }
        if !matches!(code.as_bytes()[0], b'4' | b'5') {
            return Err(format!("reply: `{code}` is no refusal, which start with 4 or 5"));
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || text.len() > 500 {
            return Err("reply: only printable ASCII, at most 500 characters".to_owned());
        }
        let enhanced = rest.split(' ').next().filter(|word| is_enhanced(word));
        if enhanced.is_some_and(|enhanced| enhanced.as_bytes()[0] != code.as_bytes()[0]) {
            return Err(format!("reply: `{text}`: the enhanced code is of another class"));
        }
        let reason = match enhanced {
            Some(enhanced) => format!("{stage} {code} {enhanced}"),
            None => format!("{stage} {code}"),
        };
        let line = match rest {
            "" => format!("{code} \r\n"),
            _ => format!("{text}\r\n"),
        };
        Ok(Self { line: Bytes::from(line), reason, closes: code == "421" })
    }
}

/// `class.subject.detail`, each a number.
fn is_enhanced(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let number = |part: &&str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    parts.len() == 3 && parts.iter().all(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_keeps_its_text_and_is_named_by_stage_and_codes() {
        let reply = Reply::parse("rcpt", "550 5.1.1 No such user").unwrap();
        assert_eq!(reply.line, "550 5.1.1 No such user\r\n");
        assert_eq!((reply.reason.as_str(), reply.closes), ("rcpt 550 5.1.1", false));
        let bare = Reply::parse("mail", "421").unwrap();
        assert_eq!(
            (bare.line, bare.reason.as_str(), bare.closes),
            ("421 \r\n".into(), "mail 421", true)
        );
        assert_eq!(Reply::parse("end", "452 mailbox 1.2").unwrap().reason, "end 452");
        assert!(Reply::parse("end", "550 no\r\nway").is_err());
    }
}
