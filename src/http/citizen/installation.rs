//! `/installations/{installationID}`: the devices that get pushes.
//!
//! IO keeps one device a citizen, whatever the app calls itself. Here the
//! identifier names the device: each installation has one token, a new one
//! takes its place, and a citizen has several.

use araldo_actors::domain::citizen::{Citizen, Device, Platform};
use araldo_actors::engine::ChangeError;
use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::session::{self, Session};
use crate::http::app::App;
use crate::http::body::{self, Segments};
use crate::http::operator::citizen_line::{LONGEST_TOKEN, MOST_DEVICES};
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::http::validate::iso;

/// Longest identifier of an installation; IO's have 36 characters.
const LONGEST_ID: usize = 128;

/// IO's names of push networks.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum PlatformIn {
    Apns,
    Gcm,
    Fcmv1,
}

/// An installation of the app.
#[derive(Deserialize, ToSchema)]
struct Installation {
    /// gcm and fcmv1 both mean Firebase Cloud Messaging.
    platform: PlatformIn,
    /// The network's token.
    #[serde(rename = "pushChannel")]
    #[schema(min_length = 1, max_length = 4096)]
    push_channel: String,
}

/// IO's `SuccessResponse`.
#[derive(Serialize, ToSchema)]
pub struct SuccessResponse {
    message: &'static str,
}

/// Registers a device for pushes, or gives it a new token.
#[utoipa::path(
    put,
    path = "/api/communication/v1/installations/{installationID}",
    tag = "citizen",
    operation_id = "createOrUpdateInstallation",
    security(("CitizenToken" = [])),
    params(("installationID" = String, Path, description = "How the app names this device, 1 to \
        128 visible ASCII characters")),
    request_body = Installation,
    responses(
        (status = 200, description = "Registered", body = SuccessResponse),
        (status = 404, description = "No profile", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "The citizen has as many devices as allowed (20)",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    session: Session,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<SuccessResponse>, Problem> {
    if !is_visible(&id, LONGEST_ID) {
        let reason = format!("must be 1 to {LONGEST_ID} visible ASCII characters");
        return Err(Problem::field("installationID", reason));
    }
    let (parts, body) = request.into_parts();
    let body = body::read(&app, &parts.headers, body, app.options().body_limit).await?;
    let given: Installation = body::json(&body)?;
    if !is_visible(&given.push_channel, LONGEST_TOKEN) {
        let reason = format!("must be 1 to {LONGEST_TOKEN} visible ASCII characters");
        return Err(Problem::field("pushChannel", reason));
    }
    let device = Device {
        platform: match given.platform {
            PlatformIn::Apns => Platform::Apns,
            PlatformIn::Gcm | PlatformIn::Fcmv1 => Platform::Fcm,
        },
        token: given.push_channel,
        registered_at: app.engine().now(),
        installation: Some(id),
    };
    let registering =
        |present: Option<_>| register(present.ok_or_else(session::unknown)?, device.clone());
    session.change(&app, registering).await?;
    Ok(Json(SuccessResponse { message: "ok" }))
}

fn is_visible(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Puts `device` in the place of its installation, or of the same token.
fn register(mut citizen: Citizen, device: Device) -> Result<Citizen, Problem> {
    citizen.devices.retain(|known| {
        known.installation != device.installation
            && (known.platform, &known.token) != (device.platform, &device.token)
    });
    if citizen.devices.len() >= MOST_DEVICES {
        let detail = format!(
            "a citizen has at most {MOST_DEVICES} devices; remove one with DELETE \
             /api/citizen/v1/devices/{{id}}"
        );
        return Err(Problem::new(Kind::LimitReached, detail));
    }
    citizen.devices.push(device);
    Ok(citizen)
}

/// A device of the citizen.
#[derive(Serialize, ToSchema)]
pub struct DeviceOut {
    /// Names it here.
    pub id: String,
    /// apns or fcm.
    pub platform: &'static str,
    /// How the app names it; absent for devices that were imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<String>,
    /// When its token was last registered.
    pub registered_at: String,
}

impl DeviceOut {
    /// Shows `device`, without its token.
    pub fn new(device: &Device) -> Self {
        Self {
            id: device_id(device),
            platform: device.platform.as_str(),
            installation_id: device.installation.clone(),
            registered_at: iso(device.registered_at),
        }
    }
}

/// The identifier of a device, 16 hexadecimal digits.
fn device_id(device: &Device) -> String {
    format!("{:016x}", device.id().0)
}

/// The citizen's devices.
#[derive(Serialize, ToSchema)]
pub struct Devices {
    items: Vec<DeviceOut>,
}

/// The devices that get the citizen's pushes.
#[utoipa::path(
    get,
    path = "/api/citizen/v1/devices",
    tag = "citizen",
    operation_id = "listDevices",
    security(("CitizenToken" = [])),
    responses((status = 200, description = "All of them", body = Devices))
)]
pub async fn list(session: Session) -> Json<Devices> {
    let devices = session.citizen.map(|citizen| citizen.devices).unwrap_or_default();
    Json(Devices { items: devices.iter().map(DeviceOut::new).collect() })
}

/// Takes a device off: no push goes to it any more.
#[utoipa::path(
    delete,
    path = "/api/citizen/v1/devices/{id}",
    tag = "citizen",
    operation_id = "removeDevice",
    security(("CitizenToken" = [])),
    params(("id" = String, Path, description = "As the list says it")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "No such device", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn remove(
    State(app): State<App>,
    session: Session,
    Segments(id): Segments<String>,
) -> Result<hyper::StatusCode, Problem> {
    let absent = || Problem::not_found("there is no device with this id");
    let removing = |present: Option<Citizen>| {
        let mut citizen = present.ok_or_else(absent)?;
        let before = citizen.devices.len();
        citizen.devices.retain(|device| device_id(device) != id);
        if citizen.devices.len() == before { Err(absent()) } else { Ok(citizen) }
    };
    session.change(&app, removing).await?;
    Ok(hyper::StatusCode::NO_CONTENT)
}

/// When all sessions ended.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionsRevoked)]
pub struct Revoked {
    /// Tokens issued until then are over.
    revoked_at: String,
    /// Devices that were forgotten.
    devices: usize,
}

/// A lost phone: ends every session of the citizen, this one too, closes live
/// sessions and forgets every device.
#[utoipa::path(
    post,
    path = "/api/citizen/v1/sessions/revoke",
    tag = "citizen",
    operation_id = "revokeSessions",
    security(("CitizenToken" = [])),
    responses(
        (status = 200, description = "All tokens issued until now are over", body = Revoked),
        (status = 404, description = "No profile", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn revoke(State(app): State<App>, session: Session) -> Result<Json<Revoked>, Problem> {
    let devices = session.known()?.devices.len();
    let code = session.code();
    let revoking = async {
        let revoked = app.engine().revoke_sessions(code).await;
        revoked.map_err(|error| match error {
            ChangeError::Refused(_) => ChangeError::Refused(session::unknown()),
            ChangeError::AddressTaken => ChangeError::AddressTaken,
            ChangeError::Store(error) => ChangeError::Store(error),
        })
    };
    let citizen = app.change(revoking).await?;
    Ok(Json(Revoked { revoked_at: iso(citizen.sessions_revoked_at), devices }))
}
