//! `araldo migrate` as people use it: a server is stopped, its store moved, and
//! nodes go on where it was. What is in the way of a move is said in a sentence
//! that also says the way out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use araldo::store::migrate::{Migration, Progress, Stage, migrate};
use araldo::store::redis::{OpenError, RedisOptions, RedisStore, Servers};
use araldo_actors::domain::id::PartitionId;
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Acceptance, Step, Store};

use crate::redis_kit::{own, own_prefix, shared_server};
use crate::stage_kit::{House, Reply, Said, Server, araldo, content, exchange, run, until};
use crate::store_fixture::{
    PARTITIONS, accept, citizen, claim, code, embedded, everywhere, folder, home, inbox, message,
    open,
};

const CITIZEN: &str = "RSSMRA85T10A562S";
const INBOX: &str = "/api/communication/v1/messages";

/// A town hall with one machine, which is to become several.
struct Town {
    house: House,
    prefix: String,
}

impl Town {
    fn new() -> Self {
        let town = Self { house: House::new(), prefix: own_prefix() };
        std::fs::write(town.house.path("development.key"), "a secret of some length, 32+ bytes")
            .unwrap();
        let shared = "[engine]\npartitions = 4\n\
            [citizen]\ndevelopment_key_file = \"development.key\"\n";
        let alone = format!("{}{shared}", town.house.base("127.0.0.1:0"));
        town.house.write(&alone);
        let together = format!(
            "[http]\nbind = \"127.0.0.1:0\"\n\
             [store]\nkind = \"redis\"\npath = \"node\"\nredis_url = \"{}\"\nredis_prefix = \"{}\"\n\
             redis_answer_ms = 5000\n{shared}",
            shared_server().url(),
            town.prefix
        );
        std::fs::write(town.together(), together).unwrap();
        town
    }

    fn together(&self) -> PathBuf {
        self.house.path("cluster.toml")
    }

    async fn run(&self, config: &PathBuf, args: &[&str]) -> Said {
        let mut command = araldo(args);
        command.arg("--config").arg(config).current_dir(self.house.folder.path());
        run(command).await
    }

    async fn done(&self, config: &PathBuf, args: &[&str]) -> Said {
        let said = self.run(config, args).await;
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said
    }

    async fn migrate(&self, more: &[&str]) -> Said {
        let folder = self.house.path("store");
        let args = ["migrate", "--from", folder.to_str().unwrap()];
        self.run(&self.together(), &[&args[..], more].concat()).await
    }

    /// A service with a key, and a citizen.
    async fn settle(&self, server: &Server) -> String {
        let config = self.house.config();
        let at = ["--url", &server.base];
        for args in [
            &["organizations", "put", "00000000001", "--name", "Comune di Prova"][..],
            &["services", "put", "anagrafe", "--name", "Anagrafe", "--organization", "00000000001"],
            &[
                "keys",
                "create",
                "--name",
                "g",
                "--role",
                "sender",
                "--service",
                "anagrafe",
                "--save",
                "sender.key",
            ],
        ] {
            self.done(&config, &[args, &at].concat()).await;
        }
        let line = json!({"fiscal_code": CITIZEN, "preferences_mode": "AUTO"}).to_string();
        std::fs::write(self.house.path("citizens.ndjson"), line).unwrap();
        self.done(&config, &[&["citizens", "import", "citizens.ndjson"][..], &at].concat()).await;
        std::fs::read_to_string(self.house.path("sender.key")).unwrap().trim().to_owned()
    }

    async fn token(&self) -> String {
        self.done(&self.house.config(), &["token", CITIZEN]).await.out.trim().to_owned()
    }
}

async fn send(server: &Server, key: &str, n: u32) -> Reply {
    let body = json!({"fiscal_code": CITIZEN, "content": content()}).to_string();
    let name = format!("message-{n}");
    let headers = [
        ("ocp-apim-subscription-key", key),
        ("idempotency-key", name.as_str()),
        ("content-type", "application/json"),
    ];
    exchange(&server.base, Method::POST, "/api/v1/messages", &headers, Bytes::from(body)).await
}

async fn messages(server: &Server, token: &str) -> Value {
    server.get(INBOX, Some(token)).await.expect(200).json()
}

async fn books(server: &Server, admin: &str) -> Value {
    server.get("/api/operator/v1/status", Some(admin)).await.expect(200).json()["messages"].clone()
}

#[tokio::test]
async fn a_server_is_stopped_moved_and_goes_on_as_a_node() {
    let town = Town::new();
    let server = Server::start(&town.house.config()).await;
    let sender = town.settle(&server).await;
    let token = town.token().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(send(&server, &sender, n).await.expect(201).json()["id"].clone());
    }
    let all = async || messages(&server, &token).await["items"].as_array().unwrap().len() == 5;
    until("five messages in the inbox", Duration::from_secs(20), all).await;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let status = format!("{INBOX}/{}/message-status", ids[0].as_str().unwrap());
    let body = json!({"change_type": "reading", "is_read": true}).to_string();
    exchange(&server.base, Method::PUT, &status, &headers, Bytes::from(body)).await.expect(200);
    let admin = town.house.admin_key();
    let (before, booked) = (messages(&server, &token).await, books(&server, &admin).await);

    // While the server runs, its store cannot be moved.
    let said = town.migrate(&[]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.sentence().contains("in use by another process: stop the server first"),
        "{said:?}"
    );
    assert_eq!(server.signal("TERM").await, Some(0));

    let said = town.migrate(&[]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in ["1 citizens", "5 messages", "5 inbox entries", "all counted", "admin.key"] {
        assert!(said.out.contains(part), "no `{part}`: {said:?}");
    }
    // Never over a store that is there.
    for more in [&[][..], &["--start-over"]] {
        let said = town.migrate(more).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.sentence().contains("choose another store.redis_prefix"), "{said:?}");
    }

    let node = Server::start(&town.together()).await;
    assert_eq!(messages(&node, &token).await, before, "the same inbox");
    assert_eq!(books(&node, &admin).await, booked, "the same books, the same key");
    assert!(!town.house.path("node/admin.key").exists(), "a key was there");
    // A repeated request is still known, and new ones go on.
    let again = send(&node, &sender, 0).await;
    assert_eq!(again.json()["id"], ids[0]);
    send(&node, &sender, 5).await.expect(201);
    let six = async || messages(&node, &token).await["items"].as_array().unwrap().len() == 6;
    until("six messages in the inbox", Duration::from_secs(20), six).await;
    let after = messages(&node, &token).await["items"].as_array().unwrap()[1..].to_vec();
    assert_eq!(after, *before["items"].as_array().unwrap());
    assert_eq!(node.signal("TERM").await, Some(0));
}

#[tokio::test]
async fn what_cannot_be_moved_is_said_with_its_reason() {
    let town = Town::new();
    let said = town.migrate(&[]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.sentence().contains("there is no store in"), "{said:?}");
    let store = town.house.path("store");
    assert!(!store.exists(), "none is made");
    let said = town.run(&town.house.config(), &["migrate", "--from", "store"]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.sentence().contains("store.kind: must be \"redis\""), "{said:?}");
    let server = Server::start(&town.house.config()).await;
    assert_eq!(server.signal("TERM").await, Some(0));
    let said = town.migrate(&["--set", "engine.partitions=8"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    let expected = "was made with 4 partitions and cannot be opened with 8: set engine.partitions";
    assert!(said.sentence().contains(expected), "{said:?}");
    let said = town.migrate(&["--json"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.json()["registered"], 1, "the first admin key");
}

/// A store with a message and its claim, in a folder.
async fn filled(folder: &std::path::Path, people: u32) {
    let store = embedded(folder);
    for partition in 0..PARTITIONS {
        store.open_partition(PartitionId(partition)).await.unwrap();
    }
    store.put_citizens((1..=people).map(citizen).collect()).await.unwrap();
    for person in 1..=people {
        accept(&*store, u64::from(person), person).await;
    }
}

fn migration(folder: &std::path::Path, to: &RedisOptions) -> Migration {
    Migration { from: folder.to_owned(), to: to.clone(), start_over: false, secret: Some([7; 32]) }
}

/// Moves a store but is interrupted once it is done with `done` partitions.
async fn interrupted(migration: &Migration, done: u16) {
    let (reached, mut stop) = tokio::sync::mpsc::channel(1);
    let moving = migrate(migration, |at: Progress| {
        if at.stage == Stage::Counting || at.done >= done {
            // Full: it was said already.
            let _ = reached.try_send(());
        }
    });
    tokio::select! {
        moved = moving => panic!("it was not interrupted: {moved:?}"),
        _ = stop.recv() => {}
    }
}

#[tokio::test]
async fn a_move_that_was_interrupted_is_of_no_use_until_it_is_run_again() {
    let folder = folder();
    filled(folder.path(), 40).await;
    let options = own(Servers::Single(shared_server().url()));
    let first = migration(folder.path(), &options);
    interrupted(&first, 1).await;
    let refused = RedisStore::open(&options).await.err().unwrap();
    assert!(matches!(refused, OpenError::Unfinished { .. }), "{refused}");
    assert!(refused.to_string().contains("run it again"), "{refused}");

    let moved = again(&first).await;
    assert_eq!((moved.citizens, moved.messages), (40, 40));
    let store = RedisStore::open(&options).await.unwrap();
    let source = embedded(folder.path());
    assert_eq!(
        store.books(&everywhere()).await.unwrap(),
        source.books(&everywhere()).await.unwrap()
    );
    for person in 1..=40 {
        assert_eq!(inbox(&store, person).await, inbox(&*source, person).await);
    }
    assert_eq!(store.shared_secret([9; 32]).await.unwrap(), [7; 32]);
}

/// The interrupted one may still hold its folder for a moment.
async fn again(migration: &Migration) -> araldo::store::migrate::Moved {
    for _ in 0..20 {
        match migrate(migration, |_| {}).await {
            Ok(moved) => return moved,
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
    }
    panic!("the folder is still in use");
}

#[tokio::test]
async fn a_source_that_was_changed_in_between_is_moved_from_the_beginning() {
    let folder = folder();
    filled(folder.path(), 20).await;
    let options = own(Servers::Single(shared_server().url()));
    let first = migration(folder.path(), &options);
    interrupted(&first, 2).await;
    // The old server was started again, and finished something.
    let store = loop {
        let opened = araldo::store::embedded::EmbeddedStore::open(&crate::store_fixture::options(
            folder.path(),
        ));
        if let Ok(store) = opened {
            break store;
        }
    };
    let (partition, epoch) = open(&store, 1).await;
    let arrivals = store.arrivals(partition, Lane::Normal, 0, 1).await.unwrap();
    let passed = araldo_actors::domain::lane::ByLane::from_fn(|_| arrivals.len() as u64);
    let step = Step { checkpoints: passed, at: Millis(9_000), ..Step::default() };
    store.commit(partition, epoch, step).await.unwrap();
    let later = store.accept(message(900, 3), Some(claim(9, 0))).await.unwrap();
    assert!(matches!(later, Acceptance::Accepted { .. }));
    drop(store);

    let refused = migrate(&first, |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("--start-over"), "{refused}");
    let over = Migration { start_over: true, ..first };
    let moved = migrate(&over, |_| {}).await.unwrap();
    assert_eq!(moved.messages, 21);
    let store = RedisStore::open(&options).await.unwrap();
    let found = store.arrivals(home(3), Lane::Normal, 0, 100).await.unwrap();
    let source = embedded(folder.path());
    assert_eq!(found, source.arrivals(home(3), Lane::Normal, 0, 100).await.unwrap());
    assert_eq!(
        source.arrivals(home(1), Lane::Normal, 0, 100).await.unwrap(),
        store.arrivals(home(1), Lane::Normal, 0, 100).await.unwrap()
    );
    assert_eq!(source.citizen(code(3)).await.unwrap(), store.citizen(code(3)).await.unwrap());
    // The claim came along.
    let replayed = store.accept(message(900, 3), Some(claim(9, 0))).await.unwrap();
    assert!(matches!(replayed, Acceptance::Replayed { .. }));
}

#[tokio::test]
async fn rows_that_are_missing_afterwards_are_noticed() {
    let folder = folder();
    filled(folder.path(), 10).await;
    let options = own(Servers::Single(shared_server().url()));
    let server = shared_server();
    let key = format!("{}:{{p0}}:messages", options.prefix);
    let mut removed = false;
    let first = migration(folder.path(), &options);
    let moved = migrate(&first, |at| {
        if at.stage == Stage::Counting && !removed {
            removed = true;
            server.ask(&["DEL", &key]);
        }
    });
    let error = moved.await.unwrap_err().to_string();
    assert!(error.contains(":{p0}:messages has 0 rows"), "{error}");
    assert!(RedisStore::open(&options).await.is_err());
}
