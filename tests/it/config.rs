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
    assert!(text(&missing.stderr).contains("route.apple.key_file: "));
    fs::write(dir.path().join("AuthKey.p8"), "TOP-SECRET").expect("written");
    let shown = check_config(&["--config", file], &[]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(!text(&shown.stdout).contains("TOP-SECRET"));
}
