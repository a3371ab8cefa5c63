//! Command lines (RFC 5321, section 4.1; AUTH: RFC 4954; SIZE: RFC 1870; 8BITMIME: RFC 6152).
//!
//! Pure: a line in, a command or the reply that refuses it out.

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Ehlo,
    Helo,
    Mail { address: &'a str, size: usize, eight_bit: bool },
    Rcpt { address: &'a str },
    Data,
    Rset,
    Noop,
    Vrfy,
    Quit,
    StartTls,
    Auth { mechanism: &'a str, initial: Option<&'a str> },
}

const SYNTAX: &str = "501 5.5.4 Error: syntax";
const UNKNOWN: &str = "500 5.5.2 Error: command not recognized";

/// Reads a line without its line end.
pub(super) fn parse(line: &[u8]) -> Result<Command<'_>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| UNKNOWN)?;
    if !line.is_ascii() {
        return Err("500 5.6.7 Error: SMTPUTF8 was not offered");
    }
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    let bare = |command| if rest.is_empty() { Ok(command) } else { Err(SYNTAX) };
    if is("MAIL") {
        return mail(rest);
    }
    if is("RCPT") {
        let (address, parameters) = path(rest, "TO:")?;
        let ok = parameters.is_empty() && address.contains('@');
        return if ok { Ok(Command::Rcpt { address }) } else { Err(SYNTAX) };
    }
    if is("DATA") {
        return bare(Command::Data);
    }
    if is("EHLO") {
        return if rest.is_empty() { Err(SYNTAX) } else { Ok(Command::Ehlo) };
    }
    if is("HELO") {
        return if rest.is_empty() { Err(SYNTAX) } else { Ok(Command::Helo) };
    }
    if is("AUTH") {
        let (mechanism, initial) = match rest.split_once(' ') {
            Some((mechanism, initial)) => (mechanism, Some(initial.trim())),
            None => (rest, None),
        };
        return Ok(Command::Auth { mechanism, initial });
    }
    for (name, command) in
        [("RSET", Command::Rset), ("QUIT", Command::Quit), ("STARTTLS", Command::StartTls)]
    {
        if is(name) {
            return bare(command);
        }
    }
    match () {
        () if is("NOOP") => Ok(Command::Noop),
        () if is("VRFY") => Ok(Command::Vrfy),
        () => Err(UNKNOWN),
    }
}

fn mail(rest: &str) -> Result<Command<'_>, &'static str> {
    let (address, parameters) = path(rest, "FROM:")?;
    let (mut size, mut eight_bit) = (0, false);
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.eq_ignore_ascii_case("SIZE") {
            size = value.parse().map_err(|_| SYNTAX)?;
        } else if name.eq_ignore_ascii_case("BODY") {
            eight_bit = value.eq_ignore_ascii_case("8BITMIME");
            if !eight_bit && !value.eq_ignore_ascii_case("7BIT") {
                return Err(SYNTAX);
            }
        } else {
            return Err("555 5.5.4 Error: unknown parameter");
        }
    }
    Ok(Command::Mail { address, size, eight_bit })
}

/// `FROM:<address>` with what follows; no blank is allowed before the `<` (RFC 5321, section 3.3).
fn path<'a>(rest: &'a str, keyword: &str) -> Result<(&'a str, &'a str), &'static str> {
    let (head, rest) = rest.split_at_checked(keyword.len()).ok_or(SYNTAX)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(SYNTAX);
    }
    let (address, parameters) =
        rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or(SYNTAX)?;
    let clean = address.len() <= 254 && address.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    if !clean || !(parameters.is_empty() || parameters.starts_with(' ')) {
        return Err("501 5.1.3 Error: bad address");
    }
    Ok((address, parameters.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_the_rfc_writes_them() {
        let mail = Command::Mail { address: "a@b.example", size: 12, eight_bit: true };
        assert_eq!(parse(b"mail FROM:<a@b.example> SIZE=12 BODY=8bitmime"), Ok(mail));
        let empty = Command::Mail { address: "", size: 0, eight_bit: false };
        assert_eq!(parse(b"MAIL FROM:<>"), Ok(empty));
        assert_eq!(parse(b"RCPT TO:<c@d.example>"), Ok(Command::Rcpt { address: "c@d.example" }));
        let auth = Command::Auth { mechanism: "PLAIN", initial: Some("AGEAYg==") };
        assert_eq!(parse(b"AUTH PLAIN AGEAYg=="), Ok(auth));
        assert_eq!(parse(b"QUIT"), Ok(Command::Quit));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for line in [
            "MAIL FROM: <a@b.example>",
            "MAIL FROM:<a b@c.example>",
            "MAIL FROM:<a@b.example> SMTPUTF8",
            "MAIL FROM:<a@b.example>SIZE=1",
            "RCPT TO:<nobody>",
            "RCPT FROM:<a@b.example>",
            "EHLO",
            "DATA now",
            "HELLO",
            "RCPT TO:<è@b.example>",
            "",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
