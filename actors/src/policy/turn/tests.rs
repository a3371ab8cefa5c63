//! The rows of the turn: arrival, attempt, answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{
    AT_ONCE, Answered, RouteEntry, RouteTable, Target, Terms, consent, plan, prepare, react,
};
use crate::domain::answer::Answer;
use crate::domain::citizen::{Citizen, Platform};
use crate::domain::delivery::Endpoint;
use crate::domain::effect::Effect;
use crate::domain::id::AddressId;
use crate::domain::message::{Message, RejectionReason};
use crate::domain::notification::{Carrier, Notification};
use crate::domain::outcome::{DeliveryStatus, Failure, Outcome, Suppression};
use crate::domain::preference::{PushContent, ServicePreference};
use crate::domain::time::Millis;
use crate::policy::backoff::RetryPolicy;
use crate::policy::fixture::{ACCEPTED_AT, citizen, device, message, route, service};
use std::sync::Arc;
use std::time::Duration;

mod mailbox;

const RETRY: RetryPolicy =
    RetryPolicy { base: Duration::from_secs(10), max: Duration::from_secs(60), budget: 3 };

const APNS: Carrier = Carrier::Push(Platform::Apns);
const FCM: Carrier = Carrier::Push(Platform::Fcm);

fn entry(carrier: Carrier, name: &str) -> RouteEntry {
    RouteEntry { id: route(name), carrier, retry: RETRY }
}

fn routes() -> RouteTable {
    RouteTable::new(vec![entry(APNS, "apple"), entry(FCM, "google")])
}

fn two_devices() -> Citizen {
    let mut citizen = citizen();
    citizen.devices = vec![device(Platform::Apns, "a"), device(Platform::Fcm, "f")];
    citizen
}

fn endpoint(citizen: &Citizen) -> Endpoint {
    Endpoint::Device(citizen.devices[0].id())
}

#[test]
fn an_arrival_is_stored_in_the_inbox_and_attempted_on_every_device() {
    let plan = plan(&message(), Some(&two_devices()), Some(&service()), &routes(), ACCEPTED_AT);
    let Effect::Processed { deliveries, .. } = plan.effect else { panic!("{:?}", plan.effect) };
    let delivered = DeliveryStatus::Ended { outcome: Outcome::Delivered, at: ACCEPTED_AT };
    assert_eq!((deliveries[0].endpoint, deliveries[0].status), (Endpoint::Inbox, delivered));
    assert_eq!(deliveries.len(), 3);
    let carried: Vec<_> = plan.attempts.iter().map(|(_, route)| route.as_str()).collect();
    assert_eq!(carried, ["apple", "google"]);
}

#[test]
fn a_device_without_a_route_is_not_planned() {
    let only_apple = RouteTable::new(vec![entry(APNS, "apple")]);
    let plan = plan(&message(), Some(&two_devices()), Some(&service()), &only_apple, ACCEPTED_AT);
    assert_eq!(plan.attempts.len(), 1);
    let Effect::Processed { deliveries, .. } = plan.effect else { panic!("{:?}", plan.effect) };
    assert_eq!(deliveries.len(), 2);
}

#[test]
fn push_switched_off_is_planned_as_suppressed_and_the_inbox_still_gets_it() {
    let mut citizen = two_devices();
    citizen.push_enabled = false;
    let plan = plan(&message(), Some(&citizen), Some(&service()), &routes(), ACCEPTED_AT);
    assert!(plan.attempts.is_empty());
    let Effect::Processed { deliveries, .. } = plan.effect else { panic!("{:?}", plan.effect) };
    let suppressed = Outcome::Suppressed(Suppression::ChannelOff);
    for record in &deliveries[1..] {
        assert_eq!(record.status, DeliveryStatus::Ended { outcome: suppressed, at: ACCEPTED_AT });
    }
}

#[test]
fn arrivals_that_cannot_be_processed_end_with_ios_reasons() {
    let message = message();
    let closed = Citizen { inbox_enabled: false, ..citizen() };
    let rejected = |reason| Effect::Rejected { message: message.id, reason };
    let effect = |citizen: Option<&Citizen>, service, now| {
        plan(&message, citizen, service, &routes(), now).effect
    };
    let service = service();
    assert_eq!(effect(None, Some(&service), ACCEPTED_AT), rejected(RejectionReason::UserNotFound));
    assert_eq!(
        effect(Some(&closed), Some(&service), ACCEPTED_AT),
        rejected(RejectionReason::ServiceNotAllowed)
    );
    assert_eq!(
        effect(Some(&citizen()), None, ACCEPTED_AT),
        rejected(RejectionReason::ServiceNotAllowed)
    );
    assert_eq!(
        effect(Some(&citizen()), Some(&service), message.expires_at()),
        Effect::Expired { message: message.id }
    );
}

#[test]
fn an_attempt_follows_what_the_citizen_wants_now() {
    let citizen = two_devices();
    let end = |citizen: Option<&Citizen>, now| {
        let (message, service) = (Arc::new(message()), Arc::new(service()));
        prepare(&message, endpoint(&two_devices()), citizen, Some(&service), now).err()
    };
    assert_eq!(end(Some(&citizen), ACCEPTED_AT), None);
    assert_eq!(end(Some(&citizen), message().expires_at()), Some(Outcome::Expired));
    let gone = Outcome::Failed(Failure::EndpointRemoved);
    assert_eq!(end(None, ACCEPTED_AT), Some(gone));
    assert_eq!(end(Some(&Citizen { devices: vec![], ..citizen.clone() }), ACCEPTED_AT), Some(gone));
    let off = Citizen { push_enabled: false, ..citizen.clone() };
    let channel_off = Outcome::Suppressed(Suppression::ChannelOff);
    assert_eq!(end(Some(&off), ACCEPTED_AT), Some(channel_off));
    let mut without = citizen;
    let preference = ServicePreference { push: false, ..ServicePreference::ALL };
    without.preferences.insert(service().id, preference);
    let by_preference = Outcome::Suppressed(Suppression::ServicePreference);
    assert_eq!(end(Some(&without), ACCEPTED_AT), Some(by_preference));
}

#[test]
fn a_service_switched_off_suppresses_what_is_queued() {
    let citizen = two_devices();
    let mut service = service();
    service.enabled = false;
    let disabled = Outcome::Suppressed(Suppression::ServiceDisabled);
    for service in [Some(&service), None] {
        let end = consent(
            Terms::of(&message()),
            endpoint(&citizen),
            Some(&citizen),
            service,
            ACCEPTED_AT,
        );
        assert_eq!(end.err(), Some(disabled));
    }
}

fn answered(answer: Answer) -> Answered {
    let message: Message = message();
    Answered {
        message: message.id,
        endpoint: endpoint(&two_devices()),
        retries: 0,
        expires_at: message.expires_at(),
        target: Some(Target::Device(Millis(1_000))),
        answer,
    }
}

fn reaction(answered: &Answered, now: Millis) -> Vec<Effect> {
    react(citizen().fiscal_code, answered, &RETRY, now, 0.5)
}

fn settled(outcome: Outcome) -> Effect {
    let Answered { message, endpoint, .. } = answered(Answer::Accepted);
    Effect::Settled { message, endpoint, outcome }
}

fn deferred(wait: u64, retry: bool) -> Effect {
    let Answered { message, endpoint, .. } = answered(Answer::Accepted);
    Effect::Deferred { message, endpoint, due: Millis(ACCEPTED_AT.0 + wait), retry }
}

#[test]
fn each_answer_has_its_reaction() {
    let fail = Failure::RefusedContent;
    let reason = "Test";
    let minute = Some(Duration::from_secs(60));
    for (answer, expected) in [
        (Answer::Accepted, settled(Outcome::Delivered)),
        (Answer::RetryDelivery { after: None, reason }, deferred(5_000, true)),
        (Answer::ProviderFailed { after: None, reason }, deferred(5_000, true)),
        (Answer::RetryDelivery { after: minute, reason }, deferred(62_500, true)),
        (Answer::RetryRoute { after: minute, reason }, deferred(62_500, true)),
        (Answer::Unknown { reason }, deferred(5_000, true)),
        (Answer::RetryElsewhere { reason }, deferred(0, true)),
        (Answer::Halt { reason }, deferred(0, false)),
        (Answer::Fail { failure: fail, reason }, settled(Outcome::Failed(fail))),
    ] {
        assert_eq!(reaction(&answered(answer.clone()), ACCEPTED_AT), [expected], "{answer:?}");
    }
}

#[test]
fn refusals_elsewhere_are_repeated_at_once_only_a_few_times() {
    let mut answered = answered(Answer::RetryElsewhere { reason: "Test" });
    answered.retries = AT_ONCE - 1;
    assert_eq!(reaction(&answered, ACCEPTED_AT), [deferred(0, true)]);
    let patient = RetryPolicy { budget: 20, ..RETRY };
    answered.retries = AT_ONCE;
    let later = react(citizen().fiscal_code, &answered, &patient, ACCEPTED_AT, 0.5);
    assert_eq!(later, [deferred(30_000, true)]);
}

#[test]
fn what_a_push_shows_follows_the_present_choice() {
    let mut citizen = two_devices();
    let body = |citizen: &Citizen| {
        let at = endpoint(&two_devices());
        let (message, service) = (Arc::new(message()), Arc::new(service()));
        let prepared = prepare(&message, at, Some(citizen), Some(&service), ACCEPTED_AT);
        prepared.map(|prepared| match prepared.notification {
            Notification::Push(push) => push.notice.body.clone(),
            Notification::Email(email) => panic!("{email:?}"),
        })
    };
    citizen.push_content = PushContent::Full;
    assert_eq!(body(&citizen), Ok(message().content.subject));
    citizen.push_content = PushContent::Anonymous;
    assert_ne!(body(&citizen), Ok(message().content.subject));
}

#[test]
fn a_token_is_dropped_only_if_registered_before_the_provider_lost_it() {
    let gone = |before: Option<u64>| {
        let registered_before = before.map(Millis);
        reaction(&answered(Answer::DropToken { registered_before, reason: "Test" }), ACCEPTED_AT)
    };
    let drops = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::DeviceDropped { .. }))
    };
    assert!(drops(&gone(None)));
    assert!(drops(&gone(Some(1_001))));
    assert!(!drops(&gone(Some(1_000))));
    assert_eq!(gone(Some(1_000)), [settled(Outcome::Failed(Failure::RefusedEndpoint))]);
}

#[test]
fn retries_end_with_the_budget_and_with_the_time_to_live() {
    let mut last = answered(Answer::Unknown { reason: "Test" });
    last.retries = RETRY.budget;
    let exhausted = settled(Outcome::Failed(Failure::RetriesExhausted));
    assert_eq!(reaction(&last, ACCEPTED_AT), [exhausted]);
    let late = Millis(message().expires_at().0 - 1);
    let answered = answered(Answer::Unknown { reason: "Test" });
    assert_eq!(reaction(&answered, late), [settled(Outcome::Expired)]);
}

#[test]
fn two_routes_of_a_platform_share_its_devices_and_keep_them() {
    let table = RouteTable::new(vec![entry(APNS, "one"), entry(APNS, "two")]);
    let chosen = |n: usize| {
        table.device(&device(Platform::Apns, &format!("token {n}"))).map(|r| r.as_str().to_owned())
    };
    let first = (0..1_000).filter(|&n| chosen(n).as_deref() == Some("one")).count();
    assert!((400..600).contains(&first), "{first}");
    assert!((0..100).all(|n| chosen(n) == chosen(n)));
    assert_eq!(table.device(&device(Platform::Fcm, "f")), None);
    assert_eq!(table.mailbox(AddressId::of("maria@example.org")), None);
}

#[test]
fn two_relays_share_the_addresses_and_keep_them() {
    let table = RouteTable::new(vec![entry(Carrier::Email, "one"), entry(Carrier::Email, "two")]);
    let chosen = |n: usize| {
        let address = AddressId::of(&format!("citizen.{n}@example.org"));
        table.mailbox(address).map(|r| r.as_str().to_owned())
    };
    let first = (0..1_000).filter(|&n| chosen(n).as_deref() == Some("one")).count();
    assert!((400..600).contains(&first), "{first}");
    assert!((0..100).all(|n| chosen(n) == chosen(n)));
    assert_eq!(table.device(&device(Platform::Apns, "a")), None);
}
