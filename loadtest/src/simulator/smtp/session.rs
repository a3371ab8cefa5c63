//! One SMTP session: commands in, replies out, by the book (RFC 5321), until QUIT, 421 or the end of the connection.
//!
//! Owns the state of the dialogue. A command is judged at once, without waiting; what waits (delays, withheld answers) is in
//! the parent. A mail is in the books before its answer is written, so an answer a client saw is always an arrival that
//! the audit finds.

use std::sync::Arc;

use bytes::BytesMut;

use super::auth::{self, Exchange, Verdict};
use super::behaviour::{Fault, SmtpStage};
use super::command::{Command, parse};
use super::{Shared, SmtpTls};
use crate::simulator::behaviour::Plan;
use crate::simulator::books::bump;
use crate::simulator::clock::unix_us;
use crate::simulator::mix::hash_bytes;

/// Recipients of one mail (RFC 5321, section 4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;

/// What comes after a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next command.
    Command,
    /// Content up to the dot.
    Content,
    /// The TLS handshake.
    Handshake,
    /// The end, once the reply is out.
    Close,
}

/// The mail being handed over.
pub(super) struct Transaction {
    pub(super) from: String,
    pub(super) eight_bit: bool,
    pub(super) recipients: Vec<String>,
}

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) plan: Arc<Plan>,
    pub(super) tls: bool,
    greeted: bool,
    authenticated: bool,
    exchange: Option<Exchange>,
    pub(super) transaction: Option<Transaction>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, tls: bool) -> Self {
        let plan = Arc::clone(&shared.plan.borrow());
        Self {
            shared,
            plan,
            tls,
            greeted: false,
            authenticated: false,
            exchange: None,
            transaction: None,
        }
    }

    /// After the handshake the dialogue begins anew (RFC 3207, section 4.2).
    pub(super) fn restart(&mut self) {
        self.tls = true;
        self.greeted = false;
        self.authenticated = false;
        self.transaction = None;
    }

    /// Answers a command line; `more` says whether the client has sent more behind it.
    pub(super) fn command(&mut self, line: &BytesMut, more: bool, out: &mut Vec<u8>) -> Next {
        if let Some(exchange) = self.exchange.take() {
            return self.authenticate(exchange.answer(line), out);
        }
        let options = &self.shared.options;
        if more && !options.pipelining {
            self.refuse("sync 554 5.5.0", out, "554 5.5.0 Error: pipelining was not offered");
            return Next::Close;
        }
        match parse(line) {
            Ok(command) => self.obey(command, more, out),
            Err(reply) => self.refuse_by_rule("command", reply, out),
        }
    }

    fn obey(&mut self, command: Command<'_>, more: bool, out: &mut Vec<u8>) -> Next {
        match command {
            Command::Ehlo => self.greet(true, out),
            Command::Helo => self.greet(false, out),
            Command::StartTls => self.start_tls(more, out),
            Command::Auth { mechanism, initial } => {
                if !self.offers_auth() || self.authenticated || !self.greeted {
                    return self.refuse_by_rule("auth", "503 5.5.1 Error: not now", out);
                }
                self.authenticate(auth::begin(mechanism, initial), out)
            }
            Command::Mail { address, size, eight_bit } => self.mail(address, size, eight_bit, out),
            Command::Rcpt { address } => self.rcpt(address, out),
            Command::Data => self.data(more, out),
            Command::Rset => {
                self.transaction = None;
                say(out, "250 2.0.0 Ok")
            }
            Command::Noop => say(out, "250 2.0.0 Ok"),
            Command::Vrfy => say(out, "252 2.0.0 Send some mail and see"),
            Command::Quit => {
                say(out, "221 2.0.0 Bye");
                Next::Close
            }
        }
    }

    fn greet(&mut self, extended: bool, out: &mut Vec<u8>) -> Next {
        self.greeted = true;
        self.transaction = None;
        let options = &self.shared.options;
        if !extended {
            return say(out, "250 araldo-simulator");
        }
        let mut lines = vec!["araldo-simulator".to_owned()];
        if options.pipelining {
            lines.push("PIPELINING".to_owned());
        }
        lines.push(format!("SIZE {}", options.max_bytes));
        lines.push("8BITMIME".to_owned());
        lines.push("ENHANCEDSTATUSCODES".to_owned());
        if options.tls == SmtpTls::Starttls && !self.tls {
            lines.push("STARTTLS".to_owned());
        }
        if self.offers_auth() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        let last = lines.len() - 1;
        for (place, line) in lines.iter().enumerate() {
            let mark = if place == last { ' ' } else { '-' };
            out.extend_from_slice(format!("250{mark}{line}\r\n").as_bytes());
        }
        Next::Command
    }

    /// A password is not asked for in the clear where TLS is offered.
    fn offers_auth(&self) -> bool {
        let options = &self.shared.options;
        options.account.is_some() && (self.tls || options.tls == SmtpTls::None)
    }

    fn start_tls(&mut self, more: bool, out: &mut Vec<u8>) -> Next {
        if self.tls || self.shared.options.tls != SmtpTls::Starttls {
            return self.refuse_by_rule("starttls", "502 5.5.1 Error: not offered", out);
        }
        if more {
            // What was sent in the clear behind it must not be taken for what TLS protected (RFC 3207, section 6).
            self.refuse("sync 554 5.5.0", out, "554 5.5.0 Error: commands after STARTTLS");
            return Next::Close;
        }
        say(out, "220 2.0.0 Ready to start TLS");
        Next::Handshake
    }

    fn authenticate(&mut self, verdict: Verdict, out: &mut Vec<u8>) -> Next {
        match verdict {
            Verdict::Ask(exchange, challenge) => {
                self.exchange = Some(exchange);
                say(out, challenge)
            }
            Verdict::Fault(reply) => self.refuse_by_rule("auth", reply, out),
            Verdict::Claims(name, password) => {
                let account = self.shared.options.account.as_ref();
                if account.is_some_and(|account| account.is(&name, &password)) {
                    self.authenticated = true;
                    bump(&self.shared.logins);
                    return say(out, "235 2.7.0 Authentication successful");
                }
                self.refuse_by_rule("auth", "535 5.7.8 Error: authentication failed", out)
            }
        }
    }

    fn mail(&mut self, from: &str, size: usize, eight_bit: bool, out: &mut Vec<u8>) -> Next {
        self.plan = Arc::clone(&self.shared.plan.borrow());
        let number = bump(&self.shared.books.count.requests);
        let options = &self.shared.options;
        if !self.greeted || self.transaction.is_some() {
            return self.refuse_by_rule("mail", "503 5.5.1 Error: not now", out);
        }
        if options.tls == SmtpTls::Starttls && !self.tls {
            let reply = "530 5.7.0 Must issue a STARTTLS command first";
            return self.refuse_by_rule("mail", reply, out);
        }
        if options.account.is_some() && !self.authenticated {
            return self.refuse_by_rule("mail", "530 5.7.0 Authentication required", out);
        }
        if size > options.max_bytes {
            return self.refuse_by_rule("mail", "552 5.3.4 Message size exceeds the limit", out);
        }
        let attempt = u32::try_from(number).unwrap_or(u32::MAX);
        if let Some(next) = self.fault(SmtpStage::Mail, number, attempt, &[], out) {
            return next;
        }
        self.transaction =
            Some(Transaction { from: from.to_owned(), eight_bit, recipients: Vec::new() });
        say(out, "250 2.1.0 Ok")
    }

    fn rcpt(&mut self, address: &str, out: &mut Vec<u8>) -> Next {
        let Some(transaction) = &self.transaction else {
            return self.refuse_by_rule("rcpt", "503 5.5.1 Error: need MAIL command", out);
        };
        if transaction.recipients.len() >= MAX_RECIPIENTS {
            return self.refuse_by_rule("rcpt", "452 4.5.3 Error: too many recipients", out);
        }
        let address = address.to_ascii_lowercase();
        if self.plan.behaviour.is_unregistered(&address) {
            let reply = "550 5.1.1 Recipient address rejected: User unknown";
            return self.refuse_by_rule("rcpt", reply, out);
        }
        let whom = hash_bytes(address.as_bytes());
        let told = self.plan.smtp.greylist;
        let memory = &self.shared.memory;
        if told.is_some_and(|told| memory.puts_off(told, &transaction.from, whom, unix_us())) {
            let reply = "451 4.7.1 Greylisted, please try again later";
            return self.refuse_by_rule("rcpt", reply, out);
        }
        if self.plan.smtp.can_fail(SmtpStage::Rcpt) {
            let attempt = memory.attempt(SmtpStage::Rcpt, whom);
            let asked = std::slice::from_ref(&address);
            if let Some(next) = self.fault(SmtpStage::Rcpt, whom, attempt, asked, out) {
                return next;
            }
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.recipients.push(address);
        }
        say(out, "250 2.1.5 Ok")
    }

    fn data(&mut self, more: bool, out: &mut Vec<u8>) -> Next {
        let recipients = match &self.transaction {
            None => return self.refuse_by_rule("data", "503 5.5.1 Error: need MAIL command", out),
            Some(transaction) if transaction.recipients.is_empty() => {
                return self.refuse_by_rule("data", "554 5.5.1 Error: no valid recipients", out);
            }
            Some(transaction) => transaction.recipients.clone(),
        };
        if more {
            // RFC 2920, section 3.1: DATA is the last of a group.
            self.refuse("sync 554 5.5.0", out, "554 5.5.0 Error: content before its 354");
            return Next::Close;
        }
        let whom = recipients.first().map_or(0, |first| hash_bytes(first.as_bytes()));
        for at in [SmtpStage::Data, SmtpStage::Body] {
            if !self.plan.smtp.can_fail(at) {
                continue;
            }
            let attempt = self.shared.memory.attempt(at, whom);
            if at == SmtpStage::Body {
                let fault = self.plan.smtp.fault(self.seed(), at, whom, attempt, &recipients);
                if fault.is_some() {
                    bump(&self.shared.books.count.reset);
                    say(out, "354 End data with <CR><LF>.<CR><LF>");
                    return Next::Close;
                }
            } else if let Some(next) = self.fault(at, whom, attempt, &recipients, out) {
                return next;
            }
        }
        say(out, "354 End data with <CR><LF>.<CR><LF>");
        Next::Content
    }

    pub(super) fn seed(&self) -> u64 {
        self.plan.behaviour.seed
    }

    /// What was ordered to go wrong at this stage, if it strikes now.
    pub(super) fn fault(
        &self,
        at: SmtpStage,
        whom: u64,
        attempt: u32,
        recipients: &[String],
        out: &mut Vec<u8>,
    ) -> Option<Next> {
        match self.plan.smtp.fault(self.seed(), at, whom, attempt, recipients)? {
            Fault::Close => {
                bump(&self.shared.books.count.reset);
                Some(Next::Close)
            }
            Fault::Refuse(reply) => {
                self.shared.books.refuse(&reply.reason);
                out.extend_from_slice(&reply.line);
                Some(if reply.closes { Next::Close } else { Next::Command })
            }
        }
    }

    /// A refusal by the protocol's own rules; the books name it by stage and codes.
    pub(super) fn refuse_by_rule(&self, at: &str, reply: &str, out: &mut Vec<u8>) -> Next {
        let codes: Vec<&str> = reply.splitn(3, ' ').take(2).collect();
        self.refuse(&format!("{at} {}", codes.join(" ")), out, reply);
        Next::Command
    }

    fn refuse(&self, reason: &str, out: &mut Vec<u8>, reply: &str) {
        self.shared.books.refuse(reason);
        say(out, reply);
    }
}

/// Writes a reply line.
pub(super) fn say(out: &mut Vec<u8>, reply: &str) -> Next {
    out.extend_from_slice(reply.as_bytes());
    out.extend_from_slice(b"\r\n");
    Next::Command
}
