//! Mails from the sender's request to the citizen's mailbox and back: the
//! server as people run it, a real Postfix as its relay.

use bytes::Bytes;
use hyper::Method;
use mail_parser::{Message, MessageParser, MimeHeaders};
use serde_json::{Value, json};
use std::time::Duration;

use crate::http_citizen_kit::{LUCA, ROSA};
use crate::postfix::Postfix;
use crate::stage_kit::{Person, Reply, Sender, Setting, exchange, import};

const ADDRESS: &str = "rosa@example.org";
const PROFILE: &str = "/api/identity/v1/profile";
/// By then every delivery has its outcome.
const REST: Duration = Duration::from_secs(30);

/// A server whose only route is this relay.
async fn server(relay: &Postfix) -> Setting {
    Setting::start(|options| {
        options.providers = Vec::new();
        options.relay = Some(relay.address);
    })
    .await
}

fn parse(mail: &[u8]) -> Message<'_> {
    MessageParser::default().parse(mail).unwrap()
}

fn header(mail: &Message<'_>, name: &str) -> String {
    mail.header_raw(name.to_owned()).unwrap_or("").trim().to_owned()
}

/// Which messages the mails are of.
fn message_ids(mails: &[Vec<u8>]) -> Vec<String> {
    mails.iter().map(|mail| header(&parse(mail), "X-Araldo-Message-Id")).collect()
}

/// A call of whoever has the link, as a browser or a mail program makes it.
async fn follow(setting: &Setting, method: Method, link: &str, form: &'static str) -> Reply {
    let path = link.strip_prefix(setting.stage.base_url()).expect("a link to this server");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    exchange(setting.stage.base_url(), method, path, &headers, Bytes::from_static(form.as_bytes()))
        .await
}

/// A tax with a due date and a payment.
fn tax() -> Value {
    let markdown = "Der **Bescheid** über die Abfallgebühr liegt bereit. ".repeat(3);
    json!({"content": {
        "subject": "Müllgebühr 2026: Bescheid è pronto", "markdown": markdown,
        "due_date": "2026-12-31T22:59:00.000Z",
        "payment_data": {"amount": 12_345, "notice_number": "301000000000000012",
            "invalid_after_due_date": true},
    }})
}

fn assert_is_the_tax(mail: &[u8], id: &str) {
    let mail = parse(mail);
    assert_eq!(mail.subject(), Some("Müllgebühr 2026: Bescheid è pronto"));
    assert_eq!(mail.to().unwrap().first().unwrap().address(), Some(ADDRESS));
    let from = mail.from().unwrap().first().unwrap();
    assert_eq!(from.address(), Some("no-reply@araldo.example"));
    assert!(from.name().unwrap().contains("Ente di prova"), "{from:?}");
    assert!(mail.message_id().unwrap().ends_with("@araldo.example"));
    for (name, value) in [
        ("X-Araldo-Message-Id", id),
        ("Content-Language", "de"),
        ("Auto-Submitted", "auto-generated"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ] {
        assert_eq!(header(&mail, name), value, "{name}");
    }
    assert!(header(&mail, "List-Id").contains("tari"), "{}", header(&mail, "List-Id"));
    let (text, html) = (mail.body_text(0).unwrap(), mail.body_html(0).unwrap());
    let unsubscribe = header(&mail, "List-Unsubscribe");
    for part in [
        "31. Dezember 2026, 23:59 Uhr",
        "123,45\u{a0}€",
        "301000000000000012",
        "Frist",
        unsubscribe.trim_matches(['<', '>']),
    ] {
        assert!(text.contains(part), "{part}: {text}");
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(html.contains("<html lang=\"de\">") && html.contains("<strong>Bescheid</strong>"));
    let calendar = mail.attachment(0).unwrap();
    assert!(calendar.attachment_name().unwrap().ends_with(".ics"));
    assert!(calendar.text_contents().unwrap().contains("DTSTART:20261231T225900Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_click_ends_the_mails_of_that_service_and_of_no_other() {
    let postfix = Postfix::start(&[ADDRESS.to_owned()]);
    let setting = server(&postfix).await;
    let stage = &setting.stage;
    let tari = Sender::of(stage, "tari", "Tassa sui rifiuti").await;
    let anagrafe = Sender::of(stage, "anagrafe", "Anagrafe").await;
    let line = json!({"fiscal_code": ROSA, "email": ADDRESS, "email_validated": true,
        "languages": ["de_DE", "it_IT"], "timezone": "Europe/Rome"});
    import(stage, &[line]).await;
    let rosa = Person::of(stage, ROSA);

    let first = tari.send_with(&rosa, tax(), None).await;
    let mail = postfix.wait_for(ADDRESS, 1).await.remove(0);
    assert_is_the_tax(&mail, &first);
    setting.rest(REST).await;
    assert_eq!(tari.delivery(&rosa, &first, "email").await.0, "delivered");

    // Whoever only looks, as scanners of mails do, changes nothing.
    let link = header(&parse(&mail), "List-Unsubscribe").trim_matches(['<', '>']).to_owned();
    let preferences = "/api/identity/v1/services/tari/preferences";
    let page = follow(&setting, Method::GET, &link, "").await.expect(200).text();
    assert!(page.contains("<form method=\"post\">"), "{page}");
    assert_eq!(rosa.get(preferences).await["is_email_enabled"], true);
    // RFC 8058, section 3.2: no token, no cookie, only the link and the form.
    follow(&setting, Method::POST, &link, "List-Unsubscribe=One-Click").await.expect(200);
    let switches = rosa.get(preferences).await;
    let switch = |name: &str| switches[name].as_bool().unwrap();
    assert!(!switch("is_email_enabled"), "{switches}");
    assert!(switch("is_inbox_enabled") && switch("is_webhook_enabled"), "{switches}");

    let second = tari.send_with(&rosa, tax(), None).await;
    let other = anagrafe.send(&rosa).await;
    postfix.wait_for(ADDRESS, 2).await;
    setting.rest(REST).await;
    let suppressed = ("suppressed".to_owned(), "service_preference".to_owned());
    assert_eq!(tari.delivery(&rosa, &second, "email").await, suppressed);
    assert_eq!(anagrafe.delivery(&rosa, &other, "email").await.0, "delivered");
    // The link that was used may be used again, and still means the same.
    follow(&setting, Method::POST, &link, "List-Unsubscribe=One-Click").await.expect(200);
    assert_eq!(message_ids(&postfix.mails(ADDRESS)), [first.clone(), other.clone()]);
    assert_eq!(rosa.inbox(false).await.len(), 3, "the inbox has all");
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
    assert_eq!(message_ids(&postfix.mails(ADDRESS)), [first, other], "and none came late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_gets_mail_once_its_owner_has_followed_the_link() {
    let address = "luca@example.org";
    let postfix = Postfix::start(&[address.to_owned()]);
    let setting = server(&postfix).await;
    let anagrafe = Sender::of(&setting.stage, "anagrafe", "Anagrafe").await;
    let luca = Person::of(&setting.stage, LUCA);
    let body = json!({"version": 0, "accepted_tos_version": 1, "email": address,
        "preferred_languages": ["en_GB"], "service_preferences_settings": {"mode": "AUTO"}});
    let made = luca.post(PROFILE, body).await;
    assert_eq!((&made["email"], &made["is_email_validated"]), (&json!(address), &json!(false)));

    let mail = postfix.wait_for(address, 1).await.remove(0);
    let early = anagrafe.send(&luca).await;
    setting.rest(REST).await;
    let suppressed = ("suppressed".to_owned(), "address_not_validated".to_owned());
    assert_eq!(anagrafe.delivery(&luca, &early, "email").await, suppressed);

    let mail = parse(&mail);
    assert_eq!(mail.subject(), Some("Confirm your e-mail address"));
    assert_eq!(header(&mail, "Content-Language"), "en");
    let text = mail.body_text(0).unwrap();
    let link = text.split_whitespace().find(|word| word.contains("/email/validate/")).unwrap();
    let page = follow(&setting, Method::GET, link, "").await.expect(200).text();
    assert!(page.contains("<form method=\"post\">"), "{page}");
    assert_eq!(luca.get(PROFILE).await["is_email_validated"], false, "looking is not confirming");
    follow(&setting, Method::POST, link, "confirm=yes").await.expect(200);
    assert_eq!(luca.get(PROFILE).await["is_email_validated"], true);

    let next = anagrafe.send(&luca).await;
    let mails = postfix.wait_for(address, 2).await;
    assert_eq!(message_ids(&mails), ["".to_owned(), next.clone()]);
    setting.rest(REST).await;
    assert_eq!(anagrafe.delivery(&luca, &next, "email").await.0, "delivered");
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
    assert_eq!(postfix.mails(address).len(), 2, "and none came late");
}
