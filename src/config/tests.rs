//! Loading a configuration: order, places, refusals.

use std::collections::BTreeSet;
use std::fs;

use super::layers::Layers;
use super::reader::Reader;
use super::{Loaded, Origin, Provider, RedisTopology, Sources, load, reader};

/// Loads `text` as the file, with `environment` and `flags` over it.
fn load_all(text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = dir.path().join("araldo.toml");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    load(&Sources {
        file: Some(file.clone()),
        environment: environment.iter().map(pair).collect(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    })
    .map_err(|errors| errors.to_string().replace(&file.display().to_string(), "FILE"))
}

fn errors_of(text: &str) -> String {
    load_all(text, &[], &[]).expect_err("this configuration has errors")
}

const APPLE: &str = "[route.apple]\nkind = \"apns\"\nkey_file = \"AuthKey.p8\"\n\
    key_id = \"ABC123DEFG\"\nteam_id = \"DEF123GHIJ\"\ntopic = \"it.example.app\"\n";

#[test]
fn the_defaults_alone_are_a_configuration() {
    let loaded = load(&Sources::default()).expect("the defaults are valid");
    assert_eq!(loaded.config.engine.partitions, 64);
    assert_eq!(loaded.config.http.body_limit, 131_072);
    assert!(loaded.config.routes.is_empty());
}

#[test]
fn every_key_of_the_defaults_is_read_and_every_key_read_has_its_default_there() {
    let mut layers = Layers::of_defaults();
    for (name, kind) in [("a", "apns"), ("f", "fcm"), ("s", "smtp")] {
        layers.set(&format!("route.{name}.kind"), kind.into(), Origin::Flag);
    }
    let (effective, errors) = layers.merge();
    assert!(errors.is_empty(), "{errors:?}");
    let reader = Reader::new(&effective);
    reader::read_with(&reader);
    let read: BTreeSet<String> = reader.read.borrow().clone();
    let known: BTreeSet<String> =
        effective.keys().filter(|key| !key.starts_with("route_kind.")).map(str::to_owned).collect();
    assert_eq!(read, known);
}

#[test]
fn every_key_of_the_defaults_has_a_comment() {
    let mut commented = false;
    for line in super::DEFAULT_TOML.lines() {
        match line {
            line if line.starts_with('#') => commented = true,
            "" => commented = false,
            line if line.starts_with('[') => commented = false,
            line => assert!(commented, "no comment above {line}"),
        }
    }
}

#[test]
fn later_sources_win_and_say_where_they_are() {
    let text =
        "[node]\nid = \"from-file\"\n[http]\nmax_connections = 10\nbody_limit_bytes = 2048\n";
    let environment =
        [("ARALDO__NODE__ID", "from-env"), ("ARALDO__HTTP__MAX_CONNECTIONS", "11"), ("PATH", "x")];
    let loaded = load_all(text, &environment, &["node.id=from-flag"]).expect("valid");
    assert_eq!(loaded.config.node.id.as_str(), "from-flag");
    assert_eq!(loaded.config.http.max_connections, 11);
    assert_eq!(loaded.config.http.body_limit, 2048);
    let shown = loaded.effective.to_string();
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    assert!(line("id =").ends_with("# --set"));
    assert!(line("max_connections").ends_with("# ARALDO__HTTP__MAX_CONNECTIONS"));
    assert!(line("body_limit_bytes").ends_with("araldo.toml:5"));
    assert!(line("claims_hours").ends_with("# default"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
    let text = "[http]\nbind = \"127.0.0.1:0\"\nmax_conections = 5\n";
    assert_eq!(
        errors_of(text),
        "FILE:3: http.max_conections: there is no such key (did you mean \"http.max_connections\"?)"
    );
    let text = "[htpp]\nbind = \"127.0.0.1:0\"\n";
    assert_eq!(errors_of(text), "FILE:1: htpp: there is no such section (did you mean \"http\"?)");
    let environment = [("ARALDO__HTTP__BNID", "127.0.0.1:0")];
    let errors = load_all("", &environment, &[]).expect_err("unknown");
    assert!(errors.starts_with("ARALDO__HTTP__BNID: http.bnid: there is no such key"), "{errors}");
}

#[test]
fn every_error_is_reported_at_once() {
    let text = "[http]\nbind = \"nowhere\"\nmax_connections = \"many\"\n\
        [engine]\npartitions = 0\n[log]\nformat = \"jsn\"\nfilter = \"=,,=\"\n\
        [store]\nkind = \"rdis\"\n";
    let errors = errors_of(text);
    for expected in [
        "FILE:2: http.bind: must be an address and a port",
        "FILE:3: http.max_connections: expected a whole number, found a text",
        "FILE:5: engine.partitions: must be between 1 and 4096",
        "FILE:7: log.format: \"jsn\" is none of \"text\", \"json\" (did you mean \"json\"?)",
        "FILE:10: store.kind: \"rdis\" is none of \"embedded\", \"redis\" (did you mean \"redis\"?)",
    ] {
        assert!(errors.contains(expected), "{expected} not in:\n{errors}");
    }
}

#[test]
fn a_syntax_error_names_its_line_without_quoting_it() {
    let errors = errors_of("[http]\nbind = \"127.0.0.1:0\nsecret = \"hunter2\"\n");
    assert!(errors.starts_with("FILE:2: "), "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
fn a_missing_file_is_an_error() {
    let sources = Sources { file: Some("/nonexistent/araldo.toml".into()), ..Sources::default() };
    let errors = load(&sources).expect_err("there is no such file").to_string();
    assert!(errors.starts_with("/nonexistent/araldo.toml: cannot be read"), "{errors}");
}

#[test]
fn a_route_takes_what_it_does_not_say_from_its_kind() {
    let text = format!("{APPLE}[route_kind.apns]\nconnections = 7\n");
    let config = load_all(&text, &[], &[]).expect("valid").config;
    let route = &config.routes[0];
    assert_eq!((route.id.as_str(), route.connections), ("apple", 7));
    let Provider::Apns(apns) = &route.provider else { panic!("kind apns") };
    assert_eq!(apns.endpoint, "https://api.push.apple.com");
    assert!(apns.key_file.is_absolute() && apns.key_file.ends_with("AuthKey.p8"));
    assert_eq!(apns.ca_file, None);
}

#[test]
fn an_environment_variable_reaches_a_route_whatever_its_case() {
    let text = APPLE.replace("route.apple", "route.My-Apple");
    let environment = [("ARALDO__ROUTE__MY_APPLE__CONNECTIONS", "9")];
    let config = load_all(&text, &environment, &[]).expect("valid").config;
    assert_eq!(config.routes.len(), 1);
    assert_eq!(config.routes[0].connections, 9);
}

#[test]
fn a_route_names_what_it_lacks_and_what_its_kind_does_not_have() {
    let errors = errors_of(
        "[route.x]\nkind = \"apns\"\nproject_id = \"p\"\n[route.y]\nconnections = 1\n\
         [route.z]\nkind = \"sms\"\n[route.w]\nkind = \"fcm\"\nproject_id = \"p\"\n\
         service_account_file = \"f\"\nendpoint = \"fcm.googleapis.com/v1\"\n",
    );
    for expected in [
        "FILE:2: route.x.key_file: is missing",
        "FILE:2: route.x.topic: is missing",
        "FILE:3: route.x.project_id: a route of kind \"apns\" has no such key",
        "route.y.kind: is missing; use \"apns\" or \"fcm\" or \"smtp\"",
        "route.z.kind: there is no kind of route \"sms\"; use \"apns\" or \"fcm\" or \"smtp\"",
        "FILE:12: route.w.endpoint: must be http:// or https:// with a host, and no path",
    ] {
        assert!(errors.contains(expected), "{expected} not in:\n{errors}");
    }
}

#[test]
fn a_relay_takes_what_it_does_not_say_from_its_kind() {
    let text = "[http]\npublic_url = \"https://messages.example.it\"\n\
        [route.mail]\nkind = \"smtp\"\nhost = \"relay.example.it\"\n\
        from = \"Araldo <no-reply@example.it>\"\nsessions = 9\n";
    let config = load_all(text, &[], &[]).expect("valid").config;
    let route = &config.routes[0];
    assert_eq!((route.connections, route.provider.kind()), (9, "smtp"));
    assert_eq!(route.retry_base, std::time::Duration::from_mins(30));
    let Provider::Smtp(smtp) = &route.provider else { panic!("kind smtp") };
    assert_eq!((smtp.port, smtp.tls), (587, super::SmtpTls::StartTls));
    assert_eq!((&smtp.ca_file, &smtp.credentials), (&None, &None));
}

#[test]
fn a_relay_names_what_it_lacks_and_what_does_not_fit_together() {
    let errors = errors_of(
        "[route.a]\nkind = \"smtp\"\n\
         [route.b]\nkind = \"smtp\"\nhost = \"relay.example.it:25\"\nfrom = \"nobody\"\n\
         username = \"u\"\ntls = \"ssl\"\n\
         [route.c]\nkind = \"smtp\"\nhost = \"relay.example.it\"\nfrom = \"a@example.it\"\n\
         username = \"u\"\npassword_file = \"p\"\ntls = \"none\"\n\
         [route.d]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nfrom = \"a@\u{e0}.it\"\n\
         password_file = \"p\"\nport = 0\nconnections = 3\n",
    );
    for expected in [
        "FILE:2: route.a.host: is missing",
        "FILE:2: route.a.from: is missing",
        "FILE:5: route.b.host: must be a host name or an address, without a port",
        "FILE:6: route.b.from: must be an address in ASCII",
        "route.b.password_file: is missing beside username",
        "FILE:8: route.b.tls: \"ssl\" is none of \"none\", \"starttls\", \"implicit\"",
        "FILE:15: route.c.tls: must not be \"none\" with a username",
        "FILE:19: route.d.from: must be an address in ASCII",
        "route.d.username: is missing beside password_file",
        "FILE:21: route.d.port: must be between 1 and 65535",
        "FILE:22: route.d.connections: a route of kind \"smtp\" has no such key",
    ] {
        assert!(errors.contains(expected), "{expected} not in:\n{errors}");
    }
}

#[test]
fn a_claim_may_be_named_by_any_text() {
    let claim = |name: &str| format!("[citizen]\nfiscal_code_claim = \"{name}\"\n");
    for name in ["https://attributes.eid.gov.it/fiscal_number", "codice fiscale", &"c".repeat(256)]
    {
        let config = load_all(&claim(name), &[], &[]).expect("valid").config;
        assert_eq!(config.citizen.fiscal_code_claim, name);
    }
    for wrong in ["", "a\\nb", &"c".repeat(257)] {
        let errors = errors_of(&claim(wrong));
        assert!(errors.contains("FILE:2: citizen.fiscal_code_claim: must be 1 to 256"), "{errors}");
    }
}

#[test]
fn the_example_for_one_node_is_valid() {
    let text = include_str!("../../config/single-node.toml");
    let config = load_all(text, &[], &[]).expect("valid").config;
    assert_eq!(config.routes.len(), 3);
}

#[test]
fn the_example_for_a_node_of_many_is_valid() {
    let text = include_str!("../../config/cluster.toml");
    let config = load_all(text, &[], &[]).expect("valid").config;
    assert_eq!(config.routes.len(), 3);
    let redis = config.store.redis().expect("in Redis");
    assert_eq!((&redis.topology, redis.nodes.len()), (&RedisTopology::Cluster, 2));
    assert_eq!(redis.replicas, 1);
}

#[test]
fn no_route_is_named_as_the_walk_of_an_alert_through_the_inboxes() {
    let errors = errors_of(&APPLE.replace("route.apple", "route.inbox"));
    assert!(errors.contains("a route cannot be named \"inbox\""), "{errors}");
}

/// The configuration of a store in Redis with these lines.
fn in_redis(lines: &str) -> String {
    format!("[store]\nkind = \"redis\"\n{lines}")
}

#[test]
fn a_store_in_redis_is_read() {
    let text = in_redis(
        "redis_url = \"rediss://araldo:hunter2@r1.example.it:6380\"\n\
         redis_topology = \"sentinel\"\nredis_master = \"state\"\n\
         redis_nodes = [\"redis://s1.example.it:26379\", \"redis://s2.example.it:26379\"]\n\
         redis_replicas = 1\nredis_prefix = \"prova\"\n[node]\nlease_seconds = 30\n",
    );
    let loaded = load_all(&text, &[], &[]).expect("valid");
    let redis = loaded.config.store.redis().expect("in Redis");
    assert_eq!(redis.topology, RedisTopology::Sentinel { master: "state".to_owned() });
    assert_eq!((redis.nodes.len(), redis.replicas, redis.prefix.as_str()), (2, 1, "prova"));
    assert_eq!(redis.confirm, std::time::Duration::from_millis(500));
    assert_eq!(redis.answer, std::time::Duration::from_millis(900));
    assert_eq!(loaded.config.node.lease, std::time::Duration::from_secs(30));
    assert!(!redis.accept_loss);
    let url = redis.url().expect("an address");
    assert_eq!(url.reveal(), "rediss://araldo:hunter2@r1.example.it:6380");
    for shown in [loaded.effective.to_string(), format!("{:?}", loaded.config)] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("rediss://araldo:***@r1.example.it:6380"), "{shown}");
    }
}

#[test]
fn the_address_of_redis_is_in_the_configuration_or_in_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("redis-url");
    let text = in_redis(&format!("redis_url_file = \"{}\"\n", file.display()));
    let loaded = load_all(&text, &[], &[]).expect("valid");
    let redis = loaded.config.store.redis().expect("in Redis");
    let error = redis.url().expect_err("there is no such file").to_string();
    assert!(error.contains("redis-url: cannot be read"), "{error}");
    fs::write(&file, "hunter2\n").expect("written");
    let error = redis.url().expect_err("no address").to_string();
    assert!(error.contains("redis-url: must be redis://"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    fs::write(&file, "redis://:hunter2@r1.example.it:6379/3\n").expect("written");
    assert_eq!(redis.url().expect("read").reveal(), "redis://:hunter2@r1.example.it:6379/3");
    assert!(!format!("{redis:?}").contains("hunter2"));
}

#[test]
fn every_wrong_combination_about_redis_names_its_key() {
    const URL: &str = "redis_url = \"redis://r:6379\"\n";
    let cases = [
        (String::new(), "FILE:2: store.redis_url: is missing, and so is store.redis_url_file"),
        (
            format!("{URL}redis_url_file = \"f\"\n"),
            "FILE:4: store.redis_url_file: is given, and so is store.redis_url",
        ),
        ("redis_url = \"hunter2\"\n".to_owned(), "FILE:3: store.redis_url: must be redis://"),
        (
            format!("{URL}redis_topology = \"sentinel\"\n"),
            "FILE:4: store.redis_nodes: is empty: with store.redis_topology = \"sentinel\"",
        ),
        (
            format!("{URL}redis_nodes = [\"redis://s:1\"]\n"),
            "FILE:4: store.redis_nodes: names further servers, and store.redis_topology is \"single\"",
        ),
        (
            format!(
                "{URL}redis_topology = \"cluster\"\nredis_nodes = [\"redis://s:1\", \"hunter2\"]\n"
            ),
            "FILE:5: store.redis_nodes: number 2 must be redis://",
        ),
        (
            "redis_url = \"redis://r:1/2\"\nredis_topology = \"cluster\"\n".to_owned(),
            "FILE:3: store.redis_url: names a database, and a Cluster has only database 0",
        ),
        (
            format!("{URL}redis_master = \"state\"\n"),
            "FILE:4: store.redis_master: is the name that sentinels know the master by",
        ),
        (
            format!("{URL}redis_topology = \"clustr\"\n"),
            "FILE:4: store.redis_topology: \"clustr\" is none of \"single\", \"sentinel\", \"cluster\"",
        ),
        (
            format!("{URL}redis_prefix = \"a{{b}}\"\n"),
            "FILE:4: store.redis_prefix: must be 1 to 32 letters",
        ),
        (
            format!("{URL}redis_replicas = 17\n"),
            "FILE:4: store.redis_replicas: must be between 0 and 16",
        ),
        (
            format!("{URL}redis_confirm_ms = 700\n"),
            "FILE:4: store.redis_confirm_ms: must be at most two thirds",
        ),
        (
            format!("{URL}[node]\nlease_seconds = 4\n"),
            "FILE:5: node.lease_seconds: must be between 5 and 300",
        ),
        (
            format!("{URL}[node]\nid = \"a.b\"\n"),
            "FILE:5: node.id: must be 1 to 64 letters, digits, '-' or '_'",
        ),
    ];
    for (lines, expected) in cases {
        let errors = errors_of(&in_redis(&lines));
        assert!(errors.contains(expected), "{expected} not in:\n{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    let errors = errors_of(&format!("[store]\n{URL}"));
    assert!(
        errors.contains("FILE:2: store.redis_url: is given, but store.kind is not"),
        "{errors}"
    );
}
