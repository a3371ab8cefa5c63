//! A citizen: profile, devices and preferences.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::data_request::{DataChoice, DataRequest};
use super::fiscal_code::FiscalCode;
use super::id::{AddressId, DeviceId, ServiceId};
use super::preference::{PreferencesMode, PushContent, ServicePreference};
use super::time::Millis;

/// Languages a citizen can prefer (IO `PreferredLanguage`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash,
)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Language {
    #[default]
    #[serde(rename = "it_IT")]
    Italian,
    #[serde(rename = "en_GB")]
    English,
    #[serde(rename = "es_ES")]
    Spanish,
    #[serde(rename = "de_DE")]
    German,
    #[serde(rename = "fr_FR")]
    French,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 5] =
        [Self::Italian, Self::English, Self::Spanish, Self::German, Self::French];
}

/// Push network of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Apple Push Notification service.
    Apns,
    /// Firebase Cloud Messaging.
    Fcm,
}

impl Platform {
    /// Name on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apns => "apns",
            Self::Fcm => "fcm",
        }
    }
}

/// One device of a citizen.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Push network.
    pub platform: Platform,
    /// The network's token; opaque, its length must not be assumed.
    pub token: String,
    /// When the token was last registered with us: a provider's "gone since"
    /// drops the token only if the registration is older.
    pub registered_at: Millis,
    /// The installation of the app that registered it, as the app names
    /// itself (IO `InstallationID`); none for imported devices.
    pub installation: Option<String>,
}

impl Device {
    /// The identifier deliveries name the device by.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId::of(self.platform.as_str(), &self.token)
    }
}

/// Personal data: a debug print shows only the platform.
impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.platform.as_str())
    }
}

/// A place the citizen registered for alerts, WGS 84 degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Latitude, -90 to 90.
    pub lat: f64,
    /// Longitude, -180 to 180.
    pub lon: f64,
}

/// Hours in which the citizen wants silence, minutes after local midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// First silent minute, 0 to 1439.
    pub from: u16,
    /// First minute that is not silent any more; may be before `from`.
    pub to: u16,
}

/// State of a SPECIAL service for a citizen (IO `Activation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ActivationStatus {
    /// The citizen activated the service.
    Active,
    /// The citizen did not, or no longer does.
    Inactive,
    /// Asked for and not confirmed; counts as active for a grace period.
    Pending,
}

/// The last activation of a SPECIAL service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// The state.
    pub status: ActivationStatus,
    /// When it was written.
    pub at: Millis,
}

/// A citizen as stored.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Citizen {
    /// Who it is.
    pub fiscal_code: FiscalCode,
    /// Version of the profile as its owner sees it, raised by one on each
    /// change of the profile.
    pub version: u32,
    /// Raised by the store on each write of the record, whatever it changes.
    pub revision: u64,
    /// E-mail address.
    pub email: Option<String>,
    /// The address was confirmed by its owner.
    pub email_validated: bool,
    /// Preferred languages, the best first; empty means Italian.
    pub languages: Vec<Language>,
    /// ISTAT code of the municipality of residence, six digits.
    pub municipality: Option<String>,
    /// Places registered for alerts.
    pub places: Vec<Place>,
    /// Year of birth.
    pub birth_year: Option<u16>,
    /// IANA time zone; none means Europe/Rome.
    pub timezone: Option<String>,
    /// Hours of silence.
    pub quiet_hours: Option<QuietHours>,
    /// Devices with the app.
    pub devices: Vec<Device>,
    /// The inbox is on; off refuses every message.
    pub inbox_enabled: bool,
    /// E-mail is on.
    pub email_enabled: bool,
    /// Push notifications are on (IO `is_webhook_enabled`).
    pub push_enabled: bool,
    /// How much a push may show.
    pub push_content: PushContent,
    /// What holds where no preference is stored.
    pub mode: PreferencesMode,
    /// Raised by one when the mode changes; the preferences stored until then
    /// hold no more (IO `settings_version`).
    pub settings_version: u32,
    /// Preferences service by service.
    pub preferences: BTreeMap<ServiceId, ServicePreference>,
    /// Activations of SPECIAL services.
    pub activations: BTreeMap<ServiceId, Activation>,
    /// Version of the terms of service last accepted.
    pub accepted_tos_version: Option<u32>,
    /// Reminders of unread messages and payments are wanted.
    pub reminders: bool,
    /// Version of the app last used.
    pub last_app_version: Option<String>,
    /// Sessions that began at or before this instant are over.
    pub sessions_revoked_at: Millis,
    /// Requests about the citizen's data, the last of each kind.
    pub data_requests: BTreeMap<DataChoice, DataRequest>,
}

impl Citizen {
    /// A citizen with the defaults of a fresh profile: inbox, e-mail and push
    /// on, mode AUTO, nothing else known.
    #[must_use]
    pub fn new(fiscal_code: FiscalCode) -> Self {
        Self {
            fiscal_code,
            version: 0,
            revision: 0,
            email: None,
            email_validated: false,
            languages: Vec::new(),
            municipality: None,
            places: Vec::new(),
            birth_year: None,
            timezone: None,
            quiet_hours: None,
            devices: Vec::new(),
            inbox_enabled: true,
            email_enabled: true,
            push_enabled: true,
            push_content: PushContent::default(),
            mode: PreferencesMode::default(),
            settings_version: 0,
            preferences: BTreeMap::new(),
            activations: BTreeMap::new(),
            accepted_tos_version: None,
            reminders: true,
            last_app_version: None,
            sessions_revoked_at: Millis(0),
            data_requests: BTreeMap::new(),
        }
    }

    /// The best language.
    #[must_use]
    pub fn language(&self) -> Language {
        self.languages.first().copied().unwrap_or_default()
    }

    /// The identifier of the e-mail address, if there is one.
    #[must_use]
    pub fn address(&self) -> Option<AddressId> {
        self.email.as_deref().map(AddressId::of)
    }

    /// The device with identifier `id`, if still registered.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.id() == id)
    }
}

/// Personal data: a debug print shows only the version.
impl std::fmt::Debug for Citizen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Citizen(version {})", self.version)
    }
}
