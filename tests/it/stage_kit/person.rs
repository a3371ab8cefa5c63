//! Citizens and senders of a stage: who calls the citizen API with a token,
//! who sends with a key.

use std::time::Duration;

use araldo_loadtest::stage::Stage;
use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::{Reply, content, exchange};

/// A citizen with a token.
pub struct Person {
    pub fiscal_code: String,
    base: String,
    bearer: String,
}

impl Person {
    /// With a token minted now.
    pub fn of(stage: &Stage, fiscal_code: &str) -> Self {
        let hour = Duration::from_secs(3_600);
        let token = stage.tokens().mint(fiscal_code, ("Rosa", "Rossi"), hour).unwrap();
        Self {
            fiscal_code: fiscal_code.to_owned(),
            base: stage.base_url().to_owned(),
            bearer: format!("Bearer {token}"),
        }
    }

    /// One exchange on a connection of its own.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        exchange(&self.base, method, path, &[("authorization", &self.bearer)], body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None).await.expect(200).json()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(Method::POST, path, Some(body)).await.expect(200).json()
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.ask(Method::PUT, path, Some(body)).await.expect(200).json()
    }

    /// The ids in the inbox or in the archive, newest first, page by page.
    pub async fn inbox(&self, archived: bool) -> Vec<String> {
        let path = format!("/api/communication/v1/messages?archived={archived}");
        let mut ids = Vec::new();
        let mut older = String::new();
        loop {
            let page = self.get(&format!("{path}{older}")).await;
            let items = page["items"].as_array().unwrap();
            ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => older = format!("&maximum_id={next}"),
                None => return ids,
            }
        }
    }
}

/// Who may send for one service.
pub struct Sender {
    base: String,
    key: HeaderValue,
}

impl Sender {
    /// Registers the service.
    pub async fn of(stage: &Stage, service: &str, name: &str) -> Self {
        let key = stage.create_service(service, name).await.unwrap();
        Self { base: stage.base_url().to_owned(), key }
    }

    /// Sends a message; returns its id.
    pub async fn send(&self, to: &Person) -> String {
        self.send_with(to, json!({"content": content()}), None).await
    }

    /// Sends this body; returns the id.
    pub async fn send_with(&self, to: &Person, body: Value, idempotency: Option<&str>) -> String {
        let path = format!("/api/v1/messages/{}", to.fiscal_code);
        let mut headers = vec![("ocp-apim-subscription-key", self.key.to_str().unwrap())];
        headers.extend(idempotency.map(|key| ("idempotency-key", key)));
        let body = Bytes::from(body.to_string());
        let sent = exchange(&self.base, Method::POST, &path, &headers, body).await.expect(201);
        sent.json()["id"].as_str().unwrap().to_owned()
    }

    /// A message as this sender sees it.
    pub async fn message(&self, to: &Person, id: &str) -> Value {
        let path = format!("/api/v1/messages/{}/{id}", to.fiscal_code);
        let key = [("ocp-apim-subscription-key", self.key.to_str().unwrap())];
        exchange(&self.base, Method::GET, &path, &key, Bytes::new()).await.expect(200).json()
    }

    /// State and reason of the message's one delivery through `channel`.
    pub async fn delivery(&self, to: &Person, id: &str, channel: &str) -> (String, String) {
        let message = self.message(to, id).await;
        let all = message["delivery"].as_array().unwrap();
        let mine: Vec<_> = all.iter().filter(|one| one["channel"] == channel).collect();
        assert_eq!(mine.len(), 1, "deliveries by {channel}: {message}");
        let word = |name: &str| mine[0][name].as_str().unwrap_or_default().to_owned();
        (word("state"), word("reason"))
    }
}

/// Imports these lines, all of them new.
pub async fn import(stage: &Stage, lines: &[Value]) {
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let mut operator = stage.operator().unwrap();
    let path = "/api/operator/v1/citizens";
    let kind = Some("application/x-ndjson");
    let answer = operator.send(Method::POST, path, kind, Bytes::from(text)).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(
        (&answer["refused"], &answer["imported"]),
        (&json!(0), &json!(lines.len())),
        "{answer}"
    );
}
