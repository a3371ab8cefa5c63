//! Connections: accepted up to a limit, timed, drained.
//!
//! HTTP/1.1 only: one request at a time per connection is what bounds the
//! memory of bodies by `max_connections`. TLS is ended by the proxy in front.
//!
//! A connection holds its slot while it gets on: headers and bodies must
//! arrive, and answers be read, within the times of `[http]`.
//!
//! Every connection is a task of the set owned by [`serve`]; when it returns,
//! none is left.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use write_timeout::WriteTimeout;

use super::app::App;
use super::origin::Peer;
use super::{Http, router_of};
use crate::config::HttpConfig;
use crate::telemetry::metric;

mod write_timeout;

/// Pause after a failed accept: usually the process has no file descriptor
/// left, and asking again at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Shortest time between two warnings of it.
const WARNINGS: Duration = Duration::from_secs(1);
/// Longest header of a request.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Serves `http` on `listener` until `shutdown` is ready, then takes no more
/// connections, ends live sessions, lets open requests finish for `http.drain_seconds` and cuts
/// the rest off.
///
/// # Errors
/// When the listener has no local address, that is, is not a listener.
pub async fn serve(
    listener: TcpListener,
    http: Http,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.local_addr()?;
    let options = http.options.clone();
    let issuer = http.citizens.issuer.clone();
    let app = App::new(http);
    let router = router_of(app.clone());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(listener, &router, &options, &graceful, &mut connections) => {}
        () = issuer.keep_fresh() => {}
        () = shutdown => {}
    }
    app.drain();
    let _ = tokio::time::timeout(options.drain, graceful.shutdown()).await;
    connections.shutdown().await;
    Ok(())
}

/// Accepts for ever; ends when it is dropped.
async fn accept(
    listener: TcpListener,
    router: &Router,
    options: &HttpConfig,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
) {
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let protocol = protocol(options);
    let mut warned: Option<Instant> = None;
    // The semaphore is never closed.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if warned.is_none_or(|at| at.elapsed() >= WARNINGS) {
                    warned = Some(Instant::now());
                    tracing::warn!(%error, "cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are written whole: waiting to fill a segment only adds delay.
        let _ = stream.set_nodelay(true);
        let stream = WriteTimeout::new(stream, options.request_timeout);
        open(stream, peer, router, &protocol, graceful, connections, slot);
    }
}

fn protocol(options: &HttpConfig) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(MAX_HEADER_BYTES);
    protocol
}

fn open(
    stream: WriteTimeout<TcpStream>,
    peer: SocketAddr,
    router: &Router,
    protocol: &http1::Builder,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
    slot: OwnedSemaphorePermit,
) {
    let routes = TowerToHyperService::new(router.clone());
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        routes.call(request)
    });
    let connection = graceful.watch(protocol.serve_connection(TokioIo::new(stream), service));
    connections.spawn(async move {
        let _slot = slot;
        let open = metric::http_connections();
        open.increment(1.0);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
        open.decrement(1.0);
    });
}
