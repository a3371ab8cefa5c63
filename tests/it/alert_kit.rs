//! Who sends alerts on a stage, and follows them.

use std::time::Duration;

use araldo_loadtest::simulator::Kind;
use araldo_loadtest::stage::Stage;
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage_kit::{Reply, Setting, exchange, refusal};

/// Where a service finds its alerts.
pub const ALERTS: &str = "/api/v1/alerts";
/// For a walk through a few citizens, retries included.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A service that sends alerts.
pub struct Herald {
    base: String,
    pub key: String,
}

impl Herald {
    /// Registers the service, with the permission and no other.
    pub async fn of(stage: &Stage, service: &str) -> Self {
        let mut operator = stage.operator().unwrap();
        let organization = "/api/operator/v1/organizations/00000000001";
        operator.put(organization, &json!({"name": "Comune di Prova"})).await.unwrap();
        let document = json!({"name": "Allerte", "organization_fiscal_code": "00000000001",
            "groups": ["ApiAlertWrite"]});
        operator.put(&format!("/api/operator/v1/services/{service}"), &document).await.unwrap();
        let key = json!({"name": "sala operativa", "role": "sender", "service_id": service});
        let made = operator.post("/api/operator/v1/keys", &key).await.unwrap();
        Self { base: stage.base_url().to_owned(), key: made["key"].as_str().unwrap().to_owned() }
    }

    pub async fn post(&self, body: &Value, idempotency: Option<&str>) -> Reply {
        let mut headers = vec![("ocp-apim-subscription-key", self.key.as_str())];
        headers.extend(idempotency.map(|key| ("idempotency-key", key)));
        exchange(&self.base, Method::POST, ALERTS, &headers, Bytes::from(body.to_string())).await
    }

    /// Sends an alert to this audience; returns its id.
    pub async fn send(&self, audience: Value) -> String {
        let sent = self.post(&alert(audience), None).await.expect(201);
        sent.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn view(&self, id: &str) -> Value {
        let headers = [("ocp-apim-subscription-key", self.key.as_str())];
        let path = format!("{ALERTS}/{id}");
        exchange(&self.base, Method::GET, &path, &headers, Bytes::new()).await.expect(200).json()
    }

    /// pause, resume or cancel.
    pub async fn change(&self, id: &str, change: &str) -> Reply {
        let headers = [("ocp-apim-subscription-key", self.key.as_str())];
        let path = format!("{ALERTS}/{id}/{change}");
        exchange(&self.base, Method::POST, &path, &headers, Bytes::new()).await
    }

    pub async fn status(&self, id: &str) -> String {
        self.view(id).await["status"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of an alert, which must be this.
    pub async fn ends(&self, id: &str, status: &str) -> Value {
        self.ends_within(id, status, LIMIT).await
    }

    /// The same, of a longer one.
    pub async fn ends_within(&self, id: &str, status: &str, limit: Duration) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let view = self.view(id).await;
            if !matches!(view["status"].as_str(), Some("running" | "paused")) {
                assert_eq!(view["status"], status, "{view}");
                return view;
            }
            assert!(Instant::now() < deadline, "{view}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Every push is refused until the simulators are told otherwise.
pub async fn push_outage(setting: &Setting) {
    for simulator in setting.stage.simulators() {
        let reason = match simulator.kind {
            Kind::Apns => "ServiceUnavailable",
            Kind::Fcm => "UNAVAILABLE",
            Kind::Smtp => continue,
        };
        simulator.set_behaviour(&refusal(reason, None, None)).await.unwrap();
    }
}

/// An alert in Italian and German to this audience.
pub fn alert(audience: Value) -> Value {
    json!({"texts": {
        "it_IT": {"subject": "Allerta meteo rossa",
            "markdown": "Restate in casa e seguite le indicazioni del sindaco. ".repeat(2)},
        "de_DE": {"subject": "Rote Wetterwarnung",
            "markdown": "Bleiben Sie zu Hause und folgen Sie den Anweisungen. ".repeat(2)},
    }, "audience": audience})
}

/// One walk of an alert, as its view shows it.
pub fn walk<'a>(view: &'a Value, name: &str) -> &'a Value {
    let walks = view["progress"]["walks"].as_array().unwrap();
    walks.iter().find(|walk| walk["walk"] == name).unwrap_or_else(|| panic!("no {name}: {view}"))
}
