//! What the provider tests share: a simulator, its secrets in a folder, and
//! pushes to send.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use araldo::provider::apns::ApnsOptions;
use araldo::provider::fcm::FcmOptions;
use araldo::provider::http2::TransportOptions;
use araldo_actors::domain::citizen::{Language, Platform};
use araldo_actors::domain::id::{DeliveryId, MessageId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::provider::{Answer, Link, Notice, Notification, Push};
use araldo_loadtest::simulator::credentials::file;
use araldo_loadtest::simulator::{Behaviour, Credentials, Failure, Kind, Options, Simulator};
use tempfile::TempDir;

/// A running simulator and the files a route reads.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) async fn start(kind: Kind, change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::generate().unwrap();
        credentials.write(folder.path()).unwrap();
        let mut options = Options::new(kind, credentials);
        options.credentials_folder = Some(folder.path().to_owned());
        change(&mut options);
        let simulator = Simulator::start(options).await.unwrap();
        Self { simulator, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn transport(&self) -> TransportOptions {
        TransportOptions {
            ca_file: Some(self.path(file::CA)),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            ..TransportOptions::new(self.simulator.endpoint())
        }
    }

    pub(crate) fn apns(&self) -> ApnsOptions {
        let account = self.simulator.credentials().apns.clone();
        ApnsOptions {
            transport: self.transport(),
            key_file: self.path(file::APNS_KEY),
            key_id: account.key_id,
            team_id: account.team_id,
            topic: account.topic,
            token_file: None,
        }
    }

    pub(crate) fn fcm(&self) -> FcmOptions {
        FcmOptions {
            transport: self.transport(),
            project_id: self.simulator.credentials().service_account.project_id.clone(),
            service_account_file: self.path(file::SERVICE_ACCOUNT),
        }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.simulator.set_behaviour(behaviour).unwrap();
    }

    /// Refuses everything for `reason`.
    pub(crate) fn refuse(&self, reason: &str, retry_after_seconds: Option<u32>) {
        let failure = Failure {
            reason: reason.to_owned(),
            status: None,
            share: 1.0,
            retry_after_seconds,
            first_attempts: None,
        };
        self.behave(Behaviour { failures: vec![failure], ..Behaviour::default() });
    }
}

/// Push number `number`, to a device of its own.
pub(crate) fn push(platform: Platform, number: u64) -> Push {
    let token = match platform {
        Platform::Apns => format!("{number:064x}"),
        Platform::Fcm => format!("instance-{number:010}:APA91b{}", "x".repeat(120)),
    };
    let message = MessageId::new(Millis(1_700_000_000_000), u128::from(number));
    Push {
        delivery: DeliveryId::of(message, 1, number),
        message,
        platform,
        token,
        notice: Arc::new(Notice {
            title: "Avviso di prova".to_owned(),
            body: "Un testo con \"virgolette\", àccenti\ne righe.".to_owned(),
            language: Language::Italian,
        }),
        lane: Lane::Normal,
        expires_at: Millis(4_000_000_000_000),
    }
}

/// Sends one push over `link`.
pub(crate) async fn send(link: &Arc<dyn Link>, push: Push) -> Answer {
    link.send(&Notification::Push(push)).await
}

/// Sends `pushes` over `link` all at once.
pub(crate) async fn send_all(link: &Arc<dyn Link>, pushes: Vec<Push>) -> Vec<Answer> {
    let pushes: Vec<_> = pushes.into_iter().map(Notification::Push).collect();
    futures_util::future::join_all(pushes.iter().map(|push| link.send(push))).await
}

/// Waits until `condition` holds, at most 5 s.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen within 5 s");
}
