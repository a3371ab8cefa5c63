//! A plain SMTP client for the tests.

use araldo_loadtest::simulator::Simulator;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::client::{ULID, uuid};

/// A mail of the delivery with this number.
pub(crate) fn mail(number: u128, body: &str) -> String {
    format!(
        "From: Araldo <no-reply@araldo.example>\r\nTo: someone@posta.example\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nSubject: Avviso\r\n\
         Message-ID: <{}@araldo.example>\r\nX-Araldo-Message-Id: {ULID}\r\n\r\nBuongiorno.\r\n{body}",
        uuid(number)
    )
}

pub(crate) struct Client<S> {
    stream: BufReader<S>,
}

impl Client<TcpStream> {
    pub(crate) async fn connect(simulator: &Simulator) -> Self {
        let stream = TcpStream::connect(simulator.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub(crate) async fn greeted(simulator: &Simulator) -> Self {
        let mut client = Self::connect(simulator).await;
        assert_eq!(client.code().await, 220);
        assert_eq!(client.ask("EHLO araldo.example\r\n").await, 250);
        client
    }

    /// The socket, for a TLS handshake.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        // A server that has closed is noticed when its answer is read.
        let _ = self.stream.write_all(text.as_bytes()).await;
        let _ = self.stream.flush().await;
    }

    /// The code of the next reply; none at the end of the connection.
    pub(crate) async fn read_code(&mut self) -> Option<u16> {
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).await;
            if !matches!(read, Ok(1..)) {
                return None;
            }
            if line.as_bytes()[3] == b' ' {
                return Some(line[..3].parse().unwrap());
            }
        }
    }

    pub(crate) async fn code(&mut self) -> u16 {
        self.read_code().await.expect("a reply")
    }

    pub(crate) async fn codes(&mut self, count: usize) -> Vec<u16> {
        let mut codes = Vec::new();
        for _ in 0..count {
            codes.push(self.code().await);
        }
        codes
    }

    pub(crate) async fn ask(&mut self, command: &str) -> u16 {
        self.write(command).await;
        self.code().await
    }

    /// MAIL, RCPT, DATA, all of them taken.
    pub(crate) async fn codes_until_data(&mut self, recipient: &str) {
        assert_eq!(self.ask("MAIL FROM:<no-reply@araldo.example>\r\n").await, 250);
        assert_eq!(self.ask(&format!("RCPT TO:<{recipient}>\r\n")).await, 250);
        assert_eq!(self.ask("DATA\r\n").await, 354);
    }

    /// The replies to MAIL, RCPT, DATA and the dot, up to the first refusal or the end of the connection.
    pub(crate) async fn codes_of(&mut self, number: u128, recipient: &str) -> Vec<u16> {
        let steps = [
            "MAIL FROM:<no-reply@araldo.example>\r\n".to_owned(),
            format!("RCPT TO:<{recipient}>\r\n"),
            "DATA\r\n".to_owned(),
            format!("{}.\r\n", mail(number, "")),
        ];
        let mut codes = Vec::new();
        for step in steps {
            self.write(&step).await;
            let Some(code) = self.read_code().await else { break };
            codes.push(code);
            if code >= 400 {
                break;
            }
        }
        codes
    }

    /// The last reply to a whole mail.
    pub(crate) async fn send(&mut self, number: u128, recipient: &str) -> u16 {
        *self.codes_of(number, recipient).await.last().unwrap()
    }
}
