//! A client generated from IO's sender contract runs against the server, and
//! every answer is checked against the contract's own schemas
//! (`tests/contract`).

use std::path::Path;

use tokio::process::Command;

use crate::stage_kit::{Setting, run};

#[tokio::test]
async fn a_client_generated_from_ios_contract_works_unchanged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract");
    for part in ["generated/sender.js", "node_modules"] {
        assert!(
            folder.join(part).exists(),
            "tests/contract/{part} is missing: run `make contract` first"
        );
    }
    // The contract says nothing of push: no provider is needed.
    let setting = Setting::start(|options| options.providers.clear()).await;
    let town = setting.service(1).await;
    let (registered, unregistered) = (town.fiscal_code(0), town.population.citizen(1).fiscal_code);
    let mut command = Command::new("node");
    command.current_dir(&folder).kill_on_drop(true).args([
        "check.mjs",
        setting.stage.base_url(),
        town.key.to_str().unwrap(),
        &registered,
        &unregistered,
    ]);
    let said = run(command).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert!(said.out.contains("agree"), "{}", said.out);
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
}
