//! `araldo check-config` as a user meets it.

use std::fs;
use std::process::{Command, Output};

fn check_config(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_araldo"))
        .arg("check-config")
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_configuration_in_force_is_shown_with_its_places() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("araldo.toml");
    fs::write(&file, "[node]\nid = \"n7\"\n").expect("written");
    let file = file.to_str().expect("text");
    let shown = check_config(&["--config", file], &[("ARALDO__LOG__FORMAT", "json")]);
    assert!(shown.status.success());
    let out = text(&shown.stdout);
    assert!(
        out.lines().any(|line| line.starts_with("id = \"n7\"") && line.ends_with("araldo.toml:2"))
    );
    assert!(out.lines().any(|line| line.starts_with("format = \"json\"")));
}

#[test]
fn every_error_is_shown_and_the_exit_code_is_2() {
    let arguments = ["--set", "http.bnd=1", "--set", "engine.partitions=0"];
    let refused = check_config(&arguments, &[("ARALDO__NODE__ID", "no spaces please")]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stdout.is_empty());
    let err = text(&refused.stderr);
    for expected in [
        "http.bnd: there is no such key (did you mean \"http.bind\"?)",
        "engine.partitions: must be between 1 and 4096",
        "ARALDO__NODE__ID: node.id: must be 1 to 64 letters",
    ] {
        assert!(err.contains(expected), "{expected} not in:\n{err}");
    }
}

#[test]
fn a_file_that_is_named_and_not_there_is_an_error_and_no_secret_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let route = "[route.apple]\nkind = \"apns\"\nkey_file = \"AuthKey.p8\"\n\
        key_id = \"ABC123DEFG\"\nteam_id = \"DEF123GHIJ\"\ntopic = \"it.example.app\"\n";
    let file = dir.path().join("araldo.toml");
    fs::write(&file, route).expect("written");
    let file = file.to_str().expect("text");
    let missing = check_config(&["--config", file], &[]);
    assert_eq!(missing.status.code(), Some(2));
    let told = text(&missing.stderr);
    assert!(
        told.contains("route.apple: ") && told.contains("AuthKey.p8: cannot be read"),
        "{told}"
    );
    fs::write(dir.path().join("AuthKey.p8"), "TOP-SECRET").expect("written");
    let wrong = check_config(&["--config", file, "--set", "http.bnd=1"], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    let told = text(&wrong.stderr);
    assert!(told.contains("AuthKey.p8: is not an EC P-256 private key"), "{told}");
    assert!(told.contains("http.bnd: there is no such key"), "besides the rest: {told}");
    assert!(!told.contains("TOP-SECRET"));
    let key = araldo_loadtest::simulator::Credentials::generate().expect("a key").apns_key_pem;
    fs::write(dir.path().join("AuthKey.p8"), &key).expect("written");
    let shown = check_config(&["--config", file], &[]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(!text(&shown.stdout).contains(key.lines().nth(1).expect("a line")));
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 2, "nothing is written");
}

#[test]
fn a_server_with_a_wrong_key_file_makes_no_store_and_exits_with_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("araldo.toml");
    fs::write(
        &file,
        "[http]\nbind = \"127.0.0.1:0\"\n[store]\npath = \"data\"\n\
         [route.apple]\nkind = \"apns\"\nkey_file = \"AuthKey.p8\"\n\
         key_id = \"ABC123DEFG\"\nteam_id = \"DEF123GHIJ\"\ntopic = \"it.example.app\"\n",
    )
    .expect("written");
    let refused = Command::new(env!("CARGO_BIN_EXE_araldo"))
        .arg("serve")
        .arg("--config")
        .arg(&file)
        .env_clear()
        .output()
        .expect("the binary runs");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("route.apple: "));
    assert!(!dir.path().join("data").exists());
}

#[test]
fn the_files_of_a_relay_are_checked_and_none_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("araldo.toml");
    let route = "[http]\npublic_url = \"https://messages.example.it\"\n\
        [store]\npath = \"data\"\n[route.mail]\nkind = \"smtp\"\n\
        host = \"relay.example.it\"\nfrom = \"Araldo <no-reply@example.it>\"\n\
        username = \"araldo\"\npassword_file = \"password\"\nca_file = \"ca.pem\"\n";
    fs::write(&file, route).expect("written");
    let file = file.to_str().expect("text");
    let told = text(&check_config(&["--config", file], &[]).stderr);
    assert!(told.contains("route.mail: ") && told.contains("ca.pem: cannot be read"), "{told}");
    let credentials = araldo_loadtest::simulator::Credentials::generate().expect("a CA");
    fs::write(dir.path().join("ca.pem"), &credentials.ca_pem).expect("written");
    let told = text(&check_config(&["--config", file], &[]).stderr);
    assert!(told.contains("password: cannot be read"), "{told}");
    fs::write(dir.path().join("password"), "TOP-SECRET\n").expect("written");
    let shown = check_config(&["--config", file], &[]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(!text(&shown.stdout).contains("TOP-SECRET"));
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 3, "nothing is written");
}

#[test]
fn a_relay_needs_an_address_that_citizens_can_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("araldo.toml");
    let check = |host: &str, flags: &[&str]| {
        let text = format!(
            "[store]\npath = \"data\"\n[route.mail]\nkind = \"smtp\"\nhost = \"{host}\"\n\
             from = \"no-reply@example.it\"\n"
        );
        fs::write(&file, text).expect("written");
        let file = file.to_str().expect("text");
        check_config(&[&["--config", file], flags].concat(), &[])
    };
    let refused = check("relay.example.it", &[]);
    assert_eq!(refused.status.code(), Some(2));
    let told = text(&refused.stderr);
    assert!(told.contains("araldo.toml:4: http.public_url: is missing"), "{told}");
    assert_eq!(check("127.0.0.1", &["--set", "http.bind=0.0.0.0:8080"]).status.code(), Some(2));
    assert!(check("127.0.0.1", &["--set", "http.bind=127.0.0.1:8080"]).status.success());

    for (url, is_warned) in [
        ("https://messages.example.it", false),
        ("http://messages.example.it", true),
        ("http://localhost:8080", false),
        ("http://[::1]:8080", false),
    ] {
        let checked = check("relay.example.it", &["--set", &format!("http.public_url={url}")]);
        let told = text(&checked.stderr);
        assert!(checked.status.success(), "{told}");
        assert_eq!(told.contains("warning: http.public_url"), is_warned, "{url}: {told}");
    }
}
