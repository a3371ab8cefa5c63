//! Whose tokens are believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use araldo::config::Config;
use araldo::http::citizen::issuer::Issuer;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::extract::State;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::http_citizen_kit::{DEVELOPMENT, House, ROSA, now, token};

/// An issuer's key pair.
struct Pair {
    private: EncodingKey,
    public_pem: String,
    jwk: Value,
}

fn pair(kid: &str) -> Pair {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref()).unwrap();
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    };
    let point = key.public_key().as_ref().to_vec();
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let part = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
    let _: Option<Pkcs8V1Der<'_>> = None;
    Pair {
        private: EncodingKey::from_ec_pem(pem("PRIVATE KEY", der.as_ref()).as_bytes()).unwrap(),
        public_pem: pem("PUBLIC KEY", public.as_ref()),
        jwk: json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "alg": "ES256",
            "x": part(1), "y": part(33)}),
    }
}

fn seconds() -> u64 {
    now().0 / 1000
}

fn claims() -> Value {
    json!({"fiscal_code": format!("TINIT-{ROSA}"), "iat": seconds(), "exp": seconds() + 600,
        "iss": "https://issuer.example", "aud": "araldo"})
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn sign(key: &EncodingKey, kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

fn strict(config: &mut Config) {
    config.citizen.issuer = Some("https://issuer.example".into());
    config.citizen.audience = Some("araldo".into());
}

async fn status(house: &House, token: &str) -> u16 {
    house.get(token, "/api/identity/v1/profile").await.status.as_u16()
}

async fn house_with_pem(pair: &Pair) -> House {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("public.pem");
    std::fs::write(&file, &pair.public_pem).unwrap();
    let house = House::start_with(|config| {
        strict(config);
        config.citizen.development_key_file = None;
        config.citizen.public_key_file = Some(file);
    });
    house.await
}

#[tokio::test]
async fn an_honest_token_of_the_configured_key_is_believed() {
    let pair = pair("k1");
    let house = house_with_pem(&pair).await;
    let good = sign(&pair.private, None, &claims());
    let profile = house.get(&good, "/api/identity/v1/profile").await.expect(200).json();
    assert_eq!(profile["fiscal_code"], ROSA, "TINIT- is taken off");
    // A name for the key, which has none here, is no hindrance.
    assert_eq!(status(&house, &sign(&pair.private, Some("k1"), &claims())).await, 200);
    let late = with(json!({"exp": seconds() - 20, "iat": seconds() + 20}));
    assert_eq!(status(&house, &sign(&pair.private, None, &late)).await, 200, "30 s of leeway");
    let list = with(json!({"aud": ["other", "araldo"]}));
    assert_eq!(status(&house, &sign(&pair.private, None, &list)).await, 200);
    house.stop().await;
}

#[tokio::test]
async fn a_token_with_a_wrong_claim_is_refused_with_a_challenge() {
    let pair = pair("k1");
    let house = house_with_pem(&pair).await;
    for wrong in [
        json!({"exp": seconds() - 60}),
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"nbf": seconds() + 60}),
        json!({"nbf": "now"}),
        json!({"iat": null}),
        json!({"iat": seconds() + 60}),
        json!({"iat": "now"}),
        json!({"iat": -1}),
        json!({"iss": "https://other.example"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": null}),
        json!({"fiscal_code": null}),
        json!({"fiscal_code": "TINIT-rssmra85t10a562s"}),
        json!({"fiscal_code": 7}),
    ] {
        let forged = sign(&pair.private, None, &with(wrong.clone()));
        let refused = house.get(&forged, "/api/identity/v1/profile").await.expect(401);
        assert!(refused.header("www-authenticate").contains("error=\"invalid_token\""), "{wrong}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(!refused.text().contains(ROSA));
    }
    house.stop().await;
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let (honest, forger) = (pair("k1"), pair("k1"));
    let house = house_with_pem(&honest).await;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&claims()));
    let hmac = |secret: &[u8]| {
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &key).unwrap()
    };
    let good = sign(&honest.private, None, &claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let other = part(&with(json!({"fiscal_code": "AAAAAA00A00A000A"})));
    for forged in [
        none,
        hmac(honest.public_pem.as_bytes()),
        hmac(DEVELOPMENT.as_bytes()),
        sign(&forger.private, Some("k1"), &claims()),
        format!("{header}.{other}.{signature}"),
        format!("{head}."),
        head.to_owned(),
        "nonsense".to_owned(),
        String::new(),
        "a.".repeat(20_000),
    ] {
        assert_eq!(
            status(&house, &forged).await,
            401,
            "{}",
            forged.chars().take(80).collect::<String>()
        );
    }
    let nothing = house.call(hyper::Method::GET, "/api/identity/v1/profile", &[], "").await;
    assert_eq!(nothing.expect(401).header("www-authenticate"), "Bearer realm=\"araldo\"");
    house.stop().await;
}

#[tokio::test]
async fn with_no_issuer_configured_nobody_comes_in() {
    let house = House::start_with(|config| config.citizen.development_key_file = None).await;
    assert_eq!(status(&house, &token(ROSA)).await, 401);
    house.stop().await;
}

/// An issuer that publishes keys.
struct Published {
    keys: Mutex<Option<Value>>,
    asked: AtomicUsize,
}

async fn publish(keys: Option<Value>) -> (Arc<Published>, String) {
    let published = Arc::new(Published { keys: Mutex::new(keys), asked: AtomicUsize::new(0) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks?of=citizens", listener.local_addr().unwrap());
    let answer = async |State(published): State<Arc<Published>>| {
        published.asked.fetch_add(1, Ordering::Relaxed);
        let keys = published.keys.lock().await.clone();
        keys.map(|keys| keys.to_string()).ok_or(hyper::StatusCode::SERVICE_UNAVAILABLE)
    };
    let routes = axum::Router::new().route("/jwks", get(answer)).with_state(Arc::clone(&published));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (published, url)
}

async fn house_with_jwks(url: String, every: Duration) -> House {
    let house = House::start_with(|config| {
        strict(config);
        config.citizen.jwks_url = Some(url);
        config.citizen.jwks_refresh = every;
    });
    house.await
}

async fn until_status(house: &House, token: &str, expected: u16, tries: usize) {
    for _ in 0..tries {
        if status(house, token).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status(house, token).await, expected);
}

#[tokio::test]
async fn published_keys_are_followed_as_they_change() {
    let (old, new) = (pair("old"), pair("new"));
    let (published, url) =
        publish(Some(json!({"keys": [old.jwk, {"kty": "oct", "k": "AAAA", "kid": "x"}]}))).await;
    let house = house_with_jwks(url, Duration::from_secs(1)).await;
    let tokens =
        [("old", &old), ("new", &new)].map(|(kid, pair)| sign(&pair.private, Some(kid), &claims()));
    until_status(&house, &tokens[0], 200, 50).await;
    assert_eq!(status(&house, &tokens[1]).await, 401);
    *published.keys.lock().await = Some(json!({"keys": [new.jwk]}));
    until_status(&house, &tokens[1], 200, 50).await;
    assert_eq!(status(&house, &tokens[0]).await, 401, "a key that was withdrawn");
    // The issuer is away, or publishes nonsense: the keys there are stay.
    for broken in [None, Some(json!({"keys": []})), Some(json!("nonsense"))] {
        let before = published.asked.load(Ordering::Relaxed);
        *published.keys.lock().await = broken;
        while published.asked.load(Ordering::Relaxed) < before + 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(status(&house, &tokens[1]).await, 200);
    }
    house.stop().await;
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_and_not_more_often_than_every_ten_seconds() {
    let (old, new) = (pair("old"), pair("new"));
    let (published, url) = publish(Some(json!({"keys": [old.jwk]}))).await;
    let house = house_with_jwks(url, Duration::from_secs(3600)).await;
    let token = sign(&new.private, Some("new"), &claims());
    until_status(&house, &sign(&old.private, Some("old"), &claims()), 200, 50).await;
    *published.keys.lock().await = Some(json!({"keys": [old.jwk, new.jwk]}));
    for _ in 0..20 {
        assert_eq!(status(&house, &token).await, 401, "the issuer was asked just now");
    }
    assert_eq!(published.asked.load(Ordering::Relaxed), 1);
    until_status(&house, &token, 200, 150).await;
    assert_eq!(published.asked.load(Ordering::Relaxed), 2);
    house.stop().await;
}

#[tokio::test]
async fn until_the_issuer_was_reached_its_tokens_are_told_to_wait() {
    let pair = pair("k1");
    let (_published, url) = publish(None).await;
    let house = house_with_jwks(url, Duration::from_secs(3600)).await;
    let token = sign(&pair.private, Some("k1"), &claims());
    let refused = house.get(&token, "/api/identity/v1/profile").await.expect(503);
    assert!(!refused.header("retry-after").is_empty());
    house.stop().await;
}

#[test]
fn a_key_file_that_cannot_be_used_is_named_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let mut config = crate::http_citizen_kit::config(&folder);
    config.citizen.jwks_file = Some(folder.path().join("absent.json"));
    config.citizen.public_key_file = file("public.pem", "no key");
    config.citizen.development_key_file = file("short.key", "short");
    let faults = Issuer::new(&config.citizen).err().unwrap();
    let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(text[0].starts_with("citizen.jwks_file: ") && text[0].contains("cannot be read"));
    assert!(text[1].starts_with("citizen.public_key_file: ") && text[1].contains("public.pem"));
    assert!(text[2].starts_with("citizen.development_key_file: ") && text[2].contains("32"));
    assert!(!text[2].contains(": short"), "a secret is not shown");
    let private = pair("k").private;
    drop(private);
    config.citizen.jwks_file = file("empty.json", "{\"keys\":[]}");
    let text = Issuer::new(&config.citizen).err().unwrap()[0].to_string();
    assert!(text.contains("no public key"), "{text}");
}

#[tokio::test]
async fn a_token_with_a_critical_extension_is_refused() {
    let pair = pair("k1");
    let house = house_with_pem(&pair).await;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for (more, expected) in [(json!({}), 200), (json!({"crit": ["b64"], "b64": true}), 401)] {
        let mut header = json!({"alg": "ES256", "typ": "JWT"});
        for (name, value) in more.as_object().unwrap() {
            header[name] = value.clone();
        }
        let text = format!("{}.{}", part(&header), part(&claims()));
        let signed =
            jsonwebtoken::crypto::sign(text.as_bytes(), &pair.private, Algorithm::ES256).unwrap();
        assert_eq!(status(&house, &format!("{text}.{signed}")).await, expected);
    }
    house.stop().await;
}
