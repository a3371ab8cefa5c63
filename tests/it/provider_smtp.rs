//! The SMTP connector against a scripted relay, over real sockets: what each
//! reply, and each missing one, means.

use std::time::Duration;

use araldo::provider::smtp::{Security, SmtpLink, SmtpOptions};
use araldo_actors::domain::outcome::Failure;
use araldo_actors::port::provider::{Answer, ConnectError, Link, Notification};
use mail_parser::MessageParser;

use crate::mail_kit::{connector, email, options, send};
use crate::provider_support::until;
use crate::smtp_relay::{Act, Relay, Script, last_words, say};

/// A relay and a session with it.
async fn world(script: Script) -> (Relay, SmtpLink) {
    let relay = Relay::start(script).await;
    let link = connector(options(relay.address)).open().await.unwrap();
    (relay, link)
}

/// A relay that hears deadlines of 300 ms.
async fn hurried(script: Script) -> (Relay, SmtpLink) {
    let relay = Relay::start(script).await;
    let link = connector(in_a_hurry(&relay)).open().await.unwrap();
    (relay, link)
}

fn in_a_hurry(relay: &Relay) -> SmtpOptions {
    let mut options = options(relay.address);
    let short = Duration::from_millis(300);
    let timeouts = &mut options.timeouts;
    (timeouts.greeting, timeouts.mail, timeouts.recipient) = (short, short, short);
    (timeouts.data, timeouts.end) = (short, short);
    options
}

fn verbs(relay: &Relay) -> Vec<String> {
    let verb = |line: String| line.split([' ', ':']).next().unwrap_or_default().to_owned();
    relay.commands().into_iter().map(verb).collect()
}

#[tokio::test]
async fn a_mail_costs_one_write_for_its_envelope_and_one_for_itself() {
    let (relay, link) = world(Script::default()).await;
    for number in 0..3 {
        assert_eq!(send(&link, number).await, Answer::Accepted);
    }
    let envelope = |read: &&String| read.starts_with("MAIL");
    relay.heard(|heard| {
        assert_eq!((heard.sessions, heard.mails.len()), (1, 3));
        for read in heard.reads.iter().filter(envelope) {
            assert!(read.contains("RCPT TO:<citizen") && read.ends_with("DATA\r\n"), "{read}");
            assert!(read.starts_with("MAIL FROM:<no-reply@araldo.example.it> SIZE="), "{read}");
        }
        assert_eq!(heard.reads.iter().filter(envelope).count(), 3);
    });
}

#[tokio::test]
async fn without_pipelining_every_reply_is_waited_for() {
    let (relay, link) = world(Script::default().offering(&["HELP"])).await;
    assert_eq!(send(&link, 1).await, Answer::Accepted);
    relay.heard(|heard| {
        let alone = |verb: &str| {
            heard
                .reads
                .iter()
                .filter(|read| read.starts_with(verb))
                .all(|read| read.matches("\r\n").count() == 1 && !read.contains("SIZE="))
        };
        assert!(alone("MAIL") && alone("RCPT") && alone("DATA"));
    });
}

#[tokio::test]
async fn the_mail_arrives_as_it_was_written_dots_and_all() {
    let (relay, link) = world(Script::default()).await;
    let email = email(1, "citizen@example.org");
    let written = connector(options(relay.address)).composer().message(&email).unwrap();
    assert_eq!(link.send(&Notification::Email(email)).await, Answer::Accepted);
    let mail = relay.mails().remove(0);
    assert_eq!(mail, written.bytes);
    let message = MessageParser::default().parse(&mail).unwrap();
    assert!(message.body_text(0).unwrap().contains("    .\r\n    ..punti\r\n    ."));
}

#[tokio::test]
async fn a_refused_recipient_of_many_stops_none_of_the_others() {
    for offers in [["PIPELINING"], ["HELP"]] {
        let script = Script::of([
            ("RCPT", say("250 2.1.5 OK")),
            ("RCPT", say("550 5.1.1 <b@example.org>: unknown")),
            ("RCPT", say("450-4.2.0 greylisted\r\n450 4.2.0 come again")),
            ("RCPT", say("250 2.1.5 OK")),
        ]);
        let (relay, link) = world(script.offering(&offers)).await;
        let to = ["a@example.org", "b@example.org", "c@example.org", "d@example.org"];
        let answers = link.deliver_to_all(&to, b"Subject: x\r\n\r\nx\r\n").await;
        let later = Some(Duration::from_mins(30));
        assert_eq!(answers[0], Answer::Accepted);
        assert!(matches!(answers[1], Answer::DropToken { registered_before: None, .. }));
        assert!(matches!(answers[2], Answer::RetryDelivery { after, .. } if after == later));
        assert_eq!(answers[3], Answer::Accepted);
        assert_eq!(relay.mails().len(), 1);
        assert_eq!(send(&link, 1).await, Answer::Accepted, "the session goes on");
        assert_eq!(relay.heard(|heard| heard.sessions), 1);
    }
}

#[tokio::test]
async fn after_a_refusal_the_session_is_reset_and_used_again() {
    for offers in [["PIPELINING"], ["HELP"]] {
        for (step, reply, also) in [
            ("MAIL", "550 5.7.1 no", vec![("RCPT", say("503 no")), ("DATA", say("503 no"))]),
            ("RCPT", "550 5.1.1 no", vec![("DATA", say("554 5.5.1 no valid recipients"))]),
            ("RCPT", "550 5.1.1 no", vec![]), // and 354 to DATA all the same
            ("DATA", "451 4.3.0 later", vec![]),
            (".", "554 5.7.1 no", vec![]),
        ] {
            let pipelined = offers == ["PIPELINING"];
            let mut acts = vec![(step, say(reply))];
            acts.extend(also.into_iter().filter(|_| pipelined));
            let (relay, link) = world(Script::of(acts).offering(&offers)).await;
            assert_ne!(send(&link, 1).await, Answer::Accepted, "{step}");
            assert!(!link.is_closed(), "{step}");
            assert_eq!(send(&link, 2).await, Answer::Accepted, "{step}");
            assert_eq!(relay.heard(|heard| heard.sessions), 1);
            let resets = verbs(&relay).iter().filter(|verb| *verb == "RSET").count();
            assert_eq!(resets, usize::from(step != "."), "{step}");
        }
    }
}

#[tokio::test]
async fn an_empty_mail_ends_a_transaction_that_nobody_is_left_in() {
    let script = Script::of([("RCPT", say("550 5.1.1 no"))]);
    let (relay, link) = world(script).await;
    assert!(matches!(send(&link, 1).await, Answer::DropToken { .. }));
    assert_eq!(relay.mails(), [Vec::<u8>::new()]);
    assert_eq!(send(&link, 2).await, Answer::Accepted);
}

#[tokio::test]
async fn a_421_at_any_step_slows_the_route_and_ends_the_session() {
    for step in ["MAIL", "RCPT", "DATA", "."] {
        let script = Script::of([(step, last_words("421 4.7.0 too many"))]);
        let (_relay, link) = world(script).await;
        let answer = send(&link, 1).await;
        assert!(matches!(answer, Answer::RetryRoute { after: None, .. }), "{step}: {answer:?}");
        assert!(link.is_closed(), "{step}");
        assert_eq!(link.capacity(), 0);
        let again = send(&link, 2).await;
        assert!(matches!(again, Answer::RetryElsewhere { .. }), "{step}: {again:?}");
    }
}

#[tokio::test]
async fn a_connection_lost_before_the_dot_is_repeated_elsewhere_and_after_it_is_unknown() {
    for (step, expected) in
        [("MAIL", "elsewhere"), ("RCPT", "elsewhere"), ("DATA", "elsewhere"), (".", "unknown")]
    {
        for act in [Act::Close, Act::SayAndClose("25".to_owned())] {
            let (_relay, link) = world(Script::of([(step, act)])).await;
            let found = match send(&link, 1).await {
                Answer::RetryElsewhere { .. } => "elsewhere",
                Answer::Unknown { .. } => "unknown",
                other => panic!("{step}: {other:?}"),
            };
            assert_eq!(found, expected, "{step}");
            assert!(link.is_closed());
        }
    }
}

#[tokio::test]
async fn a_reply_that_does_not_come_in_time_is_as_a_lost_connection() {
    for step in ["MAIL", "RCPT", "DATA", "."] {
        let late = Act::Late(Duration::from_secs(3), "250 OK\r\n".to_owned());
        let (_relay, link) = hurried(Script::of([(step, late)])).await;
        let answer = send(&link, 1).await;
        if step == "." {
            assert_eq!(answer, Answer::Unknown { reason: "timeout" });
        } else {
            assert_eq!(answer, Answer::RetryElsewhere { reason: "timeout" }, "{step}");
        }
        assert!(link.is_closed());
    }
}

#[tokio::test]
async fn what_is_repeated_after_no_reply_is_the_same_mail() {
    let (relay, link) = world(Script::of([(".", Act::Close)])).await;
    assert!(matches!(send(&link, 7).await, Answer::Unknown { .. }));
    let link = connector(options(relay.address)).open().await.unwrap();
    assert_eq!(send(&link, 7).await, Answer::Accepted);
    let mails = relay.mails();
    assert_eq!(mails[0], mails[1]);
}

#[tokio::test]
async fn garbage_and_replies_without_end_close_the_session() {
    let endless = "250-more\r\n".repeat(20_000);
    for garbage in [endless, "2".repeat(200_000), "hello\r\n".to_owned(), "\u{0}\r\n".to_owned()] {
        let (_relay, link) = world(Script::of([("MAIL", Act::Say(garbage.clone()))])).await;
        let answer = send(&link, 1).await;
        assert_eq!(answer, Answer::RetryElsewhere { reason: "not an SMTP reply" });
        assert!(link.is_closed());
        let relay = Relay::start(Script::of([("greeting", Act::Say(garbage))])).await;
        let refused = connector(options(relay.address)).open().await.err();
        assert!(matches!(refused, Some(ConnectError::Unreachable(_))));
    }
}

#[tokio::test]
async fn a_relay_that_has_closed_the_idle_session_is_noticed_before_a_mail() {
    let script = Script { idle: Duration::from_millis(100), ..Script::default() };
    let (relay, link) = world(script).await;
    assert_eq!(send(&link, 1).await, Answer::Accepted);
    assert!(!link.is_closed());
    until("the relay hangs up", || link.is_closed()).await;
    let (_, link) = (0, connector(options(relay.address)).open().await.unwrap());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = send(&link, 2).await;
    assert_eq!(answer, Answer::RetryElsewhere { reason: "session closed" });
    assert_eq!(relay.mails().len(), 1);
}

#[tokio::test]
async fn an_idle_session_that_ends_as_the_mail_comes_is_no_slowing_down() {
    let script = Script::of([("MAIL", last_words("421 4.4.2 timeout exceeded"))]);
    let (_relay, link) = world(script).await;
    assert!(matches!(send(&link, 1).await, Answer::RetryElsewhere { .. }));
}

#[tokio::test]
async fn a_mail_cut_off_in_the_middle_closes_its_session() {
    let late = Act::Late(Duration::from_secs(30), "250 OK\r\n".to_owned());
    let (_relay, link) = world(Script::of([("MAIL", late)])).await;
    let cut = tokio::time::timeout(Duration::from_millis(100), send(&link, 1)).await;
    assert!(cut.is_err());
    assert!(link.is_closed());
}

#[tokio::test]
async fn a_session_that_is_let_go_says_goodbye() {
    let (relay, link) = world(Script::default()).await;
    assert_eq!(send(&link, 1).await, Answer::Accepted);
    drop(link);
    until("QUIT", || verbs(&relay).last().is_some_and(|verb| verb == "QUIT")).await;
}

#[tokio::test]
async fn a_mail_larger_than_the_relay_takes_is_not_offered() {
    let (relay, link) = world(Script::default().offering(&["PIPELINING", "SIZE 500"])).await;
    let answer = send(&link, 1).await;
    assert!(matches!(answer, Answer::Fail { failure: Failure::RefusedContent, .. }), "{answer:?}");
    assert_eq!(verbs(&relay), ["EHLO"]);
    assert!(!link.is_closed());
}

#[tokio::test]
async fn an_address_that_is_not_ascii_needs_a_relay_that_takes_it() {
    let email = email(1, "élise@example.org");
    let (relay, link) = world(Script::default()).await;
    let answer = link.send(&Notification::Email(email.clone())).await;
    assert!(matches!(answer, Answer::Fail { failure: Failure::RefusedEndpoint, .. }), "{answer:?}");
    assert_eq!(verbs(&relay), ["EHLO"]);
    let offers = ["PIPELINING", "8BITMIME", "SMTPUTF8"];
    let (relay, link) = world(Script::default().offering(&offers)).await;
    assert_eq!(link.send(&Notification::Email(email)).await, Answer::Accepted);
    let commands = relay.commands();
    assert!(commands[1].ends_with(" BODY=8BITMIME SMTPUTF8"), "{commands:?}");
    assert_eq!(commands[2], "RCPT TO:<élise@example.org>");
    let mail = relay.mails().remove(0);
    let message = MessageParser::default().parse(&mail).unwrap();
    let to = message.to().unwrap().first().unwrap().address().unwrap();
    assert_eq!(to, "élise@example.org");
}

#[tokio::test]
async fn an_address_that_is_none_never_reaches_the_relay() {
    let (relay, link) = world(Script::default()).await;
    let email = email(1, "a@example.org>\r\nRCPT TO:<b@example.org");
    let answer = link.send(&Notification::Email(email)).await;
    assert!(matches!(answer, Answer::Fail { failure: Failure::RefusedEndpoint, .. }), "{answer:?}");
    assert_eq!(verbs(&relay), ["EHLO"]);
}

#[tokio::test]
async fn a_relay_that_does_not_want_us_is_told_apart_from_one_that_is_not_there() {
    for (act, refused) in [
        (last_words("554 no SMTP service here"), true),
        (last_words("421 too many connections"), false),
        (Act::Close, false),
        (Act::Late(Duration::from_secs(3), "220 late\r\n".to_owned()), false),
    ] {
        let relay = Relay::start(Script::of([("greeting", act)])).await;
        let error = connector(in_a_hurry(&relay)).open().await.err().unwrap();
        assert_eq!(matches!(error, ConnectError::Refused(_)), refused, "{error}");
        assert!(error.to_string().starts_with(&relay.address.to_string()), "{error}");
    }
    let mut nobody = options("127.0.0.1:1".parse().unwrap());
    nobody.security = Security::None;
    let error = connector(nobody).open().await.err().unwrap();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
}
