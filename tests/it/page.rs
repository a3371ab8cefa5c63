//! The citizen page in a real browser (`tests/page`): a headless Chromium
//! against the whole server and its simulators.

use std::path::{Path, PathBuf};
use std::time::Duration;

use araldo_loadtest::simulator::Kind;
use serde_json::{Map, Value, json};
use tokio::process::Command;

use crate::stage_kit::Setting;

/// Scenarios that take longer are stuck.
const LIMIT: Duration = Duration::from_secs(300);
/// Debian's.
const CHROMIUM: &str = "/usr/bin/chromium";
/// Who visits: names on the token, fiscal code.
const CITIZENS: &[(&str, &str, &str)] = &[
    ("Maria", "Rossi", "RSSMRA80A41L219M"),
    ("Luca", "Bianchi", "BNCLCU85B02F205X"),
    ("Anna", "Verdi", "VRDNNA90C43H501Y"),
    ("Paola", "Neri", "NREPLA77D44A662Z"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page")
}

/// What the scenarios are told.
fn describe(setting: &Setting) -> Value {
    let mut citizens = Map::new();
    for (given, family, fiscal_code) in CITIZENS {
        let names = (*given, *family);
        let token = setting.stage.tokens().mint(fiscal_code, names, Duration::from_secs(3_600));
        citizens.insert(
            given.to_lowercase(),
            json!({"fiscal_code": fiscal_code, "token": token.unwrap()}),
        );
    }
    let simulators = setting.stage.simulators();
    let control = |push: bool| {
        let kind = move |kind: Kind| (kind != Kind::Smtp) == push;
        let chosen = simulators.iter().filter(move |simulator| kind(simulator.kind));
        chosen.map(|simulator| simulator.control.clone()).collect::<Vec<_>>()
    };
    json!({
        "base": setting.stage.base_url(),
        "admin_key": setting.stage.admin_key(),
        "chromium": CHROMIUM,
        "shots": Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page"),
        "citizens": citizens,
        "push": control(true),
        "relay": control(false).first(),
    })
}

async fn visit(config: &str, scenarios: &[&str]) {
    for (part, remedy) in
        [(folder().join("node_modules"), "make browser"), (CHROMIUM.into(), "make setup")]
    {
        assert!(part.exists(), "{} is missing: run `{remedy}` first", part.display());
    }
    let setting = Setting::start(|options| {
        options.retry_base_ms = Some(100);
        options.extra_config = config.to_owned();
    })
    .await;
    let told = setting.folder.path().join("page.json");
    std::fs::write(&told, describe(&setting).to_string()).unwrap();
    let mut command = Command::new("node");
    command.current_dir(folder()).kill_on_drop(true).arg("check.mjs").arg(told).args(scenarios);
    let said = tokio::time::timeout(LIMIT, command.output());
    let said = said.await.expect("the scenarios end").expect("node runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(said.status.success(), "{}{}", text(&said.stdout), text(&said.stderr));
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_citizen_reads_decides_and_leaves_in_a_browser() {
    visit("", &["modules", "citizen", "keyboard"]).await;
}

#[tokio::test]
async fn every_view_stands_on_desk_and_phone_light_and_dark_in_both_languages() {
    visit("", &["looks"]).await;
}

#[tokio::test]
async fn an_account_is_deleted_from_the_page() {
    visit("[retention]\ndeletion_grace_hours = 0\n", &["deletion"]).await;
}
