//! The post office: mails that confirm an address, over a scripted relay.

use std::time::Duration;

use araldo::post::{self, Post, PostError, ROOM};
use araldo_actors::domain::citizen::Language;
use mail_parser::MessageParser;

use crate::mail_kit::{connector, options};
use crate::smtp_relay::{Act, Relay, Script, last_words, say};

const LINK: &str = "https://araldo.example.it/email/validate/abc";

fn ask(post: &Post, number: usize) -> Result<(), PostError> {
    post.try_send(&format!("citizen{number}@example.org"), Language::English, LINK.to_owned())
}

async fn arrived(relay: &Relay, count: usize, within: Duration) {
    let mut waited = Duration::ZERO;
    while relay.mails().len() < count {
        assert!(waited < within, "{} of {count} mails", relay.mails().len());
        tokio::time::sleep(Duration::from_millis(20)).await;
        waited += Duration::from_millis(20);
    }
}

#[tokio::test]
async fn mails_go_out_over_one_session_in_the_citizens_language() {
    let relay = Relay::start(Script::default()).await;
    let (post, office) = post::open(Some(connector(options(relay.address))));
    for number in 0..20 {
        assert_eq!(ask(&post, number), Ok(()));
    }
    arrived(&relay, 20, Duration::from_secs(5)).await;
    office.close().await;
    assert_eq!(relay.heard(|heard| heard.sessions), 1);
    let mail = relay.mails().remove(0);
    let message = MessageParser::default().parse(&mail).unwrap();
    assert_eq!(message.subject(), Some("Confirm your e-mail address"));
    assert!(message.body_text(0).unwrap().contains(LINK));
    assert_eq!(ask(&post, 0), Err(PostError::Full), "the office is closed");
}

#[tokio::test]
async fn a_refused_mail_stops_no_other_and_one_put_off_comes_within_seconds() {
    let relay = Relay::start(Script::of([
        ("RCPT", say("450 4.2.0 greylisted")),
        ("RCPT", say("550 5.1.1 unknown")),
        ("RCPT", last_words("421 4.7.0 too many")),
    ]))
    .await;
    let (post, office) = post::open(Some(connector(options(relay.address))));
    for number in 0..5 {
        assert_eq!(ask(&post, number), Ok(()));
    }
    // The second is refused for good; the first and third come again.
    let taken = |relay: &Relay| relay.mails().iter().filter(|mail| !mail.is_empty()).count();
    let mut waited = 0;
    while taken(&relay) < 4 {
        assert!(waited < 150, "{} of 4 mails", taken(&relay));
        tokio::time::sleep(Duration::from_millis(100)).await;
        waited += 1;
    }
    assert!(waited > 40, "not before the pause");
    office.close().await;
}

#[tokio::test]
async fn never_more_than_there_is_room_for() {
    let relay = Relay::start(Script::of([(
        "greeting",
        Act::Late(Duration::from_secs(60), "220 late\r\n".to_owned()),
    )]))
    .await;
    let (post, office) = post::open(Some(connector(options(relay.address))));
    let taken = (0..ROOM + 10).filter(|number| ask(&post, *number).is_ok()).count();
    assert_eq!(taken, ROOM);
    assert_eq!(ask(&post, 0), Err(PostError::Full));
    // Ends at once, whatever the worker waits for.
    tokio::time::timeout(Duration::from_secs(1), office.close()).await.unwrap();
}

#[tokio::test]
async fn without_a_relay_it_says_so() {
    let (post, office) = post::open(None);
    assert_eq!(ask(&post, 0), Err(PostError::NoRoute));
    office.close().await;
}
