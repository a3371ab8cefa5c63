//! What a fresh server is filled with: organisations, services, sender keys, citizens.
//!
//! Owns nothing. Everything goes through the public operator API; citizens in chunks of a bounded size, so that neither
//! side holds the population.

use std::collections::HashMap;

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Stage, StageError, key_header};
use crate::catalogue::{Catalogue, catalogue};
use crate::population::Population;

/// Bytes of an import request; the API takes up to 8 MiB.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Reasons of refused lines kept in a report.
const MAX_REASONS: usize = 20;

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// Citizens sent so far.
    pub done: u64,
    /// Citizens in all.
    pub total: u64,
}

/// What the server said to an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// New citizens.
    pub imported: u64,
    /// Citizens it knew.
    pub updated: u64,
    /// Lines it refused.
    pub refused: u64,
    /// Warnings it gave.
    pub warnings: u64,
    /// The first reasons of refused lines, with their numbers.
    pub reasons: Vec<String>,
}

#[derive(Deserialize)]
struct ImportAnswer {
    #[serde(default)]
    imported: u64,
    #[serde(default)]
    updated: u64,
    #[serde(default)]
    refused: u64,
    #[serde(default)]
    errors: Vec<LineFault>,
    #[serde(default)]
    warnings: Vec<LineFault>,
}

#[derive(Deserialize)]
struct LineFault {
    line: u64,
    reason: String,
}

/// Sender keys by service id.
#[derive(Debug, Clone, Default)]
pub struct SenderKeys(HashMap<String, HeaderValue>);

impl SenderKeys {
    /// The key of a service.
    #[must_use]
    pub fn of(&self, service_id: &str) -> Option<&HeaderValue> {
        self.0.get(service_id)
    }

    /// The keys in the order of the catalogue's services, for the driver; `None` when one is missing.
    #[must_use]
    pub fn in_order(&self, catalogue: &Catalogue) -> Option<Vec<HeaderValue>> {
        catalogue.services().iter().map(|service| self.0.get(&service.id).cloned()).collect()
    }
}

impl Stage {
    /// Creates every organisation and service of the catalogue, and a sender key for each service.
    ///
    /// # Errors
    /// [`StageError::Client`] with the server's answer.
    pub async fn create_catalogue(&self) -> Result<SenderKeys, StageError> {
        let mut operator = self.operator()?;
        for body in catalogue().organizations() {
            let path = format!("/api/operator/v1/organizations/{}", body.fiscal_code);
            operator.put(&path, &json!({"name": body.name})).await?;
        }
        let mut keys = SenderKeys::default();
        for service in catalogue().services() {
            let path = format!("/api/operator/v1/services/{}", service.id);
            operator.put(&path, &catalogue().service_document(service)).await?;
            let key = self.create_sender_key(&service.id).await?;
            keys.0.insert(service.id.clone(), key);
        }
        Ok(keys)
    }

    /// Creates one organisation with one service, and its sender key.
    ///
    /// # Errors
    /// [`StageError::Client`] with the server's answer.
    pub async fn create_service(
        &self,
        service_id: &str,
        name: &str,
    ) -> Result<HeaderValue, StageError> {
        self.create_service_with(service_id, name, &json!({})).await
    }

    /// The same with further fields of the service's document, such as `lane` or `groups`.
    ///
    /// # Errors
    /// [`StageError::Client`] with the server's answer.
    pub async fn create_service_with(
        &self,
        service_id: &str,
        name: &str,
        fields: &Value,
    ) -> Result<HeaderValue, StageError> {
        let mut operator = self.operator()?;
        let fiscal_code = "97000000007";
        let path = format!("/api/operator/v1/organizations/{fiscal_code}");
        operator.put(&path, &json!({"name": "Ente di prova"})).await?;
        let mut document = json!({"name": name, "organization_fiscal_code": fiscal_code, "max_allowed_payment_amount": 100_000});
        for (field, value) in fields.as_object().into_iter().flatten() {
            document[field] = value.clone();
        }
        operator.put(&format!("/api/operator/v1/services/{service_id}"), &document).await?;
        self.create_sender_key(service_id).await
    }

    async fn create_sender_key(&self, service_id: &str) -> Result<HeaderValue, StageError> {
        let request = json!({"name": format!("load test, {service_id}"), "role": "sender", "service_id": service_id});
        let answer = self.operator()?.post("/api/operator/v1/keys", &request).await?;
        let key = answer["key"]
            .as_str()
            .ok_or_else(|| StageError::Other("the answer to a new key holds no key".to_owned()))?;
        key_header(key)
    }

    /// Imports a population in chunks.
    ///
    /// # Errors
    /// [`StageError::Client`] with the server's answer; refused lines are no error but reported.
    pub async fn import(
        &self,
        population: &Population,
        mut on_progress: impl FnMut(ImportProgress),
    ) -> Result<ImportReport, StageError> {
        let mut operator = self.operator()?;
        let mut report = ImportReport::default();
        let total = population.size();
        let mut next = 0;
        while next < total {
            let first = next;
            let mut chunk = Vec::with_capacity(CHUNK_BYTES + 4_096);
            while next < total && chunk.len() < CHUNK_BYTES {
                chunk.extend_from_slice(population.line(next).as_bytes());
                chunk.push(b'\n');
                next += 1;
            }
            let path = format!("/api/operator/v1/citizens?first_line={}", first + 1);
            let answer = operator
                .send(Method::POST, &path, Some("application/x-ndjson"), Bytes::from(chunk))
                .await?;
            add(&mut report, &answer)?;
            on_progress(ImportProgress { done: next, total });
        }
        Ok(report)
    }
}

fn add(report: &mut ImportReport, answer: &[u8]) -> Result<(), StageError> {
    let answer: ImportAnswer = serde_json::from_slice(answer)
        .map_err(|error| StageError::Other(format!("the answer to an import: {error}")))?;
    report.imported += answer.imported;
    report.updated += answer.updated;
    report.refused += answer.refused;
    report.warnings += answer.warnings.len() as u64;
    let room = MAX_REASONS.saturating_sub(report.reasons.len());
    let reasons =
        answer.errors.iter().map(|fault| format!("line {}: {}", fault.line, fault.reason));
    report.reasons.extend(reasons.take(room));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_add_up_and_reasons_are_bounded() {
        let mut report = ImportReport::default();
        let faults: Vec<_> = (0..30).map(|line| json!({"line": line, "reason": "no"})).collect();
        let answer = json!({"imported": 5, "updated": 1, "refused": 30, "errors": faults, "warnings": [{"line": 2, "reason": "x"}]});
        add(&mut report, answer.to_string().as_bytes()).unwrap();
        add(&mut report, answer.to_string().as_bytes()).unwrap();
        assert_eq!(
            (report.imported, report.refused, report.warnings, report.reasons.len()),
            (10, 60, 2, 20)
        );
        assert!(add(&mut report, b"nonsense").is_err());
    }
}
