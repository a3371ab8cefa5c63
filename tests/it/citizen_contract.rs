//! Clients generated from IO's citizen contracts run against the server, and
//! every answer is checked against the contracts' own schemas
//! (`tests/contract`).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::http_citizen_kit::{House, ROSA, token};

#[tokio::test]
async fn clients_generated_from_ios_citizen_contracts_work_unchanged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract");
    for part in ["generated/identity.js", "node_modules"] {
        assert!(
            folder.join(part).exists(),
            "tests/contract/{part} is missing: run `make contract` first"
        );
    }
    let house = House::start().await;
    let url = format!("http://{}", house.base);
    let mut child = Command::new("node")
        .current_dir(&folder)
        .args(["check-citizen.mjs", &url, &token(ROSA), "anagrafe"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node starts");
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let limit = Duration::from_secs(120);
    let first = timeout(limit, out.next_line()).await.expect("in time").unwrap();
    if first.as_deref() == Some("ready for messages") {
        for subject in ["La prima comunicazione", "La seconda comunicazione"] {
            house.send(ROSA, subject).await;
        }
    }
    let last = timeout(limit, out.next_line()).await.expect("in time").unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    let ended = child.wait().await.unwrap();
    assert!(ended.success() && last.is_some_and(|last| last.ends_with("agree")), "{said}");
    house.stop().await;
}
