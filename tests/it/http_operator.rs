//! The operator API: registry, keys, import, status, roles.

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::http_kit::{self as kit, Api, call, json_of, operate, sender};

async fn with_key(api: &Api, key: &str, method: Method, path: &str) -> StatusCode {
    let bearer = format!("Bearer {key}");
    let path = format!("/api/operator/v1{path}");
    call(api, method, &path, &[("authorization", &bearer)], Body::empty()).await.status()
}

async fn import(api: &Api, lines: impl Into<Body>, query: &str) -> Response<Body> {
    let bearer = format!("Bearer {}", api.admin);
    let path = format!("/api/operator/v1/citizens{query}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-ndjson")];
    call(api, Method::POST, &path, &headers, lines).await
}

#[tokio::test]
async fn viewers_read_admins_write_and_senders_do_neither() {
    let api = kit::api().await;
    let sender_key = sender(&api, "anagrafe", json!({})).await;
    let viewer = json!({"name": "cruscotto", "role": "viewer"});
    let created = json_of(operate(&api, Method::POST, "/keys", viewer).await).await;
    let viewer = created["key"].as_str().expect("a key");
    assert_eq!(with_key(&api, viewer, Method::GET, "/status").await, StatusCode::OK);
    assert_eq!(with_key(&api, viewer, Method::GET, "/cluster").await, StatusCode::OK);
    assert_eq!(with_key(&api, viewer, Method::GET, "/services").await, StatusCode::OK);
    assert_eq!(with_key(&api, viewer, Method::POST, "/citizens").await, StatusCode::FORBIDDEN);
    let revoke = format!("/keys/{}", created["id"].as_str().expect("an id"));
    assert_eq!(with_key(&api, viewer, Method::DELETE, &revoke).await, StatusCode::FORBIDDEN);
    assert_eq!(with_key(&api, &sender_key, Method::GET, "/status").await, StatusCode::FORBIDDEN);
    assert_eq!(with_key(&api, &sender_key, Method::GET, "/cluster").await, StatusCode::FORBIDDEN);
    assert_eq!(with_key(&api, "ak_x", Method::GET, "/status").await, StatusCode::UNAUTHORIZED);
    let admin = api.admin.clone();
    assert_eq!(with_key(&api, &admin, Method::DELETE, &revoke).await, StatusCode::NO_CONTENT);
    assert_eq!(with_key(&api, viewer, Method::GET, "/status").await, StatusCode::UNAUTHORIZED);
    assert_eq!(with_key(&api, &admin, Method::DELETE, &revoke).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_key_is_shown_once() {
    let api = kit::api().await;
    let key = sender(&api, "anagrafe", json!({})).await;
    let list = json_of(operate(&api, Method::GET, "/keys", json!(null)).await).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    assert!(!list.to_string().contains(&key));
}

#[tokio::test]
async fn a_service_is_written_read_and_listed() {
    let api = kit::api().await;
    sender(&api, "b", json!({"lane": "urgent", "category": "SPECIAL"})).await;
    sender(&api, "a", json!({})).await;
    let read = json_of(operate(&api, Method::GET, "/services/b", json!(null)).await).await;
    assert_eq!((&read["lane"], &read["category"]), (&json!("urgent"), &json!("SPECIAL")));
    let groups = json!(["ApiMessageWrite", "ApiMessageRead", "ApiLimitedProfileRead"]);
    assert_eq!(read["groups"], groups);
    let page = json_of(operate(&api, Method::GET, "/services?limit=1", json!(null)).await).await;
    assert_eq!(page["items"][0]["service_id"], json!("a"));
    assert_eq!(page["next"], json!("a"));
    let absent = operate(&api, Method::GET, "/services/c", json!(null)).await;
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_wrong_with_a_service_or_key_is_named() {
    let api = kit::api().await;
    sender(&api, "anagrafe", json!({})).await;
    let service = |more: Value| {
        let mut service = json!({"name": "x", "organization_fiscal_code": "00000000001"});
        for (name, value) in more.as_object().into_iter().flatten() {
            service[name] = value.clone();
        }
        service
    };
    for (body, field) in [
        (service(json!({"name": ""})), "name"),
        (service(json!({"organization_fiscal_code": "00000000002"})), "organization_fiscal_code"),
        (service(json!({"organization_fiscal_code": "2"})), "organization_fiscal_code"),
        (service(json!({"lane": "fast"})), "lane"),
        (service(json!({"category": "special"})), "category"),
        (service(json!({"groups": ["ApiMessageWrit"]})), "groups[0]"),
        (service(json!({"authorized_cidrs": ["10.0.0.0/33"]})), "authorized_cidrs[0]"),
        (service(json!({"authorized_recipients": ["x"]})), "authorized_recipients[0]"),
        (service(json!({"max_allowed_payment_amount": -1})), "max_allowed_payment_amount"),
    ] {
        let refused = operate(&api, Method::PUT, "/services/x", body.clone()).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(json_of(refused).await["errors"][0]["field"], json!(field), "{body}");
    }
    for body in [
        json!({"name": "x", "role": "sender"}),
        json!({"name": "x", "role": "sender", "service_id": "unknown"}),
        json!({"name": "x", "role": "admin", "service_id": "anagrafe"}),
        json!({"name": "x", "role": "root"}),
        json!({"name": "", "role": "admin"}),
    ] {
        let refused = operate(&api, Method::POST, "/keys", body.clone()).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test]
async fn a_list_is_not_taken_for_an_object_and_stores_nothing() {
    let api = kit::api().await;
    sender(&api, "anagrafe", json!({})).await;
    let keys = api.running.engine.directory().keys().len();
    for (method, path, body) in [
        (Method::POST, "/keys", json!(["x", "admin", null])),
        (Method::PUT, "/organizations/00000000009", json!(["x"])),
        (Method::PUT, "/services/x", json!(["x", "00000000001"])),
    ] {
        let refused = operate(&api, method, path, body).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(json_of(refused).await["detail"], json!("the body must be an object"), "{path}");
    }
    let directory = api.running.engine.directory();
    assert_eq!((directory.keys().len(), directory.organizations().len()), (keys, 1));
    let code = "RSSMRA85T10A562S";
    let line = json!([code, null, null, null, null, null, null, null, null, null]);
    let report = json_of(import(&api, line.to_string(), "").await).await;
    assert_eq!((&report["imported"], &report["refused"]), (&json!(0), &json!(1)));
    assert_eq!(report["errors"][0]["reason"], json!("the line must be an object"));
    let code = araldo_actors::domain::fiscal_code::FiscalCode::parse(code).expect("a code");
    assert!(api.running.engine.citizen(code).await.expect("read").is_none());
}

#[tokio::test]
async fn a_bad_line_is_reported_by_number_and_the_rest_goes_on() {
    let api = kit::api().await;
    let lines = "{\"fiscal_code\":\"RSSMRA85T10A562S\"}\r\n\n\
        not json\n\
        {\"fiscal_code\":\"AAAAAA00A00A000A\"}\n\
        {\"fiscal_code\":\"RSSMRA85T10A562S\",\"is_push_enabled\":false}";
    let report = json_of(import(&api, lines, "?first_line=10").await).await;
    assert_eq!(report["imported"], json!(2));
    assert_eq!(report["updated"], json!(1));
    assert_eq!(report["refused"], json!(1));
    assert_eq!(report["errors"][0]["line"], json!(12));
    let warned: Vec<_> = report["warnings"].as_array().into_iter().flatten().collect();
    assert_eq!(warned.len(), 2);
    assert!(warned.iter().any(|warning| warning["line"] == json!(13)));
    assert!(warned.iter().any(|warning| warning["line"] == json!(10)));
    let code = araldo_actors::domain::fiscal_code::FiscalCode::parse("RSSMRA85T10A562S");
    let citizen =
        api.running.engine.citizen(code.expect("a code")).await.expect("read").expect("stored");
    assert!(!citizen.push_enabled, "the last line counts");
    let again = json_of(import(&api, lines, "").await).await;
    assert_eq!((&again["imported"], &again["updated"]), (&json!(0), &json!(3)));
}

#[tokio::test]
async fn an_import_of_many_batches_counts_every_line() {
    let api = kit::api().await;
    let mut lines = String::new();
    for n in 0..2500 {
        lines += &format!(
            "{{\"fiscal_code\":\"AAAAAA{:02}A{:02}A{:03}A\"}}\n",
            n / 1000,
            n / 100 % 10,
            n % 100
        );
    }
    let report = json_of(import(&api, lines, "").await).await;
    assert_eq!(report["imported"], json!(2500));
    assert_eq!(report["refused"], json!(0));
    assert_eq!(report["warnings"].as_array().map(|all| all.len() <= 1000), Some(true));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_and_changes_nothing() {
    let api = kit::api_with(|options| options.import_body_limit = 1024).await;
    let line = "{\"fiscal_code\":\"RSSMRA85T10A562S\"}\n";
    let refused = import(&api, line.repeat(100), "").await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let code = araldo_actors::domain::fiscal_code::FiscalCode::parse("RSSMRA85T10A562S");
    assert!(api.running.engine.citizen(code.expect("a code")).await.expect("read").is_none());
}

#[tokio::test]
async fn a_process_with_a_store_of_its_own_is_one_node_that_has_every_partition() {
    let api = kit::api().await;
    let view = json_of(operate(&api, Method::GET, "/cluster", json!(null)).await).await;
    let own = kit::node();
    let nodes = view["nodes"].as_array().expect("nodes");
    assert_eq!(nodes.len(), 1, "{view}");
    assert_eq!(nodes[0]["id"], own.id.as_str());
    assert_eq!(nodes[0]["incarnation"], format!("{:032x}", own.incarnation));
    let count = usize::from(kit::OPTIONS.partitions);
    assert_eq!(nodes[0]["partitions"], count);
    let partitions = view["partitions"].as_array().expect("partitions");
    assert!(partitions.iter().all(|row| row["node"] == own.id.as_str()), "{view}");
    let numbers: Vec<_> = partitions.iter().map(|row| row["partition"].as_u64()).collect();
    assert_eq!(numbers, (0..count as u64).map(Some).collect::<Vec<_>>());
    assert_eq!((&view["lost"], &view["disputed"]), (&json!(0), &json!(0)));
    let status = json_of(operate(&api, Method::GET, "/status", json!(null)).await).await;
    assert_eq!(status["nodes"], json!([own.id.as_str()]));
}

#[tokio::test]
async fn the_status_has_every_field() {
    let api = kit::api().await;
    let status = json_of(operate(&api, Method::GET, "/status", json!(null)).await).await;
    for pointer in [
        "/messages/accepted",
        "/messages/processed",
        "/messages/rejected",
        "/messages/rejected_by_reason/USER_NOT_FOUND",
        "/messages/expired",
        "/messages/recalled",
        "/messages/quarantined",
        "/messages/pending",
        "/deliveries/planned",
        "/deliveries/delivered",
        "/deliveries/failed",
        "/deliveries/expired",
        "/deliveries/cancelled",
        "/deliveries/suppressed",
        "/deliveries/pending",
        "/deliveries/retried",
        "/delivered_by_channel/push",
        "/delivered_by_channel/email",
        "/delivered_by_channel/in_app",
        "/unaccounted/messages",
        "/unaccounted/deliveries",
        "/uptime_seconds",
    ] {
        assert!(status.pointer(pointer).is_some_and(Value::is_number), "{pointer} in {status}");
    }
    assert!(status["routes"].is_array());
}

#[tokio::test]
async fn the_registry_has_a_limit() {
    let api = kit::api_with(|options| options.max_organizations = 1).await;
    let put = async |code: &str| {
        let path = format!("/organizations/{code}");
        operate(&api, Method::PUT, &path, json!({"name": "x"})).await.status()
    };
    assert_eq!(put("00000000001").await, StatusCode::OK);
    assert_eq!(put("00000000002").await, StatusCode::CONFLICT);
    assert_eq!(put("00000000001").await, StatusCode::OK);
}
