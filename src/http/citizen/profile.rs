//! `/profile`: what the citizen decided for all services together.
//!
//! Whoever never had a profile reads IO's initial values and makes one by the
//! first POST, with version 0. Each POST names the version it saw; when
//! another one came in between, it is refused and the citizen reads again.

use araldo_actors::domain::citizen::{Citizen, Language};
use araldo_actors::domain::id::ServiceId;
use araldo_actors::domain::preference::{PreferencesMode, PushContent, ServicePreference};
use araldo_actors::engine::ChangeError;
use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::email;
use super::issuer::Identity;
use super::session::Session;
use crate::http::app::App;
use crate::http::body;
use crate::http::problem::{Problem, ProblemBody};
use change::{Change, ProfileChange};

mod change;

/// What is blocked of one service (IO `BlockedInboxOrChannels`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Blocked {
    Email,
    Inbox,
    Webhook,
}

/// IO's `service_preferences_settings`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
struct PreferencesSettings {
    /// LEGACY, AUTO or MANUAL.
    #[schema(value_type = String)]
    mode: PreferencesMode,
}

/// Whether reminders are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum ReminderStatus {
    Enabled,
    Disabled,
}

/// A profile as its citizen sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = InitializedProfile)]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_tos_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// In mode LEGACY: what is blocked, by service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Vec<Blocked>>>)]
    blocked_inbox_or_channels: Option<BTreeMap<ServiceId, Vec<Blocked>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["it_IT"]))]
    preferred_languages: Option<Vec<Language>>,
    is_inbox_enabled: bool,
    is_email_validated: bool,
    is_email_enabled: bool,
    /// Another citizen confirmed this address.
    is_email_already_taken: bool,
    reminder_status: ReminderStatus,
    /// FULL or ANONYMOUS.
    #[schema(value_type = String)]
    push_notifications_content_type: PushContent,
    is_webhook_enabled: bool,
    family_name: String,
    fiscal_code: String,
    has_profile: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_app_version: Option<String>,
    name: String,
    /// The address the issuer of the token knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    spid_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_of_birth: Option<String>,
    service_preferences_settings: PreferencesSettings,
    version: u32,
}

impl Profile {
    fn new(identity: &Identity, citizen: &Citizen, is_known: bool, is_taken: bool) -> Self {
        let languages = &citizen.languages;
        Self {
            accepted_tos_version: citizen.accepted_tos_version,
            email: citizen.email.clone(),
            blocked_inbox_or_channels: (citizen.mode == PreferencesMode::Legacy)
                .then(|| blocked(citizen)),
            preferred_languages: (!languages.is_empty()).then(|| languages.clone()),
            is_inbox_enabled: citizen.inbox_enabled,
            is_email_validated: citizen.email_validated,
            is_email_enabled: citizen.email_enabled,
            is_email_already_taken: is_taken,
            reminder_status: match citizen.reminders {
                true => ReminderStatus::Enabled,
                false => ReminderStatus::Disabled,
            },
            push_notifications_content_type: citizen.push_content,
            is_webhook_enabled: citizen.push_enabled,
            family_name: identity.family_name.clone(),
            fiscal_code: citizen.fiscal_code.to_string(),
            has_profile: is_known,
            last_app_version: citizen.last_app_version.clone(),
            name: identity.given_name.clone(),
            spid_email: identity.email.clone(),
            date_of_birth: identity.date_of_birth.clone(),
            service_preferences_settings: PreferencesSettings { mode: citizen.mode },
            version: citizen.version,
        }
    }
}

fn blocked(citizen: &Citizen) -> BTreeMap<ServiceId, Vec<Blocked>> {
    let channels = |preference: &ServicePreference| {
        let all = [
            (preference.email, Blocked::Email),
            (preference.inbox, Blocked::Inbox),
            (preference.push, Blocked::Webhook),
        ];
        all.into_iter().filter(|(on, _)| !on).map(|(_, blocked)| blocked).collect::<Vec<_>>()
    };
    let blocked = citizen.preferences.iter().map(|(id, given)| (id.clone(), channels(given)));
    blocked.filter(|(_, channels)| !channels.is_empty()).collect()
}

/// IO's initial values: nothing arrives until the terms of service are
/// accepted.
fn initial(identity: &Identity) -> Citizen {
    Citizen {
        email: identity.email.clone(),
        inbox_enabled: false,
        push_enabled: false,
        mode: PreferencesMode::Legacy,
        ..Citizen::new(identity.fiscal_code)
    }
}

async fn show(
    app: &App,
    identity: &Identity,
    citizen: Option<&Citizen>,
) -> Result<Profile, Problem> {
    let fresh = initial(identity);
    let shown = citizen.unwrap_or(&fresh);
    let is_taken = match shown.address().filter(|_| !shown.email_validated) {
        Some(address) => {
            let owner = app.read(app.engine().address_owner(address)).await?;
            owner.is_some_and(|owner| owner != identity.fiscal_code)
        }
        None => false,
    };
    Ok(Profile::new(identity, shown, citizen.is_some(), is_taken))
}

/// The citizen's profile; initial values (`has_profile` false, version 0)
/// when there is none yet.
#[utoipa::path(
    get,
    path = "/api/identity/v1/profile",
    tag = "citizen",
    operation_id = "getUserProfile",
    security(("CitizenToken" = [])),
    responses((status = 200, description = "The profile", body = Profile))
)]
pub async fn read(State(app): State<App>, session: Session) -> Result<Json<Profile>, Problem> {
    show(&app, &session.identity, session.citizen.as_ref()).await.map(Json)
}

/// Changes the profile, or makes one (version 0). What is absent stays.
///
/// The first acceptance of the terms of service turns inbox and push on. A
/// new address counts once its owner followed the link that is mailed to it.
/// A change of mode raises the settings version and forgets the preferences
/// stored so far, but for those that LEGACY turns into.
#[utoipa::path(
    post,
    path = "/api/identity/v1/profile",
    tag = "citizen",
    operation_id = "updateProfile",
    security(("CitizenToken" = [])),
    request_body = ProfileChange,
    responses(
        (status = 200, description = "Changed", body = Profile),
        (status = 404, description = "No profile, and the version named is not 0", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "The version is not the present one, or the mode would go \
            back to LEGACY", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Another citizen confirmed this address \
            (https://ioapp.it/problems/email-already-taken)", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn update(
    State(app): State<App>,
    session: Session,
    request: Request,
) -> Result<Json<Profile>, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().body_limit).await?;
    let change = body::json::<ProfileChange>(&body)?.check()?;
    drop(body);
    let is_new_address = change.is_new_address(session.citizen.as_ref());
    if is_new_address {
        // Before anything is said of the address: nobody asks for many.
        email::take_turn(&app, &session)?;
    }
    refuse_taken(&app, &session, &change).await?;
    let fresh = initial(&session.identity);
    let citizen = session.change(&app, |present| change.apply(present, &fresh)).await?;
    if is_new_address {
        email::send_or_warn(&app, &citizen);
    }
    show(&app, &session.identity, Some(&citizen)).await.map(Json)
}

/// 412 when the new address is another citizen's.
async fn refuse_taken(app: &App, session: &Session, change: &Change) -> Result<(), Problem> {
    let Some(address) = change.address() else { return Ok(()) };
    let owner = app.read(app.engine().address_owner(address)).await?;
    match owner {
        Some(owner) if owner != session.code() => Err(Problem::email_taken()),
        _ => Ok(()),
    }
}

/// What a refused change is to the client.
pub fn of_change(error: ChangeError<Problem>) -> Problem {
    match error {
        ChangeError::Refused(problem) => problem,
        ChangeError::AddressTaken => Problem::email_taken(),
        ChangeError::Store(error) => Problem::of_store(&error),
    }
}
