//! Sockets of a simulator: accepts, and for HTTP/2 speaks TLS or cleartext, serves each connection, and takes it down again.
//!
//! Owns every connection in a `JoinSet` and, inside each, every stream: a connection's streams are polled by its own
//! task and end with it, nothing is detached. At most [`MAX_CONNECTIONS`] at once and SETTINGS many streams on each.
//! A broken client costs its own connection only. On shutdown all connections are dropped.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::behaviour::Plan;
use super::books::{Books, bump, lock};
use super::exchange::{Link, Shared, serve};

/// Connections open at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4_096;
/// A client that does not finish the TLS handshake in this time is dropped.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// What the connections are told from outside: both values only ever grow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Orders {
    /// Send GOAWAY (SMTP: 421) on every connection open now.
    pub(crate) goaway: u64,
    /// Drop every connection open now.
    pub(crate) disconnect: u64,
}

/// How to serve.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) max_concurrent_streams: u32,
    pub(crate) allow_http1: bool,
}

/// Accepts until dropped, each connection served by what `serve` makes of it.
pub(crate) async fn accept_loop<F>(
    listener: TcpListener,
    books: Arc<Books>,
    plan: watch::Receiver<Arc<Plan>>,
    serve: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if plan.borrow().behaviour.refuse_connections {
            bump(&books.count.connections_refused);
            if let Err(error) = stream.set_zero_linger() {
                tracing::debug!(%error, "no reset on refusal");
            }
            continue;
        }
        bump(&books.count.connections_opened);
        connections.spawn(serve(stream));
    }
}

/// Counts a connection as open while it lives.
pub(crate) struct Open(Arc<Books>);

impl Open {
    pub(crate) fn new(books: &Arc<Books>) -> Self {
        bump(&books.count.connections_open);
        Self(Arc::clone(books))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.count.connections_open.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Serves one HTTP/2 connection to its end.
pub(crate) async fn connection(
    stream: TcpStream,
    serving: Serving,
    shared: Arc<Shared>,
    orders: watch::Receiver<Orders>,
) {
    let _open = Open::new(&shared.books);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let Some(acceptor) = &serving.tls else {
        return drive(stream, &serving, shared, orders).await;
    };
    match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => drive(stream, &serving, shared, orders).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hands the streams of one connection to the task of that connection. Bounded by SETTINGS_MAX_CONCURRENT_STREAMS.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<Vec<Task>>>);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        lock(&self.0).push(Box::pin(future));
    }
}

async fn drive<S>(
    stream: S,
    serving: &Serving,
    shared: Arc<Shared>,
    mut orders: watch::Receiver<Orders>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let link = Arc::new(Link::default());
    let service = {
        let (shared, link) = (Arc::clone(&shared), Arc::clone(&link));
        service_fn(move |request| serve(Arc::clone(&shared), Arc::clone(&link), request))
    };
    let streams = Streams::default();
    let mut builder = auto::Builder::new(streams.clone());
    if !serving.allow_http1 {
        builder = builder.http2_only();
    }
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(serving.max_concurrent_streams)
        .initial_connection_window_size(4 * 1024 * 1024)
        .auto_date_header(false);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut running: FuturesUnordered<Task> = FuturesUnordered::new();
    let mut leaving = false;
    let before = *orders.borrow_and_update();
    loop {
        let ended = poll_fn(|cx| {
            loop {
                if connection.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let new = std::mem::take(&mut *lock(&streams.0));
                let fresh = !new.is_empty();
                running.extend(new);
                let mut finished = false;
                while let Poll::Ready(Some(())) = running.poll_next_unpin(cx) {
                    finished = true;
                }
                if !fresh && !finished {
                    return Poll::Pending;
                }
            }
        });
        tokio::select! {
            () = ended => return,
            () = link.goaway.notified(), if !leaving => {}
            changed = orders.changed() => {
                let now = *orders.borrow_and_update();
                if changed.is_err() || now.disconnect != before.disconnect {
                    return;
                }
                if now.goaway == before.goaway {
                    continue;
                }
            }
        }
        if !leaving {
            leaving = true;
            bump(&shared.books.count.goaways);
            connection.as_mut().graceful_shutdown();
        }
    }
}
