//! Mails through a real Postfix: what arrives in the mailbox parses and says
//! what was meant.

use araldo::link::UNSUBSCRIBE;
use araldo::provider::smtp::Security;
use araldo_actors::port::provider::{Answer, Link, Notification};
use mail_parser::{MessageParser, MimeHeaders};

use crate::mail_kit::{ACCEPTED, PUBLIC_URL, connector, email, links, options, secured, send};
use crate::postfix::Postfix;

fn citizens(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("citizen{number}@example.org")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_arrives_over_starttls_and_parses() {
    let citizens = citizens(2);
    let postfix = Postfix::start(&citizens);
    let options = secured(postfix.address, Security::StartTls, &postfix.ca_file());
    let link = connector(options).open().await.unwrap();
    assert_eq!(send(&link, 1).await, Answer::Accepted, "{}", postfix.log());
    let mail = postfix.wait_for(&citizens[1], 1).await.remove(0);
    let message = MessageParser::default().parse(&mail).unwrap();

    let raw = |name: &str| message.header_raw(name.to_owned()).unwrap_or("").trim().to_owned();
    assert_eq!(raw("Return-Path"), "<no-reply@araldo.example.it>");
    assert!(raw("Received").contains("TLSv1.3"), "{}", raw("Received"));
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(from.name(), Some("Comune di Forlì via Araldo"));
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some(citizens[1].as_str()));
    assert_eq!(message.subject(), Some("Bollettino TARI n. 1: è pronto"));
    let accepted = i64::try_from(ACCEPTED.0 / 1000).unwrap();
    assert_eq!(message.date().unwrap().to_timestamp(), accepted);
    assert!(message.message_id().unwrap().ends_with("@araldo.example.it"));
    assert_eq!(raw("Auto-Submitted"), "auto-generated");
    assert_eq!(raw("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    assert_eq!(raw("Content-Language"), "it");
    let sent = email(1, &citizens[1]);
    assert_eq!(raw("X-Araldo-Message-Id"), sent.message.id.to_string());

    let unsubscribe = raw("List-Unsubscribe");
    let link = unsubscribe.trim_matches(['<', '>']);
    let token = link.strip_prefix(&format!("{PUBLIC_URL}{UNSUBSCRIBE}")).unwrap();
    let expected = (sent.message.fiscal_code, sent.service.id.clone());
    assert_eq!(links().open_unsubscribe(token), Ok(expected));

    let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
    for part in ["Tassa sui rifiuti", "31 dicembre 2026, ore 23:59", "301000000000000012", link] {
        assert!(text.contains(part) && html.contains(part), "{part}: {text}\n{html}");
    }
    assert!(text.contains("    .\n    ..punti\n    .\n"), "dots arrive as written: {text}");
    let calendar = message.attachment(0).unwrap();
    assert_eq!(calendar.attachment_name(), Some("scadenza.ics"));
    assert!(calendar.text_contents().unwrap().contains("DTSTART:20261231T225900Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_address_is_gone_and_stops_nobody_else() {
    let citizens = citizens(60);
    let postfix = Postfix::start(&citizens);
    let link = connector(options(postfix.address)).open().await.unwrap();
    let unknown = email(99, "nobody@example.org");
    let answer = link.send(&Notification::Email(unknown)).await;
    let reason = "no such mailbox (x.1.1)";
    assert_eq!(answer, Answer::DropToken { registered_before: None, reason }, "{}", postfix.log());
    for number in 0..60 {
        let answer = send(&link, number).await;
        assert_eq!(answer, Answer::Accepted, "{}", postfix.log());
    }
    assert!(!link.is_closed());
    for citizen in &citizens {
        postfix.wait_for(citizen, 1).await;
    }
    let to = [citizens[0].as_str(), "nobody@example.org", citizens[1].as_str()];
    let answers = link.deliver_to_all(&to, b"Subject: x\r\n\r\n.\r\n").await;
    assert_eq!((&answers[0], &answers[2]), (&Answer::Accepted, &Answer::Accepted));
    assert!(matches!(answers[1], Answer::DropToken { .. }), "{answers:?}");
    postfix.wait_for(&citizens[1], 2).await;
}
