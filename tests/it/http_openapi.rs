//! `docs/api/openapi.json` is what the handlers say of themselves.

use std::collections::BTreeMap;

use serde_json::Value;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api/openapi.json");

#[test]
fn the_description_kept_in_the_repository_is_the_generated_one() {
    let generated = araldo::http::openapi_json().expect("JSON");
    let kept = std::fs::read_to_string(KEPT).unwrap_or_default();
    assert!(
        kept == generated,
        "docs/api/openapi.json is not what the handlers say; write it anew with `make openapi`"
    );
}

#[test]
fn every_path_of_the_contract_is_described() {
    let generated = araldo::http::openapi_json().expect("JSON");
    let api: serde_json::Value = serde_json::from_str(&generated).expect("JSON");
    for (path, method) in [
        ("/api/v1/messages", "post"),
        ("/api/v1/messages/{fiscal_code}", "post"),
        ("/api/v1/messages/{fiscal_code}/{id}", "get"),
        ("/api/v1/profiles", "post"),
        ("/api/v1/profiles/{fiscal_code}", "get"),
        ("/api/v1/alerts", "post"),
        ("/api/v1/alerts/{id}", "get"),
        ("/api/operator/v1/citizens", "post"),
        ("/api/operator/v1/status", "get"),
        ("/api/operator/v1/cluster", "get"),
    ] {
        assert!(api["paths"][path][method].is_object(), "{method} {path}");
    }
}

fn description() -> Value {
    let generated = araldo::http::openapi_json().expect("JSON");
    serde_json::from_str(&generated).expect("JSON")
}

/// Every operation: its path, its method, what it says.
fn operations(api: &Value) -> Vec<(String, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in api["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            operations.push((path.clone(), method.clone(), operation));
        }
    }
    operations
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let api = description();
    let mut found = Vec::new();
    references(&api, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the description");
        assert!(api.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_the_contracts_have_ios() {
    let api = description();
    let mut names = BTreeMap::new();
    for (path, method, operation) in operations(&api) {
        let name = operation["operationId"].as_str().expect("a name").to_owned();
        let known = names.insert(name.clone(), (path.clone(), method.clone()));
        assert_eq!(known, None, "{name} is also {method} {path}");
    }
    let contract = include_str!("../contract/sender.yaml");
    for (name, (path, _)) in names {
        let ios = contract.contains(&format!("operationId: {name}\n"));
        let is_ours = path.starts_with("/api/v1/alerts");
        assert_eq!(ios, path.starts_with("/api/v1/") && !is_ours, "{name}");
    }
}

#[test]
fn what_needs_a_key_or_takes_a_body_says_how_it_is_refused() {
    let api = description();
    for (path, method, operation) in operations(&api) {
        let mut statuses = vec!["500"];
        if path.starts_with("/api/") {
            let is_citizens = operation["tags"][0] == "citizen";
            statuses.extend(["401", if is_citizens { "429" } else { "403" }]);
        }
        if operation["requestBody"].is_object() {
            statuses.extend(["400", "408", "413", "503"]);
        }
        for status in statuses {
            let refusal = &operation["responses"][status];
            let schema = &refusal["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/ProblemJson", "{method} {path} {status}");
        }
    }
}
