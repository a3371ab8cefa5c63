//! A relay that is away, sends everybody off, puts strangers off, loses
//! answers, or knows one of them no more: mails wait and arrive once, and
//! pushes notice nothing.

use araldo_loadtest::simulator::{Greylist, SmtpBehaviour, SmtpFailure, SmtpStage};
use araldo_loadtest::stage::SimProcess;

use super::*;

fn relay(setting: &Setting) -> &SimProcess {
    setting.stage.simulator(Kind::Smtp).unwrap()
}

fn mails_that(smtp: SmtpBehaviour) -> Behaviour {
    Behaviour { smtp, ..Behaviour::default() }
}

fn failing(failures: Vec<SmtpFailure>) -> Behaviour {
    mails_that(SmtpBehaviour { failures, ..SmtpBehaviour::default() })
}

/// The delivery of a message by this channel; null when none was planned.
fn delivery(message: &Value, channel: &str) -> Value {
    let deliveries = message["delivery"].as_array().unwrap();
    deliveries.iter().find(|one| one["channel"] == channel).cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_relay_that_is_away_holds_mails_and_no_push() {
    const MESSAGES: u64 = 200;
    let setting = setting().await;
    let town = setting.service_for(MESSAGES, Mix::DeviceAndMail).await;
    let away = Behaviour { refuse_connections: true, ..Behaviour::default() };
    relay(&setting).set_behaviour(&away).await.unwrap();
    relay(&setting).order("/disconnect").await.unwrap();
    until("the relay is missed", RECOVERY, || async {
        setting.get("/readyz").await.json()["reasons"][0]["name"] == "relay"
    })
    .await;
    let reasons = setting.get("/readyz").await.json()["reasons"].clone();
    assert_eq!(reasons.as_array().unwrap().len(), 1, "{reasons}");
    setting.send(&town.source(), 0..MESSAGES).await;
    until("every push is out", RECOVERY, || async { setting.pushes().await.0 == MESSAGES }).await;
    until("only mails wait", RECOVERY, || async {
        setting.stage.status().await.unwrap()["deliveries"]["pending"] == MESSAGES
    })
    .await;
    assert_eq!(setting.mails().await, (0, 0));
    relay(&setting).set_behaviour(&Behaviour::default()).await.unwrap();
    let status = assert_delivered_everywhere(&setting, MESSAGES).await;
    assert_eq!(status["deliveries"]["retried"], 0, "no attempt was made meanwhile: {status}");
    assert_eq!((setting.pushes().await.1, setting.mails().await.1), (0, 0), "duplicates");
    until("readiness comes back", RECOVERY, || async { is_ready(&setting).await }).await;
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn storms_of_421_lose_no_mail_and_send_none_twice() {
    const MESSAGES: u64 = 300;
    let setting = setting().await;
    let town = setting.service_for(MESSAGES, Mix::DeviceAndMail).await;
    // At every step at which a relay may have had enough.
    let stages =
        [SmtpStage::Connect, SmtpStage::Mail, SmtpStage::Rcpt, SmtpStage::Data, SmtpStage::End];
    let failure = |at| SmtpFailure {
        share: 0.05,
        ..SmtpFailure::always(at, "421 4.7.0 Too much mail, come back later")
    };
    let storm = failing(stages.map(failure).to_vec());
    relay(&setting).set_behaviour(&storm).await.unwrap();
    // Sessions that were sent off stay away for a while: asked until one was
    // there to hear it.
    let orders = until("a session is sent off by order", RECOVERY, || async {
        relay(&setting).order("/goaway").await.unwrap();
        relay(&setting).books().await.unwrap().goaways > 0
    });
    let source = town.source();
    tokio::join!(setting.send(&source, 0..MESSAGES), orders);
    assert_delivered_everywhere(&setting, MESSAGES).await;
    assert_eq!((setting.pushes().await.1, setting.mails().await.1), (0, 0), "duplicates");
    let books = relay(&setting).books().await.unwrap();
    assert!(books.goaways > 0, "{books:?}");
    let struck = |at: &str| {
        let reasons = books.refused_by_reason.iter();
        reasons.filter(|(reason, _)| reason.starts_with(at)).map(|(_, count)| *count).sum::<u64>()
    };
    for at in ["mail 421", "rcpt 421", "end 421"] {
        assert!(struck(at) > 0, "none at {at}: {books:?}");
    }
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_greylisted_mail_is_tried_again_and_not_hammered() {
    const MESSAGES: u64 = 100;
    const PUT_OFF_SECONDS: u32 = 2;
    let setting = Setting::start(|options| options.retry_base_ms = Some(2_500)).await;
    let town = setting.service_for(MESSAGES, Mix::DeviceAndMail).await;
    let greylist = Greylist { seconds: PUT_OFF_SECONDS, attempts: None };
    let behaviour =
        mails_that(SmtpBehaviour { greylist: Some(greylist), ..SmtpBehaviour::default() });
    relay(&setting).set_behaviour(&behaviour).await.unwrap();
    let source = town.source();
    let sent = setting.send(&source, 0..MESSAGES).await;
    let status = assert_delivered_everywhere(&setting, MESSAGES).await;
    // A retry waits the route's base delay at least, which is long enough.
    assert_eq!(status["deliveries"]["retried"], MESSAGES, "{status}");
    let records = setting.stage.mail_records().await.unwrap();
    let first = records.iter().map(|record| record.first_accept_us).min().unwrap();
    let waited = first - sent.started_us;
    assert!(waited >= u64::from(PUT_OFF_SECONDS) * 1_000_000, "after {waited} microseconds");
    // Known by now: the next mail passes at once.
    setting.send(&source, MESSAGES..2 * MESSAGES).await;
    let status = assert_delivered_everywhere(&setting, 2 * MESSAGES).await;
    assert_eq!(status["deliveries"]["retried"], MESSAGES, "{status}");
    assert_eq!(setting.mails().await.1, 0, "duplicates");
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_address_that_the_relay_does_not_know_is_not_validated_any_more() {
    const CITIZENS: u64 = 20;
    const GONE: u64 = 7;
    let setting = setting().await;
    let town = setting.service_for(CITIZENS, Mix::DeviceAndMail).await;
    let citizen = town.population.citizen(GONE);
    let unknown = SmtpFailure {
        recipient: citizen.email.clone(),
        ..SmtpFailure::always(SmtpStage::Rcpt, "550 5.1.1 User unknown in virtual mailbox table")
    };
    relay(&setting).set_behaviour(&failing(vec![unknown])).await.unwrap();
    let source = town.source();
    let token = setting.stage.tokens().of(&citizen).unwrap();
    let profile = async || {
        let mut app = Client::new(setting.stage.base_url(), Some(&token)).unwrap();
        app.get("/api/identity/v1/profile").await.unwrap()
    };
    assert_eq!(profile().await["is_email_validated"], true);

    let first = setting.send(&source, 0..CITIZENS).await;
    let status = setting.rest(RECOVERY).await;
    assert_eq!(status["deliveries"]["failed"], 1, "{status}");
    assert_eq!((setting.mails().await, setting.pushes().await), ((CITIZENS - 1, 0), (CITIZENS, 0)));
    assert_eq!(profile().await["is_email_validated"], false);
    // The relay would take the next one; nobody asks it.
    relay(&setting).set_behaviour(&Behaviour::default()).await.unwrap();
    let second = setting.send(&source, CITIZENS..2 * CITIZENS).await;
    let status = setting.rest(RECOVERY).await;
    let deliveries = &status["deliveries"];
    assert_eq!((&deliveries["failed"], &deliveries["suppressed"]), (&json!(1), &json!(1)));
    assert_eq!(setting.mails().await, (2 * (CITIZENS - 1), 0));
    assert_eq!(setting.pushes().await, (2 * CITIZENS, 0));
    for (sent, ended) in [(&first, "failed"), (&second, "suppressed")] {
        for accepted in &sent.accepted {
            let index = accepted.index % CITIZENS;
            let seen = setting.message(&town.key, &town.fiscal_code(index), accepted.id).await;
            let wanted = if index == GONE { ended } else { "delivered" };
            assert_eq!(delivery(&seen, "email")["state"], wanted, "{seen}");
            assert_eq!(delivery(&seen, "push")["state"], "delivered", "{seen}");
        }
    }
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_mail_whose_answer_is_lost_is_repeated_as_the_same_mail() {
    const MESSAGES: u64 = 40;
    let setting = setting().await;
    let town = setting.service_for(MESSAGES, Mix::DeviceAndMail).await;
    let lose = Behaviour { lost_answer_share: 1.0, ..Behaviour::default() };
    relay(&setting).set_behaviour(&lose).await.unwrap();
    let sent = setting.send(&town.source(), 0..MESSAGES).await;
    until("answers are lost", RECOVERY, || async {
        relay(&setting).books().await.unwrap().lost_answers > 0
    })
    .await;
    relay(&setting).set_behaviour(&Behaviour::default()).await.unwrap();
    let status = assert_delivered_everywhere(&setting, MESSAGES).await;
    let books = relay(&setting).books().await.unwrap();
    assert_eq!(books.duplicates, books.lost_answers, "{status}");
    let records = setting.stage.mail_records().await.unwrap();
    for accepted in &sent.accepted {
        let seen = setting.message(&town.key, &town.fiscal_code(accepted.index), accepted.id).await;
        let id = delivery(&seen, "email")["id"].as_str().unwrap().replace('-', "");
        let id = u128::from_str_radix(&id, 16).unwrap();
        let record = records.iter().find(|record| record.message == accepted.id).unwrap();
        assert_eq!(record.delivery, id, "the Message-ID is the delivery's: {seen}");
    }
    // What a reader's mail program sees twice is the same to the byte.
    let address = |index| town.population.citizen(index).email.unwrap();
    for index in 0..MESSAGES {
        let mails = relay(&setting).mails_of(&address(index)).await.unwrap();
        assert!(mails.iter().all(|mail| *mail == mails[0]) && !mails.is_empty(), "{index}");
    }
    setting.stage.shutdown().await.unwrap();
}
