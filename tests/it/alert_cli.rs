//! `araldo alert`, as people use it, against the real server.

use std::path::PathBuf;
use std::time::Duration;

use araldo_loadtest::simulator::Behaviour;
use serde_json::{Value, json};

use crate::alert_kit::push_outage;
use crate::stage_kit::{Said, Setting, araldo, import, run, until};

/// A terminal beside a running server, with a service that alerts.
struct Terminal {
    setting: Setting,
    folder: PathBuf,
}

impl Terminal {
    async fn open() -> Self {
        let setting = Setting::start(|options| options.retry_base_ms = Some(100)).await;
        let folder = setting.folder.path().to_owned();
        let terminal = Self { setting, folder };
        let lines: Vec<_> = (0..6).map(citizen).collect();
        import(&terminal.setting.stage, &lines).await;
        let organization = "00000000001";
        terminal.done(&["organizations", "put", organization, "--name", "Comune di Prova"]).await;
        for (service, group) in [("allerte", "ApiAlertWrite"), ("anagrafe", "ApiMessageWrite")] {
            let put = ["services", "put", service, "--name", service, "--group", group];
            terminal.done(&[&put[..], &["--organization", organization]].concat()).await;
            let save = format!("{service}.key");
            let create = ["keys", "create", "--name", "sala", "--role", "sender"];
            let create = [&create[..], &["--service", service, "--save", &save]].concat();
            terminal.done(&create).await;
        }
        let text = "Restate in casa e seguite le indicazioni del sindaco. ".repeat(2);
        std::fs::write(terminal.folder.join("text.md"), text).unwrap();
        terminal
    }

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

    /// Runs a command that fails and says so.
    async fn fails(&self, args: &[&str], code: i32, parts: &[&str]) -> Said {
        let said = self.run(args).await;
        assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
        for part in parts {
            assert!(said.err.contains(part), "no `{part}`: {said:?}");
        }
        said
    }

    /// The words of `alert send` with `more`.
    fn send<'a>(more: &[&'a str]) -> Vec<&'a str> {
        let send = ["alert", "send", "--key-file", "allerte.key"];
        let text = ["--subject", "Allerta meteo rossa", "--markdown-file", "text.md"];
        [&send[..], &text, more].concat()
    }
}

fn citizen(number: u8) -> Value {
    json!({"fiscal_code": format!("AAAAAA00A00A000{}", char::from(b'A' + number)),
        "municipality": if number < 2 { "015146" } else { "058091" },
        "devices": [{"platform": "apns", "token": format!("{number:02x}").repeat(32)}]})
}

#[tokio::test]
async fn an_alert_is_sent_followed_listed_shown_and_reported() {
    let terminal = Terminal::open().await;
    let said = terminal.done(&Terminal::send(&["--area", "015,016024", "--follow"])).await;
    let id = said.out.lines().next().unwrap().strip_prefix("accepted as ").unwrap().to_owned();
    let line =
        "completed: 6 of 6 citizens visited, 2 recipients; inbox 2 delivered; apple 2 delivered";
    assert!(said.out.contains(line), "{said:?}");
    let reported = terminal.done(&["alert", "report", &id]).await.out;
    assert!(said.out.ends_with(&reported), "{said:?}");
    let row = reported.lines().find(|line| line.starts_with("apple")).unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(cells, ["apple", "push", "6", "6", "2", "0", "0", "0", "0", "0", "0"]);

    let texts = json!({
        "en_GB": {"subject": "Red weather alert", "markdown": "Stay at home. ".repeat(8)},
        "fr_FR": {"subject": "Alerte météo rouge", "markdown": "Restez à la maison. ".repeat(8)},
    });
    std::fs::write(terminal.folder.join("texts.json"), texts.to_string()).unwrap();
    let send =
        ["alert", "send", "--key-file", "allerte.key", "--texts", "texts.json", "--everyone"];
    let more = ["--fallback-language", "en_GB", "--lane", "emergency", "--expires-in", "6h"];
    let sent =
        terminal.done(&[&send[..], &more, &["--secure", "--follow", "--json"]].concat()).await;
    let sent = sent.json();
    assert_eq!((&sent["status"], &sent["lane"]), (&json!("completed"), &json!("emergency")));
    assert_eq!(sent["progress"]["recipients"], 6);
    let second = sent["id"].as_str().unwrap();

    let list = terminal.done(&["alert", "list"]).await.out;
    let rows: Vec<_> = list.lines().skip(1).collect();
    assert!(rows.len() == 2 && rows[0].starts_with(second) && rows[1].starts_with(&id), "{list}");
    assert!(rows[0].contains("everyone") && rows[1].contains("015, 016024"), "{list}");
    let list = terminal.done(&["alert", "list", "--limit", "1"]).await.out;
    assert!(list.ends_with(&format!("araldo alert list --before {second}\n")), "{list}");
    let older = terminal.done(&["alert", "list", "--before", second, "--json"]).await.json();
    assert_eq!((&older["items"][0]["id"], &older["next"]), (&json!(id), &Value::Null));
    let shown = terminal.done(&["alert", "show", second]).await.out;
    for part in ["is completed", "Red weather alert", "en_GB, fr_FR; others get en_GB", "everyone"]
    {
        assert!(shown.contains(part), "no `{part}`: {shown}");
    }
    let shown = terminal.done(&["alert", "show", second, "--follow", "--json"]).await.json();
    assert_eq!(shown, terminal.done(&["alert", "report", second, "--json"]).await.json());
    terminal.setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_alert_is_paused_resumed_and_cancelled_while_somebody_follows() {
    let terminal = Terminal::open().await;
    push_outage(&terminal.setting).await;
    let key = ["--everyone", "--idempotency-key", "piena-1"];
    let sent = terminal.done(&Terminal::send(&key)).await.out;
    assert_eq!(terminal.done(&Terminal::send(&key)).await.out, sent, "sent once");
    let id = sent.lines().next().unwrap().strip_prefix("accepted as ").unwrap().to_owned();
    let follow = ["alert", "show", &id, "--follow"];
    let following = terminal.run(&follow);
    let changing = async {
        until("it is in every inbox", Duration::from_secs(20), || async {
            let report = terminal.done(&["alert", "report", &id, "--json"]).await.json();
            report["progress"]["walks"][0]["delivered"] == 6
        })
        .await;
        let paused = terminal.done(&["alert", "pause", &id]).await.out;
        assert!(paused.contains("is paused"), "{paused}");
        terminal.fails(&["alert", "pause", &id], 1, &["409", "only a running one"]).await;
        // Long enough for who looks twice a second.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let resumed = terminal.done(&["alert", "resume", &id, "--json"]).await.json();
        assert_eq!(resumed["status"], "running");
        let cancelled = terminal.done(&["alert", "cancel", &id]).await.out;
        assert!(cancelled.contains("is cancelled"), "{cancelled}");
    };
    let (followed, ()) = tokio::join!(following, changing);
    assert_eq!(followed.code, Some(1), "{followed:?}");
    assert_eq!(followed.sentence(), "araldo: the alert is cancelled");
    let lines = followed.out.lines();
    let words: Vec<_> =
        lines.filter_map(|line| line.split_once(": ")).map(|(word, _)| word).collect();
    assert!(words.contains(&"paused") && words.contains(&"cancelled"), "{followed:?}");
    terminal.setting.behave(&Behaviour::default()).await;
    terminal.setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_says_what_to_do() {
    let terminal = Terminal::open().await;
    terminal.fails(&Terminal::send(&[]), 2, &["--everyone|--area", "--help"]).await;
    terminal.fails(&Terminal::send(&["--everyone", "--area", "03"]), 2, &["cannot be used"]).await;
    let bare = ["alert", "send", "--key-file", "allerte.key", "--everyone"];
    terminal.fails(&bare, 2, &["--texts", "--subject"]).await;
    let no_text = [&bare[..], &["--subject", "Allerta meteo rossa"]].concat();
    terminal.fails(&no_text, 2, &["--markdown-file"]).await;
    let no_file = [&bare[..], &["--texts", "missing.json"]].concat();
    terminal.fails(&no_file, 2, &["missing.json"]).await;
    let wrong = Terminal::send(&["--area", "99", "--language", "xx", "--expires-in", "30d"]);
    let parts = ["400", "texts must have", "audience.areas[0]", "expires_at", "7 days"];
    terminal.fails(&wrong, 1, &parts).await;
    terminal.fails(&Terminal::send(&["--everyone", "--expires-in", "soon"]), 2, &["30m, 1h"]).await;
    let mut other = Terminal::send(&["--everyone"]);
    other[3] = "anagrafe.key";
    terminal.fails(&other, 1, &["403", "ApiAlertWrite", "--group ApiAlertWrite"]).await;
    let keyed = ["--everyone", "--idempotency-key", "k", "--expires-in", "6h"];
    terminal.done(&Terminal::send(&keyed)).await;
    terminal.fails(&Terminal::send(&keyed), 1, &["422", "--expires-at"]).await;
    let unknown = ["alert", "show", "01BX9NSMKVXXS5PSP2FATZMYYY"];
    terminal.fails(&unknown, 1, &["404", "araldo alert list"]).await;
    terminal.fails(&["alert", "cancel", "not/an/id"], 2, &["an identifier"]).await;
    let as_sender = ["alert", "list", "--key-file", "allerte.key"];
    terminal.fails(&as_sender, 1, &["403", "sender's key"]).await;
    terminal.setting.stage.shutdown().await.unwrap();
}
