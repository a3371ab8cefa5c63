//! Small pages without anything to load: one style, a heading, a sentence, at
//! most one button. Italian, or English where the browser asks for it.

use std::sync::LazyLock;

use araldo_actors::domain::service::Service;
use aws_lc_rs::digest::{SHA256, digest};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, StatusCode};

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;\
    padding:0 1.2rem;color:#17324d;background:#fff}h1{font-size:1.5rem}button{font:inherit;\
    padding:.7rem 1.4rem;border:0;border-radius:.3rem;background:#06c;color:#fff;cursor:pointer}\
    button:focus-visible{outline:3px solid #f90;outline-offset:2px}";

/// Nothing but the page's own style, and forms that come back here.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    ))
    .ok()
});

/// The texts in one language.
pub struct Words {
    pub language: &'static str,
    pub unsubscribe: &'static str,
    pub unsubscribe_text: &'static str,
    pub unsubscribe_button: &'static str,
    pub unsubscribed: &'static str,
    pub unsubscribed_text: &'static str,
    pub validate: &'static str,
    pub validate_text: &'static str,
    pub validate_button: &'static str,
    pub validated: &'static str,
    pub validated_text: &'static str,
    pub taken: &'static str,
    pub taken_text: &'static str,
    pub gone: &'static str,
    pub gone_text: &'static str,
    pub invalid: &'static str,
    pub invalid_text: &'static str,
    pub failed: &'static str,
    pub failed_text: &'static str,
}

const ITALIAN: Words = Words {
    language: "it",
    unsubscribe: "Non vuoi più ricevere e-mail?",
    unsubscribe_text: "Le e-mail di questo servizio non ti arriveranno più. I messaggi continuano \
        ad arrivare nell'app, e puoi cambiare idea quando vuoi.",
    unsubscribe_button: "Non inviarmi più e-mail",
    unsubscribed: "Fatto",
    unsubscribed_text: "Questo servizio non ti invierà più e-mail. I messaggi continuano ad \
        arrivare nell'app.",
    validate: "Confermi il tuo indirizzo e-mail?",
    validate_text: "Se l'hai chiesto tu, conferma: i messaggi ti arriveranno anche per e-mail. Se \
        non l'hai chiesto, chiudi questa pagina.",
    validate_button: "Conferma l'indirizzo",
    validated: "Indirizzo confermato",
    validated_text: "Da ora i messaggi possono arrivarti anche per e-mail.",
    taken: "Indirizzo già usato",
    taken_text: "Un'altra persona ha confermato questo indirizzo. Scegline un altro nell'app.",
    gone: "Il link non vale più",
    gone_text: "È scaduto, oppure l'indirizzo del profilo è cambiato. Puoi chiedere un nuovo link \
        nell'app.",
    invalid: "Il link non è valido",
    invalid_text: "Forse è stato copiato solo in parte. Aprilo di nuovo dall'e-mail.",
    failed: "Non ci siamo riusciti",
    failed_text: "In questo momento non è possibile. Riprova tra qualche minuto.",
};

const ENGLISH: Words = Words {
    language: "en",
    unsubscribe: "Do you want no more e-mails?",
    unsubscribe_text: "This service will send you no more e-mails. Its messages still arrive in \
        the app, and you can change your mind at any time.",
    unsubscribe_button: "Send me no more e-mails",
    unsubscribed: "Done",
    unsubscribed_text: "This service will send you no more e-mails. Its messages still arrive in \
        the app.",
    validate: "Is this your e-mail address?",
    validate_text: "If you asked for this, confirm: messages will reach you by e-mail too. If you \
        did not, close this page.",
    validate_button: "Confirm the address",
    validated: "Address confirmed",
    validated_text: "From now on messages can reach you by e-mail too.",
    taken: "The address is in use",
    taken_text: "Somebody else confirmed this address. Choose another one in the app.",
    gone: "This link is over",
    gone_text: "It has expired, or the address of the profile has changed. You can ask for a new \
        link in the app.",
    invalid: "This link is not valid",
    invalid_text: "Perhaps only a part of it was copied. Open it from the e-mail again.",
    failed: "That did not work",
    failed_text: "It is not possible at this moment. Try again in a few minutes.",
};

impl Words {
    /// The language the browser prefers of the two (RFC 9110, section
    /// 12.5.4); Italian when it says nothing.
    pub fn of(headers: &HeaderMap) -> Self {
        let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let (mut italian, mut english) = (0.0_f32, 0.0_f32);
        for range in asked.unwrap_or("it").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let quality = quality.unwrap_or(1.0_f32);
            match tag.split('-').next() {
                Some("it") => italian = italian.max(quality),
                Some("en") => english = english.max(quality),
                _ => {}
            }
        }
        if english > italian { ENGLISH } else { ITALIAN }
    }
}

/// One page.
pub struct Page {
    title: &'static str,
    text: &'static str,
    button: Option<&'static str>,
    service: Option<Service>,
}

impl Page {
    /// A page with a button that sends a POST to where the page is.
    pub const fn asking(title: &'static str, text: &'static str, button: &'static str) -> Self {
        Self { title, text, button: Some(button), service: None }
    }

    /// A page that only says something.
    pub const fn saying(title: &'static str, text: &'static str) -> Self {
        Self { title, text, button: None, service: None }
    }

    /// Names the service it is about.
    pub fn about(mut self, service: Option<Service>) -> Self {
        self.service = service;
        self
    }

    /// The page as an answer.
    pub fn answer(self, words: &Words, status: StatusCode) -> Response {
        let html = self.html(words.language);
        let mut headers = HeaderMap::new();
        let fixed = |text: &'static str| HeaderValue::from_static(text);
        headers.insert(CONTENT_TYPE, fixed("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, fixed("no-store"));
        headers.insert(REFERRER_POLICY, fixed("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert("x-robots-tag", fixed("noindex"));
        if let Some(policy) = POLICY.as_ref() {
            headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
        }
        (status, headers, html).into_response()
    }

    fn html(&self, language: &str) -> String {
        let service = self.service.as_ref().map_or_else(String::new, |service| {
            let (name, organization) = (escape(&service.name), escape(&service.organization.name));
            format!("<p><strong>{name}</strong><br>{organization}</p>")
        });
        let button = self.button.map_or_else(String::new, |label| {
            format!(
                "<form method=\"post\"><input type=\"hidden\" name=\"confirm\" value=\"yes\">\
                 <button>{label}</button></form>"
            )
        });
        let (title, text) = (self.title, self.text);
        format!(
            "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>\
             {service}<p>{text}</p>{button}</main></body></html>\n"
        )
    }
}

/// `text` as it stands in HTML.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, Words, escape};

    #[test]
    fn the_browser_chooses_between_two_languages() {
        for (asked, language) in [
            ("en-GB,en;q=0.9,it;q=0.8", "en"),
            ("it-IT,it;q=0.9,en;q=0.8", "it"),
            ("de-DE,de;q=0.9,en;q=0.5", "en"),
            ("de", "it"),
            ("", "it"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(asked));
            assert_eq!(Words::of(&headers).language, language, "{asked}");
        }
        assert_eq!(Words::of(&HeaderMap::new()).language, "it");
    }

    #[test]
    fn a_name_cannot_become_markup() {
        assert_eq!(
            escape("<b>\"L'Aquila\" & co</b>"),
            "&lt;b&gt;&quot;L&#39;Aquila&quot; &amp; co&lt;/b&gt;"
        );
    }
}
