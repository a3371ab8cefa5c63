//! Every row of the routing table, all switches multiplied out, against a
//! second statement of the rules: IO's message processing step by step, in
//! IO's own terms (a set of blocked channels), with our one difference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use super::{is_secure, route, sender_allowed};
use crate::domain::citizen::{Activation, ActivationStatus, Citizen, Platform};
use crate::domain::delivery::{Channel, DeliveryRecord};
use crate::domain::effect::Effect;
use crate::domain::message::{Message, RejectionReason};
use crate::domain::notification::Carrier;
use crate::domain::outcome::{DeliveryStatus, Outcome, Suppression};
use crate::domain::preference::{PreferencesMode, ServicePreference};
use crate::domain::service::{Service, ServiceCategory};
use crate::domain::time::Millis;
use crate::policy::backoff::RetryPolicy;
use crate::policy::fixture::{ACCEPTED_AT, citizen, device, message, route as name, service};
use crate::policy::turn::{RouteEntry, RouteTable, Terms, consent, plan};

const NOW: Millis = ACCEPTED_AT;
const DAY: u64 = 24 * 60 * 60 * 1_000;
const BOTH: [bool; 2] = [false, true];

/// What is known of the citizen's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    Absent,
    AbsentYetMarked,
    Unvalidated,
    Validated,
}

/// State of a SPECIAL service, or that it is a STANDARD one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Standard,
    SpecialNever,
    SpecialActive,
    SpecialInactive,
    SpecialPendingYoung,
    SpecialPendingOld,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    mode: PreferencesMode,
    /// Inbox, email, push, as stored for the service.
    stored: Option<(bool, bool, bool)>,
    /// Inbox, email, push, of the profile.
    profile: (bool, bool, bool),
    address: Address,
    content_secure: Option<bool>,
    service_secure: bool,
    kind: Kind,
    enabled: bool,
}

/// What must become of a message of this row.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Rejected,
    Processed { push: Option<Suppression>, email: Option<Suppression> },
}

/// IO's steps 2 to 8 (services-func, ProcessMessage and CreateNotification).
/// The difference: step 7 asks the service's e-mail switch in every mode,
/// where IO asks it in LEGACY only.
fn expected(row: &Row) -> Expected {
    let (inbox_on, email_on, push_on) = row.profile;
    // 2, and an operator who switched the service off.
    if !inbox_on || !row.enabled {
        return Expected::Rejected;
    }
    // 3: which channels the citizen blocks for the service.
    let mut blocked = BTreeSet::new();
    match (row.stored, row.mode) {
        (Some((inbox, email, push)), _) => {
            let switches = [("INBOX", inbox), ("EMAIL", email), ("WEBHOOK", push)];
            blocked.extend(switches.iter().filter(|(_, on)| !on).map(|(channel, _)| *channel));
        }
        (None, PreferencesMode::Manual) => {
            blocked.insert("INBOX");
        }
        (None, PreferencesMode::Legacy | PreferencesMode::Auto) => {}
    }
    // 4: a SPECIAL service goes by its activation, both ways.
    match row.kind {
        Kind::Standard => {}
        Kind::SpecialActive | Kind::SpecialPendingYoung => {
            blocked.remove("INBOX");
        }
        Kind::SpecialNever | Kind::SpecialInactive | Kind::SpecialPendingOld => {
            blocked.insert("INBOX");
        }
    }
    // 5
    if blocked.contains("INBOX") {
        return Expected::Rejected;
    }
    let secure = match row.content_secure {
        Some(own) => own,
        None => row.service_secure,
    };
    // 7: the first reason that holds is the one recorded.
    let email = [
        (!email_on, Suppression::ChannelOff),
        (blocked.contains("EMAIL"), Suppression::ServicePreference),
        (secure, Suppression::SecureChannels),
        (row.address != Address::Validated, Suppression::AddressNotValidated),
    ];
    // 8
    let push = [
        (!push_on, Suppression::ChannelOff),
        (blocked.contains("WEBHOOK"), Suppression::ServicePreference),
    ];
    let first = |reasons: &[(bool, Suppression)]| {
        reasons.iter().find(|(holds, _)| *holds).map(|(_, reason)| *reason)
    };
    Expected::Processed { push: first(&push), email: first(&email) }
}

fn every_switch() -> Vec<(bool, bool, bool)> {
    let pair = |a| BOTH.into_iter().flat_map(move |b| BOTH.map(|c| (a, b, c)));
    BOTH.into_iter().flat_map(pair).collect()
}

fn each_row(mut check: impl FnMut(&Row)) -> usize {
    let modes = [PreferencesMode::Legacy, PreferencesMode::Auto, PreferencesMode::Manual];
    let stored: Vec<_> =
        std::iter::once(None).chain(every_switch().into_iter().map(Some)).collect();
    let addresses =
        [Address::Absent, Address::AbsentYetMarked, Address::Unvalidated, Address::Validated];
    let kinds = [
        Kind::Standard,
        Kind::SpecialNever,
        Kind::SpecialActive,
        Kind::SpecialInactive,
        Kind::SpecialPendingYoung,
        Kind::SpecialPendingOld,
    ];
    let mut rows = 0;
    for mode in modes {
        for &stored in &stored {
            for profile in every_switch() {
                for address in addresses {
                    for number in 0..72 {
                        let content_secure = [None, Some(false), Some(true)][number % 3];
                        let service_secure = number / 3 % 2 == 1;
                        let kind = kinds[number / 6 % 6];
                        let enabled = number / 36 == 1;
                        rows += 1;
                        check(&Row {
                            mode,
                            stored,
                            profile,
                            address,
                            content_secure,
                            service_secure,
                            kind,
                            enabled,
                        });
                    }
                }
            }
        }
    }
    rows
}

/// A citizen with two devices, a service and a message that make up the row.
fn people(row: &Row) -> (Citizen, Service, Message) {
    let (mut citizen, mut service, mut message) = (citizen(), service(), message());
    citizen.devices = vec![device(Platform::Apns, "a"), device(Platform::Fcm, "f")];
    citizen.mode = row.mode;
    (citizen.inbox_enabled, citizen.email_enabled, citizen.push_enabled) = row.profile;
    citizen.email_validated = matches!(row.address, Address::Validated | Address::AbsentYetMarked);
    if matches!(row.address, Address::Absent | Address::AbsentYetMarked) {
        citizen.email = None;
    }
    if let Some((inbox, email, push)) = row.stored {
        let preference = ServicePreference { inbox, email, push, read_status: false };
        citizen.preferences.insert(service.id.clone(), preference);
    }
    service.enabled = row.enabled;
    service.require_secure_channels = row.service_secure;
    message.content.require_secure_channels = row.content_secure;
    if row.kind != Kind::Standard {
        service.category = ServiceCategory::Special;
    }
    let activation = match row.kind {
        Kind::Standard | Kind::SpecialNever => None,
        Kind::SpecialActive => Some((ActivationStatus::Active, Millis(0))),
        Kind::SpecialInactive => Some((ActivationStatus::Inactive, NOW)),
        Kind::SpecialPendingYoung => Some((ActivationStatus::Pending, Millis(NOW.0 - DAY + 1))),
        Kind::SpecialPendingOld => Some((ActivationStatus::Pending, Millis(NOW.0 - DAY))),
    };
    if let Some((status, at)) = activation {
        citizen.activations.insert(service.id.clone(), Activation { status, at });
    }
    (citizen, service, message)
}

#[test]
fn each_row_of_the_routing_table_is_decided_as_the_rules_say() {
    let rows = each_row(|row| {
        let (citizen, service, message) = people(row);
        let secure = is_secure(&message.content, &service);
        let routed = route(&citizen, &service, secure, NOW);
        let decided = match routed {
            Err(reason) => {
                assert_eq!(reason, RejectionReason::ServiceNotAllowed);
                Expected::Rejected
            }
            Ok(routing) => {
                Expected::Processed { push: routing.push.err(), email: routing.email.err() }
            }
        };
        assert_eq!(decided, expected(row), "{row:?}");
        let allowed = decided != Expected::Rejected;
        assert_eq!(sender_allowed(&citizen, &service, NOW), allowed, "{row:?}");
    });
    assert_eq!(rows, 3 * 9 * 8 * 4 * 3 * 2 * 6 * 2);
}

fn carriers() -> RouteTable {
    let retry =
        RetryPolicy { base: Duration::from_secs(1), max: Duration::from_secs(60), budget: 3 };
    let entry = |id, carrier| RouteEntry { id: name(id), carrier, retry };
    RouteTable::new(vec![
        entry("apple", Carrier::Push(Platform::Apns)),
        entry("google", Carrier::Push(Platform::Fcm)),
        entry("relay", Carrier::Email),
    ])
}

/// Where a planned delivery stands: none when it is to be attempted.
fn suppressed(record: &DeliveryRecord) -> Option<Suppression> {
    match record.status {
        DeliveryStatus::Pending { .. } => None,
        DeliveryStatus::Ended { outcome: Outcome::Suppressed(why), .. } => Some(why),
        DeliveryStatus::Ended { outcome, .. } => panic!("{outcome:?}"),
    }
}

#[test]
fn each_row_of_the_routing_table_is_planned_channel_by_channel_and_attempted_accordingly() {
    let routes = carriers();
    each_row(|row| {
        let (citizen, service, message) = people(row);
        let planned = plan(&message, Some(&citizen), Some(&service), &routes, NOW);
        let (push, email) = match expected(row) {
            Expected::Rejected => {
                let reason = RejectionReason::ServiceNotAllowed;
                assert_eq!(planned.effect, Effect::Rejected { message: message.id, reason });
                assert!(planned.attempts.is_empty(), "{row:?}");
                return;
            }
            Expected::Processed { push, email } => (push, email),
        };
        let Effect::Processed { deliveries, .. } = planned.effect else { panic!("{row:?}") };
        let of = |channel| deliveries.iter().filter(move |d| d.endpoint.channel() == channel);
        assert_eq!(of(Channel::InApp).count(), 1);
        assert_eq!(of(Channel::Push).map(suppressed).collect::<Vec<_>>(), [push; 2], "{row:?}");
        // Without an address there is nowhere a mail could go.
        let mails = if citizen.email.is_some() { vec![email] } else { vec![] };
        assert_eq!(of(Channel::Email).map(suppressed).collect::<Vec<_>>(), mails, "{row:?}");
        for record in deliveries.iter().filter(|record| record.endpoint.channel() != Channel::InApp)
        {
            let now =
                consent(Terms::of(&message), record.endpoint, Some(&citizen), Some(&service), NOW);
            let why = suppressed(record).map(Outcome::Suppressed);
            assert_eq!(now.err(), why, "{row:?}");
            let attempted = planned.attempts.iter().any(|(at, _)| *at == record.endpoint);
            assert_eq!(attempted, why.is_none(), "{row:?}");
        }
    });
}
