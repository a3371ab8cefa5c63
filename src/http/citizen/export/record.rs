//! A citizen's record as it is exported: every field of it.

use std::collections::BTreeMap;

use araldo_actors::domain::citizen::{
    Activation, ActivationStatus, Citizen, Device, Language, Place,
};
use araldo_actors::domain::preference::{PreferencesMode, PushContent, ServicePreference};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::citizen::data_request::UserDataProcessing;
use crate::http::validate::iso;

/// What is stored of a citizen.
#[derive(Serialize, ToSchema)]
#[schema(as = UserDataProfile)]
pub struct Record {
    fiscal_code: String,
    version: u32,
    revision: u64,
    email: Option<String>,
    is_email_validated: bool,
    #[schema(value_type = Vec<String>)]
    preferred_languages: Vec<Language>,
    /// ISTAT code.
    municipality: Option<String>,
    #[schema(value_type = Vec<Object>)]
    places: Vec<Place>,
    birth_year: Option<u16>,
    timezone: Option<String>,
    quiet_hours: Option<QuietHoursOut>,
    devices: Vec<DeviceRecord>,
    is_inbox_enabled: bool,
    is_email_enabled: bool,
    is_webhook_enabled: bool,
    #[schema(value_type = String)]
    push_notifications_content_type: PushContent,
    #[schema(value_type = String)]
    preferences_mode: PreferencesMode,
    settings_version: u32,
    /// By service.
    preferences: BTreeMap<String, PreferenceRecord>,
    /// Of SPECIAL services.
    activations: BTreeMap<String, ActivationRecord>,
    accepted_tos_version: Option<u32>,
    wants_reminders: bool,
    last_app_version: Option<String>,
    /// Null when sessions were never ended.
    sessions_revoked_at: Option<String>,
    data_requests: Vec<UserDataProcessing>,
}

/// Minutes after local midnight.
#[derive(Serialize, ToSchema)]
#[schema(as = UserDataQuietHours)]
struct QuietHoursOut {
    from_minute: u16,
    to_minute: u16,
}

/// A device, its token included.
#[derive(Serialize, ToSchema)]
#[schema(as = UserDataDevice)]
struct DeviceRecord {
    id: String,
    platform: &'static str,
    token: String,
    installation_id: Option<String>,
    registered_at: String,
}

/// The switches for one service.
#[derive(Serialize, ToSchema)]
#[schema(as = UserDataPreference)]
struct PreferenceRecord {
    inbox: bool,
    email: bool,
    push: bool,
    read_status: bool,
}

/// An activation of a SPECIAL service.
#[derive(Serialize, ToSchema)]
#[schema(as = UserDataActivation)]
struct ActivationRecord {
    #[schema(value_type = String)]
    status: ActivationStatus,
    at: String,
}

impl Record {
    /// Shows `citizen`. Takes it apart field by field: one that is added to
    /// the record cannot be forgotten here.
    pub fn new(citizen: Citizen) -> Self {
        let Citizen {
            fiscal_code,
            version,
            revision,
            email,
            email_validated,
            languages,
            municipality,
            places,
            birth_year,
            timezone,
            quiet_hours,
            devices,
            inbox_enabled,
            email_enabled,
            push_enabled,
            push_content,
            mode,
            settings_version,
            preferences,
            activations,
            accepted_tos_version,
            reminders,
            last_app_version,
            sessions_revoked_at,
            data_requests,
        } = citizen;
        let requests = data_requests.iter();
        Self {
            fiscal_code: fiscal_code.to_string(),
            version,
            revision,
            email,
            is_email_validated: email_validated,
            preferred_languages: languages,
            municipality,
            places,
            birth_year,
            timezone,
            quiet_hours: quiet_hours
                .map(|hours| QuietHoursOut { from_minute: hours.from, to_minute: hours.to }),
            devices: devices.into_iter().map(DeviceRecord::new).collect(),
            is_inbox_enabled: inbox_enabled,
            is_email_enabled: email_enabled,
            is_webhook_enabled: push_enabled,
            push_notifications_content_type: push_content,
            preferences_mode: mode,
            settings_version,
            preferences: by_name(preferences, PreferenceRecord::new),
            activations: by_name(activations, ActivationRecord::new),
            accepted_tos_version,
            wants_reminders: reminders,
            last_app_version,
            sessions_revoked_at: (sessions_revoked_at.0 > 0).then(|| iso(sessions_revoked_at)),
            data_requests: requests
                .map(|(of, asked)| UserDataProcessing::new(*of, asked))
                .collect(),
        }
    }
}

fn by_name<K: ToString, T, U>(given: BTreeMap<K, T>, show: impl Fn(T) -> U) -> BTreeMap<String, U> {
    given.into_iter().map(|(name, value)| (name.to_string(), show(value))).collect()
}

impl DeviceRecord {
    fn new(device: Device) -> Self {
        Self {
            id: format!("{:016x}", device.id().0),
            platform: device.platform.as_str(),
            registered_at: iso(device.registered_at),
            token: device.token,
            installation_id: device.installation,
        }
    }
}

impl PreferenceRecord {
    fn new(given: ServicePreference) -> Self {
        let ServicePreference { inbox, email, push, read_status } = given;
        Self { inbox, email, push, read_status }
    }
}

impl ActivationRecord {
    fn new(given: Activation) -> Self {
        Self { status: given.status, at: iso(given.at) }
    }
}
