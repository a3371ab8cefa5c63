//! The pages that links in mails lead to.
//!
//! Both answer GET with a button and act on POST only: mail scanners follow
//! links. A mail program's one-click POST (RFC 8058, section 3.2) is answered
//! 200, without redirects, cookies or anything to load. The link itself is the
//! permission; its token is in no log and in no page.

use araldo_actors::domain::preference::ServicePreference;
use araldo_actors::engine::ChangeError;
use araldo_actors::policy::routing;
use axum::extract::{Request, State};
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};

use crate::http::app::App;
use crate::http::body::{self, Segments};
use crate::http::problem::Problem;
use crate::link::LinkError;
use page::{Page, Words};

mod page;

/// Longest form of a mail program or browser.
const FORM_BYTES: usize = 16 * 1024;

/// Asks whether mails of a service shall end.
#[utoipa::path(
    get,
    path = "/email/unsubscribe/{token}",
    tag = "links",
    operation_id = "askUnsubscribe",
    params(("token" = String, Path, description = "From a mail")),
    responses(
        (status = 200, description = "A page with a button", body = String, content_type = "text/html"),
        (status = 404, description = "The link is not valid", body = String, content_type = "text/html"),
    )
)]
pub async fn ask_unsubscribe(
    State(app): State<App>,
    Segments(token): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let words = Words::of(&headers);
    match app.citizens().links.open_unsubscribe(&token) {
        Ok((_, service)) => {
            let service = app.engine().directory().service(&service);
            Page::asking(words.unsubscribe, words.unsubscribe_text, words.unsubscribe_button)
                .about(service.as_deref().cloned())
                .answer(&words, StatusCode::OK)
        }
        Err(error) => refused(&words, error),
    }
}

/// Ends the mails of a service: sets that citizen's e-mail switch for it off.
/// Every other switch stays.
#[utoipa::path(
    post,
    path = "/email/unsubscribe/{token}",
    tag = "links",
    operation_id = "unsubscribe",
    params(("token" = String, Path, description = "From a mail")),
    responses(
        (status = 200, description = "No more mails of this service", body = String, content_type = "text/html"),
        (status = 404, description = "The link is not valid", body = String, content_type = "text/html"),
    )
)]
pub async fn unsubscribe(
    State(app): State<App>,
    Segments(token): Segments<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // Any form will do: the token says everything.
    body::read(&app, &parts.headers, body, FORM_BYTES).await?;
    let words = Words::of(&parts.headers);
    let (code, id) = match app.citizens().links.open_unsubscribe(&token) {
        Ok(opened) => opened,
        Err(error) => return Ok(refused(&words, error)),
    };
    let service = app.engine().directory().service(&id);
    let now = app.engine().now();
    let changing = app.engine().change_citizen(code, |present| {
        let mut citizen = present.ok_or(Nobody)?;
        let stored = citizen.preferences.get(&id).copied();
        let present = stored.or_else(|| {
            service.as_ref().map(|service| routing::preference(&citizen, service, now))
        });
        let preference =
            ServicePreference { email: false, ..present.unwrap_or(ServicePreference::ALL) };
        citizen.preferences.insert(id.clone(), preference);
        Ok(citizen)
    });
    match app.within_write(changing).await? {
        // Whoever is not registered gets no mail.
        Ok(_) | Err(ChangeError::Refused(Nobody)) => {
            Ok(Page::saying(words.unsubscribed, words.unsubscribed_text)
                .about(service.as_deref().cloned())
                .answer(&words, StatusCode::OK))
        }
        Err(error) => Err(of_store(&app, error)),
    }
}

/// Asks whether an address is its reader's.
#[utoipa::path(
    get,
    path = "/email/validate/{token}",
    tag = "links",
    operation_id = "askValidate",
    params(("token" = String, Path, description = "From a mail")),
    responses(
        (status = 200, description = "A page with a button", body = String, content_type = "text/html"),
        (status = 404, description = "The link is not valid", body = String, content_type = "text/html"),
        (status = 410, description = "The link has expired", body = String, content_type = "text/html"),
    )
)]
pub async fn ask_validate(
    State(app): State<App>,
    Segments(token): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let words = Words::of(&headers);
    match app.citizens().links.open_validate(&token, app.engine().now()) {
        Ok(_) => Page::asking(words.validate, words.validate_text, words.validate_button)
            .answer(&words, StatusCode::OK),
        Err(error) => refused(&words, error),
    }
}

/// Confirms an address, if it is still the one of the profile.
#[utoipa::path(
    post,
    path = "/email/validate/{token}",
    tag = "links",
    operation_id = "validate",
    params(("token" = String, Path, description = "From a mail")),
    responses(
        (status = 200, description = "Confirmed", body = String, content_type = "text/html"),
        (status = 404, description = "The link is not valid", body = String, content_type = "text/html"),
        (status = 409, description = "Another citizen confirmed this address", body = String, content_type = "text/html"),
        (status = 410, description = "The link has expired, or the profile has another address", body = String, content_type = "text/html"),
    )
)]
pub async fn validate(
    State(app): State<App>,
    Segments(token): Segments<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    body::read(&app, &parts.headers, body, FORM_BYTES).await?;
    let words = Words::of(&parts.headers);
    let (code, address) = match app.citizens().links.open_validate(&token, app.engine().now()) {
        Ok(opened) => opened,
        Err(error) => return Ok(refused(&words, error)),
    };
    let changing = app.engine().change_citizen(code, |present| {
        let mut citizen =
            present.filter(|citizen| citizen.address() == Some(address)).ok_or(Nobody)?;
        citizen.email_validated = true;
        Ok(citizen)
    });
    let (title, text, status) = match app.within_write(changing).await? {
        Ok(_) => (words.validated, words.validated_text, StatusCode::OK),
        Err(ChangeError::Refused(Nobody)) => (words.gone, words.gone_text, StatusCode::GONE),
        Err(ChangeError::AddressTaken) => (words.taken, words.taken_text, StatusCode::CONFLICT),
        Err(error) => return Err(of_store(&app, error)),
    };
    Ok(Page::saying(title, text).answer(&words, status))
}

/// Nobody the link is about.
#[derive(Clone, Copy)]
struct Nobody;

fn refused(words: &Words, error: LinkError) -> Response {
    let (title, text, status) = match error {
        LinkError::Invalid => (words.invalid, words.invalid_text, StatusCode::NOT_FOUND),
        LinkError::Expired => (words.gone, words.gone_text, StatusCode::GONE),
    };
    Page::saying(title, text).answer(words, status)
}

fn of_store(app: &App, error: ChangeError<Nobody>) -> Problem {
    match error {
        ChangeError::Store(error) => {
            app.warn_of_store(&error);
            Problem::of_store(&error)
        }
        ChangeError::Refused(Nobody) | ChangeError::AddressTaken => Problem::unavailable(),
    }
}
