//! Whether a Redis keeps what it answers: asked of real ones, set as the examples
//! say and then in each dangerous way, and as `check-config` and `serve` tell it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use araldo::store::redis::safety::{Danger, Finding, examine};
use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::port::store::{Acceptance, Store};

use crate::redis_kit::{Cluster, Server, eventually, free_port, own, own_prefix};
use crate::stage_kit::{House, araldo, run};
use crate::store_fixture::{PARTITIONS, message};

fn options(servers: Servers, replicas: u8) -> RedisOptions {
    RedisOptions { replicas, ..own(servers) }
}

fn single(server: &Server) -> Servers {
    Servers::Single(server.url())
}

/// What is said of a store, a word each.
async fn dangers(options: &RedisOptions) -> Vec<String> {
    let findings = examine(options).await.unwrap();
    let word = |finding: &Finding| match &finding.danger {
        Danger::Setting { name, found, .. } => format!("{name} {found}"),
        Danger::Replicas { found, wanted } => format!("replicas {found}/{wanted}"),
        Danger::Version { .. } => "version".to_owned(),
        Danger::Hidden { reason } => format!("hidden: {reason}"),
    };
    findings.iter().map(word).collect()
}

async fn accepts(options: &RedisOptions) {
    assert_eq!(dangers(options).await, Vec::<String>::new());
    let store = RedisStore::open(options).await.unwrap();
    let accepted = store.accept(message(1, 1), None).await.unwrap();
    assert!(matches!(accepted, Acceptance::Accepted { .. }));
}

/// A server as `replicated.conf` says, and one that follows it.
fn replicated() -> (Server, Server) {
    let master = Server::of_file("replicated.conf", &[], &[]);
    let follows = ["--replicaof", "127.0.0.1", &master.port.to_string()];
    let replica = Server::of_file("replicated.conf", &[], &follows);
    eventually("a replica follows", || {
        master.ask(&["INFO", "replication"]).contains("state=online")
    });
    (master, replica)
}

#[tokio::test]
async fn the_example_for_one_server_is_safe_and_each_change_that_is_not_is_found() {
    let server = Server::of_file("single.conf", &[], &[]);
    let options = options(single(&server), 0);
    accepts(&options).await;
    for (name, dangerous, safe) in [
        ("appendfsync", "everysec", "always"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ("appendonly", "no", "yes"),
    ] {
        server.ask(&["CONFIG", "SET", name, dangerous]);
        assert_eq!(dangers(&options).await, [format!("{name} {dangerous}")]);
        let found = examine(&options).await.unwrap();
        let said = found[0].to_string();
        let address = format!("Redis 127.0.0.1:{}", server.port);
        let way = format!("CONFIG SET {name} {safe}");
        for part in [address.as_str(), name, dangerous, "must be", way.as_str()] {
            assert!(said.contains(part), "no `{part}`: {said}");
        }
        server.ask(&["CONFIG", "SET", name, safe]);
    }
    assert_eq!(dangers(&options).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_example_with_replicas_and_sentinels_is_safe_and_each_change_that_is_not_is_found() {
    let (master, _replica) = replicated();
    let watched = format!("monitor mymaster 127.0.0.1 {} 2", master.port);
    let changed = [("monitor mymaster 127.0.0.1 6379 2", watched.as_str())];
    let sentinel = Server::of_file("sentinel.conf", &changed, &["--sentinel"]);
    let servers = Servers::Sentinel {
        sentinels: vec![sentinel.url()],
        name: "mymaster".to_owned(),
        master: "redis://127.0.0.1".to_owned(),
    };
    accepts(&options(servers.clone(), 1)).await;
    assert_eq!(dangers(&options(servers.clone(), 0)).await, ["replicas 1/0"]);
    assert_eq!(dangers(&options(servers.clone(), 2)).await, ["replicas 1/2"]);
    assert_eq!(dangers(&options(single(&master), 0)).await, ["replicas 1/0"]);
    master.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(dangers(&options(servers, 1)).await, ["min-replicas-to-write 0"]);
}

#[tokio::test]
async fn the_example_for_a_cluster_is_safe_and_every_master_is_asked() {
    let node = || {
        let bus = free_port().to_string();
        Server::of_file("cluster.conf", &[], &["--cluster-port", &bus])
    };
    let mut cluster = Cluster::of((0..6).map(|_| node()).collect());
    let servers = cluster.servers();
    accepts(&options(servers.clone(), 1)).await;
    let is_master = |server: &&mut Server| server.ask(&["ROLE"]).starts_with("master");
    let last = cluster.nodes().iter_mut().filter(is_master).last().unwrap();
    last.ask(&["CONFIG", "SET", "appendfsync", "no"]);
    assert_eq!(dangers(&options(servers, 1)).await, ["appendfsync no"]);
}

#[tokio::test]
async fn the_user_of_the_examples_may_do_all_that_is_needed_and_no_more() {
    let server = Server::of_file("single.conf", &[], &[]);
    let text = std::fs::read_to_string("config/redis/single.conf").unwrap();
    let line = text.lines().find_map(|line| line.split_once("user araldo ")).unwrap().1;
    let rules: Vec<String> =
        line.split(' ').map(|rule| rule.replace("<password>", "hunter2")).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let set = server.ask(&[&["ACL", "SETUSER", "araldo"], &rules[..]].concat());
    assert_eq!(set.trim(), "OK");
    let url = |user: &str| format!("redis://{user}:hunter2@127.0.0.1:{}", server.port);
    let answered_within = Duration::from_secs(20);
    let of = |user: &str| RedisOptions {
        answered_within,
        ..RedisOptions::new(Servers::Single(url(user)), PARTITIONS, 1)
    };
    accepts(&of("araldo")).await;
    // Who may not see the settings does not know whether they are safe.
    server.ask(&["ACL", "SETUSER", "blind", "on", ">hunter2", "~*", "&*", "+@all", "-config"]);
    assert_eq!(dangers(&of("blind")).await, ["hidden: it answered NOPERM"]);
    let said = examine(&of("blind")).await.unwrap()[0].to_string();
    assert!(said.contains("allow CONFIG GET") && said.contains("redis_accept_loss"), "{said}");
}

#[tokio::test]
async fn check_config_and_serve_refuse_a_dangerous_redis_unless_loss_is_accepted() {
    let server = Server::start(&["--appendfsync", "everysec"]);
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let house = House::new();
    let url = format!("redis://:hunter2@127.0.0.1:{}", server.port);
    let config = |url: &str| {
        format!(
            "[http]\nbind = \"127.0.0.1:0\"\n[store]\nkind = \"redis\"\npath = \"store\"\n\
             redis_url = \"{url}\"\nredis_prefix = \"{}\"\n",
            own_prefix()
        )
    };
    house.write(&config(&url));
    let check = async |more: &[&str]| {
        let mut command = araldo(["check-config", "--config"]);
        command.arg(house.config()).args(more);
        let said = run(command).await;
        assert!(!said.out.contains("hunter2") && !said.err.contains("hunter2"), "{said:?}");
        said
    };
    let accept = ["--set", "store.redis_accept_loss=true"];
    let said = check(&[]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.sentence().contains("appendfsync is everysec and must be always"), "{said:?}");
    house.refuses(2, &["appendfsync is everysec and must be always"]).await;
    assert!(!house.path("store").exists());
    let keys = server.ask(&["--no-auth-warning", "-a", "hunter2", "DBSIZE"]);
    assert_eq!(keys.trim(), "0", "what is refused gets no store");
    let said = check(&accept).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err.contains("warning: Redis 127.0.0.1") && said.out.contains(":***@"),
        "{said:?}"
    );
    house.write(&format!("{}redis_accept_loss = true\n", config(&url)));
    let node = crate::stage_kit::Server::start(&house.config()).await;
    assert_eq!(node.signal("TERM").await, Some(0));
    let log = std::fs::read_to_string(house.path("araldo.log")).unwrap();
    assert!(log.contains("appendfsync is everysec") && !log.contains("hunter2"), "{log}");

    house.write(&config(&url.replace("hunter2", "hunter3")));
    let said = check(&[]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.sentence().contains("authentication failed"), "{said:?}");
    house.write(&config(&format!("redis://127.0.0.1:{}", free_port())));
    let said = check(&[]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.sentence().contains("the connection is refused"), "{said:?}");
}
