//! Who may receive what through which channel.
//!
//! IO's rules of message processing (io-functions "ProcessMessage" and
//! "CreateNotification"), with one difference: the citizen's three switches
//! for a service are all honoured, where IO ignores the e-mail one.

use std::time::Duration;

use crate::domain::citizen::{ActivationStatus, Citizen};
use crate::domain::message::{Content, RejectionReason};
use crate::domain::outcome::Suppression;
use crate::domain::preference::{PreferencesMode, ServicePreference};
use crate::domain::service::{Service, ServiceCategory};
use crate::domain::time::Millis;

/// How long a SPECIAL service counts as active while its activation is
/// pending (IO `PENDING_ACTIVATION_GRACE_PERIOD_SECONDS`, one day).
pub const PENDING_ACTIVATION_GRACE: Duration = Duration::from_hours(24);

/// What may leave besides the inbox entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Push to the citizen's devices.
    pub push: Result<(), Suppression>,
    /// E-mail to the citizen's address, should there be one.
    pub email: Result<(), Suppression>,
}

/// Decides for one message of `service` to `citizen`.
///
/// # Errors
/// The reason to reject the message as a whole: the inbox has priority, and
/// what may not enter it goes nowhere.
pub fn route(
    citizen: &Citizen,
    service: &Service,
    secure: bool,
    now: Millis,
) -> Result<Routing, RejectionReason> {
    let preference = preference(citizen, service, now);
    if !service.enabled || !citizen.inbox_enabled || !preference.inbox {
        return Err(RejectionReason::ServiceNotAllowed);
    }
    Ok(Routing { push: push(citizen, preference), email: email(citizen, preference, secure) })
}

/// Whether `service` may write to `citizen` (IO `sender_allowed`).
#[must_use]
pub fn sender_allowed(citizen: &Citizen, service: &Service, now: Millis) -> bool {
    route(citizen, service, false, now).is_ok()
}

/// Whether the content must not leave by e-mail nor show in a push.
#[must_use]
pub fn is_secure(content: &Content, service: &Service) -> bool {
    needs_secure(content.require_secure_channels, service)
}

/// The same, from what the sender asked for, if anything.
#[must_use]
pub fn needs_secure(asked: Option<bool>, service: &Service) -> bool {
    asked.unwrap_or(service.require_secure_channels)
}

/// The preference that holds for `service`: the citizen's own, else the
/// mode's; a SPECIAL service's inbox switch is its activation, both ways.
#[must_use]
pub fn preference(citizen: &Citizen, service: &Service, now: Millis) -> ServicePreference {
    let stored = citizen.preferences.get(&service.id).copied();
    let mut preference = stored.unwrap_or(match citizen.mode {
        PreferencesMode::Legacy | PreferencesMode::Auto => ServicePreference::ALL,
        PreferencesMode::Manual => ServicePreference { inbox: false, ..ServicePreference::ALL },
    });
    if service.category == ServiceCategory::Special {
        preference.inbox = is_active(citizen, service, now);
    }
    preference
}

fn is_active(citizen: &Citizen, service: &Service, now: Millis) -> bool {
    citizen.activations.get(&service.id).is_some_and(|activation| match activation.status {
        ActivationStatus::Active => true,
        ActivationStatus::Inactive => false,
        ActivationStatus::Pending => now.since(activation.at) < PENDING_ACTIVATION_GRACE,
    })
}

fn push(citizen: &Citizen, preference: ServicePreference) -> Result<(), Suppression> {
    if !citizen.push_enabled {
        Err(Suppression::ChannelOff)
    } else if !preference.push {
        Err(Suppression::ServicePreference)
    } else {
        Ok(())
    }
}

fn email(
    citizen: &Citizen,
    preference: ServicePreference,
    secure: bool,
) -> Result<(), Suppression> {
    if !citizen.email_enabled {
        Err(Suppression::ChannelOff)
    } else if !preference.email {
        Err(Suppression::ServicePreference)
    } else if secure {
        Err(Suppression::SecureChannels)
    } else if !citizen.email_validated || citizen.email.is_none() {
        Err(Suppression::AddressNotValidated)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
