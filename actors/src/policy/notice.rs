//! What a push notification shows.
//!
//! Organisation and subject only for a citizen who chose full notifications
//! and content that may show; everyone else sees that there is a message and
//! nothing of it (IO: `pushNotificationsContentType`, DPIA "push carries no
//! content").

use crate::domain::citizen::{Citizen, Language};
use crate::domain::message::Content;
use crate::domain::preference::PushContent;
use crate::domain::push::Notice;
use crate::domain::service::Service;
use crate::policy::routing::is_secure;

/// The notice of a message of `service` for `citizen`.
#[must_use]
pub fn notice(citizen: &Citizen, service: &Service, content: &Content) -> Notice {
    let language = citizen.language();
    if shows(citizen, is_secure(content, service)) {
        Notice { title: service.organization.name.clone(), body: content.subject.clone(), language }
    } else {
        anonymous(language)
    }
}

/// Whether a push to `citizen` may show what it is about.
#[must_use]
pub fn shows(citizen: &Citizen, secure: bool) -> bool {
    citizen.push_content == PushContent::Full && !secure
}

/// The notice that says only that there is a message.
#[must_use]
pub fn anonymous(language: Language) -> Notice {
    let (title, body) = phrase(language);
    Notice { title: title.into(), body: body.into(), language }
}

/// Title and text that say nothing of the message.
const fn phrase(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::Italian => ("Hai un nuovo messaggio", "Entra nell'app per leggerlo"),
        Language::English => ("You have a new message", "Open the app to read it"),
        Language::Spanish => ("Tienes un mensaje nuevo", "Abre la app para leerlo"),
        Language::German => {
            ("Sie haben eine neue Nachricht", "Öffnen Sie die App, um sie zu lesen")
        }
        Language::French => ("Vous avez un nouveau message", "Ouvrez l'application pour le lire"),
    }
}

#[cfg(test)]
mod tests {
    use super::notice;
    use crate::domain::citizen::Language;
    use crate::domain::preference::PushContent;
    use crate::policy::fixture::{citizen, message, service};

    #[test]
    fn shows_the_message_only_where_citizen_and_content_allow_it() {
        let content = message().content;
        for (chosen, secure_service, secure_content, shown) in [
            (PushContent::Full, false, None, true),
            (PushContent::Full, true, None, false),
            (PushContent::Full, true, Some(false), true),
            (PushContent::Full, false, Some(true), false),
            (PushContent::Anonymous, false, None, false),
        ] {
            let mut citizen = citizen();
            citizen.push_content = chosen;
            let mut service = service();
            service.require_secure_channels = secure_service;
            let mut content = content.clone();
            content.require_secure_channels = secure_content;
            let notice = notice(&citizen, &service, &content);
            assert_eq!(notice.body == content.subject, shown);
            assert_eq!(notice.title == service.organization.name, shown);
        }
    }

    #[test]
    fn speaks_the_citizens_first_language() {
        let mut citizen = citizen();
        citizen.languages = vec![Language::German, Language::Italian];
        let notice = notice(&citizen, &service(), &message().content);
        assert_eq!(notice.title, "Sie haben eine neue Nachricht");
    }
}
