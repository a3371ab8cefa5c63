//! `araldo serve` from start to end: what stops a start is said in one
//! sentence with its place, and leaves nothing running; SIGTERM drains.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use araldo_loadtest::simulator::credentials::file;
use araldo_loadtest::simulator::{Behaviour, Credentials, Kind, Options, Simulator};
use hyper::StatusCode;

use crate::stage_kit::{House, Server, Setting, araldo, run, running_with, until};

#[tokio::test]
async fn the_first_start_writes_an_admin_key_and_later_ones_leave_it() {
    let house = House::new();
    let file = house.path("store/admin.key");
    let server = Server::start(&house.config()).await;
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 1);
    let key = text.trim();
    let status = "/api/operator/v1/status";
    assert_eq!(server.get(status, Some(key)).await.status, StatusCode::OK);
    assert_eq!(server.get(status, None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.signal("TERM").await, Some(0));

    let server = Server::start(&house.config()).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let again = std::fs::metadata(&file).unwrap();
    assert_eq!(again.modified().unwrap(), metadata.modified().unwrap());
    assert_eq!(server.get(status, Some(key)).await.status, StatusCode::OK);
    // Ctrl-C ends it as well.
    assert_eq!(server.signal("INT").await, Some(0));

    // Deleted for safety, it is not made again: the store has an admin key.
    std::fs::remove_file(&file).unwrap();
    let server = Server::start(&house.config()).await;
    assert!(!file.exists());
    assert_eq!(server.get(status, Some(key)).await.status, StatusCode::OK);
    assert_eq!(server.signal("TERM").await, Some(0));
    let log = std::fs::read_to_string(house.path("araldo.log")).unwrap();
    assert!(!log.contains(key), "the key is in the log");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let house = House::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    house.write(&house.base(&address));
    house.refuses(1, &["http.bind", &address, "in use"]).await;
    drop(taken);
    let server = Server::start(&house.config()).await;
    assert_eq!(server.signal("TERM").await, Some(0));
}

#[tokio::test]
async fn a_store_in_use_by_another_server_is_left_to_it() {
    let house = House::new();
    let server = Server::start(&house.config()).await;
    let said = house.serve().await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert_eq!(said.sentence().lines().count(), 1, "{said:?}");
    let folder = house.path("store").display().to_string();
    for part in [folder.as_str(), "in use by another process"] {
        assert!(said.sentence().contains(part), "{said:?}");
    }
    assert_eq!(server.get("/readyz", None).await.status, StatusCode::OK);
    assert_eq!(server.signal("TERM").await, Some(0));
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_named_with_its_route() {
    let house = House::new();
    house.write_routes(&[("AuthKey.p8", "missing.p8")]);
    house.refuses(2, &["route.apple", "missing.p8", "cannot be read"]).await;
    std::fs::create_dir(house.path("folder.p8")).unwrap();
    house.write_routes(&[("AuthKey.p8", "folder.p8")]);
    house.refuses(2, &["route.apple", "folder.p8", "cannot be read"]).await;
    std::fs::write(house.path("text.p8"), "no key at all\n").unwrap();
    house.write_routes(&[("AuthKey.p8", "text.p8")]);
    house.refuses(2, &["route.apple", "text.p8"]).await;
    std::fs::write(house.path("account.json"), "{\"type\":\"service_account\"}").unwrap();
    house.write_routes(&[("service-account.json", "account.json")]);
    house.refuses(2, &["route.google", "account.json"]).await;
}

#[tokio::test]
async fn a_ca_file_that_holds_no_certificate_is_named() {
    let house = House::new();
    house.write_routes(&[("ca.pem", file::APNS_KEY)]);
    house.refuses(2, &["route.apple", file::APNS_KEY, "no certificate"]).await;
    house.write_routes(&[("ca.pem", "missing.pem")]);
    house.refuses(2, &["route.apple", "missing.pem", "cannot be read"]).await;
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_refused_with_place_and_suggestion() {
    let house = House::new();
    house.write("[http]\nbind = \"127.0.0.1:0\"\n[store\npath = \"store\"\n");
    house.refuses(2, &["araldo.toml:3"]).await;
    house.write("[http]\nbnid = \"127.0.0.1:0\"\n");
    house.refuses(2, &["araldo.toml:2", "http.bnid", "did you mean \"http.bind\"?"]).await;
    house.write("[http]\nbind = 8080\n");
    house.refuses(2, &["araldo.toml:2", "http.bind", "expected"]).await;
    house.write_routes(&[("kind = \"fcm\"", "kind = \"fmc\"")]);
    house.refuses(2, &["route.google", "fcm"]).await;
    std::fs::remove_file(house.config()).unwrap();
    house.refuses(2, &["araldo.toml", "cannot be read"]).await;
    house.write(&house.base("127.0.0.1:0"));
    let mut command = araldo(["serve", "--config"]);
    command.arg(house.config()).env("ARALDO__ENGINE__PARTITION", "8");
    let said = run(command).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    for part in ["ARALDO__ENGINE__PARTITION", "did you mean \"engine.partitions\"?"] {
        assert!(said.sentence().contains(part), "{said:?}");
    }
    assert!(!house.path("store").exists(), "a refused configuration touches nothing");
}

#[tokio::test]
async fn a_store_that_is_not_as_it_was_left_is_refused() {
    let house = House::new();
    let server = Server::start(&house.config()).await;
    assert_eq!(server.signal("TERM").await, Some(0));
    let base = house.base("127.0.0.1:0");
    house.write(&format!("{base}[engine]\npartitions = 32\n"));
    house.refuses(2, &["64 partitions", "32"]).await;
    // Refused without harm.
    house.write(&base);
    let server = Server::start(&house.config()).await;
    assert_eq!(server.signal("TERM").await, Some(0));
    std::fs::remove_dir_all(house.path("store/db")).unwrap();
    house.refuses(1, &["damaged", "was durable", "backup"]).await;
    house.write(&base.replace("\"store\"", "\"araldo.toml\""));
    house.refuses(1, &["araldo.toml", "cannot be used"]).await;
}

#[tokio::test]
async fn a_ca_that_did_not_sign_the_provider_keeps_the_route_down() {
    let house = House::new();
    // A provider with secrets of another house.
    let options = Options::new(Kind::Apns, Credentials::generate().unwrap());
    let simulator = Simulator::start(options).await.unwrap();
    house.write_apns(&simulator.endpoint());
    let server = Server::start(&house.config()).await;
    until("the reason is shown", Duration::from_secs(20), || async {
        let ready = server.get("/readyz", None).await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        let text = ready.text();
        text.contains("apple") && text.contains("TLS: invalid peer certificate")
    })
    .await;
    assert_eq!(server.get("/readyz?scope=intake", None).await.status, StatusCode::OK);
    assert_eq!(server.signal("TERM").await, Some(0));
    assert!(!running_with(Path::new(&house.config())));
}

#[tokio::test]
async fn sigterm_lets_what_is_in_flight_finish_and_exits_0() {
    const MESSAGES: u64 = 40;
    let slow = Behaviour { latency_ms: 1_500, ..Behaviour::default() };
    let mut setting = Setting::start(|options| options.behaviour = slow).await;
    let town = setting.service(MESSAGES).await;
    setting.send(&town.source(), 0..MESSAGES).await;
    until("an attempt is in flight", Duration::from_secs(20), || async {
        setting.pushes().await.0 > 0
    })
    .await;
    let pid = setting.stage.server_pid().unwrap();
    assert_eq!(setting.stage.stop_server().await.unwrap(), Some(0));
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    // Whatever a provider took was heard: nothing is repeated.
    setting.stage.restart_server().await.unwrap();
    let status = setting.rest(Duration::from_secs(30)).await;
    assert_eq!(status["delivered_by_channel"]["push"], MESSAGES, "{status}");
    assert_eq!(setting.pushes().await, (MESSAGES, 0));
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
}
