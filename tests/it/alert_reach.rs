//! Whom an alert reaches: exactly its audience, each once on every channel of
//! theirs, in their language. With the real server and simulators of APNs, FCM
//! and a relay.

use std::collections::BTreeSet;

use araldo_actors::domain::delivery::Endpoint;
use araldo_actors::domain::id::{DeviceId, MessageId};
use araldo_loadtest::simulator::Kind;
use araldo_loadtest::stage::Stage;
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::alert_kit::{Herald, walk};
use crate::stage_kit::{Person, Setting, import};

const MESSAGES: &str = "/api/communication/v1/messages";
/// Milan, Abbiategrasso (Milan), Bergamo, Rome, nobody knows.
const TOWNS: [Option<&str>; 5] =
    [Some("015146"), Some("015002"), Some("016024"), Some("058091"), None];
const CITIZENS: usize = 20;

/// Citizen `number`: lives in a town in turn; has an iPhone or an Android; half
/// of them read German, half of them have an address.
struct Neighbour {
    code: String,
    line: Value,
    platform: &'static str,
    token: String,
    address: Option<String>,
    is_german: bool,
}

impl Neighbour {
    fn new(number: usize) -> Self {
        let letter = char::from(b'A' + u8::try_from(number).unwrap());
        let code = format!("AAAAAA00A00A000{letter}");
        let platform = if number.is_multiple_of(2) { "apns" } else { "fcm" };
        let token = match platform {
            "apns" => format!("{number:02x}").repeat(32),
            _ => format!("token-{number}:{}", "APA91bHxT7".repeat(14)),
        };
        let address = (number % 4 < 2).then(|| format!("citizen{number}@example.org"));
        let is_german = number.is_multiple_of(3);
        let line = json!({
            "fiscal_code": code,
            "municipality": TOWNS[number % TOWNS.len()],
            "languages": [if is_german { "de_DE" } else { "it_IT" }],
            "email": address, "email_validated": address.is_some(),
            "devices": [{"platform": platform, "token": token}],
        });
        Self { code, line, platform, token, address, is_german }
    }

    /// Identifier of the push of an alert to this citizen.
    fn delivery(&self, alert: &str) -> u128 {
        let device = Endpoint::Device(DeviceId::of(self.platform, &self.token));
        let id = device.delivery_id(MessageId::parse(alert).unwrap());
        u128::from_be_bytes(id.uuid_bytes())
    }

    fn subject(&self) -> &'static str {
        if self.is_german { "Rote Wetterwarnung" } else { "Allerta meteo rossa" }
    }
}

/// Pushes of this alert that the simulators took: their ids, none twice.
async fn pushed(stage: &Stage, alert: &str) -> BTreeSet<u128> {
    let id = u128::from_be_bytes(MessageId::parse(alert).unwrap().to_bytes());
    let records = stage.records().await.unwrap();
    let mine = records.iter().filter(|record| record.message == id);
    mine.map(|record| {
        assert_eq!(record.accepted, 1, "a push came twice");
        record.delivery
    })
    .collect()
}

/// The inbox of a citizen shows the alert in the citizen's language.
async fn reads(person: &Person, neighbour: &Neighbour, alert: &str) {
    let path = format!("{MESSAGES}?enrich_result_data=true");
    let item = person.get(&path).await["items"][0].clone();
    assert_eq!(item["id"], alert);
    assert_eq!(item["message_title"], neighbour.subject());
    assert_eq!(item["organization_name"], "Comune di Prova");
    let message = person.get(&format!("{MESSAGES}/{alert}")).await;
    assert_eq!(message["content"]["subject"], neighbour.subject());
    assert_eq!(message["sender_service_id"], "allerte");
}

#[tokio::test]
async fn an_audience_is_reached_exactly_each_once_in_their_language() {
    let setting = Setting::start(|_| {}).await;
    let stage = &setting.stage;
    let herald = Herald::of(stage, "allerte").await;
    let town: Vec<_> = (0..CITIZENS).map(Neighbour::new).collect();
    import(stage, &town.iter().map(|one| one.line.clone()).collect::<Vec<_>>()).await;
    let relay = stage.simulator(Kind::Smtp).unwrap();
    let mut mails = [0; CITIZENS];
    for (audience, towns) in [
        (json!({"areas": ["015146"]}), &[0][..]),
        (json!({"areas": ["015"]}), &[0, 1]),
        (json!({"areas": ["03"]}), &[0, 1, 2]),
        // Matched twice, reached once.
        (json!({"areas": ["058091", "12", "016"]}), &[2, 3]),
        (json!({"areas": ["20"]}), &[]),
        (json!({"everyone": true}), &[0, 1, 2, 3, 4]),
    ] {
        let id = herald.send(audience.clone()).await;
        let view = herald.ends(&id, "completed").await;
        let lives_there = |(number, _): &(usize, &Neighbour)| towns.contains(&(number % 5));
        let reached: Vec<_> = town.iter().enumerate().filter(lives_there).collect();
        let expected: BTreeSet<_> = reached.iter().map(|(_, one)| one.delivery(&id)).collect();
        assert_eq!(pushed(stage, &id).await, expected, "{audience}");
        for (number, neighbour) in town.iter().enumerate() {
            let is_reached = towns.contains(&(number % 5));
            if let Some(address) = &neighbour.address {
                mails[number] += usize::from(is_reached);
                let all = relay.mails_of(address).await.unwrap();
                assert_eq!(all.len(), mails[number], "{audience}: citizen {number}");
                if let Some(mail) = all.last().filter(|_| is_reached) {
                    let mail = MessageParser::default().parse(mail.as_bytes()).unwrap();
                    assert_eq!(mail.subject(), Some(neighbour.subject()));
                }
            }
            let person = Person::of(stage, &neighbour.code);
            if is_reached {
                reads(&person, neighbour, &id).await;
            } else {
                assert!(!person.inbox(false).await.contains(&id), "{audience}: citizen {number}");
            }
        }
        let (reached, progress) = (reached.len(), &view["progress"]);
        assert_eq!(progress["recipients"], reached, "{view}");
        assert_eq!((&progress["citizens"], &progress["of"]), (&json!(CITIZENS), &json!(CITIZENS)));
        assert_eq!(walk(&view, "inbox")["delivered"], reached);
        let count = |name: &str| walk(&view, name)["delivered"].as_u64().unwrap();
        assert_eq!(count("apple") + count("google"), reached as u64, "{view}");
        assert_eq!(walk(&view, "relay")["channel"], "email");
        assert_eq!(walk(&view, "apple")["channel"], "push");
    }
    setting.assert_conserved().await;
    let log = std::fs::read_to_string(stage.server_log()).unwrap();
    for secret in ["AAAAAA00A00A", "@example.org", "Allerta meteo", "APA91b", "ak_"] {
        assert!(!log.contains(secret), "the log holds `{secret}`");
    }
    setting.stage.shutdown().await.unwrap();
}
