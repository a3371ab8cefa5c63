//! The simulators as processes: what the stage relies on.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use araldo_loadtest::client::Client;
use araldo_loadtest::simulator::{LaunchKind, LaunchSpec};

const PROGRAM: &str = env!("CARGO_BIN_EXE_araldo-loadtest");

#[tokio::test]
async fn a_simulator_process_prints_one_line_and_ends_with_its_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = LaunchSpec::new(LaunchKind::All, folder.path().join("credentials"));
    spec.behaviour.latency_ms = 5;
    let file = folder.path().join("spec.json");
    std::fs::write(&file, serde_json::to_vec(&spec).unwrap()).unwrap();
    let mut child = Command::new(PROGRAM)
        .arg("launch")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["kind"], "all");
    assert!(told["fcm"]["token_uri"].as_str().unwrap().ends_with("/token"));
    for (kind, scheme) in [("apns", "https"), ("fcm", "https"), ("smtp", "smtp")] {
        let start = format!("{scheme}://127.0.0.1:");
        assert!(told[kind]["endpoint"].as_str().unwrap().starts_with(&start));
        let mut client = Client::new(told[kind]["control"].as_str().unwrap(), None).unwrap();
        assert_eq!(client.get("/books").await.unwrap()["kind"], kind);
        assert_eq!(client.get("/behaviour").await.unwrap()["latency_ms"], 5);
    }
    let account =
        std::fs::read_to_string(folder.path().join("credentials/service-account.json")).unwrap();
    let account: serde_json::Value = serde_json::from_str(&account).unwrap();
    assert_eq!(account["token_uri"], told["fcm"]["token_uri"]);
    drop(child.stdin.take());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_wrong_specification_ends_with_its_place_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spec.json");
    std::fs::write(&file, "{\"kind\":\"fax\"}").unwrap();
    let output = Command::new(PROGRAM).arg("launch").arg(&file).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("spec.json") && text.contains("fax"), "{text}");
}
