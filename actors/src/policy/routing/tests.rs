//! Every row of IO's routing table, all switches multiplied out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{PENDING_ACTIVATION_GRACE, route, sender_allowed};
use crate::domain::citizen::{Activation, ActivationStatus, Citizen};
use crate::domain::message::RejectionReason;
use crate::domain::outcome::Suppression;
use crate::domain::preference::{PreferencesMode, ServicePreference};
use crate::domain::service::{Service, ServiceCategory};
use crate::domain::time::Millis;
use crate::policy::fixture::{citizen, service};

const NOW: Millis = Millis(1_700_000_000_000);
const BOTH: [bool; 2] = [false, true];

/// The stored preference, or none, in every combination of switches.
fn stored_preferences() -> Vec<Option<ServicePreference>> {
    let mut all = vec![None];
    for inbox in BOTH {
        for email in BOTH {
            for push in BOTH {
                all.push(Some(ServicePreference { inbox, email, push }));
            }
        }
    }
    all
}

/// One row: the profile's switches, the mode, the preference and the service.
fn each_row(mut check: impl FnMut(&Citizen, &Service, bool)) {
    let modes = [PreferencesMode::Legacy, PreferencesMode::Auto, PreferencesMode::Manual];
    for mode in modes {
        for stored in stored_preferences() {
            for flags in 0..32_u8 {
                let mut service = service();
                let mut citizen = citizen();
                citizen.mode = mode;
                citizen.inbox_enabled = flags & 1 != 0;
                citizen.push_enabled = flags & 2 != 0;
                citizen.email_enabled = flags & 4 != 0;
                citizen.email_validated = flags & 8 != 0;
                let secure = flags & 16 != 0;
                service.require_secure_channels = secure;
                if let Some(preference) = stored {
                    citizen.preferences.insert(service.id.clone(), preference);
                }
                check(&citizen, &service, secure);
            }
        }
    }
}

#[test]
fn the_inbox_switch_rejects_the_whole_message() {
    each_row(|citizen, service, secure| {
        let stored = citizen.preferences.get(&service.id);
        let open = citizen.inbox_enabled
            && stored.map_or(citizen.mode != PreferencesMode::Manual, |p| p.inbox);
        let routed = route(citizen, service, secure, NOW);
        assert_eq!(routed.is_ok(), open);
        assert_eq!(sender_allowed(citizen, service, NOW), open);
        if !open {
            assert_eq!(routed, Err(RejectionReason::ServiceNotAllowed));
        }
    });
}

#[test]
fn push_needs_the_profile_and_the_service_switch() {
    each_row(|citizen, service, secure| {
        let Ok(routing) = route(citizen, service, secure, NOW) else { return };
        let switch = citizen.preferences.get(&service.id).is_none_or(|p| p.push);
        let expected = match (citizen.push_enabled, switch) {
            (false, _) => Err(Suppression::ChannelOff),
            (true, false) => Err(Suppression::ServicePreference),
            (true, true) => Ok(()),
        };
        assert_eq!(routing.push, expected);
    });
}

#[test]
fn email_needs_profile_service_switch_open_content_and_a_validated_address() {
    each_row(|citizen, service, secure| {
        let Ok(routing) = route(citizen, service, secure, NOW) else { return };
        let switch = citizen.preferences.get(&service.id).is_none_or(|p| p.email);
        let allowed = citizen.email_enabled && switch && !secure && citizen.email_validated;
        assert_eq!(routing.email.is_ok(), allowed);
    });
}

#[test]
fn email_without_an_address_is_suppressed() {
    let mut citizen = citizen();
    citizen.email = None;
    let routing = route(&citizen, &service(), false, NOW);
    assert_eq!(routing.map(|r| r.email), Ok(Err(Suppression::AddressNotValidated)));
}

#[test]
fn a_special_service_reaches_only_those_who_activated_it() {
    let mut service = service();
    service.category = ServiceCategory::Special;
    let just_inside =
        Millis(NOW.0 - u64::try_from(PENDING_ACTIVATION_GRACE.as_millis()).unwrap() + 1);
    let just_outside = Millis(just_inside.0 - 1);
    let cases = [
        (None, false),
        (Some((ActivationStatus::Active, Millis(0))), true),
        (Some((ActivationStatus::Inactive, NOW)), false),
        (Some((ActivationStatus::Pending, just_inside)), true),
        (Some((ActivationStatus::Pending, just_outside)), false),
    ];
    for (activation, allowed) in cases {
        // The activation overrides the citizen's inbox switch both ways.
        for inbox in BOTH {
            let mut citizen = citizen();
            let preference = ServicePreference { inbox, ..ServicePreference::ALL };
            citizen.preferences.insert(service.id.clone(), preference);
            if let Some((status, at)) = activation {
                citizen.activations.insert(service.id.clone(), Activation { status, at });
            }
            assert_eq!(sender_allowed(&citizen, &service, NOW), allowed, "{activation:?}");
        }
    }
}

#[test]
fn a_special_service_keeps_the_other_switches_and_the_inbox_of_the_profile() {
    let mut service = service();
    service.category = ServiceCategory::Special;
    let mut citizen = citizen();
    let active = Activation { status: ActivationStatus::Active, at: NOW };
    citizen.activations.insert(service.id.clone(), active);
    let preference = ServicePreference { inbox: false, email: false, push: false };
    citizen.preferences.insert(service.id.clone(), preference);
    let routing = route(&citizen, &service, false, NOW);
    assert_eq!(routing.map(|r| r.push), Ok(Err(Suppression::ServicePreference)));
    assert_eq!(routing.map(|r| r.email), Ok(Err(Suppression::ServicePreference)));
    citizen.inbox_enabled = false;
    assert!(!sender_allowed(&citizen, &service, NOW));
}

#[test]
fn a_service_switched_off_by_the_operator_reaches_nobody() {
    let mut service = service();
    service.enabled = false;
    assert!(!sender_allowed(&citizen(), &service, NOW));
}
