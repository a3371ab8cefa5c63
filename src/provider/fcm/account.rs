//! Google's service account file.
//!
//! Owns its reading: the fields the token exchange needs, checked once, with
//! the file and the field in every error and never a part of the key.

use std::path::Path;

use jsonwebtoken::EncodingKey;
use serde::Deserialize;

use crate::provider::http2::Endpoint;
use crate::provider::{OptionsError, read_file};

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    project_id: String,
    private_key_id: String,
    private_key: String,
    client_email: String,
    token_uri: String,
}

/// A service account, ready to sign.
pub(super) struct ServiceAccount {
    pub(super) project_id: String,
    pub(super) key_id: String,
    pub(super) key: EncodingKey,
    pub(super) client_email: String,
    /// As written: it is the assertion's `aud`.
    pub(super) token_uri: String,
    pub(super) token_endpoint: Endpoint,
}

impl ServiceAccount {
    pub(super) fn from_file(path: &Path) -> Result<Self, OptionsError> {
        let bytes = read_file(path)?;
        let file: File = serde_json::from_slice(&bytes).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            match error.classify() {
                // serde names the missing field; other data errors could repeat a value.
                serde_json::error::Category::Data
                    if error.to_string().starts_with("missing field") =>
                {
                    OptionsError::file(path, format!("is no service account: {error}"))
                }
                serde_json::error::Category::Data => {
                    OptionsError::file(path, format!("has a field of the wrong type at {place}"))
                }
                _ => OptionsError::file(path, format!("is not JSON at {place}")),
            }
        })?;
        if file.kind != "service_account" {
            return Err(OptionsError::file(path, "`type` must be `service_account`"));
        }
        let key = EncodingKey::from_rsa_pem(file.private_key.as_bytes()).map_err(|_| {
            OptionsError::file(path, "`private_key` is not an RSA private key in PEM form")
        })?;
        let token_endpoint = Endpoint::with_path("token_uri", &file.token_uri)
            .map_err(|error| OptionsError::file(path, format!("`token_uri` {}", error.reason)))?;
        let account = Self {
            project_id: file.project_id,
            key_id: file.private_key_id,
            key,
            client_email: file.client_email,
            token_uri: file.token_uri,
            token_endpoint,
        };
        // A key that parses may still not sign: find out now, not with the first push.
        account.assertion(0).map_err(|_| {
            OptionsError::file(path, "`private_key` is not an RSA private key that signs")
        })?;
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn valid() -> Value {
        let credentials = araldo_loadtest::simulator::Credentials::generate().unwrap();
        serde_json::to_value(&credentials.service_account).unwrap()
    }

    fn read(content: &[u8]) -> Result<ServiceAccount, OptionsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service-account.json");
        std::fs::write(&path, content).unwrap();
        ServiceAccount::from_file(&path)
    }

    #[test]
    fn googles_format_is_read() {
        let account = read(valid().to_string().as_bytes()).unwrap();
        assert_eq!(account.project_id, "araldo-demo");
        assert_eq!(account.token_endpoint.path(), "/token");
    }

    #[test]
    fn a_wrong_file_is_named_with_its_reason_and_no_secret() {
        let good = valid();
        let with = |field: &str, value: Value| {
            let mut changed = good.clone();
            changed[field] = value;
            changed.to_string()
        };
        let mut missing = good.clone();
        missing.as_object_mut().unwrap().remove("client_email");
        for (content, expected) in [
            ("{".to_owned(), "is not JSON at line 1"),
            (missing.to_string(), "missing field `client_email`"),
            (with("type", json!("authorized_user")), "`type` must be"),
            (with("private_key", json!("secret")), "`private_key` is not an RSA"),
            (with("private_key", json!(17)), "wrong type"),
            (with("token_uri", json!("oauth")), "`token_uri` must"),
        ] {
            let text = read(content.as_bytes()).err().unwrap().to_string();
            assert!(text.contains("service-account.json"), "{text}");
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("secret") && !text.contains("17"), "{text}");
        }
    }
}
