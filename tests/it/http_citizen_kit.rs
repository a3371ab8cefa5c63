//! What the tests of the citizens' side share: the API on a socket over the
//! real embedded store, citizens with tokens, a sender, the mails that would
//! confirm addresses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use araldo::config::{Config, Sources};
use araldo::http::development::{self, Bearer, Issuing};
use araldo::http::{Http, key};
use araldo::link::Links;
use araldo::secret::Secret;
use araldo::store::embedded::{EmbeddedOptions, EmbeddedStore};
use araldo::system::{SystemClock, SystemRng};
use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::service::Role;
use araldo_actors::domain::time::Millis;
use araldo_actors::pipeline::{self, Ports, Running};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::http_kit;

/// Rosa, who has a profile in most tests.
pub const ROSA: &str = "RSSRSO85T50A562X";
/// Luca, another citizen.
pub const LUCA: &str = "VRDLCU90A01H501K";
/// The secret of development tokens in these tests.
pub const DEVELOPMENT: &str = "0123456789abcdef0123456789abcdef";

/// A mail that would confirm an address.
pub type Mail = (String, Language, String);

/// The API on a socket.
pub struct House {
    pub running: Running,
    pub base: String,
    pub mails: Arc<Mutex<Vec<Mail>>>,
    pub links: Arc<Links>,
    sender: String,
    admin: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
    // Declared last: removed when nothing uses it any more.
    _folder: TempDir,
}

/// An answer, read whole.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer, which must have `status`.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub fn code(text: &str) -> FiscalCode {
    FiscalCode::parse(text).unwrap()
}

pub fn now() -> Millis {
    use araldo_actors::port::clock::Clock;
    SystemClock.now()
}

/// A development token for `citizen`.
pub fn token(citizen: &str) -> String {
    let bearer = Bearer {
        given_name: Some("Rosa".into()),
        family_name: Some("Rossi".into()),
        date_of_birth: Some("1985-12-10".into()),
        email: None,
    };
    let issuing = Issuing { fiscal_code_claim: "fiscal_code".into(), ..Issuing::default() };
    let hour = Duration::from_secs(3600);
    development::mint(DEVELOPMENT, code(citizen), &bearer, &issuing, now(), hour).unwrap()
}

/// What the server is told: development tokens are believed.
pub fn config(folder: &TempDir) -> Config {
    let file = folder.path().join("development.key");
    std::fs::write(&file, DEVELOPMENT).unwrap();
    let mut config = araldo::config::load(&Sources::default()).unwrap().config;
    config.citizen.development_key_file = Some(file);
    config
}

impl House {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        change(&mut config);
        Self::over(folder, config).await
    }

    /// Over the store in `folder`.
    pub async fn over(folder: TempDir, config: Config) -> Self {
        let options = EmbeddedOptions {
            path: folder.path().join("store"),
            partitions: http_kit::OPTIONS.partitions,
            cache_bytes: 4 << 20,
        };
        let store = Arc::new(EmbeddedStore::open(&options).unwrap());
        let ports = Ports {
            store,
            clock: Arc::new(SystemClock),
            rng: Arc::new(SystemRng),
            cluster: None,
            budget: None,
        };
        let running = pipeline::start(http_kit::OPTIONS, ports, Vec::new()).await.unwrap();
        let engine = running.engine.clone();
        let made = key::create("test".to_owned(), Role::Admin, None, engine.now()).unwrap();
        engine.put_key(made.key).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let mut citizens = http_kit::citizens(|given| *given = config.clone());
        let sent = Arc::clone(&mails);
        citizens.links = Arc::new(Links::new(&Secret::new([9; 32]), &format!("http://{base}")));
        citizens.mails = Arc::new(move |to, language, link| {
            sent.lock().unwrap().push((to.to_owned(), language, link));
            Ok(())
        });
        let links = Arc::clone(&citizens.links);
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let options = config.http.clone();
        let http = Http { engine, node: http_kit::node(), metrics, options, citizens };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(araldo::http::serve(listener, http, async {
            let _ = stopped.await;
        }));
        let stop = Some(stop);
        let (admin, sender) = (made.secret, String::new());
        let mut house =
            Self { running, base, mails, links, sender, admin, stop, task, _folder: folder };
        house.sender = house.service("anagrafe", json!({"name": "Anagrafe"})).await;
        house
    }

    /// Ends the server; returns how long it took.
    pub async fn stop(mut self) -> Duration {
        let started = Instant::now();
        self.stop.take().unwrap().send(()).unwrap();
        let ended = timeout(Duration::from_secs(20), &mut self.task).await;
        ended.expect("drained in time").unwrap().unwrap();
        let took = started.elapsed();
        self.running.shutdown(Duration::from_secs(10)).await;
        took
    }

    /// Registers service `id`; returns a sender's key.
    pub async fn service(&self, id: &str, more: Value) -> String {
        let mut service = json!({
            "name": id, "organization_fiscal_code": "00000000001",
            "max_allowed_payment_amount": 100_000,
            "groups": ["ApiMessageWrite", "ApiMessageRead", "ApiMessageWriteAdvanced",
                "ApiMessageReadAdvanced", "ApiThirdPartyMessageWrite"],
        });
        for (name, value) in more.as_object().unwrap() {
            service[name] = value.clone();
        }
        let organization = service["organization_fiscal_code"].as_str().unwrap().to_owned();
        let name = match organization.as_str() {
            "00000000001" => "Comune di Forlì",
            _ => "Città Metropolitana di Torino",
        };
        let path = format!("/organizations/{organization}");
        self.operate(Method::PUT, &path, json!({"name": name})).await.expect(200);
        self.operate(Method::PUT, &format!("/services/{id}"), service).await.expect(200);
        let key = json!({"name": "gestionale", "role": "sender", "service_id": id});
        let made = self.operate(Method::POST, "/keys", key).await.expect(201);
        made.json()["key"].as_str().unwrap().to_owned()
    }

    pub async fn operate(&self, method: Method, path: &str, body: Value) -> Reply {
        let bearer = format!("Bearer {}", self.admin);
        let path = format!("/api/operator/v1{path}");
        self.call(method, &path, &[("authorization", &bearer)], body.to_string()).await
    }

    /// Registers a citizen, mode AUTO, with `more` over the defaults.
    pub async fn citizen(&self, citizen: &str, more: Value) {
        let mut line = json!({"fiscal_code": citizen, "preferences_mode": "AUTO"});
        for (name, value) in more.as_object().unwrap() {
            line[name] = value.clone();
        }
        let imported = self.operate(Method::POST, "/citizens", line).await.expect(200);
        assert_eq!(imported.json()["refused"], 0, "{}", imported.text());
    }

    /// Sends a message and waits until it is in the inbox.
    pub async fn send(&self, to: &str, subject: &str) -> String {
        self.send_with(to, subject, json!({})).await
    }

    pub async fn send_with(&self, to: &str, subject: &str, more: Value) -> String {
        self.send_as(&self.sender, to, subject, more).await
    }

    pub async fn send_as(&self, key: &str, to: &str, subject: &str, more: Value) -> String {
        let mut message = json!({"content": {
            "subject": subject, "markdown": "La sua carta d'identità scade tra pochi mesi. ".repeat(3),
        }});
        for (name, value) in more.as_object().unwrap() {
            message[name] = value.clone();
            if name == "content" {
                message[name]["subject"] = json!(subject);
            }
        }
        let headers = [("ocp-apim-subscription-key", key)];
        let path = format!("/api/v1/messages/{to}");
        let sent = self.call(Method::POST, &path, &headers, message.to_string()).await.expect(201);
        let id = sent.json()["id"].as_str().unwrap().to_owned();
        for _ in 0..500 {
            let read = self.call(Method::GET, &format!("{path}/{id}"), &headers, "").await;
            if read.expect(200).json()["status"] != "ACCEPTED" {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the message stays ACCEPTED");
    }

    /// A message as its sender sees it.
    pub async fn sent(&self, to: &str, id: &str) -> Value {
        let headers = [("ocp-apim-subscription-key", self.sender.as_str())];
        let path = format!("/api/v1/messages/{to}/{id}");
        self.call(Method::GET, &path, &headers, "").await.expect(200).json()
    }

    pub async fn get(&self, token: &str, path: &str) -> Reply {
        self.ask(Method::GET, token, path, "").await
    }

    pub async fn put(&self, token: &str, path: &str, body: Value) -> Reply {
        self.ask(Method::PUT, token, path, body.to_string()).await
    }

    pub async fn post(&self, token: &str, path: &str, body: Value) -> Reply {
        self.ask(Method::POST, token, path, body.to_string()).await
    }

    pub async fn delete(&self, token: &str, path: &str) -> Reply {
        self.ask(Method::DELETE, token, path, "").await
    }

    /// One exchange of a citizen.
    pub async fn ask(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Reply {
        let bearer = format!("Bearer {token}");
        self.call(method, path, &[("authorization", &bearer)], body).await
    }

    /// One exchange on a connection of its own.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let (response, connection) = self.open(method, path, headers, body.into()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// An answer whose body is still to be read, and its connection.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> (Response<Incoming>, JoinHandle<()>) {
        let stream = TcpStream::connect(&self.base).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async {
            let _ = connection.await;
        });
        let mut request = Request::builder().method(method).uri(path).header("host", &self.base);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        (sender.send_request(request).await.unwrap(), connection)
    }

    /// Opens a live session.
    pub async fn live(&self, token: &str, last: Option<&str>) -> Live {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(last.map(|last| ("last-event-id", last)));
        let path = "/api/citizen/v1/live";
        let (response, connection) = self.open(Method::GET, path, &headers, Bytes::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Live { body: response.into_body(), text: String::new(), connection }
    }
}

/// A live session, read.
pub struct Live {
    body: Incoming,
    text: String,
    connection: JoinHandle<()>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Live {
    /// The next event within five seconds; none at the end.
    pub async fn next(&mut self) -> Option<Event> {
        timeout(Duration::from_secs(5), self.read()).await.expect("an event or the end")
    }

    /// Whether nothing comes for a while.
    pub async fn is_quiet(&mut self, wait: Duration) -> bool {
        timeout(wait, self.read()).await.is_err()
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                match event(&block) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let frame = self.body.frame().await?.ok()?;
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// An event; none for a comment.
fn event(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim_start().to_owned())
    };
    Some(Event {
        name: field("event")?,
        id: field("id")?,
        data: serde_json::from_str(&field("data")?).unwrap(),
    })
}
