//! The binary: tokens minted on the command line open the server, and key
//! files that cannot be used are told before it starts.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::http_citizen_kit::{DEVELOPMENT, ROSA};
use crate::stage_kit::{Server, araldo, run};

/// A folder with a configuration, and a file of the development secret.
fn folder(more: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dev.key"), format!("{DEVELOPMENT}\n")).unwrap();
    let config = folder.path().join("araldo.toml");
    let text = format!(
        "[http]\nbind = \"127.0.0.1:0\"\n[store]\npath = \"store\"\n[engine]\npartitions = 2\n\
         [citizen]\n{more}\n"
    );
    std::fs::write(&config, text).unwrap();
    (folder, config)
}

#[tokio::test]
async fn a_minted_token_opens_the_server_and_only_one_of_its_secret_does() {
    let settings = "development_key_file = \"dev.key\"\nissuer = \"https://issuer.example\"\n\
                    audience = \"araldo\"\nfiscal_code_claim = \"cf\"";
    let (folder, config) = folder(settings);
    let server = Server::start(&config).await;
    let mut command = araldo(["token", ROSA, "--given-name", "Rosa", "--ttl", "5m", "--config"]);
    command.arg(&config);
    let minted = run(command).await;
    assert_eq!(minted.code, Some(0), "{minted:?}");
    let path = "/api/identity/v1/profile";
    let profile = server.get(path, Some(minted.out.trim())).await;
    assert_eq!(profile.status, hyper::StatusCode::OK, "{}", profile.text());
    assert_eq!(profile.json()["name"], "Rosa");
    let other = folder.path().join("other.key");
    std::fs::write(&other, DEVELOPMENT.replace('0', "9")).unwrap();
    let mut command = araldo(["token", ROSA, "--config"]);
    command.arg(&config).arg("--key-file").arg(&other);
    let forged = run(command).await;
    let refused = server.get(path, Some(forged.out.trim())).await;
    assert_eq!(refused.status, hyper::StatusCode::UNAUTHORIZED);
    let metrics = server.get("/metrics", None).await.text();
    assert!(metrics.contains("route=\"/api/identity/v1/profile\""));
    assert!(!metrics.contains(ROSA));
    assert_eq!(server.signal("TERM").await, Some(0));
}

#[tokio::test]
async fn a_token_that_cannot_be_minted_is_wrong_usage_with_its_reason() {
    let (folder, _) = folder("");
    let key = folder.path().join("dev.key").display().to_string();
    let short = folder.path().join("short.key").display().to_string();
    std::fs::write(&short, "short").unwrap();
    for (args, part) in [
        (vec!["token", "nonsense", "--key-file", &key], "FISCAL_CODE must be"),
        (vec!["token", ROSA], "--key-file"),
        (vec!["token", ROSA, "--key-file", "/nowhere"], "/nowhere: cannot be read"),
        (vec!["token", ROSA, "--key-file", &short], "short.key: must hold 32"),
        (vec!["token", ROSA, "--key-file", &key, "--ttl", "soon"], "such as 30m"),
    ] {
        let said = run(araldo(args)).await;
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(part), "{said:?}");
    }
    let help = run(araldo(["token", "--help"])).await;
    assert!(help.out.contains("openssl rand -hex 32") && help.out.contains("Never in production"));
}

#[tokio::test]
async fn key_files_that_cannot_be_used_are_told_by_check_config_and_refused_by_serve() {
    let settings = "jwks_file = \"absent.json\"\npublic_key_file = \"dev.key\"\n\
                    secret_file = \"absent.secret\"";
    let (folder, config) = folder(settings);
    let mut command = araldo(["check-config", "--config"]);
    command.arg(&config);
    let checked = run(command).await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    for part in ["citizen.jwks_file: ", "citizen.public_key_file: ", "citizen.secret_file: "] {
        assert!(checked.err.contains(part), "{part} in {}", checked.err);
    }
    let mut command = araldo(["serve", "--config"]);
    command.arg(&config);
    let refused = run(command).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.sentence().contains("absent.json: cannot be read"), "{refused:?}");
    assert!(!folder.path().join("store").exists(), "a wrong configuration makes no store");
}
