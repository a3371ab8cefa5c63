//! The pages that links in mails lead to.
//!
//! Both answer GET with a button and act on POST only: mail scanners follow
//! links. A mail program's one-click POST (RFC 8058, section 3.2) is answered
//! 200, without redirects, cookies or anything to load. The link itself is the
//! permission; its token is in no log and in no page.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::preference::ServicePreference;
use araldo_actors::engine::ChangeError;
use araldo_actors::policy::routing;
use axum::extract::{Request, State};
use axum::response::Response;
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};

use crate::http::app::App;
use crate::http::body::{self, Segments};
use crate::http::problem::Problem;
use crate::link::LinkError;
use page::{Page, Words};

mod page;

/// Longest form of a mail program or browser.
const FORM_BYTES: usize = 16 * 1024;
const TOO_MANY: &str = "this citizen's links were followed too often";

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
        (status = 429, description = "This citizen's links were followed too often", body = String, content_type = "text/html"),
    )
)]
pub async fn unsubscribe(
    State(app): State<App>,
    Segments(token): Segments<String>,
    request: Request,
) -> Response {
    let words = Words::of(request.headers());
    let done = end_mails(&app, &token, request, &words).await;
    done.unwrap_or_else(|problem| failed(&words, &problem))
}

async fn end_mails(
    app: &App,
    token: &str,
    request: Request,
    words: &Words,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // Any form will do: the token says everything.
    body::read(app, &parts.headers, body, FORM_BYTES).await?;
    let (code, id) = match app.citizens().links.open_unsubscribe(token) {
        Ok(opened) => opened,
        Err(error) => return Ok(refused(words, error)),
    };
    app.links().take(&code, TOO_MANY)?;
    let service = app.engine().directory().service(&id);
    let now = app.engine().now();
    let changing = app.engine().change_citizen(code, |present| {
        let mut citizen = present.ok_or(Nothing)?;
        let stored = citizen.preferences.get(&id).copied();
        if stored.is_some_and(|stored| !stored.email) {
            return Err(Nothing);
        }
        let present = stored.or_else(|| {
            service.as_ref().map(|service| routing::preference(&citizen, service, now))
        });
        let preference =
            ServicePreference { email: false, ..present.unwrap_or(ServicePreference::ALL) };
        citizen.preferences.insert(id.clone(), preference);
        Ok(citizen)
    });
    match app.within_write(changing).await? {
        // Whoever is not registered gets no mail; nor does who said so before.
        Ok(_) | Err(ChangeError::Refused(Nothing)) => {
            Ok(Page::saying(words.unsubscribed, words.unsubscribed_text)
                .about(service.as_deref().cloned())
                .answer(words, StatusCode::OK))
        }
        Err(error) => Err(of_store(app, error)),
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
        (status = 429, description = "This citizen's links were followed too often", body = String, content_type = "text/html"),
    )
)]
pub async fn validate(
    State(app): State<App>,
    Segments(token): Segments<String>,
    request: Request,
) -> Response {
    let words = Words::of(request.headers());
    let done = confirm(&app, &token, request, &words).await;
    done.unwrap_or_else(|problem| failed(&words, &problem))
}

async fn confirm(
    app: &App,
    token: &str,
    request: Request,
    words: &Words,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    body::read(app, &parts.headers, body, FORM_BYTES).await?;
    let (code, address) = match app.citizens().links.open_validate(token, app.engine().now()) {
        Ok(opened) => opened,
        Err(error) => return Ok(refused(words, error)),
    };
    app.links().take(&code, TOO_MANY)?;
    let is_its = |citizen: &Citizen| citizen.address() == Some(address);
    let present = app.read(app.engine().citizen(code)).await?;
    if present.is_some_and(|citizen| is_its(&citizen) && citizen.email_validated) {
        // It was confirmed before: nothing is written.
        let page = Page::saying(words.validated, words.validated_text);
        return Ok(page.answer(words, StatusCode::OK));
    }
    let changing = app.engine().change_citizen(code, |present| {
        let mut citizen = present.filter(is_its).ok_or(Nothing)?;
        citizen.email_validated = true;
        Ok(citizen)
    });
    let (title, text, status) = match app.within_write(changing).await? {
        Ok(_) => (words.validated, words.validated_text, StatusCode::OK),
        Err(ChangeError::Refused(Nothing)) => (words.gone, words.gone_text, StatusCode::GONE),
        Err(ChangeError::AddressTaken) => (words.taken, words.taken_text, StatusCode::CONFLICT),
        Err(error) => return Err(of_store(app, error)),
    };
    Ok(Page::saying(title, text).answer(words, status))
}

/// There is nothing to change: nobody the link is about, or it is so already.
#[derive(Clone, Copy)]
struct Nothing;

/// What went wrong on the way, as a page.
fn failed(words: &Words, problem: &Problem) -> Response {
    let mut response =
        Page::saying(words.failed, words.failed_text).answer(words, problem.status());
    if let Some(wait) = problem.wait() {
        response.headers_mut().insert(RETRY_AFTER, wait);
    }
    response
}

fn refused(words: &Words, error: LinkError) -> Response {
    let (title, text, status) = match error {
        LinkError::Invalid => (words.invalid, words.invalid_text, StatusCode::NOT_FOUND),
        LinkError::Expired => (words.gone, words.gone_text, StatusCode::GONE),
    };
    Page::saying(title, text).answer(words, status)
}

fn of_store(app: &App, error: ChangeError<Nothing>) -> Problem {
    match error {
        ChangeError::Store(error) => {
            app.warn_of_store(&error);
            Problem::of_store(&error)
        }
        ChangeError::Refused(Nothing) | ChangeError::AddressTaken => Problem::unavailable(),
    }
}
