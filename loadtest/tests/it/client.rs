//! A plain HTTP/2 client for the tests, and the tokens a correct sender makes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use araldo_loadtest::simulator::{Behaviour, Credentials, Kind, Options, Simulator, tls};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub(crate) const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
pub(crate) const TOPIC: &str = "it.example.app";

pub(crate) fn device() -> String {
    "a1".repeat(32)
}

pub(crate) fn fcm_token() -> String {
    format!("cXyZ0123456789abcdefgh:APA91b{}", "Q".repeat(123))
}

pub(crate) fn uuid(n: u128) -> String {
    uuid::Uuid::from_u128(n).to_string()
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// One HTTP/2 connection.
pub(crate) struct Client {
    pub(crate) send: SendRequest<Full<Bytes>>,
    pub(crate) driver: JoinHandle<Result<(), hyper::Error>>,
}

impl Client {
    pub(crate) async fn connect(simulator: &Simulator) -> Self {
        let stream = TcpStream::connect(simulator.address()).await.unwrap();
        let builder = http2::Builder::new(TokioExecutor::new());
        if simulator.endpoint().starts_with("https") {
            let config = tls::client_config(&simulator.credentials().ca_pem).unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await
                .unwrap();
            let (send, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
            return Self { send, driver: tokio::spawn(connection) };
        }
        let (send, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        Self { send, driver: tokio::spawn(connection) }
    }

    pub(crate) async fn try_send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, hyper::Error> {
        let answer = self.send.clone().send_request(request).await?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        self.try_send(request).await.unwrap()
    }
}

pub(crate) async fn simulator(kind: Kind, change: impl FnOnce(&mut Options)) -> Simulator {
    let mut options = Options::new(kind, Credentials::generate().unwrap());
    options.tls = false;
    change(&mut options);
    Simulator::start(options).await.unwrap()
}

pub(crate) async fn behaving(kind: Kind, behaviour: Behaviour) -> Simulator {
    simulator(kind, |options| options.behaviour = behaviour).await
}

pub(crate) fn apns_jwt(credentials: &Credentials, kid: &str, iss: &str, iat: u64) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(kid.to_owned());
    let key = EncodingKey::from_ec_pem(credentials.apns_key_pem.as_bytes()).unwrap();
    jsonwebtoken::encode(&header, &json!({"iss": iss, "iat": iat}), &key).unwrap()
}

pub(crate) fn good_jwt(credentials: &Credentials) -> String {
    apns_jwt(credentials, &credentials.apns.key_id, &credentials.apns.team_id, now())
}

pub(crate) fn payload() -> Value {
    json!({"aps": {"alert": {"title": "Titolo", "body": "Testo"}, "sound": "default"}, "message_id": ULID})
}

/// A correct APNs request, to be bent by each test.
pub(crate) struct Apns {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Apns {
    pub(crate) fn new(simulator: &Simulator, jwt: &str) -> Self {
        let headers = vec![
            ("authorization", format!("bearer {jwt}")),
            ("apns-topic", simulator.credentials().apns.topic.clone()),
            ("apns-push-type", "alert".to_owned()),
            ("apns-priority", "10".to_owned()),
            ("apns-expiration", (now() + 3_600).to_string()),
            ("apns-id", uuid(1)),
            ("apns-collapse-id", ULID.to_owned()),
        ];
        Self {
            method: "POST",
            path: format!("/3/device/{}", device()),
            headers,
            body: payload().to_string().into_bytes(),
        }
    }

    pub(crate) fn id(self, n: u128) -> Self {
        self.set("apns-id", &uuid(n))
    }

    pub(crate) fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|header| header.0 != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn add(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.headers.retain(|header| header.0 != name);
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn build(self) -> Request<Full<Bytes>> {
        let mut request =
            Request::builder().method(self.method).uri(format!("http://localhost{}", self.path));
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(Bytes::from(self.body))).unwrap()
    }
}

/// An HTTP/1.1 request on a connection of its own, for control and token endpoints.
pub(crate) async fn http1(address: std::net::SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let (parts, body) = send.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    drop(send);
    driver.await.unwrap().unwrap();
    Reply { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn control(simulator: &Simulator, method: &str, path: &str, body: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    http1(simulator.control_address(), request).await
}
