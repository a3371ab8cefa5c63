//! The driver against a server that misbehaves: it must settle every message, and repeat with the same key.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use araldo_loadtest::audit::audit;
use araldo_loadtest::driver::{
    DriverOptions, NodesOptions, Outgoing, Schedule, Source, drive, drive_nodes, drive_on_schedule,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Takes a message only at the third attempt: 503 with Retry-After, then a closed connection, then 201. Even keys are
/// refused for good.
#[derive(Default)]
struct Server {
    attempts: Mutex<HashMap<String, u32>>,
    taken: AtomicU64,
}

async fn serve(listener: TcpListener, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let server = Arc::clone(&server);
        connections.spawn(async move {
            let service = service_fn(|request: Request<_>| answer(&server, request));
            // A service error closes the connection, as wanted.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    server: &Server,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    assert_eq!(request.headers()["ocp-apim-subscription-key"], "key");
    let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
    let number: u64 = key.parse().unwrap();
    let status = |code: u16, body: String| {
        Ok(Response::builder()
            .status(code)
            .header("retry-after", "0")
            .body(Full::new(Bytes::from(body)))
            .unwrap())
    };
    if number.is_multiple_of(2) {
        return status(400, String::new());
    }
    let attempt = {
        let mut attempts = server.attempts.lock().unwrap();
        let attempt = attempts.entry(key).or_default();
        *attempt += 1;
        *attempt
    };
    match attempt {
        1 => status(503, String::new()),
        2 => Err(std::io::Error::other("closed")),
        _ => {
            server.taken.fetch_add(1, Ordering::Relaxed);
            let id = ulid::Ulid::from(u128::from(number)).to_string();
            status(201, format!("{{\"id\":\"{id}\"}}"))
        }
    }
}

fn source() -> Source {
    Arc::new(|index| Outgoing {
        path: "/api/v1/messages",
        key: HeaderValue::from_static("key"),
        idempotency_key: HeaderValue::from_str(&index.to_string()).ok(),
        body: Bytes::from_static(b"{}"),
    })
}

fn options(address: SocketAddr) -> DriverOptions {
    DriverOptions {
        base: format!("http://{address}"),
        connections: 8,
        range: 0..200,
        patience: Duration::from_secs(20),
        on_progress: None,
    }
}

#[tokio::test]
async fn every_message_is_settled_through_503_and_broken_connections() -> Result<(), Infallible> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Server::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::clone(&server)));
    let report = drive(options(address), source()).await.unwrap();
    assert_eq!((report.accepted.len(), report.refused, report.gave_up), (100, 100, 0));
    assert_eq!(server.taken.load(Ordering::Relaxed), 100);
    assert_eq!(
        (report.statuses[&503], report.statuses[&400], report.statuses[&201]),
        (100, 100, 100)
    );
    assert_eq!((report.network_errors, report.retries), (100, 200));
    assert_eq!(report.latency_us.len(), 100);
    let audited = audit(&report.accepted, &[], |_| Some(1), None);
    assert_eq!((audited.distinct_ids, audited.lost), (100, 100));
    Ok(())
}

#[tokio::test]
async fn a_server_that_never_comes_is_given_up_after_the_patience() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut options = options(address);
    options.patience = Duration::from_millis(200);
    options.range = 0..8;
    let report = drive(options, source()).await.unwrap();
    assert_eq!((report.accepted.len(), report.gave_up), (0, 8));
}

#[tokio::test]
async fn an_open_loop_sends_by_the_clock_until_it_is_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::new(Server::default())));
    let mut options = options(address);
    options.range = 0..1_000_000;
    let stop = Arc::new(AtomicBool::new(false));
    let interval = Duration::from_millis(5);
    let schedule = Schedule { interval, stop: Arc::clone(&stop) };
    let driven = tokio::spawn(drive_on_schedule(options, source(), schedule.clone()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let report = driven.await.unwrap().unwrap();
    let sent = u64::try_from(report.accepted.len()).unwrap() + report.refused;
    assert!((20..=110).contains(&sent), "{sent} in half a second at 200/s");
    for message in &report.accepted {
        let due = schedule.due_us(report.started_us, message.index);
        assert!(message.at_us >= due, "{} before its time", message.index);
    }
}

#[tokio::test]
async fn nodes_that_are_gone_or_silent_are_left_for_one_that_answers() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone_at = gone.local_addr().unwrap();
    drop(gone);
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_at = silent.local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Server::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::clone(&server)));
    let options = NodesOptions {
        bases: [gone_at, silent_at, address].map(|at| format!("http://{at}")).to_vec(),
        connections: 16,
        range: 0..400,
        patience: Duration::from_secs(60),
        attempt_limit: Duration::from_millis(100),
        schedule: None,
        on_progress: None,
    };
    let report = drive_nodes(options, source()).await.unwrap();
    assert_eq!((report.accepted.len(), report.refused, report.gave_up), (200, 200, 0));
    assert_eq!(server.taken.load(Ordering::Relaxed), 200);
    assert!(report.timeouts > 0 && report.network_errors > report.timeouts, "{report:?}");
    assert_eq!(report.refused_us.len(), report.statuses[&503]);
    drop(silent);
}
