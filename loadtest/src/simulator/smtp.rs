//! A simulated SMTP relay: a real server over real sockets, with the extensions a sender uses and books by Message-ID.
//!
//! Owns its sessions, each in its own task of a `JoinSet` (ended with the simulator), what it remembers of recipients and
//! the latest mails. A mail counts as taken when its dot was answered with 250, once by its Message-ID; everything is in
//! memory and bounded. A session ends with its connection, with QUIT, or with a 421.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use auth::SmtpAccount;
pub use behaviour::{Greylist, SmtpBehaviour, SmtpFailure, SmtpStage};
pub use mails::Mail;

mod auth;
pub(crate) mod behaviour;
mod command;
mod content;
pub(crate) mod mails;
pub(crate) mod memory;
mod reply;
mod session;
mod wire;

use super::behaviour::{Decision, Plan};
use super::books::{Books, bump};
use super::clock::unix_us;
use super::listener::{HANDSHAKE_LIMIT, Open, Orders};
use super::mix::hash_bytes;
use content::ContentFault;
use mails::Mails;
use memory::Memory;
use session::{Next, Session, say};
use wire::{Content, Line, Wire, dot, unstuff};

/// Encryption of the sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// In the clear.
    None,
    /// STARTTLS offered, and required before MAIL (530 5.7.0 otherwise).
    #[default]
    Starttls,
    /// From the first byte.
    Implicit,
}

/// How the SMTP simulator serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpOptions {
    /// Encryption.
    pub tls: SmtpTls,
    /// Who must sign in before MAIL; nobody has to when absent.
    pub account: Option<SmtpAccount>,
    /// PIPELINING is offered; when it is not, a client that pipelines all the same is thrown out.
    pub pipelining: bool,
    /// Largest mail, offered as SIZE, bytes.
    pub max_bytes: usize,
    /// Latest mails kept for reading; at most 64 MiB of them.
    pub kept_mails: usize,
}

impl Default for SmtpOptions {
    fn default() -> Self {
        Self {
            tls: SmtpTls::default(),
            account: None,
            pipelining: true,
            max_bytes: 10 * 1024 * 1024,
            kept_mails: 1_000,
        }
    }
}

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) options: SmtpOptions,
    pub(crate) tls: TlsAcceptor,
    pub(crate) books: Arc<Books>,
    pub(crate) plan: watch::Sender<Arc<Plan>>,
    pub(crate) mails: Mails,
    pub(crate) memory: Memory,
    /// Successful AUTHs.
    pub(crate) logins: AtomicU64,
    anonymous: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        options: SmtpOptions,
        tls: TlsAcceptor,
        books: Arc<Books>,
        plan: watch::Sender<Arc<Plan>>,
    ) -> Self {
        let mails = Mails::new(options.kept_mails);
        let memory = Memory::default();
        let (logins, anonymous) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { options, tls, books, plan, mails, memory, logins, anonymous }
    }

    pub(crate) fn reset(&self) {
        self.mails.clear();
        self.memory.clear();
    }
}

/// Serves one connection to its end.
pub(crate) async fn connection(
    stream: TcpStream,
    shared: Arc<Shared>,
    mut orders: watch::Receiver<Orders>,
) {
    let _open = Open::new(&shared.books);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let before = *orders.borrow_and_update();
    let served = serve(stream, shared, before.goaway, orders.clone());
    tokio::select! {
        ended = served => {
            if let Err(error) = ended {
                tracing::debug!(%error, "SMTP session ended");
            }
        }
        _ = orders.wait_for(|now| now.disconnect != before.disconnect) => {}
    }
}

async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    goaway: u64,
    orders: watch::Receiver<Orders>,
) -> io::Result<()> {
    let leaving = Leaving { before: goaway, orders };
    if shared.options.tls == SmtpTls::Implicit {
        let stream = handshake(&shared, stream).await?;
        let mut session = Session::new(shared, true);
        let mut dialogue = Dialogue::new(stream, leaving);
        return dialogue.run(&mut session, true).await.map(|_| ());
    }
    let mut session = Session::new(Arc::clone(&shared), false);
    let mut dialogue = Dialogue::new(stream, leaving);
    if dialogue.run(&mut session, true).await? == Next::Handshake {
        let Dialogue { wire, leaving, .. } = dialogue;
        let stream = handshake(&shared, wire.stream).await?;
        session.restart();
        Dialogue::new(stream, leaving).run(&mut session, false).await?;
    }
    Ok(())
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    stream: S,
) -> io::Result<tokio_rustls::server::TlsStream<S>> {
    let stream = tokio::time::timeout(HANDSHAKE_LIMIT, shared.tls.accept(stream)).await??;
    bump(&shared.books.count.tls_sessions);
    Ok(stream)
}

/// Tells when this session is ordered to leave with a 421.
struct Leaving {
    before: u64,
    orders: watch::Receiver<Orders>,
}

impl Leaving {
    async fn ordered(&mut self) {
        let before = self.before;
        if self.orders.wait_for(|now| now.goaway != before).await.is_err() {
            pending::<()>().await;
        }
    }
}

/// A session and its connection.
struct Dialogue<S> {
    wire: Wire<S>,
    leaving: Leaving,
    dot: Finder<'static>,
    /// Replies of one command.
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    fn new(stream: S, leaving: Leaving) -> Self {
        Self { wire: Wire::new(stream), leaving, dot: dot(), out: Vec::with_capacity(256) }
    }

    /// Talks until the session ends ([`Next::Close`]) or TLS is to start ([`Next::Handshake`]).
    async fn run(&mut self, session: &mut Session, greets: bool) -> io::Result<Next> {
        let mut next = if greets { self.greet(session) } else { Next::Command };
        loop {
            next = match next {
                Next::Command => self.command(session).await?,
                Next::Content => self.content(session).await?,
                Next::Handshake => {
                    self.wire.flush().await?;
                    return Ok(next);
                }
                Next::Close => {
                    self.wire.flush().await?;
                    self.wire.stream.shutdown().await?;
                    return Ok(next);
                }
            };
        }
    }

    fn greet(&mut self, session: &Session) -> Next {
        use std::sync::atomic::Ordering::Relaxed;
        let number = session.shared.books.count.connections_opened.load(Relaxed);
        let attempt = u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX);
        let fault = session.fault(SmtpStage::Connect, number, attempt, &[], &mut self.out);
        if fault.is_none() {
            say(&mut self.out, "220 araldo-simulator ESMTP");
        }
        self.reply();
        if fault.is_some() { Next::Close } else { Next::Command }
    }

    fn reply(&mut self) {
        self.wire.say(&self.out);
        self.out.clear();
    }

    /// Takes the next command and answers it.
    async fn command(&mut self, session: &mut Session) -> io::Result<Next> {
        let line = loop {
            match self.wire.line() {
                Some(line) => break line,
                None if self.more(session).await? => {}
                None => return Ok(Next::Close),
            }
        };
        let next = match line {
            Line::Command(line) => session.command(&line, self.wire.has_more(), &mut self.out),
            Line::TooLong => {
                session.refuse_by_rule("command", "500 5.5.2 Error: line too long", &mut self.out)
            }
        };
        let delay = session.plan.smtp.command_delay_ms;
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        self.reply();
        Ok(next)
    }

    /// Reads more; false when there is no more to come.
    async fn more(&mut self, session: &Session) -> io::Result<bool> {
        tokio::select! {
            read = self.wire.fill() => read,
            () = self.leaving.ordered() => {
                bump(&session.shared.books.count.goaways);
                self.wire.say(b"421 4.3.2 Service shutting down\r\n");
                Ok(false)
            }
        }
    }

    /// Takes a mail up to its dot and answers it.
    async fn content(&mut self, session: &mut Session) -> io::Result<Next> {
        let most = session.shared.options.max_bytes;
        let content = loop {
            match self.wire.content(&self.dot, most) {
                Some(content) => break content,
                // Left in the middle of a mail: not taken.
                None if !self.wire.fill().await? => return Ok(Next::Close),
                None => {}
            }
        };
        let fate = match content {
            Content::Whole(content) => take(session, &content, &mut self.out),
            Content::TooLarge => {
                let reply = "552 5.3.4 Message size exceeds the limit";
                Fate::Answer(session.refuse_by_rule("end", reply, &mut self.out), 0)
            }
        };
        session.transaction = None;
        match fate {
            Fate::Answer(next, delay_ms) => {
                if delay_ms > 0 {
                    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                }
                self.reply();
                Ok(next)
            }
            Fate::Hang => {
                self.wire.flush().await?;
                pending().await
            }
        }
    }
}

/// What becomes of a mail.
enum Fate {
    /// The reply that was written, after so many milliseconds.
    Answer(Next, u64),
    /// No answer, ever.
    Hang,
}

/// Judges a whole mail, books it, and words the answer.
fn take(session: &Session, content: &BytesMut, out: &mut Vec<u8>) -> Fate {
    let shared = &session.shared;
    let Some(transaction) = &session.transaction else {
        return Fate::Answer(session.refuse_by_rule("end", "503 5.5.1 Error: no mail", out), 0);
    };
    let identity = match content::judge(content, transaction.eight_bit) {
        Ok(identity) => identity,
        Err(fault) => return Fate::Answer(session.refuse_by_rule("end", wording(fault), out), 0),
    };
    let delivery = identity.delivery.unwrap_or_else(|| {
        // A version no UUID of a client has, so that mails without a name never count as one.
        u128::MAX - u128::from(bump(&shared.anonymous))
    });
    let plan = &session.plan;
    let delay = plan.delay_ms(delivery);
    let mut decision = Decision::Accept;
    if plan.smtp.can_fail(SmtpStage::End) || !plan.is_calm() {
        let attempt = shared.books.attempt(delivery);
        let whom = super::behaviour::fold(delivery);
        if let Some(next) =
            session.fault(SmtpStage::End, whom, attempt, &transaction.recipients, out)
        {
            return Fate::Answer(next, delay);
        }
        decision = plan.decide(delivery, attempt);
    }
    let count = &shared.books.count;
    match decision {
        Decision::Hang => {
            bump(&count.hung);
            return Fate::Hang;
        }
        Decision::Reset(_) | Decision::Refuse(_) => {
            bump(&count.reset);
            return Fate::Answer(Next::Close, delay);
        }
        Decision::Accept | Decision::LoseAnswer => {}
    }
    let now_us = unix_us();
    let recipient = transaction.recipients.first().map_or(&[][..], |address| address.as_bytes());
    shared.books.accept(delivery, identity.message, hash_bytes(recipient), now_us);
    count
        .recipients
        .fetch_add(transaction.recipients.len() as u64, std::sync::atomic::Ordering::Relaxed);
    if shared.mails.keeps() {
        shared.mails.add(Mail {
            message_id: identity.message_id.to_owned(),
            from: transaction.from.clone(),
            recipients: transaction.recipients.clone(),
            at_us: now_us,
            tls: session.tls,
            raw: Bytes::from(unstuff(content)),
        });
    }
    if matches!(decision, Decision::LoseAnswer) {
        bump(&count.lost_answers);
        return Fate::Answer(Next::Close, delay);
    }
    Fate::Answer(say(out, "250 2.0.0 Ok: queued"), delay)
}

const fn wording(fault: ContentFault) -> &'static str {
    match fault {
        ContentFault::BareLineEnd => "550 5.6.0 Error: a line that does not end with CRLF",
        ContentFault::LongLine => "550 5.6.0 Error: a line over 998 octets",
        ContentFault::EightBit => "554 5.6.1 Error: eight bits without BODY=8BITMIME",
        ContentFault::EightBitHeader => "554 5.6.7 Error: eight bits in the header",
        ContentFault::Header => "550 5.6.0 Error: one From, one Date, one Message-ID at most",
    }
}
