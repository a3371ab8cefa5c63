//! Alerts through the sender API: what is taken, what is refused and where.

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::http_kit::{self as kit, Api, call, json_of, sender};

const PATH: &str = "/api/v1/alerts";

fn text(subject: &str) -> Value {
    json!({"subject": subject, "markdown": "Restate in casa e seguite le indicazioni. ".repeat(3)})
}

fn alert() -> Value {
    json!({"texts": {"it_IT": text("Allerta meteo rossa")}, "audience": {"everyone": true}})
}

async fn alerting(api: &Api, id: &str) -> String {
    sender(api, id, json!({"groups": ["ApiAlertWrite"]})).await
}

async fn post(api: &Api, key: &str, body: &Value) -> Response<Body> {
    let headers = [("Ocp-Apim-Subscription-Key", key), ("content-type", "application/json")];
    call(api, Method::POST, PATH, &headers, body.to_string()).await
}

async fn get(api: &Api, key: &str, path: &str) -> Response<Body> {
    call(api, Method::GET, path, &[("Ocp-Apim-Subscription-Key", key)], Body::empty()).await
}

#[tokio::test]
async fn an_alert_is_accepted_and_read_back_where_location_says() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let mut sent = alert();
    sent["texts"]["en_GB"] = text("Red weather alert");
    sent["audience"] = json!({"areas": ["015146", "015", "03"]});
    sent["lane"] = json!("emergency");
    let created = post(&api, &key, &sent).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let location = created.headers()["location"].to_str().expect("text").to_owned();
    let view = json_of(created).await;
    let id = view["id"].as_str().expect("an id").to_owned();
    assert_eq!(location, format!("{PATH}/{id}"));
    let read = get(&api, &key, &location).await;
    assert_eq!(read.status(), StatusCode::OK);
    let read = json_of(read).await;
    assert_eq!(read["service_id"], json!("protezione"));
    assert_eq!(read["lane"], json!("emergency"));
    assert_eq!(read["languages"], json!(["it_IT", "en_GB"]));
    assert_eq!(read["fallback_language"], json!("it_IT"));
    assert_eq!(read["audience"], sent["audience"]);
    assert_eq!(read["subject"], json!("Allerta meteo rossa"));
    assert_eq!(read["progress"]["walks"][0]["walk"], json!("inbox"));
    assert_eq!(read["progress"]["walks"][0]["channel"], json!("in_app"));
}
