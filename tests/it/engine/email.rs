//! E-mail beside push: the second route of the harness.

use super::harness::{Harness, address, citizen, token, with_address};
use super::{MINUTE, REASON};
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::{Channel, Endpoint};
use araldo_actors::domain::email::Email;
use araldo_actors::domain::notification::Notification;
use araldo_actors::domain::outcome::{DeliveryStatus, Failure, Outcome};
use std::convert::Infallible;
use std::time::Duration;

async fn with_addresses(count: usize) -> Harness {
    let harness = Harness::start().await;
    harness.register((0..count).map(with_address).collect()).await;
    harness
}

fn email(notification: &Notification) -> &Email {
    match notification {
        Notification::Email(email) => email,
        Notification::Push(push) => panic!("{push:?}"),
    }
}

/// Changes the record of the n-th citizen as the citizen API does.
pub async fn change(harness: &Harness, number: usize, change: impl Fn(&mut Citizen) + Sync) {
    let changed = harness.running.engine.change_citizen(citizen(number).fiscal_code, |record| {
        let mut record = record.unwrap();
        change(&mut record);
        Ok::<_, Infallible>(record)
    });
    changed.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_out_by_push_and_by_mail() {
    let harness = with_addresses(1).await;
    let id = harness.submit(citizen(0).fiscal_code).await;
    let books = harness.settle(MINUTE).await;
    for channel in Channel::ALL {
        let totals = books.deliveries[channel.index()];
        assert_eq!((totals.planned, totals.delivered), (1, 1), "{channel:?}");
    }
    assert_eq!(harness.provider.attempts(), [(token(0), id)]);
    assert_eq!(harness.relay.attempts(), [(address(0), id)]);
    let requests = harness.relay.requests.lock().unwrap();
    let mail = email(&requests[0].0);
    assert_eq!(mail.delivery, Endpoint::Mailbox.delivery_id(id));
    assert_eq!(
        (&*mail.service, &mail.message.content),
        (&*harness.service, &super::harness::content())
    );
}

#[tokio::test(start_paused = true)]
async fn thousands_of_mails_end_once_each_beside_the_pushes() {
    let harness = with_addresses(500).await;
    for number in 0..2_000 {
        harness.submit(citizen(number % 500).fiscal_code).await;
    }
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.all_deliveries().delivered, 6_000);
    let unique =
        |deliveries: Vec<_>| deliveries.into_iter().collect::<std::collections::HashSet<_>>();
    assert_eq!((harness.relay.count(), unique(harness.relay.deliveries()).len()), (2_000, 2_000));
    assert_eq!(harness.provider.count(), 2_000);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_out_of_reach_holds_mails_and_no_push() {
    let harness = with_addresses(100).await;
    harness.relay.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 0..100 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.deliveries[Channel::Push.index()].delivered, 100);
    assert_eq!(books.deliveries[Channel::Email.index()].open(), 100);
    harness.assert_conserved().await;
    harness.relay.reachable.store(true, std::sync::atomic::Ordering::Relaxed);
    let books = harness.settle(5 * MINUTE).await;
    assert_eq!(books.deliveries[Channel::Email.index()].delivered, 100);
    assert_eq!(harness.relay.count(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_mail_deferred_by_the_relay_is_tried_again_under_the_same_id() {
    let harness = with_addresses(1).await;
    harness.relay.answer_with(|number, _| match number {
        0 => Answer::RetryDelivery { after: None, reason: REASON },
        1 => Answer::Unknown { reason: REASON },
        _ => Answer::Accepted,
    });
    harness.submit(citizen(0).fiscal_code).await;
    let books = harness.settle(5 * MINUTE).await;
    let mail = books.deliveries[Channel::Email.index()];
    assert_eq!((mail.delivered, mail.retried), (1, 2));
    let deliveries = harness.relay.deliveries();
    assert_eq!(deliveries.len(), 3);
    assert!(deliveries.iter().all(|delivery| *delivery == deliveries[0]));
}

#[tokio::test(start_paused = true)]
async fn an_address_replaced_while_queued_gets_the_mails_and_the_old_one_none() {
    let harness = with_addresses(200).await;
    harness.relay.slow(Duration::from_millis(100));
    for number in 0..200 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let old = harness.relay.attempts().len();
    assert!(old > 10 && old < 190, "{old}");
    let new = |number: usize| format!("new.{number}@example.net");
    for number in 0..200 {
        change(&harness, number, |citizen| citizen.email = Some(new(number))).await;
        // From here on nothing starts to the old address.
        let sent = harness.relay.attempts_to(&address(number));
        assert!(sent <= 1);
    }
    let old = (0..200).map(|number| harness.relay.attempts_to(&address(number))).sum::<usize>();
    harness.relay.fast();
    let books = harness.settle(5 * MINUTE).await;
    assert_eq!(books.deliveries[Channel::Email.index()].delivered, 200);
    let now_old = (0..200).map(|number| harness.relay.attempts_to(&address(number))).sum::<usize>();
    let now_new = (0..200).map(|number| harness.relay.attempts_to(&new(number))).sum::<usize>();
    assert_eq!((now_old, now_new), (old, 200 - old));
}

#[tokio::test(start_paused = true)]
async fn an_address_not_confirmed_any_more_gets_no_mail_that_was_queued() {
    let harness = with_addresses(50).await;
    harness.relay.slow(Duration::from_secs(1));
    for number in 0..50 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in 0..50 {
        change(&harness, number, |citizen| {
            citizen.email = Some("unconfirmed@example.net".into());
            citizen.email_validated = false;
        })
        .await;
    }
    let started = harness.relay.count();
    let books = harness.settle(5 * MINUTE).await;
    let mail = books.deliveries[Channel::Email.index()];
    assert_eq!((harness.relay.count(), mail.delivered), (started, started as u64));
    assert_eq!(mail.suppressed, 50 - started as u64);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_exist_counts_as_not_validated_for_all_that_is_queued() {
    let harness = with_addresses(1).await;
    harness.relay.slow(Duration::from_millis(100));
    harness.relay.answer_with(|_, _| Answer::DropToken { registered_before: None, reason: REASON });
    let code = citizen(0).fiscal_code;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(harness.submit(code).await);
    }
    let books = harness.settle(5 * MINUTE).await;
    let mail = books.deliveries[Channel::Email.index()];
    assert_eq!((harness.relay.count(), mail.failed, mail.suppressed), (1, 1, 19));
    let known = harness.running.engine.citizen(code).await.unwrap().unwrap();
    assert_eq!((known.email, known.email_validated), (Some(address(0)), false));
    assert_eq!(known.devices.len(), 1, "no device is dropped for it");
    assert_eq!(harness.provider.count(), 20);
    let (_, state) = harness.running.engine.message(code, ids[0]).await.unwrap().unwrap();
    let record = state.deliveries.iter().find(|one| one.endpoint == Endpoint::Mailbox).unwrap();
    let gone = Outcome::Failed(Failure::EndpointGone);
    assert!(matches!(record.status, DeliveryStatus::Ended { outcome, .. } if outcome == gone));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_old_address_says_nothing_of_the_new_one() {
    let harness = with_addresses(1).await;
    harness.relay.slow(Duration::from_secs(10));
    harness.relay.answer_with(|_, asked| match email(asked).to.as_str() {
        "new@example.net" => Answer::Accepted,
        _ => Answer::DropToken { registered_before: None, reason: REASON },
    });
    let code = citizen(0).fiscal_code;
    harness.submit(code).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(harness.relay.attempts_to(&address(0)), 1);
    change(&harness, 0, |citizen| citizen.email = Some("new@example.net".into())).await;
    harness.submit(code).await;
    let books = harness.settle(5 * MINUTE).await;
    let mail = books.deliveries[Channel::Email.index()];
    assert_eq!((mail.failed, mail.delivered), (1, 1));
    let known = harness.running.engine.citizen(code).await.unwrap().unwrap();
    assert!(known.email_validated);
}
