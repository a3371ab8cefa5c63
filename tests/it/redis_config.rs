//! `araldo serve` on a Redis: how a node starts, beside others and before its
//! Redis.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use hyper::StatusCode;

use crate::redis_kit::{Server as Redis, own_prefix, shared_server};
use crate::stage_kit::{House, Server, until};

const STATUS: &str = "/api/operator/v1/status";

/// A node with this name, on the Redis at `url`.
fn node(id: &str, url: &str, prefix: &str) -> House {
    let house = House::new();
    house.write(&format!(
        "[http]\nbind = \"127.0.0.1:0\"\n[store]\nkind = \"redis\"\npath = \"store\"\n\
         redis_url_file = \"redis-url\"\nredis_prefix = \"{prefix}\"\nredis_answer_ms = 5000\n\
         redis_confirm_ms = 500\n[node]\nid = \"{id}\"\n[engine]\npartitions = 4\n"
    ));
    std::fs::write(house.path("redis-url"), format!("{url}\n")).unwrap();
    house
}

fn key_in(house: &House) -> Option<String> {
    let file = house.path("store/admin.key");
    file.exists().then(|| std::fs::read_to_string(file).unwrap().trim().to_owned())
}

#[tokio::test]
async fn nodes_that_start_together_make_one_first_key_and_it_opens_all_of_them() {
    let (url, prefix) = (shared_server().url(), own_prefix());
    let houses: Vec<House> = (0..3).map(|n| node(&format!("node-{n}"), &url, &prefix)).collect();
    let configs: Vec<_> = houses.iter().map(House::config).collect();
    let starts = configs.iter().map(|config| Server::start(config.as_path()));
    let servers = futures_util::future::join_all(starts).await;
    let keys: Vec<String> = houses.iter().filter_map(key_in).collect();
    assert_eq!(keys.len(), 1, "one node made the key");
    let left = |house: &House| house.path("store/admin.key.new").exists();
    assert!(!houses.iter().any(left));
    for server in &servers {
        let opens = async || server.get(STATUS, Some(&keys[0])).await.status == StatusCode::OK;
        until("the key opens the node", Duration::from_secs(5), opens).await;
        let listed = server.get("/api/operator/v1/keys", Some(&keys[0])).await.expect(200).json();
        assert_eq!(
            listed.as_array().map_or_else(|| listed["items"].as_array().unwrap().len(), Vec::len),
            1
        );
    }
    for server in servers {
        assert_eq!(server.signal("TERM").await, Some(0));
    }
    // The secret is nobody's own.
    assert!(!houses.iter().any(|house| house.path("store/secret.key").exists()));
    let secret = shared_server().ask(&["EXISTS", &format!("{prefix}:{{all}}:secret")]);
    assert_eq!(secret.trim(), "1");
}

#[tokio::test]
async fn a_node_that_starts_before_its_redis_waits_for_it() {
    let mut redis = Redis::start(&[]);
    redis.kill();
    let house = node("early", &redis.url(), &own_prefix());
    let config = house.config();
    let starting = Server::start(&config);
    let later = async {
        let log = house.path("araldo.log");
        let said = async || is_said(&log, "Redis cannot be used yet");
        until("it says that it waits", Duration::from_secs(20), said).await;
        redis.restart();
    };
    let (server, ()) = tokio::join!(starting, later);
    assert_eq!(server.get("/healthz", None).await.status, StatusCode::OK);
    assert_eq!(server.signal("TERM").await, Some(0));
    let log = std::fs::read_to_string(house.path("araldo.log")).unwrap();
    assert_eq!(log.matches("Redis cannot be used yet").count(), 1, "{log}");
}

fn is_said(log: &Path, text: &str) -> bool {
    std::fs::read_to_string(log).is_ok_and(|log| log.contains(text))
}

#[tokio::test]
async fn a_node_that_cannot_use_what_is_there_says_why() {
    let (url, prefix) = (shared_server().url(), own_prefix());
    let house = node("first", &url, &prefix);
    let server = Server::start(&house.config()).await;
    assert_eq!(server.signal("TERM").await, Some(0));
    let text = std::fs::read_to_string(house.config()).unwrap();
    let other = node("second", &url, &prefix);
    std::fs::write(other.config(), text.replace("partitions = 4", "partitions = 8")).unwrap();
    other.refuses(2, &["was made with 4 partitions and cannot be opened with 8"]).await;
    std::fs::write(other.path("redis-url"), "hunter2").unwrap();
    other.refuses(2, &["store.redis_url_file", "redis-url: must be redis://"]).await;
}
