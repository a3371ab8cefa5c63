//! `/email-validation-process`, and the mail that asks an address's owner.
//!
//! A mail goes out only into a bounded queue; one that is full or missing is
//! said to the citizen, who asks again. How many mails one citizen causes is
//! limited: the address is free text, and may be somebody else's.

use araldo_actors::domain::citizen::Citizen;
use axum::extract::State;
use hyper::StatusCode;

use super::session::Session;
use crate::http::app::App;
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::post::PostError;

/// Counts a mail that `session` causes.
///
/// # Errors
/// 429 when there were too many.
pub fn take_turn(app: &App, session: &Session) -> Result<(), Problem> {
    app.mails().take(&session.code(), "too many mails were asked for; nothing was changed")
}

/// Asks the owner of the citizen's address to confirm it.
fn send(app: &App, citizen: &Citizen) -> Result<(), Problem> {
    let absent = || Problem::field("email", "is missing in the profile");
    let email = citizen.email.as_deref().ok_or_else(absent)?;
    let address = citizen.address().ok_or_else(absent)?;
    let citizens = app.citizens();
    let expires = app.engine().now().after(citizens.link_validity);
    let link = citizens.links.validate(citizen.fiscal_code, address, expires);
    (citizens.mails)(email, citizen.language(), link).map_err(|error| {
        Problem::unavailable().with_detail(match error {
            PostError::Full => "too many mails are waiting; try again later".to_owned(),
            PostError::NoRoute => "this installation sends no mail".to_owned(),
        })
    })
}

/// As [`send`], where the change that caused it is done whatever becomes of
/// the mail: the citizen can ask for it again.
pub fn send_or_warn(app: &App, citizen: &Citizen) {
    if let Err(problem) = send(app, citizen) {
        tracing::warn!(reason = problem.detail(), "a mail that validates an address was not sent");
    }
}

/// Sends the mail that confirms the profile's address, again. An address that
/// is confirmed needs none: then nothing is sent.
#[utoipa::path(
    post,
    path = "/api/identity/v1/email-validation-process",
    tag = "citizen",
    operation_id = "startEmailValidationProcess",
    security(("CitizenToken" = [])),
    responses(
        (status = 202, description = "The mail is on its way"),
        (status = 400, description = "The profile has no address", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "No profile", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "Another citizen confirmed the address", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn start(State(app): State<App>, session: Session) -> Result<StatusCode, Problem> {
    let citizen = session.known()?;
    if citizen.email_validated && citizen.email.is_some() {
        return Ok(StatusCode::ACCEPTED);
    }
    if let Some(address) = citizen.address() {
        let owner = app.read(app.engine().address_owner(address)).await?;
        if owner.is_some_and(|owner| owner != session.code()) {
            let detail = "another citizen confirmed this address; choose another one";
            return Err(Problem::new(Kind::Conflict, detail));
        }
    }
    take_turn(&app, &session)?;
    send(&app, citizen)?;
    Ok(StatusCode::ACCEPTED)
}
