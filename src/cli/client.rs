//! A small HTTP client of a running server.
//!
//! One connection per request, `http://` only: the server speaks clear text,
//! and whoever reaches it from elsewhere does so through a proxy's own tools.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::error::CliError;

/// For reaching the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole exchange; imports take the longest.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest answer that is read.
const LONGEST_ANSWER: usize = 64 << 20;
/// How often a refused request is repeated when the server asks for it.
const RETRIES: u32 = 5;
/// Longest wait the server is granted.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Who calls.
pub enum Key {
    /// On the operator API.
    Operator(String),
    /// On the sender API.
    Sender(String),
}

/// A client of one server.
pub struct Client {
    authority: String,
    key: Key,
}

/// What is sent.
pub struct Call<'a> {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Bytes,
}

impl Call<'_> {
    /// A GET.
    pub fn get(path: &str) -> Call<'_> {
        Call { method: Method::GET, path, headers: Vec::new(), body: Bytes::new() }
    }

    /// A request with a JSON body.
    pub fn json<'a>(method: Method, path: &'a str, body: &Value) -> Call<'a> {
        let headers = vec![(CONTENT_TYPE.as_str(), "application/json".to_owned())];
        Call { method, path, headers, body: Bytes::from(body.to_string()) }
    }
}

/// An answer that is not a refusal.
pub struct Answer {
    /// The `Location` header.
    pub location: Option<String>,
    /// The body; null when there is none.
    pub body: Value,
}

/// A refusal, or silence.
enum Trouble {
    Refused { status: StatusCode, wait: Option<Duration>, text: String },
    Broken(String),
}

impl Client {
    /// A client of the server at `url`.
    pub fn new(url: &str, key: Key) -> Result<Self, CliError> {
        let uri: Uri =
            url.parse().map_err(|_| CliError::Usage(format!("--url {url} is not an address")))?;
        let Some(authority) = uri.authority().filter(|_| uri.scheme_str() == Some("http")) else {
            let text = format!("--url {url} must be http:// with host and port");
            return Err(CliError::Usage(text));
        };
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { authority: format!("{}:{port}", authority.host()), key })
    }

    /// Sends `call` and waits for its answer, on a runtime of its own.
    pub fn call(&self, call: &Call<'_>) -> Result<Answer, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| CliError::Failed(format!("cannot start a runtime: {error}")))?;
        runtime.block_on(self.patiently(call))
    }

    /// Every item of a list, page by page.
    pub fn list(&self, path: &str) -> Result<Vec<Value>, CliError> {
        let mut items = Vec::new();
        let mut page = path.to_owned();
        loop {
            let mut answer = self.call(&Call::get(&page))?.body;
            if let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match answer["next"].as_str() {
                Some(next) => page = format!("{path}?after={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Repeats what the server says nothing was stored of.
    async fn patiently(&self, call: &Call<'_>) -> Result<Answer, CliError> {
        let mut tries = 0;
        loop {
            match self.exchange(call).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Refused { wait: Some(wait), .. }) if tries < RETRIES => {
                    tries += 1;
                    tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
                }
                Err(Trouble::Refused { status, text, .. }) => {
                    return Err(CliError::Failed(format!("{status}: {text}")));
                }
                Err(Trouble::Broken(text)) => return Err(CliError::Failed(text)),
            }
        }
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<Answer, Trouble> {
        let exchange = async {
            let stream = self.connect().await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| self.broken(&error))?;
            let request = self.request(call)?;
            let exchange = async move {
                let response = sender.send_request(request).await?;
                Ok::<_, hyper::Error>(response.map(|body| Limited::new(body, LONGEST_ANSWER)))
            };
            // The connection must be driven while the body is read too.
            let reading = async {
                let response = exchange.await.map_err(|error| self.broken(&error))?;
                let (parts, body) = response.into_parts();
                let body = body.collect().await.map_err(|error| self.broken(&*error))?;
                Ok(Response::from_parts(parts, body.to_bytes()))
            };
            let (response, _) = tokio::join!(reading, connection);
            response
        };
        match tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await {
            Ok(response) => read(response?),
            Err(_) => {
                let seconds = EXCHANGE_TIMEOUT.as_secs();
                Err(Trouble::Broken(format!("no answer from {} in {seconds} s", self.authority)))
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, Trouble> {
        let connecting = TcpStream::connect(&self.authority);
        let reason = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        let text =
            format!("cannot reach http://{}: {reason}: is `araldo serve` running?", self.authority);
        Err(Trouble::Broken(text))
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, Trouble> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(call.path)
            .header(HOST, &self.authority)
            .header("connection", "close");
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let (name, value) = match &self.key {
            Key::Operator(key) => (AUTHORIZATION.as_str(), format!("Bearer {key}")),
            Key::Sender(key) => ("ocp-apim-subscription-key", key.clone()),
        };
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| Trouble::Broken("the key cannot be sent in a header".to_owned()))?;
        value.set_sensitive(true);
        request
            .header(name, value)
            .body(Full::new(call.body.clone()))
            .map_err(|error| Trouble::Broken(format!("the request cannot be sent: {error}")))
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Trouble {
        Trouble::Broken(format!("the exchange with http://{} broke off: {error}", self.authority))
    }
}

fn read(response: Response<Bytes>) -> Result<Answer, Trouble> {
    let (parts, body) = response.into_parts();
    let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if parts.status.is_success() {
        let location = parts.headers.get("location").and_then(|value| value.to_str().ok());
        return Ok(Answer { location: location.map(str::to_owned), body: value });
    }
    // Only what left nothing behind may be repeated without being asked.
    let repeatable = parts.status == StatusCode::TOO_MANY_REQUESTS
        || (parts.status == StatusCode::SERVICE_UNAVAILABLE
            && value["type"] == "urn:araldo:problem:unavailable");
    let wait = parts.headers.get(RETRY_AFTER).filter(|_| repeatable);
    let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    Err(Trouble::Refused { status: parts.status, wait, text: refusal(&value) })
}

/// A problem in words.
fn refusal(problem: &Value) -> String {
    let mut text = problem["detail"].as_str().unwrap_or("no reason given").to_owned();
    let errors = problem["errors"].as_array().into_iter().flatten();
    for error in errors {
        let (field, reason) = (error["field"].as_str(), error["reason"].as_str());
        let line = format!("\n  {} {}", field.unwrap_or_default(), reason.unwrap_or_default());
        if !text.contains(line.trim()) {
            text.push_str(&line);
        }
    }
    text
}
