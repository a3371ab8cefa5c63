//! FCM's rules, row by row, and Google's token endpoint.

use araldo_loadtest::simulator::{Behaviour, Credentials, Failure, Kind, Simulator};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::client::{Client, Reply, ULID, behaving, fcm_token, http1, now, simulator, uuid};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";

fn claims(simulator: &Simulator) -> Value {
    let account = &simulator.credentials().service_account;
    json!({"iss": account.client_email, "scope": SCOPE, "aud": account.token_uri, "iat": now(), "exp": now() + 3_600})
}

fn assertion(credentials: &Credentials, claims: &Value) -> String {
    let account = &credentials.service_account;
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(account.private_key_id.clone());
    let key = EncodingKey::from_rsa_pem(account.private_key.as_bytes()).unwrap();
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

fn token_request(assertion: &str) -> Request<Full<Bytes>> {
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
    );
    Request::builder()
        .method("POST")
        .uri("http://localhost/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("host", "localhost")
        .body(Full::new(Bytes::from(form)))
        .unwrap()
}

async fn access_token(simulator: &Simulator, client: &Client) -> String {
    let assertion = assertion(simulator.credentials(), &claims(simulator));
    let reply = client.send(token_request(&assertion)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["token_type"], "Bearer");
    assert_eq!(reply.json()["expires_in"], 3_599);
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

fn body() -> Value {
    json!({"message": {
        "token": fcm_token(),
        "notification": {"title": "Titolo", "body": "Testo"},
        "data": {"message_id": ULID, "delivery_id": uuid(5)},
        "android": {"priority": "HIGH", "ttl": "3600s", "collapse_key": ULID, "notification": {"tag": ULID}},
    }})
}

async fn send(client: &Client, path: &str, token: &str, body: &Value) -> Reply {
    let request = Request::builder()
        .method("POST")
        .uri(format!("http://localhost{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    client.send(request).await
}

const PATH: &str = "/v1/projects/araldo-demo/messages:send";

#[tokio::test]
async fn a_token_is_exchanged_and_a_message_accepted_over_tls() {
    let simulator = simulator(Kind::Fcm, |options| options.tls = true).await;
    let client = Client::connect(&simulator).await;
    let token = access_token(&simulator, &client).await;
    let reply = send(&client, PATH, &token, &body()).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert!(reply.json()["name"].as_str().unwrap().starts_with("projects/araldo-demo/messages/"));
    let records = simulator.records();
    assert_eq!(records[0].delivery, 5);
    assert_eq!(records[0].message, u128::from(ulid::Ulid::from_string(ULID).unwrap()));
    let books = simulator.books();
    assert_eq!((books.requests, books.accepted, books.tokens), (1, 1, 1));
}

#[tokio::test]
async fn the_token_endpoint_speaks_http_1_too() {
    let simulator = simulator(Kind::Fcm, |_| {}).await;
    let assertion = assertion(simulator.credentials(), &claims(&simulator));
    let reply = http1(simulator.address(), token_request(&assertion)).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_wrong_assertion_is_an_invalid_grant() {
    let simulator = simulator(Kind::Fcm, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let own = simulator.credentials();
    let stranger = Credentials::generate().unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = claims(&simulator);
        claims[name] = value;
        assertion(own, &claims)
    };
    let rows = [
        ("invalid_grant", assertion(&stranger, &claims(&simulator))),
        ("invalid_grant", with("iss", json!("someone@example.com"))),
        ("invalid_grant", with("aud", json!("https://example.com/token"))),
        ("invalid_grant", with("exp", json!(now() + 7_200))),
        ("invalid_grant", with("iat", json!(now() - 9_000))),
        ("invalid_scope", with("scope", json!("https://www.googleapis.com/auth/drive"))),
        ("invalid_grant", "a.b.c".to_owned()),
    ];
    for (error, assertion) in rows {
        let reply = client.send(token_request(&assertion)).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str().unwrap()), (400, error));
    }
    let request = Request::builder()
        .method("POST")
        .uri("http://localhost/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from_static(b"grant_type=password")))
        .unwrap();
    assert_eq!(client.send(request).await.json()["error"], "unsupported_grant_type");
}

#[tokio::test]
async fn every_body_rule_is_refused_with_googles_error() {
    let simulator = simulator(Kind::Fcm, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let token = access_token(&simulator, &client).await;
    let bent = |path: &str, value: Value| {
        let mut body = body();
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    let rows = [
        ("message.token", bent("/message/token", json!("short"))),
        ("message.android.ttl", bent("/message/android/ttl", json!("soon"))),
        ("message.android.ttl", bent("/message/android/ttl", json!("2419201s"))),
        ("message.android.priority", bent("/message/android/priority", json!("URGENT"))),
        ("message.data", bent("/message/data", json!({"google.x": "1"}))),
        ("message.data", bent("/message/data", json!({"delivery_id": "no-uuid"}))),
        ("message", bent("/message/data", json!({"number": 1}))),
        ("message", bent("/message/data", json!({"big": "x".repeat(5_000)}))),
        ("message", bent("/message", json!({"topic": "news"}))),
        ("message", bent("/message", json!({"notification": {}}))),
        ("message", bent("/message/notification", json!({"titel": "x"}))),
        ("message", json!([])),
    ];
    for (field, body) in rows {
        let reply = send(&client, PATH, &token, &body).await;
        assert_eq!(reply.status, 400, "{field}");
        let error = &reply.json()["error"];
        assert_eq!(error["status"], "INVALID_ARGUMENT");
        let details = error["details"].as_array().unwrap();
        let violation = details.iter().find(|detail| detail["fieldViolations"].is_array()).unwrap();
        assert_eq!(violation["fieldViolations"][0]["field"], field);
        assert_eq!(
            details.iter().any(|detail| detail["@type"] == FCM_ERROR),
            field == "message.token"
        );
    }
}

#[tokio::test]
async fn access_is_refused_without_a_token_with_a_revoked_one_and_for_another_project() {
    let simulator = simulator(Kind::Fcm, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let reply = send(&client, PATH, "nobody", &body()).await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()["error"]["status"].as_str().unwrap()),
        (401, "UNAUTHENTICATED")
    );
    let token = access_token(&simulator, &client).await;
    let other = "/v1/projects/other/messages:send";
    assert_eq!(send(&client, other, &token, &body()).await.status, 403);
    assert_eq!(send(&client, "/v1/nothing", &token, &body()).await.status, 404);
    simulator.revoke_access_tokens();
    assert_eq!(send(&client, PATH, &token, &body()).await.status, 401);
}

#[tokio::test]
async fn failures_and_dead_tokens_carry_fcms_error_code() {
    for (reason, status) in [
        ("QUOTA_EXCEEDED", 429),
        ("UNAVAILABLE", 503),
        ("INTERNAL", 500),
        ("SENDER_ID_MISMATCH", 403),
        ("THIRD_PARTY_AUTH_ERROR", 401),
        ("INVALID_ARGUMENT", 400),
    ] {
        let failure = Failure {
            reason: reason.to_owned(),
            status: Some(status),
            share: 1.0,
            retry_after_seconds: Some(7),
            first_attempts: None,
        };
        let behaviour = Behaviour { failures: vec![failure], ..Behaviour::default() };
        let simulator = behaving(Kind::Fcm, behaviour).await;
        let client = Client::connect(&simulator).await;
        let token = access_token(&simulator, &client).await;
        let reply = send(&client, PATH, &token, &body()).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.headers["retry-after"], "7");
        assert_eq!(reply.json()["error"]["details"][0]["errorCode"], reason);
    }
    let dead = Behaviour { unregistered_share: 1.0, ..Behaviour::default() };
    let simulator = behaving(Kind::Fcm, dead).await;
    let client = Client::connect(&simulator).await;
    let token = access_token(&simulator, &client).await;
    let reply = send(&client, PATH, &token, &body()).await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.json()["error"]["details"][0]["errorCode"], "UNREGISTERED");
}
