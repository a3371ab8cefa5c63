//! The HTTP API over a real engine and the reference store.

use std::sync::Arc;
use std::time::Duration;

use araldo::config::{Config, HttpConfig, Sources};
use araldo::http::citizen::Citizens;
use araldo::http::citizen::issuer::Issuer;
use araldo::http::{Http, key};
use araldo::link::Links;
use araldo::post::PostError;
use araldo::secret::Secret;
use araldo::store::memory::MemoryStore;
use araldo::system::{SystemClock, SystemRng};
use araldo_actors::domain::id::NodeId;
use araldo_actors::domain::service::Role;
use araldo_actors::erasure::ErasureKey;
use araldo_actors::live::LiveLimits;
use araldo_actors::pipeline::{self, EngineOptions, NodeOptions, PartitionLimits, Ports, Running};
use araldo_actors::policy::admission::AdmissionLimits;
use araldo_actors::policy::restart::Intensity;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tower::ServiceExt;

pub const OPTIONS: EngineOptions = EngineOptions {
    partitions: 4,
    partition: PartitionLimits { max_active: 64, credits: 64, max_panics: 3 },
    admission: AdmissionLimits { in_flight: 100, backlog: 10_000 },
    live: LiveLimits { max_sessions: 100, max_sessions_per_citizen: 3 },
    claims_kept: Duration::from_secs(86_400),
    erasure_key: ErasureKey([7; 32]),
    intensity: Intensity { restarts: 10, within: Duration::from_secs(10) },
};

/// The API without a socket, and an admin's key.
pub struct Api {
    pub running: Running,
    pub router: axum::Router,
    pub admin: String,
}

/// The API with the default limits.
pub async fn api() -> Api {
    api_with(|_| {}).await
}

/// The API with changed limits.
pub async fn api_with(change: impl FnOnce(&mut HttpConfig)) -> Api {
    let (running, http, admin) = http(change).await;
    Api { running, router: araldo::http::router(http), admin }
}

/// What the API is made of, before it is served.
pub async fn http(change: impl FnOnce(&mut HttpConfig)) -> (Running, Http, String) {
    let store = Arc::new(MemoryStore::new(OPTIONS.partitions));
    let ports = Ports {
        store,
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
        cluster: None,
        budget: None,
    };
    let running = pipeline::start(OPTIONS, ports, Vec::new()).await.expect("started");
    let engine = running.engine.clone();
    let made = key::create("test".to_owned(), Role::Admin, None, engine.now()).expect("made");
    engine.put_key(made.key).await.expect("stored");
    let mut options = araldo::config::load(&Sources::default()).expect("valid").config.http;
    change(&mut options);
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    (
        running,
        Http { engine, node: node(), metrics, options, citizens: citizens(|_| {}) },
        made.secret,
    )
}

/// What the process is called.
pub fn node() -> NodeOptions {
    NodeOptions {
        id: NodeId::parse("node-1").expect("a name"),
        incarnation: 0xA1,
        address: "127.0.0.1:8080".to_owned(),
        version: "0.0.0-test".to_owned(),
    }
}

/// The citizens' side without any mail, its secret 32 times 7.
pub fn citizens(change: impl FnOnce(&mut Config)) -> Citizens {
    let mut config = araldo::config::load(&Sources::default()).expect("valid").config;
    change(&mut config);
    let links = Links::new(&Secret::new([7; 32]), "http://araldo.example");
    Citizens {
        issuer: Issuer::new(&config.citizen).expect("readable keys"),
        links: Arc::new(links),
        mails: Arc::new(|_, _, _| Err(PostError::NoRoute)),
        live: config.live,
        link_validity: config.citizen.validation,
        deletion_grace: config.retention.deletion_grace,
    }
}

/// One exchange with the API.
pub async fn call(
    api: &Api,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).expect("a request");
    api.router.clone().oneshot(request).await.expect("the router never fails")
}

/// The JSON of an answer.
pub async fn json_of(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&bytes).expect("JSON")
}

/// One exchange of an operator.
pub async fn operate(api: &Api, method: Method, path: &str, body: Value) -> Response<Body> {
    let bearer = format!("Bearer {}", api.admin);
    let path = format!("/api/operator/v1{path}");
    call(api, method, &path, &[("authorization", &bearer)], body.to_string()).await
}

/// Registers service `id` with `more` over its defaults; returns a key.
pub async fn sender(api: &Api, id: &str, more: Value) -> String {
    let name = json!({"name": "Comune di Prova"});
    let put = operate(api, Method::PUT, "/organizations/00000000001", name).await;
    assert_eq!(put.status(), StatusCode::OK);
    let mut service = json!({"name": "Anagrafe", "organization_fiscal_code": "00000000001"});
    for (name, value) in more.as_object().into_iter().flatten() {
        service[name] = value.clone();
    }
    let put = operate(api, Method::PUT, &format!("/services/{id}"), service).await;
    assert_eq!(put.status(), StatusCode::OK);
    let key = json!({"name": "gestionale", "role": "sender", "service_id": id});
    let created = operate(api, Method::POST, "/keys", key).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    json_of(created).await["key"].as_str().expect("a key").to_owned()
}
