//! E-mail through a relay, over SMTP.
//!
//! Owns a route's sessions with its relay and the writing of its mails. A
//! link is one session with one mail at a time; the route opens several. The
//! engine hands out one recipient at a time, since every citizen's mail is
//! another; sessions read the reply to each recipient all the same.
//!
//! Sessions are our own, over a socket with `TCP_NODELAY`: pipelined, reset
//! after a refusal and used again. What the library's pool does instead costs
//! five round trips a mail and a new connection after every refused address.
//!
//! Invariants: before a mail leaves, its session is looked at, since relays
//! close idle ones; a mail cut off in the middle (the attempt dropped) closes
//! its session, so that no half of it can be taken for whole; no address and
//! no text, ours or the relay's, is in an error, a log or a reason.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::outcome::Failure;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::provider::{Answer, ConnectError, Connector, Link, Notification};
use async_trait::async_trait;
use lettre::message::Mailbox;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{OptionsError, read_file, tls};
use crate::link::Links;
use session::{Session, Target};
use transaction::Outgoing;

pub use answer::{Fault, Stage, answer};
pub use compose::{ComposeError, Composer, Mail};
pub use reply::{Enhanced, Status};
pub use session::Timeouts;

mod answer;
mod capability;
mod compose;
mod data;
mod reply;
mod session;
mod transaction;
mod wire;

/// How the way to the relay is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    None,
    /// By STARTTLS (RFC 3207); without it there is no session.
    StartTls,
    /// From the first byte (RFC 8314).
    Implicit,
}

/// What an SMTP route needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpOptions {
    /// The relay's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way to it is secured.
    pub security: Security,
    /// PEM file of the only certificate authorities trusted; none means the
    /// platform's.
    pub ca_file: Option<PathBuf>,
    /// User name and the file with the password.
    pub credentials: Option<(String, PathBuf)>,
    /// The sender's mailbox (RFC 5322, 3.4), with or without a name.
    pub from: String,
    /// What a 4xx waits at least.
    pub retry_after: Duration,
    /// Deadlines.
    pub timeouts: Timeouts,
}

/// Who we are to the relay.
struct Credentials {
    username: String,
    password: String,
}

/// What all links of a route share.
struct Route {
    target: Target,
    composer: Composer,
    retry_after: Duration,
}

/// Opens sessions with one relay.
#[derive(Clone)]
pub struct SmtpConnector {
    route: Arc<Route>,
}

impl SmtpConnector {
    /// Checks the options and reads the files they name; `links` are what
    /// mails point to.
    ///
    /// # Errors
    /// [`OptionsError`] naming the option or file that cannot be used.
    pub fn new(options: SmtpOptions, links: Arc<Links>) -> Result<Self, OptionsError> {
        let from = sender(&options.from)?;
        let tls = match options.security {
            Security::None => None,
            Security::StartTls | Security::Implicit => Some(secured(&options)?),
        };
        let credentials = options.credentials.map(credentials).transpose()?;
        let target = Target {
            host: options.host,
            port: options.port,
            security: options.security,
            tls,
            credentials,
            timeouts: options.timeouts,
        };
        let composer = Composer::new(from, links);
        Ok(Self { route: Arc::new(Route { target, composer, retry_after: options.retry_after }) })
    }

    /// Writes this route's mails.
    #[must_use]
    pub fn composer(&self) -> &Composer {
        &self.route.composer
    }

    /// Opens a session.
    ///
    /// # Errors
    /// [`ConnectError`], with one sentence for the operator.
    pub async fn open(&self) -> Result<SmtpLink, ConnectError> {
        let session = Session::open(&self.route.target).await?;
        Ok(SmtpLink { route: Arc::clone(&self.route), slot: Mutex::new(Slot::Idle(session)) })
    }

    /// Writes the mail that confirms an address; see [`Composer::validation`].
    ///
    /// # Errors
    /// [`ComposeError`].
    pub fn validation(
        &self,
        to: &str,
        language: Language,
        link: &str,
        at: Millis,
    ) -> Result<Mail, ComposeError> {
        self.route.composer.validation(to, language, link, at)
    }
}

/// Reads the sender's mailbox: its address must be ASCII, since every relay
/// and every citizen's reader must take it.
fn sender(text: &str) -> Result<Mailbox, OptionsError> {
    let wrong = |reason: &str| OptionsError::new("from", reason);
    let mailbox: Mailbox = text
        .parse()
        .map_err(|_| wrong("must be a mailbox, such as \"Araldo <no-reply@example.it>\""))?;
    if !AsRef::<str>::as_ref(&mailbox.email).is_ascii() {
        return Err(wrong("must have an address of ASCII characters"));
    }
    Ok(mailbox)
}

fn secured(options: &SmtpOptions) -> Result<(ServerName<'static>, TlsConnector), OptionsError> {
    let name = ServerName::try_from(options.host.clone())
        .map_err(|_| OptionsError::new("host", "must be a host that a certificate can name"))?;
    let config = tls::client_config(options.ca_file.as_deref())?;
    Ok((name, TlsConnector::from(Arc::new(config))))
}

fn credentials((username, file): (String, PathBuf)) -> Result<Credentials, OptionsError> {
    let text = String::from_utf8(read_file(&file)?)
        .map_err(|_| OptionsError::file(&file, "is not UTF-8 text"))?;
    let password = text.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() || password.contains(['\0', '\r', '\n']) {
        return Err(OptionsError::file(&file, "must hold one line: the password"));
    }
    Ok(Credentials { username, password })
}

#[async_trait]
impl Connector for SmtpConnector {
    async fn connect(&self) -> Result<Arc<dyn Link>, ConnectError> {
        Ok(Arc::new(self.open().await?))
    }
}

/// Where a link's session is.
enum Slot {
    Idle(Session),
    Busy,
    Closed,
}

/// One session with a relay.
pub struct SmtpLink {
    route: Arc<Route>,
    slot: Mutex<Slot>,
}

/// A session taken out for one mail. Dropped with the session still in it,
/// the mail was cut off, and the session closes with it.
struct Taken<'a> {
    link: &'a SmtpLink,
    session: Option<Session>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let back = match self.session.take() {
            Some(session) if session.usable => Slot::Idle(session),
            _ => Slot::Closed,
        };
        *self.link.lock() = back;
    }
}

impl SmtpLink {
    fn lock(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session, if it is there and alive.
    fn take(&self) -> Option<Taken<'_>> {
        let mut slot = self.lock();
        match std::mem::replace(&mut *slot, Slot::Busy) {
            Slot::Busy => None,
            Slot::Closed => {
                *slot = Slot::Closed;
                None
            }
            Slot::Idle(mut session) => {
                // Dropped at once, it closes the slot.
                let alive = session.is_alive();
                drop(slot);
                let taken = Taken { link: self, session: Some(session) };
                alive.then_some(taken)
            }
        }
    }

    /// Sends one mail.
    pub async fn deliver(&self, mail: &Mail) -> Answer {
        let outcomes = self.deliver_to_all(&[mail.to.as_str()], &mail.bytes).await;
        outcomes.into_iter().next().unwrap_or(Answer::RetryElsewhere { reason: "session closed" })
    }

    /// Sends one mail to several recipients; an answer for each.
    pub async fn deliver_to_all(&self, to: &[&str], mail: &[u8]) -> Vec<Answer> {
        let wait = self.route.retry_after;
        let Some(mut taken) = self.take() else {
            return vec![Answer::RetryElsewhere { reason: "session closed" }; to.len()];
        };
        let Some(session) = &mut taken.session else { return Vec::new() };
        let from = self.route.composer.sender();
        let outcomes = session.deliver(Outgoing { from, to, mail }).await;
        outcomes.into_iter().map(|outcome| answer(outcome, wait)).collect()
    }
}

#[async_trait]
impl Link for SmtpLink {
    fn capacity(&self) -> usize {
        usize::from(!matches!(*self.lock(), Slot::Closed))
    }

    fn is_closed(&self) -> bool {
        let mut slot = self.lock();
        if let Slot::Idle(session) = &mut *slot
            && !session.is_alive()
        {
            *slot = Slot::Closed;
        }
        matches!(*slot, Slot::Closed)
    }

    async fn send(&self, notification: &Notification) -> Answer {
        let Notification::Email(email) = notification else { return super::NOT_A_MAIL };
        match self.route.composer.message(email) {
            Ok(mail) => self.deliver(&mail).await,
            Err(ComposeError::Address) => {
                Answer::Fail { failure: Failure::RefusedEndpoint, reason: "address is not valid" }
            }
            Err(ComposeError::Template) => {
                Answer::Fail { failure: Failure::RefusedContent, reason: "mail cannot be written" }
            }
        }
    }
}
