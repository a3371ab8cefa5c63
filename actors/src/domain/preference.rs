//! What a citizen chose, globally and service by service.

use serde::{Deserialize, Serialize};

/// What holds for a service about which the citizen said nothing
/// (IO `ServicesPreferencesMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PreferencesMode {
    /// Profiles older than the mode: everything is on unless blocked.
    Legacy,
    /// Every service is on unless switched off.
    #[default]
    Auto,
    /// Every service is off unless switched on.
    Manual,
}

/// The citizen's three switches for one service. All three are honoured
/// (IO ignores the e-mail one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePreference {
    /// The service may write to the inbox at all; off refuses its messages.
    pub inbox: bool,
    /// The service may send e-mail.
    pub email: bool,
    /// The service may send push notifications.
    pub push: bool,
    /// The service may know that its messages were read
    /// (IO `can_access_message_read_status`).
    pub read_status: bool,
}

impl ServicePreference {
    /// All switches on.
    pub const ALL: Self = Self { inbox: true, email: true, push: true, read_status: true };
}

/// How much a push notification may show on a locked screen
/// (IO `PushNotificationsContentType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PushContent {
    /// Sender and subject.
    Full,
    /// Only that there is a message: the default, as IO's.
    #[default]
    Anonymous,
}
