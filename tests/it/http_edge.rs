//! What surrounds every request: paths, methods, limits, connections.

use std::net::SocketAddr;
use std::time::Duration;

use araldo_actors::pipeline::Running;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http_kit::{self as kit, Api, call, json_of, sender};

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems() {
    let api = kit::api().await;
    let unknown = call(&api, Method::GET, "/api/v1/nothing", &[], Body::empty()).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(unknown.headers()["content-type"], "application/problem+json");
    let wrong = call(&api, Method::DELETE, "/api/v1/messages", &[], Body::empty()).await;
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.headers()["allow"], "POST");
    assert_eq!(json_of(wrong).await["type"], json!("urn:araldo:problem:method-not-allowed"));
}

#[tokio::test]
async fn health_metrics_and_description_need_no_key() {
    let api = kit::api().await;
    for path in ["/healthz", "/metrics", "/openapi.json", "/readyz?scope=intake"] {
        let answer = call(&api, Method::GET, path, &[], Body::empty()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_request_brings_its_id_or_gets_one() {
    let api = kit::api().await;
    let given =
        call(&api, Method::GET, "/healthz", &[("x-request-id", "abc")], Body::empty()).await;
    assert_eq!(given.headers()["x-request-id"], "abc");
    let made = call(&api, Method::GET, "/healthz", &[], Body::empty()).await;
    assert_eq!(made.headers()["x-request-id"].len(), 32);
}

#[tokio::test]
async fn a_long_body_is_413_whether_its_length_is_declared_or_not() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({})).await;
    let path = "/api/v1/messages/RSSMRA85T10A562S";
    let headers = [("Ocp-Apim-Subscription-Key", key.as_str())];
    let long = " ".repeat(140_000);
    let declared = call(&api, Method::POST, path, &headers, long.clone()).await;
    assert_eq!(declared.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(long)]);
    let streamed = call(&api, Method::POST, path, &headers, Body::from_stream(chunks)).await;
    assert_eq!(streamed.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

/// An API on a socket.
struct Serving {
    _running: Running,
    address: SocketAddr,
    sender_key: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    /// Connects a client that has sent `text`.
    async fn client(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(text.as_bytes()).await.expect("written");
        stream
    }

    async fn stop(self) {
        self.stop.send(()).expect("still serving");
        let ended = tokio::time::timeout(Duration::from_secs(5), self.task).await;
        ended.expect("drained in time").expect("no panic").expect("served");
    }
}

async fn serve(change: impl FnOnce(&mut araldo::config::HttpConfig)) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (running, http, admin) = kit::http(change).await;
    let router = araldo::http::router(http.clone());
    let api = Api { running, router, admin };
    let sender_key = sender(&api, "anagrafe", json!({})).await;
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(araldo::http::serve(listener, http, async {
        let _ = stopped.await;
    }));
    Serving { _running: api.running, address, sender_key, stop, task }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let reading = stream.read_to_string(&mut text);
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("in time").expect("read");
    text
}

#[tokio::test]
async fn a_client_that_never_ends_its_header_is_cut_off() {
    let second = Duration::from_secs(1);
    let serving = serve(|options| options.header_read_timeout = second).await;
    let mut client = serving.client("GET /healthz HTTP/1.1\r\nhost: x\r\n").await;
    let _ = read_to_end(&mut client).await;
    serving.stop().await;
}

#[tokio::test]
async fn a_client_that_never_ends_its_body_gets_408() {
    let second = Duration::from_secs(1);
    let serving = serve(|options| options.request_timeout = second).await;
    let request = format!(
        "POST /api/v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         Ocp-Apim-Subscription-Key: {}\r\ncontent-length: 100\r\n\r\n{{",
        serving.sender_key
    );
    let mut client = serving.client(&request).await;
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 408 "));
    serving.stop().await;
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_loses_its_slot() {
    let serving = serve(|options| {
        options.request_timeout = Duration::from_secs(1);
        options.max_connections = 1;
    })
    .await;
    // More than the buffers of both sockets hold.
    let request = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut deaf = serving.client("").await;
    let requests = request.repeat(1000);
    let _ = deaf.write_all(requests.as_bytes()).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut second = serving.client(request).await;
    assert!(read_to_end(&mut second).await.starts_with("HTTP/1.1 200 "));
    serving.stop().await;
    drop(deaf);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let serving = serve(|options| options.max_connections = 1).await;
    let first = serving.client("").await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut second = serving.client(request).await;
    let mut byte = [0_u8; 1];
    let early = tokio::time::timeout(Duration::from_millis(300), second.read(&mut byte)).await;
    assert!(early.is_err(), "answered while the first connection held the only slot");
    drop(first);
    assert!(read_to_end(&mut second).await.starts_with("HTTP/1.1 200 "));
    serving.stop().await;
}

#[tokio::test]
async fn a_stop_lets_idle_connections_go_and_takes_no_new_ones() {
    let serving = serve(|_| {}).await;
    let address = serving.address;
    let mut idle = serving.client("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut answer = [0_u8; 12];
    idle.read_exact(&mut answer).await.expect("answered");
    serving.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}
