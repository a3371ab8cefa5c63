//! A scripted SMTP relay over real sockets: says at each step what a test
//! wants to hear, and keeps what it heard.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use araldo_loadtest::simulator::Credentials;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the relay does at a step.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Say(String),
    SayAndClose(String),
    Close,
    /// Says it after a while.
    Late(Duration, String),
}

pub(crate) fn say(line: &str) -> Act {
    Act::Say(format!("{line}\r\n"))
}

pub(crate) fn last_words(line: &str) -> Act {
    Act::SayAndClose(format!("{line}\r\n"))
}

/// How a relay behaves; what is not scripted is accepted.
#[derive(Clone)]
pub(crate) struct Script {
    /// Lines of the reply to EHLO, besides the first.
    pub(crate) offers: Vec<String>,
    /// By step (`greeting`, a verb, or `.` for the end of a mail), used up one
    /// by one, over all sessions.
    pub(crate) acts: Vec<(&'static str, Act)>,
    pub(crate) tls: Option<TlsAcceptor>,
    /// TLS from the first byte.
    pub(crate) implicit: bool,
    /// Hangs up after so long without a command, with 421.
    pub(crate) idle: Duration,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            offers: ["PIPELINING", "SIZE 1000000", "8BITMIME"].map(str::to_owned).to_vec(),
            acts: Vec::new(),
            tls: None,
            implicit: false,
            idle: Duration::from_secs(30),
        }
    }
}

impl Script {
    pub(crate) fn of(acts: impl IntoIterator<Item = (&'static str, Act)>) -> Self {
        Self { acts: acts.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn offering(mut self, offers: &[&str]) -> Self {
        self.offers = offers.iter().map(|offer| (*offer).to_owned()).collect();
        self
    }
}

pub(crate) fn acceptor(credentials: &Credentials) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(credentials.server_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(credentials.server_key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// What a relay heard.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) sessions: usize,
    /// What came in one read.
    pub(crate) reads: Vec<String>,
    pub(crate) commands: Vec<String>,
    /// As they stood before dot-stuffing.
    pub(crate) mails: Vec<Vec<u8>>,
}

struct Shared {
    script: Mutex<VecDeque<(&'static str, Act)>>,
    heard: Mutex<Heard>,
    rules: Script,
}

impl Shared {
    fn act(&self, step: &str, default: &str) -> Act {
        let mut script = self.script.lock().unwrap();
        match script.iter().position(|(at, _)| *at == step) {
            Some(place) => script.remove(place).unwrap().1,
            None => say(default),
        }
    }
}

/// A running relay; ends when dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acts = script.acts.clone().into();
        let shared =
            Arc::new(Shared { script: Mutex::new(acts), heard: Mutex::default(), rules: script });
        let mut task = JoinSet::new();
        task.spawn(listen(listener, Arc::clone(&shared)));
        Self { address, shared, _task: task }
    }

    pub(crate) fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.shared.heard.lock().unwrap())
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.heard(|heard| heard.commands.clone())
    }

    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        self.heard(|heard| heard.mails.clone())
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        shared.heard.lock().unwrap().sessions += 1;
        sessions.spawn(session(tcp, Arc::clone(&shared)));
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

async fn session(tcp: TcpStream, shared: Arc<Shared>) {
    let acceptor = shared.rules.tls.clone();
    let upgraded = if shared.rules.implicit {
        let Ok(stream) = acceptor.unwrap().accept(tcp).await else { return };
        Talk::new(Box::new(stream), &shared).run(true).await;
        None
    } else {
        Talk::new(tcp, &shared).run(true).await.zip(acceptor)
    };
    if let Some((tcp, acceptor)) = upgraded
        && let Ok(stream) = acceptor.accept(tcp).await
    {
        let stream: Box<dyn Io> = Box::new(stream);
        Talk::new(stream, &shared).run(false).await;
    }
}

struct Talk<'a, S> {
    io: S,
    buffer: Vec<u8>,
    shared: &'a Shared,
}

impl<'a, S: Io> Talk<'a, S> {
    fn new(io: S, shared: &'a Shared) -> Self {
        Self { io, buffer: Vec::new(), shared }
    }

    /// Until the end, or until TLS is to begin: then the stream.
    async fn run(mut self, greet: bool) -> Option<S> {
        if greet {
            self.perform(self.shared.act("greeting", "220 relay.example ESMTP")).await?;
        }
        loop {
            let line = self.line().await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            self.shared.heard.lock().unwrap().commands.push(line);
            let default = match verb.as_str() {
                "EHLO" => self.offers(),
                "DATA" => "354 go on".to_owned(),
                "QUIT" => "221 bye".to_owned(),
                "STARTTLS" => "220 go on".to_owned(),
                "AUTH" => "235 welcome".to_owned(),
                _ => "250 OK".to_owned(),
            };
            let act = self.shared.act(&verb, &default);
            let go_on = matches!(&act, Act::Say(line) if line.starts_with('3'));
            let secure = matches!(&act, Act::Say(line) if line.starts_with("220"));
            self.perform(act).await?;
            match verb.as_str() {
                "DATA" if go_on => {
                    let mail = self.mail().await?;
                    self.shared.heard.lock().unwrap().mails.push(mail);
                    self.perform(self.shared.act(".", "250 2.0.0 taken")).await?;
                }
                "AUTH" if go_on => {
                    for default in ["334 UGFzc3dvcmQ6", "235 welcome"] {
                        let line = self.line().await?;
                        self.shared.heard.lock().unwrap().commands.push(line);
                        self.perform(self.shared.act("credentials", default)).await?;
                    }
                }
                "STARTTLS" if secure => return Some(self.io),
                "QUIT" => return None,
                _ => {}
            }
        }
    }

    fn offers(&self) -> String {
        let mut lines = vec!["relay.example".to_owned()];
        lines.extend(self.shared.rules.offers.iter().cloned());
        let last = lines.pop().unwrap();
        let lines: String = lines.into_iter().map(|line| format!("250-{line}\r\n")).collect();
        format!("{lines}250 {last}")
    }

    async fn perform(&mut self, act: Act) -> Option<()> {
        match act {
            Act::Say(line) => self.io.write_all(line.as_bytes()).await.ok(),
            Act::SayAndClose(line) => {
                self.io.write_all(line.as_bytes()).await.ok()?;
                self.io.shutdown().await.ok()?;
                None
            }
            Act::Close => None,
            Act::Late(wait, line) => {
                tokio::time::sleep(wait).await;
                self.io.write_all(line.as_bytes()).await.ok()
            }
        }
    }

    async fn fill(&mut self) -> Option<()> {
        let before = self.buffer.len();
        self.buffer.reserve(64 * 1024);
        let idle = self.shared.rules.idle;
        match tokio::time::timeout(idle, self.io.read_buf(&mut self.buffer)).await {
            Ok(Ok(count)) if count > 0 => {
                let read = String::from_utf8_lossy(&self.buffer[before..]).into_owned();
                self.shared.heard.lock().unwrap().reads.push(read);
                Some(())
            }
            Ok(_) => None,
            Err(_) => self.perform(last_words("421 4.4.2 relay.example timeout")).await,
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.fill().await?;
        }
    }

    /// Reads a mail and takes its dots off (RFC 5321, 4.5.2).
    async fn mail(&mut self) -> Option<Vec<u8>> {
        let mut mail = Vec::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                return Some(mail);
            }
            mail.extend_from_slice(line.strip_prefix('.').unwrap_or(&line).as_bytes());
            mail.extend_from_slice(b"\r\n");
        }
    }
}
