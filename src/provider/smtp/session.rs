//! One session with a relay: opened, signed in, one mail at a time.
//!
//! Owns the order of the protocol (RFC 5321, 3 and 4.1.4): greeting, EHLO,
//! STARTTLS and EHLO anew, AUTH, then transactions. After a refusal the
//! session is reset (RSET) and goes on; after 421, a lost connection, a
//! deadline or anything that is no SMTP it ends.
//!
//! Invariants: TLS that was asked for is never done without; a password never
//! leaves before TLS is up (unless TLS was declined by configuration); every
//! reply is read before the next command is sent, also those to commands that
//! were pipelined (RFC 2920, 3.1). No text of the relay leaves this module.
//!
//! On a crash: nothing is kept. A relay that had the end of a mail owns it;
//! one that had not forgets it.

use std::time::Duration;

use araldo_actors::port::provider::ConnectError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::capability::{Capabilities, Mechanism};
use super::reply::Status;
use super::wire::{Broken, Io, Wire};
use super::{Credentials, Security};
use crate::provider::tcp;

/// How long a relay may take (RFC 5321, 4.5.3.2: the least a client should
/// wait). The last one must not be shortened: a relay that takes the mail
/// after we gave up makes it two mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name, TCP and TLS. The RFC leaves it open.
    pub connect: Duration,
    /// For the greeting; also for EHLO, AUTH and RSET, where the RFC is silent.
    pub greeting: Duration,
    /// For the reply to MAIL.
    pub mail: Duration,
    /// For the reply to RCPT.
    pub recipient: Duration,
    /// For the reply to DATA.
    pub data: Duration,
    /// For the system to take a block of the mail.
    pub block: Duration,
    /// For the reply to the end of the mail.
    pub end: Duration,
}

impl Timeouts {
    /// RFC 5321, 4.5.3.2.
    pub const RFC: Self = Self {
        connect: Duration::from_secs(30),
        greeting: Duration::from_mins(5),
        mail: Duration::from_mins(5),
        recipient: Duration::from_mins(5),
        data: Duration::from_mins(2),
        block: Duration::from_mins(3),
        end: Duration::from_mins(10),
    };
}

/// Where a session goes.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    /// The name its certificate must carry, and how that is checked; none with
    /// [`Security::None`].
    pub(super) tls: Option<(ServerName<'static>, TlsConnector)>,
    pub(super) credentials: Option<Credentials>,
    pub(super) timeouts: Timeouts,
}

/// See the module's text.
pub(super) struct Session {
    pub(super) wire: Wire<Box<dyn Io>>,
    pub(super) peer: Capabilities,
    pub(super) timeouts: Timeouts,
    /// Whether another mail may follow.
    pub(super) usable: bool,
}

/// Ends politely where that costs no wait.
impl Drop for Session {
    fn drop(&mut self) {
        if self.usable {
            self.wire.quit();
        }
    }
}

/// What went wrong while a session was opened, before it is told to the
/// operator.
enum Trouble {
    Broken(&'static str, Broken),
    Refused(&'static str, Status),
    Lacks(&'static str),
    Tls(String),
}

impl Trouble {
    /// As a sentence with the relay's name. A permanent refusal, or something
    /// lacking, is the operator's to mend.
    fn tell(self, target: &Target) -> ConnectError {
        let place = format!("{}:{}", target.host, target.port);
        match self {
            Self::Broken(at, Broken(why)) => {
                ConnectError::Unreachable(format!("{place}: {why} at {at}"))
            }
            Self::Refused(at, status) if status.code / 100 == 5 => {
                ConnectError::Refused(format!("{place}: {} to {at}", status.code))
            }
            Self::Refused(at, status) => {
                ConnectError::Unreachable(format!("{place}: {} to {at}", status.code))
            }
            Self::Lacks(what) => ConnectError::Refused(format!("{place}: does not offer {what}")),
            Self::Tls(why) => ConnectError::Unreachable(format!("{place}: TLS: {why}")),
        }
    }
}

impl Session {
    /// Opens a session, ready for mails.
    pub(super) async fn open(target: &Target) -> Result<Self, ConnectError> {
        let limit = target.timeouts.connect;
        let unreachable = |why: String| {
            ConnectError::Unreachable(format!("{}:{}: {why}", target.host, target.port))
        };
        let tcp = timeout(limit, tcp::connect(&target.host, target.port))
            .await
            .map_err(|_| unreachable(format!("no connection within {limit:?}")))?
            .map_err(unreachable)?;
        let name = hello_name(&tcp);
        let opened = Self::hello(tcp, &name, target).await;
        let (wire, peer) = opened.map_err(|trouble| trouble.tell(target))?;
        let mut session = Self { wire, peer, timeouts: target.timeouts, usable: false };
        session.sign_in(target).await.map_err(|trouble| trouble.tell(target))?;
        session.usable = true;
        Ok(session)
    }

    /// Greeting, EHLO and TLS as the target wants it.
    async fn hello(
        tcp: TcpStream,
        name: &str,
        target: &Target,
    ) -> Result<(Wire<Box<dyn Io>>, Capabilities), Trouble> {
        let limit = target.timeouts.greeting;
        let io: Box<dyn Io> = match target.security {
            Security::Implicit => secure(tcp, target).await?,
            Security::None => Box::new(tcp),
            Security::StartTls => {
                let mut wire = Wire::new(tcp);
                greeting(&mut wire, limit).await?;
                if !ehlo(&mut wire, name, limit).await?.start_tls {
                    return Err(Trouble::Lacks("STARTTLS"));
                }
                let reply = wire.ask("STARTTLS\r\n", limit).await;
                let reply = reply.map_err(|broken| Trouble::Broken("STARTTLS", broken))?;
                if reply.status.code != 220 {
                    return Err(Trouble::Refused("STARTTLS", reply.status));
                }
                let tcp = wire
                    .into_clean()
                    .ok_or_else(|| Trouble::Tls("the relay spoke before TLS began".to_owned()))?;
                // What was offered before TLS is forgotten (RFC 3207, 4.2).
                let mut wire = Wire::new(secure(tcp, target).await?);
                let peer = ehlo(&mut wire, name, limit).await?;
                return Ok((wire, peer));
            }
        };
        let mut wire = Wire::new(io);
        greeting(&mut wire, limit).await?;
        let peer = ehlo(&mut wire, name, limit).await?;
        Ok((wire, peer))
    }

    /// AUTH, if there are credentials (RFC 4954).
    async fn sign_in(&mut self, target: &Target) -> Result<(), Trouble> {
        let Some(credentials) = &target.credentials else { return Ok(()) };
        let mechanism = self.peer.auth.ok_or(Trouble::Lacks("AUTH PLAIN or LOGIN"))?;
        let Credentials { username, password } = credentials;
        let (opening, answers) = match mechanism {
            Mechanism::Plain => {
                let plain = STANDARD.encode(format!("\0{username}\0{password}"));
                (format!("AUTH PLAIN {plain}\r\n"), Vec::new())
            }
            Mechanism::Login => (
                "AUTH LOGIN\r\n".to_owned(),
                vec![STANDARD.encode(username), STANDARD.encode(password)],
            ),
        };
        let limit = target.timeouts.greeting;
        let broken = |broken| Trouble::Broken("AUTH", broken);
        let mut status = self.wire.ask(&opening, limit).await.map_err(broken)?.status;
        for answer in answers {
            if !status.is_go_on() {
                break;
            }
            let reply = self.wire.ask(&format!("{answer}\r\n"), limit).await;
            status = reply.map_err(broken)?.status;
        }
        if status.is_done() { Ok(()) } else { Err(Trouble::Refused("AUTH", status)) }
    }

    /// Whether the session can carry another mail, as far as can be seen
    /// without asking.
    pub(super) fn is_alive(&mut self) -> bool {
        self.usable = self.usable && !self.wire.has_ended();
        self.usable
    }
}

/// What we call ourselves: the literal of our address, as RFC 5321, 4.1.4 has
/// it for a client without a name that others can resolve.
fn hello_name(tcp: &TcpStream) -> String {
    use std::net::IpAddr;
    match tcp.local_addr().map(|address| address.ip().to_canonical()) {
        Ok(IpAddr::V4(address)) => format!("[{address}]"),
        Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => "[127.0.0.1]".to_owned(),
    }
}

async fn greeting<S: Io>(wire: &mut Wire<S>, limit: Duration) -> Result<(), Trouble> {
    let reply =
        wire.reply(limit).await.map_err(|broken| Trouble::Broken("the greeting", broken))?;
    if reply.status.is_done() {
        Ok(())
    } else {
        Err(Trouble::Refused("the connection", reply.status))
    }
}

async fn ehlo<S: Io>(
    wire: &mut Wire<S>,
    name: &str,
    limit: Duration,
) -> Result<Capabilities, Trouble> {
    let reply = wire.ask(&format!("EHLO {name}\r\n"), limit).await;
    let reply = reply.map_err(|broken| Trouble::Broken("EHLO", broken))?;
    if !reply.status.is_done() {
        return Err(Trouble::Refused("EHLO", reply.status));
    }
    Ok(Capabilities::read(&reply.lines))
}

async fn secure(tcp: TcpStream, target: &Target) -> Result<Box<dyn Io>, Trouble> {
    let Some((name, connector)) = &target.tls else {
        return Err(Trouble::Tls("not configured".to_owned()));
    };
    match timeout(target.timeouts.connect, connector.connect(name.clone(), tcp)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(Trouble::Tls(error.to_string())),
        Err(_) => Err(Trouble::Tls("no answer in time".to_owned())),
    }
}
