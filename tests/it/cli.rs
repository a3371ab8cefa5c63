//! The command line, as people use it: the first steps of the manual with the
//! real binary, and what it says when something is wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage_kit::{Said, Setting, araldo, content, free_port, run, until};

const CITIZEN: &str = "RSSMRA85T10A562S";

/// A terminal beside a running server.
struct Terminal {
    setting: Setting,
    folder: PathBuf,
}

impl Terminal {
    async fn open() -> Self {
        let setting = Setting::start(|_| {}).await;
        let folder = setting.folder.path().to_owned();
        Self { setting, folder }
    }

    /// Runs a command in the folder; server and admin key are found through
    /// the configuration.
    async fn run(&self, args: &[&str]) -> Said {
        let mut command = araldo(args);
        command.arg("--config").arg(self.setting.stage.config_file()).current_dir(&self.folder);
        run(command).await
    }

    /// Runs a command that succeeds, silently on standard error.
    async fn done(&self, args: &[&str]) -> Said {
        let said = self.run(args).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{args:?}: {said:?}");
        said
    }

    /// Runs a command that fails with one sentence.
    async fn fails(&self, args: &[&str], code: i32, part: &str) {
        let said = self.run(args).await;
        assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
        assert!(said.sentence().contains(part), "{args:?}: {said:?}");
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn registers(&self) {
        let body = "00000000001";
        self.done(&["organizations", "put", body, "--name", "Comune di Prova"]).await;
        let listed = self.done(&["organizations", "list", "--json"]).await.json();
        assert_eq!(listed[0]["name"], "Comune di Prova");
        self.done(&["services", "put", "anagrafe", "--name", "Anagrafe", "--organization", body])
            .await;
        let shown = self.done(&["services", "show", "anagrafe"]).await.json();
        assert_eq!(shown["organization_fiscal_code"], body);
        assert!(self.done(&["services", "list"]).await.out.contains("Comune di Prova"));
        self.fails(
            &["services", "put", "tari", "--name", "Tari", "--organization", "00000000002"],
            1,
            "organization",
        )
        .await;
    }

    async fn makes_a_key(&self) {
        let create = [
            "keys",
            "create",
            "--name",
            "gestionale",
            "--role",
            "sender",
            "--service",
            "anagrafe",
            "--save",
            "sender.key",
        ];
        let said = self.done(&create).await;
        let file = self.folder.join("sender.key");
        let key = std::fs::read_to_string(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(key.starts_with("ak_") && !said.out.contains(key.trim()), "{said:?}");
        // A key cannot be shown again, so no file that may hold one is replaced.
        self.fails(&create, 2, "sender.key").await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
    }

    /// Two good lines, two bad ones.
    async fn imports(&self) {
        let token = "ab".repeat(32);
        let lines = format!(
            "{{\"fiscal_code\":\"{CITIZEN}\",\"devices\":[{{\"platform\":\"apns\",\"token\":\"{token}\"}}]}}\n\
             {{\"fiscal_code\":\"NONE\"}}\n\
             not json\n\
             {{\"fiscal_code\":\"AAAAAA00A00A000A\",\"languages\":[\"it_IT\"]}}\n"
        );
        self.write("citizens.ndjson", &lines);
        let said = self.run(&["citizens", "import", "citizens.ndjson"]).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        for part in ["line 2: refused: ", "line 3: refused: ", "2 imported, 0 updated, 2 refused"] {
            assert!(said.out.contains(part), "{said:?}");
        }
        assert!(!said.out.contains("NONE") && !said.out.contains("not json"), "{said:?}");
        let said = self.run(&["citizens", "import", "citizens.ndjson", "--json"]).await;
        let report = said.json();
        assert_eq!((said.code, &report["updated"]), (Some(1), &json!(2)), "{said:?}");
        assert_eq!(report["errors"][0]["line"], 2);
    }

    /// Sends a message and follows it to its end.
    async fn sends(&self) -> String {
        let content = content();
        self.write("text.md", content["markdown"].as_str().unwrap());
        let send = [
            "send",
            "--key-file",
            "sender.key",
            "--to",
            CITIZEN,
            "--subject",
            "Carta d'identità",
            "--markdown-file",
            "text.md",
            "--idempotency-key",
            "prova-1",
        ];
        let said = self.done(&send).await;
        let path = said.out.split_whitespace().last().unwrap().to_owned();
        assert!(path.starts_with(&format!("/api/v1/messages/{CITIZEN}/")), "{said:?}");
        // Repeated under the same name, it is the same message.
        assert_eq!(self.done(&send).await.out, said.out);
        until("it is delivered", Duration::from_secs(20), || async {
            let status = self.done(&["status", &path, "--key-file", "sender.key"]).await.out;
            status.starts_with("PROCESSED") && status.matches("delivered").count() == 2
        })
        .await;
        let json = self.done(&["status", &path, "--key-file", "sender.key", "--json"]).await.json();
        assert_eq!(json["message"]["content"]["subject"], "Carta d'identità");
        path
    }
}

#[tokio::test]
async fn the_first_steps_of_the_manual_work() {
    let terminal = Terminal::open().await;
    terminal.registers().await;
    terminal.makes_a_key().await;
    terminal.imports().await;
    let message = terminal.sends().await;

    let status = terminal.done(&["status", "--json"]).await.json();
    assert_eq!(status["messages"]["processed"], 1, "{status}");
    assert_eq!(status["unaccounted"], json!({"messages": 0, "deliveries": 0}));
    let status = terminal.done(&["status"]).await.out;
    for part in ["accepted 1", "apple", "google", "up"] {
        assert!(status.contains(part), "{status}");
    }

    let cluster = terminal.done(&["cluster", "status", "--partitions"]).await.out;
    assert!(cluster.lines().count() > 64 && cluster.contains("node-1"), "{cluster}");
    assert!(
        cluster.ends_with("All is well: 1 node, each of 64 partitions has one.\n"),
        "{cluster}"
    );
    assert_eq!(terminal.done(&["cluster", "status", "--json"]).await.json()["lost"], 0);

    let keys = terminal.done(&["keys", "list", "--json"]).await.json();
    let sender = keys.as_array().unwrap().iter().find(|key| key["role"] == "sender").unwrap();
    assert!(sender.get("key").is_none_or(Value::is_null), "a key is shown once");
    let id = sender["id"].as_str().unwrap();
    terminal.done(&["keys", "revoke", id]).await;
    terminal.fails(&["status", &message, "--key-file", "sender.key"], 1, "401").await;
    terminal
        .fails(
            &["send", "--key-file", "sender.key", "--to", CITIZEN, "--subject", "Carta d'identità"]
                .into_iter()
                .chain(["--markdown-file", "text.md"])
                .collect::<Vec<_>>(),
            1,
            "401",
        )
        .await;
    terminal.fails(&["keys", "revoke", "key_0000000000000000"], 1, "404").await;
    assert_log_is_discreet(&terminal.setting.stage.server_log());
    terminal.setting.stage.shutdown().await.unwrap();
}

/// Promise 8: nothing personal in the server's log.
fn assert_log_is_discreet(log: &Path) {
    let log = std::fs::read_to_string(log).unwrap();
    for secret in [CITIZEN, &"ab".repeat(8), "Carta d'identità", "ak_", "La rata"] {
        assert!(!log.contains(secret), "the log holds `{secret}`");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_field_by_field() {
    let terminal = Terminal::open().await;
    terminal.registers().await;
    terminal.makes_a_key().await;
    let send = ["send", "--key-file", "sender.key", "--to", "x", "--subject", "corto"];
    let said = terminal.run(&[&send[..], &["--markdown", "breve"]].concat()).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    for part in ["400", "fiscal_code", "content.subject", "content.markdown"] {
        assert!(said.sentence().contains(part), "no {part}: {said:?}");
    }
    let status = ["status", "nonsense", "--key-file", "sender.key"];
    terminal.fails(&status, 2, "FISCAL_CODE/ID").await;
    let unknown = format!("{CITIZEN}/01BX9NSMKVXXS5PSP2FATZMYYY");
    terminal.fails(&["status", &unknown, "--key-file", "sender.key"], 1, "404").await;
    // A sender's key opens nothing of the operators'.
    terminal.fails(&["status", "--key-file", "sender.key"], 1, "40").await;
    terminal.fails(&["status", "--key-file", "missing.key"], 2, "missing.key").await;
    terminal.fails(&["citizens", "import", "missing.ndjson"], 2, "missing.ndjson").await;
    terminal.setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "ak_00\n").unwrap();
    let citizens = folder.path().join("citizens.ndjson");
    std::fs::write(&citizens, format!("{{\"fiscal_code\":\"{CITIZEN}\"}}\n")).unwrap();
    let url = format!("http://127.0.0.1:{}", free_port());
    let import = ["citizens", "import", citizens.to_str().unwrap()];
    for args in [&["status"][..], &["keys", "list"], &import] {
        let mut command = araldo(args);
        command.args(["--url", &url]).arg("--key-file").arg(&key);
        let said = run(command).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        let sentence = said.sentence();
        assert!(sentence.contains(&url) && sentence.contains("`araldo serve`"), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
}

#[tokio::test]
async fn check_config_shows_what_is_in_force_or_every_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("araldo.toml");
    let check = async |text: &str, env: &[(&str, &str)]| {
        std::fs::write(&file, text).unwrap();
        let mut command = araldo(["check-config", "--config"]);
        command.arg(&file).envs(env.iter().copied());
        run(command).await
    };
    let good = check("[http]\nbind = \"127.0.0.1:8099\"\n", &[("ARALDO__NODE__ID", "n2")]).await;
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""), "{good:?}");
    let line = |key: &str| {
        let line = good.out.lines().find(|line| line.contains(key));
        line.unwrap_or_else(|| panic!("no {key}: {}", good.out)).to_owned()
    };
    assert!(line("127.0.0.1:8099").contains("araldo.toml:2"), "{}", good.out);
    assert!(line("n2").contains("ARALDO__NODE__ID"), "{}", good.out);
    assert!(line("partitions").contains("default"), "{}", good.out);

    let text = "[http]\nbnid = \"x\"\n[engine]\npartitions = 0\ncredits = \"many\"\n\
                [route.apple]\nkind = \"apns\"\nkey_id = \"short\"\n";
    let bad = check(text, &[("ARALDO__STORE__PAHT", "x")]).await;
    assert_eq!((bad.code, bad.out.as_str()), (Some(2), ""), "{bad:?}");
    for part in [
        "araldo.toml:2: http.bnid",
        "did you mean \"http.bind\"?",
        "araldo.toml:4: engine.partitions",
        "araldo.toml:5: engine.credits",
        "araldo.toml:8: route.apple.key_id",
        "route.apple.key_file",
        "route.apple.team_id",
        "route.apple.topic",
        "ARALDO__STORE__PAHT",
    ] {
        assert!(bad.sentence().contains(part), "no `{part}`: {}", bad.err);
    }
    let text = "[route.google]\nkind = \"fcm\"\nproject_id = \"p\"\n\
                service_account_file = \"missing.json\"\n";
    let missing = check(text, &[]).await;
    assert_eq!(missing.code, Some(2), "{missing:?}");
    for part in ["route.google: ", "missing.json", "cannot be read"] {
        assert!(missing.sentence().contains(part), "{missing:?}");
    }
}

/// The commands a help text lists.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_explains_itself() {
    let mut open = vec![Vec::new(), vec!["sim".to_owned()], vec!["openapi".to_owned()]];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let said = run(araldo(path.iter().map(String::as_str).chain(["--help"]))).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{path:?}");
        assert!(said.out.contains("Usage: araldo"), "{path:?}: {}", said.out);
        let inner = commands(&said.out);
        open.extend(inner.into_iter().map(|name| [&path[..], &[name]].concat()));
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} commands found");
    assert_eq!(run(araldo(["--version"])).await.code, Some(0));
    let wrong = run(araldo(["sevre"])).await;
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("serve"), "no suggestion: {}", wrong.err);
}
