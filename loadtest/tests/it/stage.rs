//! The stage when the server does not come up: the reason is told and no child stays behind.

use std::path::PathBuf;

use araldo_loadtest::stage::{SimLauncher, Stage, StageOptions};

const PROGRAM: &str = env!("CARGO_BIN_EXE_araldo-loadtest");

#[tokio::test]
async fn a_server_that_does_not_start_is_reported_with_its_log_and_leaves_no_child() {
    let folder = tempfile::tempdir().unwrap();
    // This program has no command `serve`: it ends at once and says so on standard error.
    let program = PathBuf::from(PROGRAM);
    let sim = SimLauncher { program: program.clone(), args: vec!["launch".to_owned()] };
    let options = StageOptions::new(program, sim, folder.path().join("stage"));
    let error = Stage::start(options).await.err().unwrap().to_string();
    assert!(error.contains("before it was ready") && error.contains("serve"), "{error}");
    let config = std::fs::read_to_string(folder.path().join("stage/araldo.toml")).unwrap();
    for line in [
        "[route.apple]",
        "[route.google]",
        "kind = \"fcm\"",
        "project_id = \"araldo-demo\"",
        "connections = 2",
    ] {
        assert!(config.contains(line), "{line} in {config}");
    }
    // The simulators were started with a file of this folder on their command line.
    let mark = folder.path().display().to_string();
    for _ in 0..100 {
        if !running_with(&mark) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("a simulator outlived its stage");
}

fn running_with(mark: &str) -> bool {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(mark))
}
