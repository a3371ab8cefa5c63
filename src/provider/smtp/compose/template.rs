//! The templates of mails, compiled once.
//!
//! Owns what they are given. HTML escapes everything but the body, which was
//! sanitised; text escapes nothing. A name that a template uses and is not
//! given is an error, held by tests.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::ComposeError;
use super::phrase::Phrases;

/// Name and text of each; the name's ending decides about escaping.
const TEMPLATES: [(&str, &str); 4] = [
    ("message.html", include_str!("message.html")),
    ("message.txt", include_str!("message.txt")),
    ("validation.html", include_str!("validation.html")),
    ("validation.txt", include_str!("validation.txt")),
];

#[expect(clippy::expect_used, reason = "embedded at build time, held by tests")]
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
    });
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text).expect("an embedded template is valid");
    }
    environment
});

/// What a message's templates show.
pub(super) struct MessageView<'a> {
    pub(super) words: &'static Phrases,
    pub(super) organization: &'a str,
    pub(super) service: &'a str,
    pub(super) subject: &'a str,
    pub(super) due: Option<String>,
    pub(super) payment: Option<PaymentView<'a>>,
    pub(super) unsubscribe: &'a str,
}

/// A payment notice, as shown.
pub(super) struct PaymentView<'a> {
    pub(super) amount: String,
    pub(super) notice_number: &'a str,
    pub(super) payee: String,
    pub(super) invalid_after: bool,
}

/// Text and HTML of a message, given its body in both.
pub(super) fn message(
    view: &MessageView<'_>,
    text: String,
    html: String,
) -> Result<(String, String), ComposeError> {
    let payment = view.payment.as_ref().map(|payment| {
        Value::from_pairs([
            ("amount", Value::from(payment.amount.as_str())),
            ("notice_number", Value::from(payment.notice_number)),
            ("payee", Value::from(payment.payee.as_str())),
            ("invalid_after", Value::from(payment.invalid_after)),
        ])
    });
    let values = |body| {
        Value::from_pairs([
            ("t", view.words.value()),
            ("organization", Value::from(view.organization)),
            ("service", Value::from(view.service)),
            ("subject", Value::from(view.subject)),
            ("body", body),
            ("due", Value::from(view.due.as_deref())),
            ("payment", Value::from(payment.clone())),
            ("unsubscribe", address(view.unsubscribe)),
        ])
    };
    let text = render("message.txt", values(Value::from(text)))?;
    Ok((text, render("message.html", values(Value::from_safe_string(html)))?))
}

/// Text and HTML of a validation mail.
pub(super) fn validation(
    words: &'static Phrases,
    link: &str,
) -> Result<(String, String), ComposeError> {
    let values = Value::from_pairs([("t", words.value()), ("link", address(link))]);
    Ok((render("validation.txt", values.clone())?, render("validation.html", values)?))
}

fn render(name: &str, values: Value) -> Result<String, ComposeError> {
    let template = ENVIRONMENT.get_template(name).map_err(|_| ComposeError::Template)?;
    template.render(values).map_err(|_| ComposeError::Template)
}

/// A link of ours. Escaping would write its slashes as entities, which mail
/// filters that look for addresses do not read; one with any character that
/// needs escaping is escaped all the same.
fn address(link: &str) -> Value {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-_~[]".contains(&byte);
    if link.bytes().all(harmless) {
        Value::from_safe_string(link.to_owned())
    } else {
        Value::from(link)
    }
}
