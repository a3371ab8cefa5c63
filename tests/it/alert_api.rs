//! Alerts through the sender's and the operators' API: what is taken, what is
//! refused and where, who sees what.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http_kit::{self as kit, Api, call, json_of, operate, sender};

const PATH: &str = "/api/v1/alerts";

fn text(subject: &str) -> Value {
    json!({"subject": subject, "markdown": "Restate in casa e seguite le indicazioni. ".repeat(3)})
}

fn alert() -> Value {
    json!({"texts": {"it_IT": text("Allerta meteo rossa")}, "audience": {"everyone": true}})
}

/// [`alert`] with one field changed.
fn with(field: &str, value: Value) -> Value {
    let mut alert = alert();
    alert[field] = value;
    alert
}

fn ahead(time: Duration) -> String {
    (Timestamp::now() + time).to_string()
}

async fn alerting(api: &Api, id: &str) -> String {
    sender(api, id, json!({"groups": ["ApiAlertWrite"]})).await
}

async fn post(api: &Api, key: &str, body: &Value) -> Response<Body> {
    post_text(api, key, &body.to_string()).await
}

async fn post_text(api: &Api, key: &str, body: &str) -> Response<Body> {
    let headers = [("Ocp-Apim-Subscription-Key", key), ("content-type", "application/json")];
    call(api, Method::POST, PATH, &headers, body.to_owned()).await
}

async fn post_as(api: &Api, key: &str, idempotency: &str, body: &Value) -> Response<Body> {
    let headers = [("Ocp-Apim-Subscription-Key", key), ("Idempotency-Key", idempotency)];
    call(api, Method::POST, PATH, &headers, body.to_string()).await
}

async fn ask(api: &Api, key: &str, method: Method, path: &str) -> Response<Body> {
    call(api, method, path, &[("Ocp-Apim-Subscription-Key", key)], Body::empty()).await
}

async fn get(api: &Api, key: &str, path: &str) -> Response<Body> {
    ask(api, key, Method::GET, path).await
}

/// Sends an alert; returns its id.
async fn sent(api: &Api, key: &str) -> String {
    let created = post(api, key, &alert()).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    json_of(created).await["id"].as_str().expect("an id").to_owned()
}

/// Waits for the end of an alert, which has nobody to reach.
async fn ended(api: &Api, key: &str, id: &str) -> Value {
    for _ in 0..500 {
        let view = json_of(get(api, key, &format!("{PATH}/{id}")).await).await;
        if view["status"] != "running" {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the alert goes on");
}

#[tokio::test]
async fn an_alert_is_accepted_and_read_back_where_location_says() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let mut alert = alert();
    alert["texts"]["en_GB"] = text("Red weather alert");
    alert["audience"] = json!({"areas": ["015146", "015", "03"]});
    alert["lane"] = json!("emergency");
    alert["expires_at"] = json!(ahead(Duration::from_secs(7_200)));
    let created = post(&api, &key, &alert).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let location = created.headers()["location"].to_str().expect("text").to_owned();
    let view = json_of(created).await;
    let id = view["id"].as_str().expect("an id").to_owned();
    assert_eq!(location, format!("{PATH}/{id}"));
    let read = get(&api, &key, &location).await;
    assert_eq!(read.status(), StatusCode::OK);
    let read = json_of(read).await;
    for (name, value) in [
        ("service_id", json!("protezione")),
        ("lane", json!("emergency")),
        ("languages", json!(["it_IT", "en_GB"])),
        ("fallback_language", json!("it_IT")),
        ("audience", alert["audience"].clone()),
        ("subject", json!("Allerta meteo rossa")),
        ("accepted_at", view["accepted_at"].clone()),
        ("expires_at", view["expires_at"].clone()),
    ] {
        assert_eq!(read[name], value, "{name}");
    }
    let instant = |text: &Value| text.as_str().expect("text").parse::<Timestamp>().expect("RFC");
    let sent = instant(&alert["expires_at"]).as_millisecond();
    assert_eq!(instant(&read["expires_at"]).as_millisecond(), sent);
    assert_eq!(read["progress"]["walks"][0]["walk"], json!("inbox"));
    assert_eq!(read["progress"]["walks"][0]["channel"], json!("in_app"));
}

#[tokio::test]
async fn what_is_not_said_has_its_default() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    for (languages, fallback) in
        [(&["it_IT", "de_DE"][..], "it_IT"), (&["de_DE"], "de_DE"), (&["fr_FR", "it_IT"], "it_IT")]
    {
        let texts: Value =
            languages.iter().map(|name| ((*name).to_owned(), text("Avviso a tutti"))).collect();
        let view = json_of(post(&api, &key, &with("texts", texts)).await).await;
        assert_eq!(view["fallback_language"], json!(fallback), "{view}");
        assert_eq!(view["lane"], json!("bulk"));
        let instant =
            |name: &str| view[name].as_str().expect("text").parse::<Timestamp>().expect("RFC 3339");
        let lasts = instant("expires_at").duration_since(instant("accepted_at")).as_millis();
        assert!((86_399_000..=86_400_000).contains(&lasts), "{lasts}");
    }
}

#[tokio::test]
async fn every_field_that_is_refused_is_named_with_its_place() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let texts = |value: Value| with("texts", value);
    let areas = |value: Value| with("audience", json!({"areas": value}));
    let expires = |text: &str| with("expires_at", json!(text));
    let (long, wide) = (text(&"S".repeat(121)), json!({"subject": "Avviso a tutti"}));
    for (body, field, part) in [
        (json!({"audience": {"everyone": true}}), "texts", "is missing"),
        (json!({"texts": {"it_IT": text("Avviso a tutti")}}), "audience", "is missing"),
        (texts(json!([])), "texts", "must be an object"),
        (texts(json!({})), "texts", "at least one language"),
        (texts(json!({"it": text("Avviso a tutti")})), "texts", "it_IT, en_GB"),
        (texts(json!({"it_IT": text("breve")})), "texts.it_IT.subject", "10 to 120"),
        (texts(json!({"it_IT": long})), "texts.it_IT.subject", "10 to 120"),
        (texts(json!({"it_IT": text(&" ".repeat(20))})), "texts.it_IT.subject", "not be blank"),
        (texts(json!({"it_IT": wide})), "texts.it_IT.markdown", "is missing"),
        (texts(json!({"it_IT": ["a", "b"]})), "texts.it_IT", "must be an object"),
        (
            texts(json!({"en_GB": {"subject": "A warning", "markdown": 1}})),
            "texts.en_GB.markdown",
            "must be a text",
        ),
        (with("fallback_language", json!("en_GB")), "fallback_language", "one of the texts"),
        (with("fallback_language", json!("xx")), "fallback_language", "\"it_IT\""),
        (
            texts(json!({"en_GB": text("A warning to all"), "fr_FR": text("Un avis à tous")})),
            "fallback_language",
            "none in it_IT",
        ),
        (with("audience", json!({})), "audience", "either everyone or areas"),
        (with("audience", json!({"everyone": true, "areas": ["03"]})), "audience", "not both"),
        (with("audience", json!({"everyone": false})), "audience.everyone", "must be true"),
        (with("audience", json!({"everyone": 1})), "audience.everyone", "true or false"),
        (with("audience", json!("everyone")), "audience", "must be an object"),
        (with("audience", json!({"area": ["03"]})), "audience", "did you mean \"areas\"?"),
        (areas(json!([])), "audience.areas", "1 to 10000"),
        (areas(json!(vec!["03"; 10_001])), "audience.areas", "1 to 10000"),
        (areas(json!(["03", "15146"])), "audience.areas[1]", "ISTAT"),
        (areas(json!(["21"])), "audience.areas[0]", "01 to 20"),
        (areas(json!(["999"])), "audience.areas[0]", "existing province"),
        (areas(json!(["03", 15146])), "audience.areas[1]", "must be a text"),
        (with("lane", json!("express")), "lane", "\"emergency\""),
        (with("lane", json!(1)), "lane", "one of the known words"),
        (with("fallback_language", json!(1)), "fallback_language", "one of the known words"),
        (expires("domani"), "expires_at", "RFC 3339"),
        (expires("2999-01-01T00:00:00"), "expires_at", "zone"),
        (expires("2999-01-01T00:00:00Z"), "expires_at", "1 minute to 7 days"),
        (expires("9999-12-31T23:59:59Z"), "expires_at", "1 minute to 7 days"),
        (expires(&ahead(Duration::from_secs(50))), "expires_at", "1 minute to 7 days"),
        (expires("2020-01-01T00:00:00Z"), "expires_at", "1 minute to 7 days"),
        (with("require_secure_channels", json!("yes")), "require_secure_channels", "true or false"),
    ] {
        let refused = post(&api, &key, &body).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        let problem = json_of(refused).await;
        assert_eq!(problem["errors"][0]["field"], json!(field), "{problem}");
        let reason = problem["errors"][0]["reason"].as_str().expect("a reason");
        assert!(reason.contains(part), "{reason}");
    }
    let list = json_of(get(&api, &key, PATH).await).await;
    assert_eq!(list, json!({"items": [], "next": null}), "nothing was stored");
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once_and_nothing_of_it_repeated() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let body = json!({
        "texts": {"it_IT": text("Rosa Rossi"), "de_DE": text("kurz"), "RSSRSO85T50A562X": text("x")},
        "audience": {"areas": vec!["RSSRSO85T50A562X"; 3_000]},
        "expires_at": "RSSRSO85T50A562X",
    });
    let problem = json_of(post(&api, &key, &body).await).await;
    let errors = problem["errors"].as_array().expect("errors");
    assert!((20..40).contains(&errors.len()), "{} errors", errors.len());
    for field in
        ["texts.de_DE.subject", "texts", "audience.areas[19]", "audience.areas", "expires_at"]
    {
        assert!(errors.iter().any(|error| error["field"] == field), "no {field}: {problem}");
    }
    let shown = problem.to_string();
    assert!(!shown.contains("RSSRSO") && !shown.contains("Rosa"), "{shown}");
    // Names that are no languages, whatever stands under them.
    let name = |number: usize| (format!("RSSRSO85T50A562X{number}"), json!({"subject": number}));
    let names: serde_json::Map<_, _> = (0..3_000).map(name).collect();
    let problem = json_of(post(&api, &key, &with("texts", names.into())).await).await;
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(1), "{problem}");
    assert!(!problem.to_string().contains("RSSRSO"), "{problem}");
    let unknown = json_of(post(&api, &key, &with("areas", json!(["03"]))).await).await;
    let detail = unknown["detail"].as_str().expect("a detail");
    assert!(detail.contains("a field \"areas\" that is not known"), "{unknown}");
    let twice = alert().to_string().replacen(
        "\"it_IT\":",
        &format!("\"it_IT\":{},\"it_IT\":", text("Un altro testo")),
        1,
    );
    let problem = json_of(post_text(&api, &key, &twice).await).await;
    assert_eq!(problem["errors"][0]["field"], json!("texts.it_IT"), "{problem}");
    assert_eq!(problem["errors"][0]["reason"], json!("is given twice"));
}

#[tokio::test]
async fn the_longest_alert_fits_and_a_longer_body_does_not() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    // Every character outside ASCII, escaped as a pair.
    let escaped = |length: usize| "\\ud83c\\udf27".repeat(length);
    let text = format!("{{\"subject\":\"{}\",\"markdown\":\"{}\"}}", escaped(120), escaped(10_000));
    let languages = ["it_IT", "en_GB", "es_ES", "de_DE", "fr_FR"];
    let texts: Vec<_> = languages.iter().map(|name| format!("\"{name}\":{text}")).collect();
    let areas = serde_json::to_string_pretty(&vec!["015146"; 10_000]).expect("JSON");
    let body = format!("{{\"texts\":{{{}}},\"audience\":{{\"areas\":{areas}}}}}", texts.join(","));
    let created = post_text(&api, &key, &body).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let view = json_of(created).await;
    assert_eq!(view["audience"]["areas"].as_array().map(Vec::len), Some(10_000));
    let longer = format!("{body}{}", " ".repeat(1 << 20));
    assert_eq!(post_text(&api, &key, &longer).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_service_without_the_permission_may_neither_send_nor_look() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let id = sent(&api, &key).await;
    let usual = sender(&api, "anagrafe", json!({})).await;
    assert_eq!(post(&api, &usual, &alert()).await.status(), StatusCode::FORBIDDEN);
    let one = format!("{PATH}/{id}");
    for (method, path) in [
        (Method::GET, PATH.to_owned()),
        (Method::GET, one.clone()),
        (Method::POST, format!("{one}/pause")),
        (Method::POST, format!("{one}/resume")),
        (Method::POST, format!("{one}/cancel")),
    ] {
        let refused = ask(&api, &usual, method, &path).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
        let problem = json_of(refused).await;
        assert!(problem["detail"].as_str().expect("text").contains("ApiAlertWrite"), "{problem}");
        let unknown = ask(&api, "nonsense", Method::GET, &path).await;
        assert!(matches!(unknown.status().as_u16(), 401 | 405), "{path}");
    }
    // The operator's key is none of a sender.
    assert_eq!(post(&api, &api.admin.clone(), &alert()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn another_services_alert_is_not_there() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let other = alerting(&api, "tributi").await;
    let id = sent(&api, &key).await;
    for absent in [id.as_str(), "01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"] {
        let path = format!("{PATH}/{absent}");
        for (method, tail) in
            [(Method::GET, ""), (Method::POST, "/pause"), (Method::POST, "/cancel")]
        {
            let asked = ask(&api, &other, method, &format!("{path}{tail}")).await;
            assert_eq!(asked.status(), StatusCode::NOT_FOUND, "{absent}{tail}");
        }
    }
    let list = json_of(get(&api, &other, PATH).await).await;
    assert_eq!(list, json!({"items": [], "next": null}));
    assert_eq!(ended(&api, &key, &id).await["status"], "completed", "nobody cancelled it");
}

#[tokio::test]
async fn a_repeated_idempotency_key_is_the_same_alert_or_422() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let first = json_of(post_as(&api, &key, "k-1", &alert()).await).await;
    let again = post_as(&api, &key, "k-1", &alert()).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert!(again.headers().contains_key("location"));
    assert_eq!(json_of(again).await["id"], first["id"]);
    let reused = post_as(&api, &key, "k-1", &with("lane", json!("normal"))).await;
    assert_eq!(reused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(json_of(reused).await["type"], json!("urn:araldo:problem:idempotency-key-reused"));
    // Another key, another service, another resource: not the same scope.
    assert_ne!(json_of(post_as(&api, &key, "k-2", &alert()).await).await["id"], first["id"]);
    let other = alerting(&api, "tributi").await;
    let others = post_as(&api, &other, "k-1", &with("lane", json!("normal"))).await;
    assert_eq!(others.status(), StatusCode::CREATED);
    assert_eq!(post_as(&api, &key, "a b", &alert()).await.status(), StatusCode::BAD_REQUEST);
    let list = json_of(get(&api, &key, PATH).await).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_repetition_is_answered_when_its_expiry_is_near_or_past() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let soon = with("expires_at", json!(ahead(Duration::from_millis(60_700))));
    let first = json_of(post_as(&api, &key, "k-1", &soon).await).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let fresh = post_as(&api, &key, "k-2", &soon).await;
    assert_eq!(fresh.status(), StatusCode::BAD_REQUEST, "less than a minute ahead by now");
    let again = post_as(&api, &key, "k-1", &soon).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(json_of(again).await["id"], first["id"]);
    // What was refused left no claim behind.
    assert_eq!(post_as(&api, &key, "k-2", &alert()).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn an_alert_that_ended_cannot_be_changed() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let id = sent(&api, &key).await;
    let view = ended(&api, &key, &id).await;
    assert_eq!(view["status"], "completed");
    for change in ["pause", "resume", "cancel"] {
        let by_sender = ask(&api, &key, Method::POST, &format!("{PATH}/{id}/{change}")).await;
        let by_operator =
            operate(&api, Method::POST, &format!("/alerts/{id}/{change}"), json!(null)).await;
        for refused in [by_sender, by_operator] {
            assert_eq!(refused.status(), StatusCode::CONFLICT, "{change}");
            let problem = json_of(refused).await;
            assert_eq!(problem["type"], json!("urn:araldo:problem:alert-status"));
            let detail = problem["detail"].as_str().expect("a detail");
            assert!(detail.starts_with("the alert is completed: only a "), "{detail}");
        }
    }
    let after = json_of(get(&api, &key, &format!("{PATH}/{id}")).await).await;
    assert_eq!(after, view);
}

#[tokio::test]
async fn lists_go_newest_first_page_by_page_and_show_a_service_its_own() {
    let api = kit::api().await;
    let (key, other) = (alerting(&api, "protezione").await, alerting(&api, "tributi").await);
    let mut own = Vec::new();
    let mut all = Vec::new();
    for number in 0..45 {
        let id = sent(&api, if number % 3 == 0 { &other } else { &key }).await;
        all.insert(0, id.clone());
        if number % 3 != 0 {
            own.insert(0, id);
        }
        // The order of ids is that of their milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for (limit, count) in [("", 20), ("&limit=7", 7), ("&limit=100", 100)] {
        let (mut seen, mut before) = (Vec::new(), String::new());
        loop {
            let page = json_of(get(&api, &key, &format!("{PATH}?{limit}{before}")).await).await;
            let items = page["items"].as_array().expect("items");
            assert!(items.len() <= count && items.iter().all(|item| item["progress"].is_null()));
            let ids = items.iter().map(|item| item["id"].as_str().expect("an id").to_owned());
            seen.extend(ids);
            match page["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => break,
            }
        }
        assert_eq!(seen, own, "{limit}");
    }
    let page = json_of(operate(&api, Method::GET, "/alerts?limit=100", json!(null)).await).await;
    let items = page["items"].as_array().expect("items");
    let ids: Vec<_> = items.iter().map(|item| item["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, all);
    for (query, field) in [("limit=0", "limit"), ("limit=101", "limit"), ("before=x", "before")] {
        let refused = get(&api, &key, &format!("{PATH}?{query}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(json_of(refused).await["errors"][0]["field"], json!(field));
    }
}

#[tokio::test]
async fn a_service_that_lists_too_often_waits_and_others_do_not() {
    let api = kit::api().await;
    let (key, other) = (alerting(&api, "protezione").await, alerting(&api, "tributi").await);
    let mut refused = None;
    for _ in 0..60 {
        let answer = get(&api, &key, PATH).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(get(&api, &other, PATH).await.status(), StatusCode::OK);
    let id = sent(&api, &key).await;
    assert_eq!(get(&api, &key, &format!("{PATH}/{id}")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn operators_see_every_alert_and_only_some_may_stop_one() {
    let api = kit::api().await;
    let key = alerting(&api, "protezione").await;
    let id = sent(&api, &key).await;
    let view = ended(&api, &key, &id).await;
    let path = format!("/api/operator/v1/alerts/{id}");
    for (role, reads, changes) in
        [("viewer", 200, 403), ("approver", 200, 409), ("admin", 200, 409)]
    {
        let made = json!({"name": "sala operativa", "role": role});
        let made = json_of(operate(&api, Method::POST, "/keys", made).await).await;
        let bearer = format!("Bearer {}", made["key"].as_str().expect("a key"));
        let headers = [("authorization", bearer.as_str())];
        let read = call(&api, Method::GET, &path, &headers, Body::empty()).await;
        assert_eq!(read.status().as_u16(), reads, "{role}");
        assert_eq!(json_of(read).await, view);
        let list =
            call(&api, Method::GET, "/api/operator/v1/alerts", &headers, Body::empty()).await;
        assert_eq!(list.status().as_u16(), reads, "{role}");
        for change in ["pause", "resume", "cancel"] {
            let path = format!("{path}/{change}");
            let changed = call(&api, Method::POST, &path, &headers, Body::empty()).await;
            assert_eq!(changed.status().as_u16(), changes, "{role} {change}");
        }
    }
    let as_operator = [("authorization", format!("Bearer {key}"))];
    let headers = [("authorization", as_operator[0].1.as_str())];
    let refused = call(&api, Method::GET, &path, &headers, Body::empty()).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    for absent in ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"] {
        let read = operate(&api, Method::GET, &format!("/alerts/{absent}"), json!(null)).await;
        assert_eq!(read.status(), StatusCode::NOT_FOUND);
    }
}
