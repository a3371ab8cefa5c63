//! The `Idempotency-Key` header.
//!
//! A claim binds (service, method and path, key) to one request body, as
//! hashes: neither the key nor the body is kept.

use araldo_actors::domain::id::ServiceId;
use araldo_actors::port::store::IdempotencyClaim;
use hyper::HeaderMap;

use crate::http::problem::Problem;

/// Longest key, in bytes.
const LONGEST: usize = 255;

/// The claim of a request, if it carries a key.
pub fn claim(
    headers: &HeaderMap,
    service: &ServiceId,
    method_and_path: &str,
    body: &[u8],
) -> Result<Option<IdempotencyClaim>, Problem> {
    let mut keys = headers.get_all("idempotency-key").into_iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.as_bytes();
    let fits = (1..=LONGEST).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if !fits || keys.next().is_some() {
        return Err(Problem::field(
            "Idempotency-Key",
            "must be one header of 1 to 255 visible ASCII characters",
        ));
    }
    let mut scope = blake3::Hasher::new();
    for part in [service.as_str().as_bytes(), method_and_path.as_bytes(), key] {
        // Lengths keep ("ab", "c") apart from ("a", "bc").
        scope.update(&(part.len() as u64).to_le_bytes());
        scope.update(part);
    }
    let body = *blake3::hash(body).as_bytes();
    Ok(Some(IdempotencyClaim { scope: *scope.finalize().as_bytes(), body }))
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, IdempotencyClaim, ServiceId, claim};
    use hyper::header::HeaderValue;

    fn claim_of(key: &str, service: &str, path: &str, body: &str) -> Option<IdempotencyClaim> {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", HeaderValue::from_str(key).expect("a header value"));
        let service = ServiceId::parse(service).expect("a service id");
        claim(&headers, &service, path, body.as_bytes()).expect("a valid key")
    }

    #[test]
    fn scope_is_service_path_and_key_and_body_is_apart() {
        let base = claim_of("k", "s", "POST /m", "{}").expect("a claim");
        assert_eq!(claim_of("k", "s", "POST /m", "{}"), Some(base));
        assert_eq!(claim_of("k", "s", "POST /m", "[]").map(|claim| claim.scope), Some(base.scope));
        assert_ne!(claim_of("k", "s", "POST /m", "[]").map(|claim| claim.body), Some(base.body));
        for other in [
            claim_of("l", "s", "POST /m", "{}"),
            claim_of("k", "t", "POST /m", "{}"),
            claim_of("k", "s", "POST /n", "{}"),
        ] {
            assert_ne!(other.map(|claim| claim.scope), Some(base.scope));
        }
    }

    #[test]
    fn a_key_that_is_empty_long_blank_or_double_is_refused() {
        let service = ServiceId::parse("s").expect("a service id");
        for wrong in ["", "a b", &"k".repeat(256), "caffè"] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(wrong.as_bytes()).expect("a header value");
            headers.insert("idempotency-key", value);
            assert!(claim(&headers, &service, "POST /m", b"{}").is_err(), "{wrong}");
        }
        let mut headers = HeaderMap::new();
        headers.append("idempotency-key", HeaderValue::from_static("a"));
        headers.append("idempotency-key", HeaderValue::from_static("b"));
        assert!(claim(&headers, &service, "POST /m", b"{}").is_err());
        assert_eq!(claim(&HeaderMap::new(), &service, "POST /m", b"{}").ok(), Some(None));
    }
}
