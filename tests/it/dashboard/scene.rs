//! The run that is looked at: an alert to one region, then one to everyone,
//! over three providers, each in some trouble; an operator who holds the
//! second for a moment, and personal emergencies beside it.

use std::time::Duration;

use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::{Behaviour, Failure, Kind, SmtpBehaviour, SmtpFailure, SmtpStage};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage_kit::{Setting, content, exchange};

/// Citizens, each with a device and an address.
pub const CITIZENS: u64 = 2_000;
/// Where one in six lives (ISTAT).
const LOMBARDY: &str = "03";
/// An alert, and its end, take less than this.
const LIMIT: Duration = Duration::from_secs(60);
/// One emergency is sent, and the alert looked at, every so often.
const PAUSE: Duration = Duration::from_millis(100);

/// A stage with its troubles, and two senders.
pub struct Scene {
    pub setting: Setting,
    population: Population,
    alerts: String,
    emergencies: String,
}

impl Scene {
    pub async fn set() -> Self {
        let setting = Setting::start(|options| {
            options.retry_base_ms = Some(300);
            options.sessions = 16;
        })
        .await;
        let town = setting.service_for(CITIZENS, Mix::DeviceAndMail).await;
        for simulator in setting.stage.simulators() {
            simulator.set_behaviour(&trouble(simulator.kind)).await.unwrap();
        }
        let alerts = sender(&setting, "protezione", json!({"groups": ["ApiAlertWrite"]})).await;
        let emergencies = sender(&setting, "soccorso", json!({"lane": "emergency"})).await;
        Self { population: town.population, setting, alerts, emergencies }
    }

    /// The alert to one region, to its end: every counter that trouble makes
    /// is there from now on. Returns how many citizens it was for.
    pub async fn open(&self) -> u64 {
        let id = self.post_alert(json!({"areas": [LOMBARDY]})).await;
        let deadline = Instant::now() + LIMIT;
        loop {
            let alert = self.alert(Method::GET, &id, "").await;
            if alert["status"] == "completed" {
                return alert["progress"]["recipients"].as_u64().unwrap();
            }
            assert!(Instant::now() < deadline, "still under way: {alert}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The alert to everyone, to its end; returns how many emergencies were
    /// sent beside it.
    pub async fn play(&self) -> u64 {
        let id = self.post_alert(json!({"everyone": true})).await;
        let deadline = Instant::now() + LIMIT;
        let mut sent = 0;
        loop {
            self.send_emergency(sent).await;
            sent += 1;
            let alert = self.alert(Method::GET, &id, "").await;
            match alert["status"].as_str().unwrap() {
                "completed" => break,
                "running" if sent == 15 => drop(self.alert(Method::POST, &id, "/pause").await),
                "paused" if sent == 40 => drop(self.alert(Method::POST, &id, "/resume").await),
                "running" | "paused" => {}
                other => panic!("the alert is {other}"),
            }
            assert!(Instant::now() < deadline, "still under way: {alert}");
            tokio::time::sleep(PAUSE).await;
        }
        self.setting.rest(LIMIT).await;
        sent
    }

    async fn ask(&self, method: Method, path: &str, key: &str, body: &Value) -> Value {
        let headers = [("ocp-apim-subscription-key", key), ("content-type", "application/json")];
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let reply = exchange(self.setting.stage.base_url(), method, path, &headers, body).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.text());
        reply.json()
    }

    async fn post_alert(&self, audience: Value) -> String {
        let markdown = "Restate in casa, lontano dai corsi d'acqua. ".repeat(3);
        let alert = json!({
            "texts": {"it_IT": {"subject": "Allerta rossa: piena del fiume", "markdown": markdown}},
            "audience": audience,
        });
        let sent = self.ask(Method::POST, "/api/v1/alerts", &self.alerts, &alert).await;
        sent["id"].as_str().unwrap().to_owned()
    }

    async fn alert(&self, method: Method, id: &str, order: &str) -> Value {
        let path = format!("/api/v1/alerts/{id}{order}");
        self.ask(method, &path, &self.alerts, &Value::Null).await
    }

    async fn send_emergency(&self, index: u64) {
        let to = self.population.citizen(index % CITIZENS).fiscal_code;
        let path = format!("/api/v1/messages/{to}");
        self.ask(Method::POST, &path, &self.emergencies, &json!({"content": content()})).await;
    }
}

/// Registers a service and returns its sender key.
async fn sender(setting: &Setting, id: &str, change: Value) -> String {
    let mut operator = setting.stage.operator().unwrap();
    let mut service =
        json!({"name": "Protezione civile", "organization_fiscal_code": "97000000007"});
    service.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    operator.put(&format!("/api/operator/v1/services/{id}"), &service).await.unwrap();
    let key = json!({"name": id, "role": "sender", "service_id": id});
    let made = operator.post("/api/operator/v1/keys", &key).await.unwrap();
    made["key"].as_str().unwrap().to_owned()
}

/// What is wrong with each provider: something that is tried again, and
/// something that is lost; and Google asks for a pause.
fn trouble(kind: Kind) -> Behaviour {
    let well = Behaviour { latency_ms: 20, unregistered_share: 0.1, ..Behaviour::default() };
    match kind {
        Kind::Apns => Behaviour { failures: vec![refused("TooManyRequests", 0.3, None)], ..well },
        Kind::Fcm => Behaviour { failures: vec![refused("QUOTA_EXCEEDED", 0.1, Some(1))], ..well },
        Kind::Smtp => {
            let full = SmtpFailure {
                share: 0.05,
                first_attempts: Some(1),
                ..SmtpFailure::always(SmtpStage::Rcpt, "452 4.2.2 Mailbox full")
            };
            let smtp = SmtpBehaviour { failures: vec![full], ..SmtpBehaviour::default() };
            Behaviour { smtp, ..well }
        }
    }
}

/// A refusal of this share, at most three times: a rate needs more than one
/// scrape with it.
fn refused(reason: &str, share: f64, retry_after_seconds: Option<u32>) -> Failure {
    Failure {
        reason: reason.to_owned(),
        status: None,
        share,
        retry_after_seconds,
        first_attempts: Some(3),
    }
}
