//! The sender API keeps IO's contract.

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::http_kit::{self as kit, Api, call, json_of, sender};

const CODE: &str = "RSSMRA85T10A562S";

fn message() -> Value {
    json!({"content": {"subject": "Carta d'identità", "markdown": "La sua carta scade. ".repeat(5)}})
}

async fn post(api: &Api, key: &str, path: &str, body: &Value) -> Response<Body> {
    let headers = [("Ocp-Apim-Subscription-Key", key), ("content-type", "application/json")];
    call(api, Method::POST, path, &headers, body.to_string()).await
}

async fn get(api: &Api, key: &str, path: &str) -> Response<Body> {
    call(api, Method::GET, path, &[("Ocp-Apim-Subscription-Key", key)], Body::empty()).await
}

#[tokio::test]
async fn a_message_is_accepted_and_read_back_where_location_says() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({"max_allowed_payment_amount": 5000})).await;
    let mut sent = message();
    sent["content"]["due_date"] = json!("2030-01-02T03:04:05.000Z");
    sent["content"]["payment_data"] =
        json!({"amount": 5000, "notice_number": "012345678901234567"});
    let created = post(&api, &key, &format!("/api/v1/messages/{CODE}"), &sent).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let location = created.headers()["location"].to_str().expect("text").to_owned();
    let id = json_of(created).await["id"].as_str().expect("an id").to_owned();
    assert_eq!(location, format!("/api/v1/messages/{CODE}/{id}"));
    let read = get(&api, &key, &location).await;
    assert_eq!(read.status(), StatusCode::OK);
    let read = json_of(read).await;
    assert_eq!(read["message"]["id"], json!(id));
    assert_eq!(read["message"]["fiscal_code"], json!(CODE));
    assert_eq!(read["message"]["sender_service_id"], json!("anagrafe"));
    assert_eq!(read["message"]["feature_level_type"], json!("STANDARD"));
    assert_eq!(read["message"]["time_to_live"], json!(3600));
    assert_eq!(read["message"]["content"]["subject"], sent["content"]["subject"]);
    assert_eq!(read["message"]["content"]["due_date"], json!("2030-01-02T03:04:05.000Z"));
    let payee = &read["message"]["content"]["payment_data"]["payee"]["fiscal_code"];
    assert_eq!(payee, &json!("00000000001"));
    assert_eq!(read["status"].as_str().map(|status| status.len() > 3), Some(true));
}

#[tokio::test]
async fn the_code_in_the_body_is_as_good_as_in_the_path() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({})).await;
    let mut sent = message();
    sent["fiscal_code"] = json!(CODE);
    assert_eq!(post(&api, &key, "/api/v1/messages", &sent).await.status(), StatusCode::CREATED);
    let both = post(&api, &key, &format!("/api/v1/messages/{CODE}"), &sent).await;
    assert_eq!(both.status(), StatusCode::BAD_REQUEST);
    let problem = json_of(both).await;
    assert_eq!(problem["errors"][0]["field"], json!("fiscal_code"));
    let none = post(&api, &key, "/api/v1/messages", &message()).await;
    assert_eq!(none.status(), StatusCode::BAD_REQUEST);
    let wrong = post(&api, &key, "/api/v1/messages/rssmra85t10a562s", &message()).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_list_is_not_taken_for_an_object_and_stores_nothing() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({"max_allowed_payment_amount": 5000})).await;
    let content = |field: &str, value: Value| {
        let mut sent = message();
        sent["content"][field] = value;
        sent
    };
    let text = "La sua carta scade. ".repeat(5);
    let payee =
        json!({"amount": 1, "notice_number": "012345678901234567", "payee": ["00000000001"]});
    let path = format!("/api/v1/messages/{CODE}");
    for (body, field) in [
        (json!([3600, message()["content"], null, null, null]), None),
        (json!({"content": ["Carta d'identità", text, null]}), Some("content")),
        (
            content("payment_data", json!([1, "012345678901234567", false])),
            Some("content.payment_data"),
        ),
        (content("payment_data", payee), Some("content.payment_data.payee")),
        (content("legal_data", json!(["a", false, "b"])), Some("content.legal_data")),
    ] {
        let refused = post(&api, &key, &path, &body).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
        let problem = json_of(refused).await;
        assert_eq!(problem["errors"][0]["field"].as_str(), field, "{problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.ends_with("must be an object"), "{detail}");
    }
    let asked = post(&api, &key, "/api/v1/profiles", &json!([CODE])).await;
    assert_eq!(asked.status(), StatusCode::BAD_REQUEST);
    let books = api.running.engine.books().await.expect("read");
    assert_eq!(books.messages.accepted, 0);
}

#[tokio::test]
async fn a_refusal_is_a_problem_without_personal_data() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({})).await;
    let mut sent = message();
    sent["content"]["subject"] = json!("Ciao Rosa");
    let refused = post(&api, &key, &format!("/api/v1/messages/{CODE}"), &sent).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert!(refused.headers().contains_key("x-request-id"));
    let problem = json_of(refused).await;
    assert_eq!(problem["type"], json!("urn:araldo:problem:invalid-request"));
    assert_eq!(problem["status"], json!(400));
    assert_eq!(problem["errors"][0]["field"], json!("content.subject"));
    let text = problem.to_string();
    assert!(!text.contains("Rosa") && !text.contains(CODE), "{text}");
}

#[tokio::test]
async fn no_key_and_an_unknown_key_are_401_and_an_operators_key_403() {
    let api = kit::api().await;
    let path = format!("/api/v1/messages/{CODE}");
    let none = call(&api, Method::POST, &path, &[], message().to_string()).await;
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    let challenge = none.headers()["www-authenticate"].to_str().expect("text");
    assert!(challenge.contains("Ocp-Apim-Subscription-Key") && !challenge.contains("Bearer"));
    assert_eq!(post(&api, "nonsense", &path, &message()).await.status(), StatusCode::UNAUTHORIZED);
    let admin = api.admin.clone();
    assert_eq!(post(&api, &admin, &path, &message()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_service_switched_off_or_called_from_elsewhere_is_403() {
    let api = kit::api().await;
    let path = format!("/api/v1/messages/{CODE}");
    let key = sender(&api, "spento", json!({"enabled": false})).await;
    assert_eq!(post(&api, &key, &path, &message()).await.status(), StatusCode::FORBIDDEN);
    let key = sender(&api, "altrove", json!({"authorized_cidrs": ["192.0.2.0/24"]})).await;
    assert_eq!(post(&api, &key, &path, &message()).await.status(), StatusCode::FORBIDDEN);
    let key = sender(&api, "lettore", json!({"groups": ["ApiMessageRead"]})).await;
    assert_eq!(post(&api, &key, &path, &message()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn only_the_sender_reads_a_message_and_what_is_absent_is_404() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({})).await;
    let other = sender(&api, "tributi", json!({})).await;
    let created = post(&api, &key, &format!("/api/v1/messages/{CODE}"), &message()).await;
    let location = created.headers()["location"].to_str().expect("text").to_owned();
    assert_eq!(get(&api, &other, &location).await.status(), StatusCode::FORBIDDEN);
    for absent in ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"] {
        let read = get(&api, &key, &format!("/api/v1/messages/{CODE}/{absent}")).await;
        assert_eq!(read.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_repeated_idempotency_key_is_the_same_message_or_422() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({})).await;
    let path = format!("/api/v1/messages/{CODE}");
    let send = async |idempotency: &str, body: &Value| {
        let headers =
            [("Ocp-Apim-Subscription-Key", key.as_str()), ("Idempotency-Key", idempotency)];
        call(&api, Method::POST, &path, &headers, body.to_string()).await
    };
    let first = json_of(send("k-1", &message()).await).await;
    let again = send("k-1", &message()).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(json_of(again).await["id"], first["id"]);
    let mut changed = message();
    changed["time_to_live"] = json!(7200);
    let reused = send("k-1", &changed).await;
    assert_eq!(reused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_ne!(json_of(send("k-2", &message()).await).await["id"], first["id"]);
    assert_eq!(send("a b", &message()).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_profile_says_whether_the_service_may_write() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({})).await;
    let lines = "{\"fiscal_code\":\"RSSMRA85T10A562S\",\"languages\":[\"it_IT\",\"de_DE\"]}\n\
        {\"fiscal_code\":\"AAAAAA00A00A000A\",\"is_inbox_enabled\":false}\n\
        {\"fiscal_code\":\"AAAAAA00A00A000B\",\"preferences_mode\":\"MANUAL\"}\n";
    let bearer = format!("Bearer {}", api.admin);
    let path = "/api/operator/v1/citizens";
    call(&api, Method::POST, path, &[("authorization", &bearer)], lines).await;
    let found = get(&api, &key, &format!("/api/v1/profiles/{CODE}")).await;
    let expected = json!({"sender_allowed": true, "preferred_languages": ["it_IT", "de_DE"]});
    assert_eq!(json_of(found).await, expected);
    let payload = json!({"fiscal_code": "AAAAAA00A00A000B"});
    let by_post = post(&api, &key, "/api/v1/profiles", &payload).await;
    assert_eq!(json_of(by_post).await, json!({"sender_allowed": false}));
    for absent in ["AAAAAA00A00A000A", "AAAAAA00A00A000C"] {
        let read = get(&api, &key, &format!("/api/v1/profiles/{absent}")).await;
        assert_eq!(read.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_limited_service_does_not_learn_who_is_registered() {
    let api = kit::api().await;
    let groups = json!(["ApiLimitedMessageWrite", "ApiLimitedProfileRead"]);
    let limited = json!({"groups": groups, "authorized_recipients": [CODE]});
    let key = sender(&api, "prova", limited).await;
    let status =
        async |code: &str| get(&api, &key, &format!("/api/v1/profiles/{code}")).await.status();
    assert_eq!(status("AAAAAA00A00A000A").await, StatusCode::FORBIDDEN);
    assert_eq!(status(CODE).await, StatusCode::NOT_FOUND);
    let sent = post(&api, &key, "/api/v1/messages/AAAAAA00A00A000A", &message()).await;
    assert_eq!(sent.status(), StatusCode::FORBIDDEN);
    let sent = post(&api, &key, &format!("/api/v1/messages/{CODE}"), &message()).await;
    assert_eq!(sent.status(), StatusCode::CREATED);
}
