//! The HTTP/2 transport that APNs and FCM share.
//!
//! Owns how a connection is made: name resolution anew for each connection,
//! TCP with `TCP_NODELAY`, TLS with ALPN `h2` (own CA file or the platform's
//! roots) or cleartext with prior knowledge, SETTINGS received before the
//! connection is handed out, all within one connect deadline. What happens on
//! an open connection is [`Channel`]'s.
//!
//! It stands on the `h2` crate, the engine inside hyper: a request is one call
//! into the stream table and its answer one future, without the task and the
//! channel per request of `hyper::client`, and the library's errors say
//! directly whether a stream was processed (RFC 9113, 6.8 and 8.7).
//!
//! Invariants: one task per connection, owned by its [`Channel`]; no provider
//! of TLS is installed for the process, it is passed explicitly.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::port::provider::ConnectError;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{OptionsError, tcp, tls};

pub use channel::{CallError, Channel, Reply};
pub(super) use endpoint::Endpoint;

mod channel;
mod driver;
mod endpoint;
mod retry_after;
mod window;

/// How a route reaches its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportOptions {
    /// `https://host[:port]`, or `http://host[:port]` for cleartext HTTP/2
    /// with prior knowledge.
    pub endpoint: String,
    /// PEM file of the only certificate authorities trusted; none means the
    /// platform's.
    pub ca_file: Option<PathBuf>,
    /// Name resolution, TCP, TLS and SETTINGS together.
    pub connect_timeout: Duration,
    /// One request, from the wait for a stream to the end of the answer
    /// (Google: not under 10 s).
    pub request_timeout: Duration,
    /// Most requests at once on a connection, whatever the peer allows.
    pub max_streams: usize,
    /// PING after this long without a request (Apple: one hour).
    pub keep_alive_idle: Duration,
    /// A PING not answered in this time ends the connection.
    pub keep_alive_timeout: Duration,
    /// Bytes of an answer's body that are read.
    pub max_response_bytes: usize,
}

impl TransportOptions {
    /// The defaults for `endpoint`: 10 s to connect, 20 s for a request, 900
    /// streams, PING after 1 h.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(20),
            max_streams: 900,
            keep_alive_idle: Duration::from_secs(3_600),
            keep_alive_timeout: Duration::from_secs(20),
            max_response_bytes: 16 * 1024,
        }
    }
}

/// Which protocol is agreed on in TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// An open byte stream.
pub(super) enum Dialed {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens connections to one endpoint; checked options and TLS ready.
pub struct Transport {
    options: TransportOptions,
    endpoint: Endpoint,
    tls: Arc<Tls>,
}

/// TLS settings for both protocols, from the same roots.
struct Tls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Transport {
    /// Checks the options and reads the CA file.
    ///
    /// # Errors
    /// [`OptionsError`] naming the option or file that cannot be used.
    pub fn new(options: TransportOptions) -> Result<Self, OptionsError> {
        let endpoint = Endpoint::parse("endpoint", &options.endpoint)?;
        if options.max_streams == 0 {
            return Err(OptionsError::new("max_streams", "must be at least 1"));
        }
        for (name, value) in [
            ("connect_timeout", options.connect_timeout),
            ("request_timeout", options.request_timeout),
            ("keep_alive_idle", options.keep_alive_idle),
            ("keep_alive_timeout", options.keep_alive_timeout),
        ] {
            if value.is_zero() {
                return Err(OptionsError::new(name, "must be longer than 0"));
            }
        }
        let base = tls::client_config(options.ca_file.as_deref())?;
        let with = |protocol: &[u8]| {
            let mut config = base.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        let tls = Arc::new(Tls { http1: with(b"http/1.1"), http2: with(b"h2") });
        Ok(Self { options, endpoint, tls })
    }

    /// The options in use.
    #[must_use]
    pub const fn options(&self) -> &TransportOptions {
        &self.options
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens a connection and waits for the peer's SETTINGS. With
    /// `first_alone` it carries one request at a time until
    /// [`Channel::prove`].
    ///
    /// # Errors
    /// [`ConnectError::Unreachable`] with the endpoint and the reason.
    pub async fn connect(&self, first_alone: bool) -> Result<Channel, ConnectError> {
        let limit = self.options.connect_timeout;
        let open = async {
            match self.dial(&self.endpoint, Protocol::Http2).await? {
                Dialed::Plain(io) => self.open(io, first_alone).await,
                Dialed::Tls(io) => self.open(io, first_alone).await,
            }
        };
        match tokio::time::timeout(limit, open).await {
            Ok(result) => result,
            Err(_) => Err(unreachable(&self.endpoint, format!("no connection within {limit:?}"))),
        }
    }

    async fn open<S>(&self, io: S, first_alone: bool) -> Result<Channel, ConnectError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        Channel::open(io, &self.options, first_alone)
            .await
            .map_err(|reason| unreachable(&self.endpoint, reason))
    }

    /// Opens a byte stream to `endpoint`, trusting this transport's roots. The
    /// caller sets the deadline.
    pub(super) async fn dial(
        &self,
        endpoint: &Endpoint,
        protocol: Protocol,
    ) -> Result<Dialed, ConnectError> {
        let tcp = tcp::connect(endpoint.host(), endpoint.port())
            .await
            .map_err(|reason| unreachable(endpoint, reason))?;
        let Some(name) = endpoint.server_name() else {
            return Ok(Dialed::Plain(tcp));
        };
        let config = match protocol {
            Protocol::Http1 => &self.tls.http1,
            Protocol::Http2 => &self.tls.http2,
        };
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(name, tcp)
            .await
            .map_err(|error| unreachable(endpoint, format!("TLS: {error}")))?;
        let agreed = stream.get_ref().1.alpn_protocol();
        if protocol == Protocol::Http2 && agreed != Some(b"h2".as_slice()) {
            return Err(unreachable(endpoint, "TLS: the server does not offer HTTP/2".to_owned()));
        }
        Ok(Dialed::Tls(Box::new(stream)))
    }
}

fn unreachable(endpoint: &Endpoint, reason: String) -> ConnectError {
    ConnectError::Unreachable(format!("{}: {reason}", endpoint.authority()))
}
