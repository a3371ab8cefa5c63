//! A folder with secrets and a configuration, for servers that a stage would
//! not start: wrong ones, and ones whose provider is not there.

use std::path::PathBuf;

use araldo_loadtest::simulator::Credentials;
use tempfile::TempDir;

use super::process::{Said, araldo, free_port, run, running_with};

/// A folder with secrets and a configuration.
pub struct House {
    pub folder: TempDir,
    pub credentials: Credentials,
}

impl House {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::generate().unwrap();
        credentials.write(folder.path()).unwrap();
        let house = Self { folder, credentials };
        house.write(&house.base("127.0.0.1:0"));
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("araldo.toml")
    }

    pub fn write(&self, text: &str) {
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn base(&self, bind: &str) -> String {
        format!("[http]\nbind = \"{bind}\"\n[store]\npath = \"store\"\n")
    }

    /// Both routes, to where nobody is, with some lines changed.
    pub fn write_routes(&self, changed: &[(&str, &str)]) {
        let endpoint = format!("https://127.0.0.1:{}", free_port());
        let google = format!(
            "[route.google]\nkind = \"fcm\"\nendpoint = \"{endpoint}\"\n\
             project_id = \"araldo-demo\"\nservice_account_file = \"service-account.json\"\n"
        );
        let mut text = self.base("127.0.0.1:0") + &apns(&endpoint) + &google;
        for (from, to) in changed {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        self.write(&text);
    }

    /// Apple alone, at this endpoint.
    pub fn write_apns(&self, endpoint: &str) {
        self.write(&(self.base("127.0.0.1:0") + &apns(endpoint)));
    }

    /// The admin key of the server that was started here.
    pub fn admin_key(&self) -> String {
        std::fs::read_to_string(self.path("store/admin.key")).unwrap().trim().to_owned()
    }

    pub async fn serve(&self) -> Said {
        let mut command = araldo(["serve", "--config"]);
        command.arg(self.config());
        run(command).await
    }

    /// The start fails with this exit code, one sentence that has all of
    /// these parts, and nothing left behind.
    pub async fn refuses(&self, code: i32, parts: &[&str]) {
        let said = self.serve().await;
        assert_eq!(said.code, Some(code), "{said:?}");
        assert_eq!(said.out, "", "nothing was ready");
        let sentence = said.sentence();
        // What is wrong with a configuration may stand under a heading.
        let most = if code == 2 { 2 } else { 1 };
        assert!((1..=most).contains(&sentence.lines().count()), "{sentence}");
        for part in parts {
            assert!(sentence.contains(part), "no `{part}` in: {sentence}");
        }
        for word in ["panicked", "RUST_BACKTRACE", "Error {", "PRIVATE KEY"] {
            assert!(!said.err.contains(word), "{}", said.err);
        }
        assert!(!running_with(self.folder.path()), "something still runs");
    }
}

fn apns(endpoint: &str) -> String {
    format!(
        "[route.apple]\nkind = \"apns\"\nendpoint = \"{endpoint}\"\nca_file = \"ca.pem\"\n\
         key_file = \"AuthKey.p8\"\nkey_id = \"ABC123DEFG\"\nteam_id = \"DEF123GHIJ\"\n\
         topic = \"it.example.app\"\nretry_base_ms = 100\n"
    )
}
