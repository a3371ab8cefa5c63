//! The rows of the turn for e-mail.

use super::{
    ACCEPTED_AT, APNS, Answer, Answered, Arc, Carrier, Citizen, DeliveryStatus, Effect, Endpoint,
    FCM, Failure, Message, Millis, Notification, Outcome, RETRY, RouteTable, ServicePreference,
    Suppression, Target, citizen, consent, entry, message, plan, prepare, react, service,
    two_devices,
};
use crate::domain::citizen::Language;
use crate::domain::delivery::DeliveryRecord;
use crate::domain::id::AddressId;
use crate::domain::service::Service;
use crate::policy::turn::{Prepared, Terms};

fn routes() -> RouteTable {
    RouteTable::new(vec![
        entry(APNS, "apple"),
        entry(FCM, "google"),
        entry(Carrier::Email, "relay"),
    ])
}

/// The delivery by e-mail that is planned for `citizen`, if any.
fn planned(citizen: &Citizen, message: &Message, routes: &RouteTable) -> Option<DeliveryRecord> {
    let plan = plan(message, Some(citizen), Some(&service()), routes, ACCEPTED_AT);
    let attempted = plan.attempts.iter().any(|(endpoint, _)| *endpoint == Endpoint::Mailbox);
    let Effect::Processed { deliveries, .. } = plan.effect else { panic!("{:?}", plan.effect) };
    let mail = deliveries.into_iter().find(|record| record.endpoint == Endpoint::Mailbox);
    let pending = mail.as_ref().is_some_and(|record| record.status.due().is_some());
    assert_eq!(attempted, pending);
    mail
}

fn prepared(citizen: Option<&Citizen>, now: Millis) -> Result<Prepared, Outcome> {
    let (message, service) = (Arc::new(message()), Arc::new(service()));
    prepare(&message, Endpoint::Mailbox, citizen, Some(&service), now)
}

#[test]
fn a_mail_is_planned_only_with_an_address_and_a_route_for_mail() {
    let record = planned(&citizen(), &message(), &routes()).unwrap();
    assert_eq!(record.status, DeliveryStatus::Pending { due: ACCEPTED_AT });
    assert_eq!(record.route.unwrap().as_str(), "relay");
    let without = Citizen { email: None, email_validated: false, ..citizen() };
    assert_eq!(planned(&without, &message(), &routes()), None);
    let push_only = RouteTable::new(vec![entry(APNS, "apple"), entry(FCM, "google")]);
    assert_eq!(planned(&citizen(), &message(), &push_only), None);
}

#[test]
fn a_mail_goes_out_beside_a_push_to_every_device() {
    let plan = plan(&message(), Some(&two_devices()), Some(&service()), &routes(), ACCEPTED_AT);
    let carried: Vec<_> = plan.attempts.iter().map(|(_, route)| route.as_str()).collect();
    assert_eq!(carried, ["apple", "google", "relay"]);
}

#[test]
fn a_mail_that_may_not_go_is_planned_as_suppressed_with_its_reason() {
    let off = ServicePreference { email: false, ..ServicePreference::ALL };
    let mut switched_off = citizen();
    switched_off.preferences.insert(service().id, off);
    let mut secure = message();
    secure.content.require_secure_channels = Some(true);
    for (citizen, message, why) in [
        (Citizen { email_enabled: false, ..citizen() }, message(), Suppression::ChannelOff),
        (switched_off, message(), Suppression::ServicePreference),
        (citizen(), secure, Suppression::SecureChannels),
        (
            Citizen { email_validated: false, ..citizen() },
            message(),
            Suppression::AddressNotValidated,
        ),
    ] {
        let outcome = Outcome::Suppressed(why);
        let record = planned(&citizen, &message, &routes()).unwrap();
        assert_eq!(record.status, DeliveryStatus::Ended { outcome, at: ACCEPTED_AT });
    }
}

#[test]
fn a_mail_says_who_what_and_in_which_language() {
    let mut citizen = citizen();
    citizen.languages = vec![Language::French];
    citizen.timezone = Some("Europe/Paris".into());
    let Prepared { notification, target } = prepared(Some(&citizen), ACCEPTED_AT).unwrap();
    let Notification::Email(email) = &notification else { panic!("{notification:?}") };
    assert_eq!(email.to, "maria@example.org");
    assert_eq!(email.language, Language::French);
    assert_eq!(email.timezone.as_deref(), Some("Europe/Paris"));
    assert_eq!((&*email.message, &*email.service), (&message(), &service()));
    assert_eq!(notification.delivery(), Endpoint::Mailbox.delivery_id(message().id));
    assert_eq!(target, Target::Mailbox(AddressId::of("maria@example.org")));
}

#[test]
fn a_mail_goes_to_the_address_of_the_moment_of_the_attempt() {
    let moved = Citizen { email: Some("maria@example.net".into()), ..citizen() };
    let first = prepared(Some(&citizen()), ACCEPTED_AT).unwrap();
    let second = prepared(Some(&moved), ACCEPTED_AT).unwrap();
    let Notification::Email(email) = &second.notification else { panic!("{second:?}") };
    assert_eq!(email.to, "maria@example.net");
    assert_eq!(second.target, Target::Mailbox(AddressId::of("maria@example.net")));
    // The delivery stays the same one, whatever the address.
    assert_eq!(first.notification.delivery(), second.notification.delivery());
    // Not yet confirmed: nothing goes there.
    let unconfirmed = Citizen { email_validated: false, ..moved };
    let why = Outcome::Suppressed(Suppression::AddressNotValidated);
    assert_eq!(prepared(Some(&unconfirmed), ACCEPTED_AT), Err(why));
}

#[test]
fn a_mail_follows_what_citizen_and_operator_want_now() {
    let suppressed = Outcome::Suppressed;
    let end = |citizen: Option<&Citizen>, service: Option<&Service>, now| {
        consent(Terms::of(&message()), Endpoint::Mailbox, citizen, service, now).err()
    };
    let (known, service) = (citizen(), service());
    assert_eq!(end(Some(&known), Some(&service), ACCEPTED_AT), None);
    assert_eq!(end(Some(&known), Some(&service), message().expires_at()), Some(Outcome::Expired));
    let gone = Outcome::Failed(Failure::EndpointRemoved);
    assert_eq!(end(None, Some(&service), ACCEPTED_AT), Some(gone));
    let off = Citizen { email_enabled: false, ..citizen() };
    let channel_off = suppressed(Suppression::ChannelOff);
    assert_eq!(end(Some(&off), Some(&service), ACCEPTED_AT), Some(channel_off));
    let closed = Citizen { inbox_enabled: false, ..citizen() };
    let by_preference = suppressed(Suppression::ServicePreference);
    assert_eq!(end(Some(&closed), Some(&service), ACCEPTED_AT), Some(by_preference));
    let removed = Citizen { email: None, ..citizen() };
    let no_address = suppressed(Suppression::AddressNotValidated);
    assert_eq!(end(Some(&removed), Some(&service), ACCEPTED_AT), Some(no_address));
    let secure = Service { require_secure_channels: true, ..service.clone() };
    let by_content = suppressed(Suppression::SecureChannels);
    assert_eq!(end(Some(&known), Some(&secure), ACCEPTED_AT), Some(by_content));
    let disabled = suppressed(Suppression::ServiceDisabled);
    assert_eq!(end(Some(&known), None, ACCEPTED_AT), Some(disabled));
}

fn answered(target: Option<Target>, answer: Answer) -> Answered {
    Answered {
        message: message().id,
        endpoint: Endpoint::Mailbox,
        retries: 0,
        expires_at: message().expires_at(),
        target,
        answer,
    }
}

fn reaction(answered: &Answered) -> Vec<Effect> {
    react(citizen().fiscal_code, answered, &RETRY, ACCEPTED_AT, 0.5)
}

fn settled(outcome: Outcome) -> Effect {
    Effect::Settled { message: message().id, endpoint: Endpoint::Mailbox, outcome }
}

#[test]
fn an_address_that_does_not_exist_is_refused_and_no_device_dropped() {
    let address = AddressId::of("maria@example.org");
    let gone = |before: Option<u64>| {
        let registered_before = before.map(Millis);
        let answer = Answer::DropToken { registered_before, reason: "Test" };
        reaction(&answered(Some(Target::Mailbox(address)), answer))
    };
    let refused = Effect::AddressRefused { citizen: citizen().fiscal_code, address };
    let expected = [settled(Outcome::Failed(Failure::EndpointGone)), refused];
    // A mailbox has no time of registration: the hint changes nothing.
    assert_eq!(gone(None), expected);
    assert_eq!(gone(Some(0)), expected);
}

#[test]
fn an_answer_about_another_kind_of_target_takes_nothing_away() {
    let drop = || Answer::DropToken { registered_before: None, reason: "Test" };
    let refused = [settled(Outcome::Failed(Failure::RefusedEndpoint))];
    assert_eq!(reaction(&answered(None, drop())), refused);
    assert_eq!(reaction(&answered(Some(Target::Device(Millis(1))), drop())), refused);
}

#[test]
fn a_mail_deferred_by_the_relay_is_tried_again_and_one_refused_is_not() {
    let mailbox = Some(Target::Mailbox(AddressId::of("maria@example.org")));
    let greylisted = Answer::RetryDelivery { after: None, reason: "Test" };
    let due = Millis(ACCEPTED_AT.0 + 5_000);
    let (message, endpoint) = (message().id, Endpoint::Mailbox);
    let deferred = [Effect::Deferred { message, endpoint, due, retry: true }];
    assert_eq!(reaction(&answered(mailbox, greylisted)), deferred);
    let content = Answer::Fail { failure: Failure::RefusedContent, reason: "Test" };
    let failed = [settled(Outcome::Failed(Failure::RefusedContent))];
    assert_eq!(reaction(&answered(mailbox, content)), failed);
    let accepted = [settled(Outcome::Delivered)];
    assert_eq!(reaction(&answered(mailbox, Answer::Accepted)), accepted);
}
