//! `araldo demo`: it proves what it claims, and the same seed plans the same
//! deliveries.

use std::path::Path;

use serde_json::Value;

use crate::stage_kit::{araldo, run, running_with};

const CITIZENS: u64 = 2_000;

/// Plays a demo and returns its numbers.
async fn play(folder: &Path, name: &str, seed: u64) -> Value {
    let file = folder.join(name);
    let mut command = araldo(["demo", "--exit", "--citizens", &CITIZENS.to_string()]);
    command.args(["--seed", &seed.to_string(), "--json"]).arg(&file).env("TMPDIR", folder);
    let said = run(command).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["proof"]["balanced"], true, "{}", report["proof"]);
    assert_eq!(report["messages"], CITIZENS);
    report
}

fn count(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer}"))
}

#[tokio::test]
async fn the_demo_balances_and_the_same_seed_plans_the_same_deliveries() {
    let folder = tempfile::tempdir().unwrap();
    let (one, same, other) = tokio::join!(
        play(folder.path(), "one.json", 5),
        play(folder.path(), "same.json", 5),
        play(folder.path(), "other.json", 6)
    );
    let exact = [
        "/books/messages/accepted",
        "/books/messages/processed",
        "/books/messages/rejected",
        "/books/messages/rejected_by_reason/USER_NOT_FOUND",
        "/books/messages/rejected_by_reason/SERVICE_NOT_ALLOWED",
        "/books/deliveries/planned",
        "/books/deliveries/delivered",
        "/books/deliveries/failed",
        "/books/deliveries/suppressed",
        "/books/delivered_by_channel/push",
        "/books/delivered_by_channel/email",
        "/books/delivered_by_channel/in_app",
        "/proof/audit/expected_deliveries",
        "/proof/mail_audit/expected_deliveries",
        "/proof/live/expected",
        "/proof/alert/inboxes",
        "/proof/alert/push/reached",
        "/proof/alert/mail/reached",
    ];
    for pointer in exact {
        assert_eq!(count(&one, pointer), count(&same, pointer), "{pointer} of the same seed");
    }
    let differs = exact.iter().any(|pointer| count(&one, pointer) != count(&other, pointer));
    assert!(differs, "another seed plans the same deliveries");
    assert!(count(&one, "/books/deliveries/planned") > CITIZENS, "{}", one["books"]);
    for channel in ["push", "email", "in_app"] {
        let delivered = count(&one, &format!("/books/delivered_by_channel/{channel}"));
        assert!(delivered > CITIZENS / 4, "{channel}: {}", one["books"]);
    }
    assert!(count(&one, "/proof/live/events") > 50, "{}", one["proof"]["live"]);
    // The demos put their folders into ours: no child may be left in it.
    assert!(!running_with(folder.path()), "a child outlived the demo");
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left.len(), 3, "folders left behind: {left:?}");
}
