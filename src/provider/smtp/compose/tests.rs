//! What every mail must have.

use std::sync::Arc;

use araldo_actors::domain::delivery::Endpoint;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, OrganizationId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::{Content, FeatureLevel, Message};
use araldo_actors::domain::service::{Organization, ServiceCategory};
use icalendar::Component;
use mail_parser::{MessageParser, MimeHeaders};
use tokio::time::Instant;

use super::*;
use crate::secret::Secret;

fn composer(from: &str) -> Composer {
    let links = Links::new(&Secret::new([7; 32]), "https://araldo.example.it");
    Composer::new(from.parse().unwrap(), Arc::new(links))
}

fn service() -> Service {
    Service {
        id: ServiceId::parse("tari-2026").unwrap(),
        name: "Tassa sui rifiuti".to_owned(),
        department: "Tributi".to_owned(),
        organization: Organization {
            id: OrganizationId::parse("01234567890").unwrap(),
            name: "Comune di Forlì".to_owned(),
        },
        category: ServiceCategory::Standard,
        require_secure_channels: false,
        max_payment_cents: 0,
        lane: Lane::Normal,
        groups: Vec::new(),
        authorized_cidrs: Vec::new(),
        authorized_recipients: Vec::new(),
        enabled: true,
    }
}

const MARKDOWN: &str = "Gentile cittadina,\n\nil **bollettino** della tassa sui rifiuti è pronto: \
    [aprilo](https://comune.example.it/tari?anno=2026&rata=1).\n\n- prima rata\n- seconda rata\n\n\
    <script>alert(1)</script>\n\n![pixel](https://tracker.example/p.png)";

fn email(change: impl FnOnce(&mut Content)) -> Email {
    let mut content = Content {
        subject: "Il bollettino TARI è pronto".to_owned(),
        markdown: MARKDOWN.to_owned(),
        require_secure_channels: None,
        due_date: None,
        payment: None,
        extra: None,
    };
    change(&mut content);
    let id = MessageId::new(Millis(1_795_300_000_000), 7);
    let message = Message {
        id,
        fiscal_code: FiscalCode::parse("AAAAAA00A00A000A").unwrap(),
        service: service().id,
        accepted_at: Millis(1_795_300_000_000),
        time_to_live: 3600,
        lane: Lane::Normal,
        feature_level: FeatureLevel::Standard,
        content,
    };
    Email {
        delivery: Endpoint::Mailbox.delivery_id(id),
        to: "citizen@example.org".to_owned(),
        language: Language::Italian,
        timezone: None,
        message: Arc::new(message),
        service: Arc::new(service()),
        shared: false,
    }
}

fn full(content: &mut Content) {
    content.due_date = Some(Millis(1_798_757_940_000));
    content.payment = Some(PaymentData {
        amount: 123_456,
        notice_number: "301000000000000012".to_owned(),
        invalid_after_due_date: true,
        payee: None,
    });
}

fn composed(email: &Email) -> Vec<u8> {
    composer("Araldo <no-reply@araldo.example.it>").message(email).unwrap().bytes
}

fn header<'a>(message: &'a mail_parser::Message<'_>, name: &str) -> &'a str {
    let value = message.header_raw(name.to_owned()).unwrap_or_else(|| panic!("no {name}"));
    value.trim()
}

#[test]
fn a_mail_carries_every_header_it_must() {
    let bytes = composed(&email(|_| {}));
    let message = MessageParser::default().parse(&bytes).unwrap();
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(from.name().unwrap(), "Comune di Forlì via Araldo");
    assert_eq!(from.address().unwrap(), "no-reply@araldo.example.it");
    assert_eq!(message.to().unwrap().first().unwrap().address().unwrap(), "citizen@example.org");
    assert_eq!(message.subject().unwrap(), "Il bollettino TARI è pronto");
    assert_eq!(message.date().unwrap().to_timestamp(), 1_795_300_000);
    let delivery = uuid(email(|_| {}).delivery);
    assert_eq!(message.message_id().unwrap(), format!("{delivery}@araldo.example.it"));
    assert_eq!(header(&message, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&message, "List-Id"), "<tari-2026.araldo.example.it>");
    let unsubscribe = header(&message, "List-Unsubscribe");
    assert!(unsubscribe.starts_with("<https://araldo.example.it/email/unsubscribe/"));
    assert_eq!(header(&message, "List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    assert_eq!(header(&message, "Content-Language"), "it");
    let id = email(|_| {}).message.id.to_string();
    assert_eq!(header(&message, "X-Araldo-Message-Id"), id);
}

#[test]
fn text_and_html_say_the_same_and_nothing_that_acts() {
    let bytes = composed(&email(full));
    let message = MessageParser::default().parse(&bytes).unwrap();
    let text = message.body_text(0).unwrap();
    let html = message.body_html(0).unwrap();
    for part in [
        "Comune di Forlì",
        "Tassa sui rifiuti",
        "Il bollettino TARI è pronto",
        "31 dicembre 2026, ore 23:59",
        "1.234,56\u{a0}€",
        "301000000000000012",
        "non può più essere pagato",
        "https://araldo.example.it/email/unsubscribe/",
        "seconda rata",
        "pixel",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
        assert!(html.contains(part), "{part} not in {html}");
    }
    assert!(text.contains("aprilo (https://comune.example.it/tari?anno=2026&rata=1)"), "{text}");
    assert!(
        html.contains("href=\"https://comune.example.it/tari?anno=2026&amp;rata=1\""),
        "{html}"
    );
    for bad in ["alert(1)", "tracker.example", "**"] {
        assert!(!text.contains(bad) && !html.contains(bad), "{bad}");
    }
}

#[test]
fn a_due_date_comes_as_a_calendar_file_too() {
    let bytes = composed(&email(full));
    let message = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(message.attachment_count(), 1);
    let part = message.attachment(0).unwrap();
    assert_eq!(part.attachment_name(), Some("scadenza.ics"));
    let kind = part.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("text", Some("calendar")));
    let file = part.text_contents().unwrap();
    let calendar: icalendar::Calendar = file.parse().unwrap();
    let event = calendar.events().next().unwrap();
    assert_eq!(event.get_summary(), Some("Il bollettino TARI è pronto"));
    assert_eq!(event.property_value("DTSTART"), Some("20261231T225900Z"));
    assert!(file.contains("BEGIN:VALARM"), "{file}");
    let bytes = composed(&email(|_| {}));
    let message = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(message.attachment_count(), 0, "no due date, no file");
}

#[test]
fn the_same_delivery_gives_the_same_bytes() {
    let first = composed(&email(full));
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(first, composed(&email(full)));
}

#[test]
fn every_language_has_its_words() {
    for (language, lang, word) in [
        (Language::Italian, "it", "Scadenza"),
        (Language::English, "en", "Due date"),
        (Language::Spanish, "es", "Vencimiento"),
        (Language::German, "de", "Frist"),
        (Language::French, "fr", "Échéance"),
    ] {
        let mut email = email(full);
        email.language = language;
        let bytes = composed(&email);
        let message = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(header(&message, "Content-Language"), lang);
        assert!(message.body_text(0).unwrap().contains(word));
        assert!(message.body_html(0).unwrap().contains(&format!("<html lang=\"{lang}\">")));
    }
}

#[test]
fn nothing_a_sender_writes_makes_a_header() {
    let mut email = email(|content| {
        content.subject = "Avviso\r\nBcc: all@example.org\r\n\r\n<b>".to_owned();
    });
    let mut service = service();
    service.organization.name = "Ente \"X\" <x@y>\r\nBcc: all@example.org".to_owned();
    email.service = Arc::new(service);
    let bytes = composed(&email);
    let message = MessageParser::default().parse(&bytes).unwrap();
    assert!(message.bcc().is_none());
    assert_eq!(message.from().unwrap().iter().count(), 1);
    assert!(message.body_html(0).unwrap().contains("&lt;b&gt;"));
}

#[test]
fn a_mail_is_seven_bit_with_short_lines_and_no_line_end_but_cr_lf() {
    let mut email = email(full);
    Arc::make_mut(&mut email.message).content.markdown = "à".repeat(10_000);
    let bytes = composed(&email);
    assert!(bytes.is_ascii());
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
    let longest = text.lines().map(str::len).max().unwrap();
    assert!(longest <= 998, "{longest} (RFC 5322, 2.1.1)");
}

#[test]
fn an_address_that_is_none_is_told_apart() {
    for bad in ["", "citizen", "a@b\r\nRCPT TO:<x@y>", "a b@example.org", "<a@example.org>", "a@"] {
        let mut email = email(|_| {});
        email.to = bad.to_owned();
        let error = composer("no-reply@example.it").message(&email);
        assert_eq!(error, Err(ComposeError::Address), "{bad:?}");
    }
}

#[test]
fn a_validation_mail_carries_its_link_in_both_forms() {
    let link = "https://araldo.example.it/email/validate/abc_-123";
    for language in [
        Language::Italian,
        Language::English,
        Language::Spanish,
        Language::German,
        Language::French,
    ] {
        let composer = composer("Araldo <no-reply@araldo.example.it>");
        let at = Millis(1_795_300_000_000);
        let mail = composer.validation("citizen@example.org", language, link, at).unwrap();
        assert_eq!(mail, composer.validation("citizen@example.org", language, link, at).unwrap());
        let message = MessageParser::default().parse(&mail.bytes).unwrap();
        assert!(message.body_text(0).unwrap().contains(link));
        assert!(message.body_html(0).unwrap().contains(link));
        assert_eq!(message.subject().unwrap(), phrases(language).validation_subject);
    }
}

/// Markdown made to be costly, of the longest that is taken.
fn hostile() -> Vec<String> {
    let full = |piece: &str| piece.repeat(10_000 / piece.len());
    let mut all: Vec<String> = [
        ">",
        "> ",
        "[",
        "[a](",
        "![",
        "<b>",
        "<table>",
        "*a ",
        "- ",
        "`",
        "&amp;",
        "|a",
        "a\\\n",
        "**a_",
        "<a href='",
    ]
    .map(full)
    .to_vec();
    all.push(format!("{}{}", ">".repeat(4_000), "a\\\n".repeat(1_500)));
    all.push(format!("|{}\n|{}\n{}", "a|".repeat(1_000), "-|".repeat(1_000), "|\n".repeat(2_000)));
    all
}

#[test]
fn no_text_makes_a_mail_out_of_proportion() {
    for markdown in hostile() {
        let mut email = email(full);
        Arc::make_mut(&mut email.message).content.markdown = markdown.clone();
        let begin = Instant::now();
        let bytes = composed(&email).len();
        let start: String = markdown.chars().take(10).collect();
        assert!(bytes < 1_000_000, "{bytes} bytes of {start:?}");
        assert!(begin.elapsed().as_secs() < 3, "{:?} for {start:?}", begin.elapsed());
    }
}

/// Run with `--release -- --ignored --nocapture` for the figure.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "the figure is its result")]
fn cost_of_a_mail() {
    let writer = || composer("Araldo <no-reply@araldo.example.it>");
    for (name, shared, markdown) in [
        ("500 characters", false, MARKDOWN.repeat(2)),
        ("500 characters to many", true, MARKDOWN.repeat(2)),
        ("10,000 characters", false, MARKDOWN.repeat(40)),
        ("10,000 characters to many", true, MARKDOWN.repeat(40)),
    ] {
        let composer = writer();
        let mut email = Email { shared, ..email(|_| {}) };
        Arc::make_mut(&mut email.message).content.markdown = markdown;
        let rounds = 5_000_u32;
        let begin = Instant::now();
        let mut bytes = 0;
        for _ in 0..rounds {
            bytes = composer.message(&email).unwrap().bytes.len();
        }
        let cost = begin.elapsed() / rounds;
        eprintln!("{name}: {cost:?} a mail of {bytes} bytes");
    }
    let composer = writer();
    for markdown in hostile() {
        let mut email = email(full);
        Arc::make_mut(&mut email.message).content.markdown = markdown.clone();
        let begin = Instant::now();
        let bytes = composer.message(&email).unwrap().bytes.len();
        let start: String = markdown.chars().take(10).collect();
        eprintln!("{start:?}…: {:?} a mail of {bytes} bytes", begin.elapsed());
    }
}

#[test]
fn a_shared_text_makes_the_same_mail_for_each_reader_as_one_of_their_own() {
    let composer = composer("Araldo <no-reply@example.it>");
    for (number, code) in ["AAAAAA00A00A000A", "BBBBBB00B00B000B"].into_iter().enumerate() {
        let mut own = email(|_| {});
        let message = Arc::make_mut(&mut own.message);
        message.fiscal_code = FiscalCode::parse(code).unwrap();
        own.to = format!("citizen{number}@example.org");
        let shared = Email { shared: true, ..own.clone() };
        let expected = composer.message(&own).unwrap();
        assert_eq!(composer.message(&shared).unwrap(), expected);
        assert_eq!(composer.message(&shared).unwrap(), expected, "kept");
    }
}

#[test]
fn a_shared_text_is_kept_apart_by_language_and_due_dates_by_reader() {
    let composer = composer("Araldo <no-reply@example.it>");
    let first = Email { shared: true, ..email(full) };
    let elsewhere = Email { timezone: Some("America/New_York".to_owned()), ..first.clone() };
    let other = Email { language: Language::German, ..first.clone() };
    for email in [first, elsewhere, other] {
        let own = Email { shared: false, ..email.clone() };
        assert_eq!(composer.message(&email), composer.message(&own));
    }
}
