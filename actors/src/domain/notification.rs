//! What a provider is handed: one attempt of one delivery.

use super::citizen::Platform;
use super::delivery::Channel;
use super::email::Email;
use super::id::DeliveryId;
use super::push::Push;

/// What a route carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// Pushes to the devices of one platform.
    Push(Platform),
    /// E-mail.
    Email,
}

impl Carrier {
    /// The channel it serves.
    #[must_use]
    pub const fn channel(self) -> Channel {
        match self {
            Self::Push(_) => Channel::Push,
            Self::Email => Channel::Email,
        }
    }

    /// The kind of route, as configured and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push(platform) => platform.as_str(),
            Self::Email => "smtp",
        }
    }
}

/// One attempt, by the channel it goes through. A route only gets what its
/// [`Carrier`] carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// To a device.
    Push(Push),
    /// To the address of the profile.
    Email(Email),
}

impl Notification {
    /// Names the delivery to the provider.
    #[must_use]
    pub const fn delivery(&self) -> DeliveryId {
        match self {
            Self::Push(push) => push.delivery,
            Self::Email(email) => email.delivery,
        }
    }
}
