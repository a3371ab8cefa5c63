//! `docs/api/openapi.json` is what the handlers say of themselves.

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
        ("/api/operator/v1/citizens", "post"),
        ("/api/operator/v1/status", "get"),
    ] {
        assert!(api["paths"][path][method].is_object(), "{method} {path}");
    }
}
