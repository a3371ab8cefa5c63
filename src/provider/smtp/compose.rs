//! Mails: from what the engine says to the bytes a relay gets.
//!
//! Owns headers, text and HTML alternatives, the calendar file and their
//! order (RFC 5322, RFC 2046). Pure and repeatable: an [`Email`] composed
//! twice is the same to the byte, because everything that is usually random
//! or of the moment comes from the delivery: Message-ID and boundaries from
//! its id, Date from when the message was accepted. A relay or reader that
//! got a mail twice can tell.
//!
//! Invariants: what senders and citizens wrote enters a header only through
//! the message builder's encoders, HTML only escaped or sanitised; every mail
//! names organisation and service and how to end such mails (RFC 8058).

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::id::DeliveryId;
use araldo_actors::domain::message::PaymentData;
use araldo_actors::domain::service::Service;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::provider::Email;
use lettre::message::header::{ContentDisposition, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::super::id_text::{UUID_LEN, put_uuid};
use crate::address;
use crate::link::Links;
use phrase::{Phrases, phrases};
use stencil::Stencils;
use template::{MessageView, PaymentView};

mod calendar;
mod figure;
mod front;
mod html;
mod phrase;
mod stencil;
mod template;
mod text;

/// Why a mail cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The recipient's address is none.
    #[error("address is not valid")]
    Address,
    /// A template failed: a fault of ours.
    #[error("mail cannot be written")]
    Template,
}

/// A mail, ready to go.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The recipient's address, checked.
    pub to: String,
    /// Header and body; lines end in CR LF.
    pub bytes: Vec<u8>,
}

/// Addresses and text are personal: a debug print shows only the length.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail({} bytes)", self.bytes.len())
    }
}

#[expect(clippy::expect_used, reason = "fixed text, held by tests")]
static CALENDAR: LazyLock<ContentType> = LazyLock::new(|| {
    let text = "text/calendar; charset=utf-8; method=PUBLISH";
    ContentType::parse(text).expect("a media type")
});

/// Writes the mails of one route.
pub struct Composer {
    from: Mailbox,
    links: Arc<Links>,
    stencils: Stencils,
}

impl Composer {
    /// Mails from `from`, with links of `links`.
    pub(super) fn new(from: Mailbox, links: Arc<Links>) -> Self {
        Self { from, links, stencils: Stencils::new() }
    }

    /// The address of the envelope: where bounces go.
    pub(super) fn sender(&self) -> &str {
        self.from.email.as_ref()
    }

    /// The mail of a delivery.
    ///
    /// # Errors
    /// [`ComposeError`].
    pub fn message(&self, email: &Email) -> Result<Mail, ComposeError> {
        let (message, service) = (&*email.message, &*email.service);
        let words = phrases(email.language);
        let id = uuid(email.delivery);
        let subject = one_line(&message.content.subject);
        let unsubscribe = self.links.unsubscribe(message.fiscal_code, &service.id);
        let write = || bodies(email, words, &subject, &unsubscribe);
        // What a due date looks like depends on the reader.
        let (text, html) = if email.shared && message.content.due_date.is_none() {
            self.stencils.fill((message.id, email.language), &unsubscribe, write)?
        } else {
            write()?
        };
        let domain = self.from.email.domain();
        let to = address::parse(&email.to).ok_or(ComposeError::Address)?;
        let calendar = message.content.due_date.map(|due| {
            let file = calendar::calendar(message, service, due, domain);
            (words.calendar_file, file)
        });
        let head = self
            .head(&self.named(&service.organization.name), &to, &subject)?
            .date(system_time(message.accepted_at))
            .message_id(Some(format!("<{id}@{domain}>")))
            .raw_header(plain("List-Id", format!("<{}.{domain}>", service.id)))
            .raw_header(plain("List-Unsubscribe", format!("<{unsubscribe}>")))
            .raw_header(plain("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()))
            .raw_header(plain("Content-Language", words.lang.to_owned()))
            .raw_header(plain("X-Araldo-Message-Id", message.id.to_string()));
        finish(head, &to, body(&id, text, html, calendar))
    }

    /// The mail that asks to confirm the address `to` by `link`, written at
    /// `at`. The same link gives the same Message-ID.
    ///
    /// # Errors
    /// [`ComposeError`].
    pub fn validation(
        &self,
        to: &str,
        language: Language,
        link: &str,
        at: Millis,
    ) -> Result<Mail, ComposeError> {
        let to = address::parse(to).ok_or(ComposeError::Address)?;
        let words = phrases(language);
        let (text, html) = template::validation(words, link)?;
        let hash = blake3::hash(link.as_bytes()).to_hex();
        let id = &hash[..32];
        let head = self
            .head(&self.from, &to, words.validation_subject)?
            .date(system_time(at))
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(plain("Content-Language", words.lang.to_owned()));
        finish(head, &to, body(id, text, html, None))
    }

    fn head(
        &self,
        from: &Mailbox,
        to: &Address,
        subject: &str,
    ) -> Result<MessageBuilder, ComposeError> {
        Ok(Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(subject)
            .raw_header(plain("Auto-Submitted", "auto-generated".to_owned())))
    }

    /// Our address under the name of who sends.
    fn named(&self, organization: &str) -> Mailbox {
        let organization = one_line(organization);
        let name = match &self.from.name {
            Some(name) => format!("{organization} via {name}"),
            None => organization,
        };
        Mailbox::new(Some(name), self.from.email.clone())
    }
}

/// Text and HTML of a message.
fn bodies(
    email: &Email,
    words: &'static Phrases,
    subject: &str,
    unsubscribe: &str,
) -> Result<(String, String), ComposeError> {
    let content = &email.message.content;
    let due =
        content.due_date.map(|due| figure::date(due, email.timezone.as_deref(), email.language));
    let payment = content
        .payment
        .as_ref()
        .map(|payment| payment_view(payment, &email.service, words, email.language));
    let markdown = front::without(&content.markdown);
    let length = markdown.len();
    let events = html::events(markdown);
    let html = html::html(events.iter().cloned(), length);
    let text = text::text(events.into_iter(), length);
    let view = MessageView {
        words,
        organization: &email.service.organization.name,
        service: &email.service.name,
        subject,
        due,
        payment,
        unsubscribe,
    };
    template::message(&view, text, html)
}

fn payment_view<'a>(
    payment: &'a PaymentData,
    service: &'a Service,
    words: &Phrases,
    language: Language,
) -> PaymentView<'a> {
    let organization = &service.organization;
    let payee = match &payment.payee {
        Some(payee) if *payee != organization.id => format!("{} {payee}", words.payee_code),
        _ => organization.name.clone(),
    };
    PaymentView {
        amount: figure::amount(payment.amount, language),
        notice_number: &payment.notice_number,
        payee,
        invalid_after: payment.invalid_after_due_date,
    }
}

/// The parts in their order: text first, since readers show the last one they
/// can (RFC 2046, 5.1.4).
fn body(id: &str, text: String, html: String, calendar: Option<(&str, String)>) -> MultiPart {
    let alternative = MultiPart::alternative()
        .boundary(format!("araldo-a-{id}"))
        .singlepart(SinglePart::plain(crlf(&text)))
        .singlepart(SinglePart::html(crlf(&html)));
    let Some((name, file)) = calendar else { return alternative };
    let part = SinglePart::builder()
        .header(CALENDAR.clone())
        .header(ContentDisposition::attachment(name))
        .body(file);
    MultiPart::mixed().boundary(format!("araldo-m-{id}")).multipart(alternative).singlepart(part)
}

fn finish(head: MessageBuilder, to: &Address, body: MultiPart) -> Result<Mail, ComposeError> {
    let message = head.multipart(body).map_err(|_| ComposeError::Template)?;
    Ok(Mail { to: to.to_string(), bytes: message.formatted() })
}

/// A header of ours: ASCII without a line end, made from identifiers and
/// links, never from what people wrote. Not folded, since programs that read
/// List-Unsubscribe want the address whole.
fn plain(name: &'static str, value: String) -> HeaderValue {
    let value: String = value.chars().filter(|c| matches!(c, ' '..='~')).collect();
    HeaderValue::dangerous_new_pre_encoded(
        HeaderName::new_from_ascii_str(name),
        value.clone(),
        value,
    )
}

/// The id of a delivery as text.
fn uuid(delivery: DeliveryId) -> String {
    let mut text = Vec::with_capacity(UUID_LEN);
    put_uuid(delivery, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// `text` without line ends and other control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `text` with CR LF line ends; the builder would insert them one by one.
fn crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for line in text.lines() {
        out.push_str(line);
        out.push_str("\r\n");
    }
    out
}

fn system_time(at: Millis) -> SystemTime {
    let seconds = figure::timestamp(at).as_second();
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests;
