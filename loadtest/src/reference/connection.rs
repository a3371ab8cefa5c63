//! One connection of the reference: TLS (or cleartext), HTTP/2 by hyper, and a window of requests.
//!
//! Owns the task that drives the protocol and one task for each place in the window; all end with it. The first request of
//! a connection goes alone, as Apple asks of everybody who signs in with a provider token.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;

use super::{Run, Target};
use crate::simulator::SimulatorError;
use crate::simulator::credentials::file_error;
use crate::simulator::tls::client_config;

fn fault(error: impl std::fmt::Display) -> SimulatorError {
    SimulatorError::Reference(error.to_string())
}

/// Opens connections to one endpoint.
pub(super) struct Dialer {
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialer {
    pub(super) fn new(target: &Target, ca_file: Option<&Path>) -> Result<Self, SimulatorError> {
        let uri = target.uri()?;
        let authority = uri.authority().ok_or_else(|| fault("the endpoint names no host"))?;
        let name = ServerName::try_from(authority.host().to_owned()).map_err(fault)?;
        let tls = match ca_file {
            None => None,
            Some(path) => {
                let pem =
                    std::fs::read_to_string(path).map_err(|source| file_error(path, source))?;
                let config: ClientConfig = client_config(&pem)?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
        };
        Ok(Self { authority: authority.to_string(), tls })
    }

    pub(super) async fn connect(&self) -> Result<Connection, SimulatorError> {
        let stream = TcpStream::connect(&self.authority).await.map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        match &self.tls {
            None => handshake(stream).await,
            Some((tls, name)) => {
                handshake(tls.connect(name.clone(), stream).await.map_err(fault)?).await
            }
        }
    }
}

async fn handshake<S>(stream: S) -> Result<Connection, SimulatorError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = Builder::new(TokioExecutor::new());
    let (send, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(fault)?;
    let protocol = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "connection of the reference ended");
        }
    });
    Ok(Connection { send, protocol })
}

/// An open connection.
pub(super) struct Connection {
    send: SendRequest<Full<Bytes>>,
    protocol: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.protocol.abort();
    }
}

impl Connection {
    /// One request.
    pub(super) async fn request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SimulatorError> {
        self.send.clone().send_request(request).await.map_err(fault)
    }

    /// One request alone, then `window` at once, until all were sent.
    pub(super) async fn drive(self, run: Arc<Run>, window: u16) {
        let mut send = self.send.clone();
        if let Some(index) = run.take() {
            exchange(&mut send, &run, index, true).await;
        }
        let mut places = JoinSet::new();
        for _ in 0..window.max(1) {
            let (mut send, run) = (self.send.clone(), Arc::clone(&run));
            places.spawn(async move {
                while let Some(index) = run.take() {
                    exchange(&mut send, &run, index, false).await;
                }
            });
        }
        while places.join_next().await.is_some() {}
    }
}

async fn exchange(send: &mut SendRequest<Full<Bytes>>, run: &Run, index: u64, first: bool) {
    let Some(request) = run.requests.build(index, first) else {
        run.broken.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let Ok(answer) = send.send_request(request).await else {
        run.broken.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let status = answer.status();
    let mut body = answer.into_body();
    while !body.is_end_stream() {
        if body.frame().await.is_none() {
            break;
        }
    }
    let counter = if status == StatusCode::OK { &run.accepted } else { &run.refused };
    counter.fetch_add(1, Ordering::Relaxed);
}
