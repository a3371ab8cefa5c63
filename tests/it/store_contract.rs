//! The contract of the store: one suite for all implementations.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use araldo::store::claimed_id;
use araldo_actors::domain::delivery::{Endpoint, MessageState};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::{AddressId, Epoch, PartitionId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::{MessageStatus, RejectionReason};
use araldo_actors::domain::outcome::{DeliveryStatus, Failure, Outcome};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Acceptance, Journal, Step, Store, StoreError};

use crate::store_fixture::{
    PARTITIONS, accept, api_key, citizen, claim, code, contract, device, due_ids, endpoint,
    everywhere, home, inbox, journal, message, message_in, one_processed, open, organization, plan,
    processed, route, service, state_of, step, up_to,
};

contract!(
    accepted_messages_get_contiguous_places_in_their_journal,
    a_claim_is_honoured_once_and_answers_the_first_id_again,
    the_same_message_is_accepted_once_without_a_claim,
    claims_are_forgotten_by_age,
    a_message_is_shown_to_its_recipient_only,
    a_message_is_processed_once,
    a_message_has_one_end,
    a_delivery_settles_once,
    a_deferral_moves_the_delivery_and_counts_once,
    a_quarantine_cancels_what_is_pending,
    effects_on_the_unknown_change_nothing,
    older_owners_are_fenced,
    due_deliveries_come_oldest_first_but_for_the_excepted,
    a_delivery_planned_for_the_past_is_found_after_later_ones,
    routes_have_their_own_due_deliveries,
    lanes_have_their_own_due_deliveries,
    lanes_have_their_own_journals,
    a_key_is_used_once_whatever_the_lane,
    arrivals_wait_until_the_checkpoint_passes_them,
    opening_counts_what_waits,
    a_message_for_nobody_is_rejected_when_its_turn_comes,
    the_registry_is_kept,
    unknown_partitions_are_refused,
);

async fn accepted_messages_get_contiguous_places_in_their_journal(store: &dyn Store) {
    for n in 0..5 {
        let id = message(n, 1).id;
        assert_eq!(accept(store, n, 1).await, Acceptance::Accepted { id, sequence: n });
    }
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.accepted, 5);
}

async fn a_claim_is_honoured_once_and_answers_the_first_id_again(store: &dyn Store) {
    let first = store.accept(message(1, 1), Some(claim(7, 1))).await.unwrap();
    let id = claimed_id(message(1, 1).accepted_at, &claim(7, 1));
    assert_eq!(first, Acceptance::Accepted { id, sequence: 0 });
    let again = store.accept(message(2, 1), Some(claim(7, 1))).await.unwrap();
    assert_eq!(again, Acceptance::Replayed { id });
    let other = store.accept(message(3, 1), Some(claim(7, 2))).await.unwrap();
    assert_eq!(other, Acceptance::KeyReused);
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.accepted, 1);
    assert!(store.message(code(1), id).await.unwrap().is_some());
}

async fn the_same_message_is_accepted_once_without_a_claim(store: &dyn Store) {
    accept(store, 1, 1).await;
    let again = accept(store, 1, 1).await;
    assert_eq!(again, Acceptance::Replayed { id: message(1, 1).id });
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.accepted, 1);
}

async fn claims_are_forgotten_by_age(store: &dyn Store) {
    for n in 1..=3 {
        let key = u8::try_from(n).unwrap();
        store.accept(message(n, 1), Some(claim(key, 0))).await.unwrap();
    }
    assert_eq!(store.forget_claims(Millis(1_003)).await.unwrap(), 2);
    assert_eq!(store.forget_claims(Millis(1_003)).await.unwrap(), 0);
    let fresh = store.accept(message(9, 1), Some(claim(1, 1))).await.unwrap();
    assert!(matches!(fresh, Acceptance::Accepted { sequence: 3, .. }));
    let held = store.accept(message(9, 1), Some(claim(3, 0))).await.unwrap();
    assert!(matches!(held, Acceptance::Replayed { .. }));
}

async fn a_message_is_shown_to_its_recipient_only(store: &dyn Store) {
    accept(store, 1, 1).await;
    let found = store.message(code(1), message(1, 1).id).await.unwrap().unwrap();
    assert_eq!(found, (message(1, 1), MessageState::accepted(Millis(1_001))));
    let stranger = (2..100).find(|other| home(*other) == home(1)).unwrap();
    assert_eq!(store.message(code(stranger), message(1, 1).id).await.unwrap(), None);
    assert_eq!(store.message(code(1), message(2, 1).id).await.unwrap(), None);
}

async fn a_message_is_processed_once(store: &dyn Store) {
    let (partition, epoch) = one_processed(store).await;
    let first = state_of(store, 1, 1).await;
    assert_eq!(first.status, MessageStatus::Processed);
    assert_eq!(first.deliveries, plan(1, "apple", 10, 5_000));
    let mut again = step(vec![processed(1, 1, 77), processed(1, 1, 78)]);
    again.at = Millis(6_000);
    store.commit(partition, epoch, again).await.unwrap();
    assert_eq!(state_of(store, 1, 1).await, first);
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!((books.messages.processed, books.messages.open()), (1, 0));
    assert_eq!((books.all_deliveries().planned, books.all_deliveries().open()), (2, 1));
    assert_eq!(inbox(store, 1).await.len(), 1);
    assert_eq!(due_ids(store, partition, 100).await, vec![(10, endpoint(1))]);
}

async fn a_message_has_one_end(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    for n in 1..=3 {
        accept(store, n, 1).await;
    }
    let (partition, epoch) = open(store, 1).await;
    let id = |n| message(n, 1).id;
    let reason = RejectionReason::ServiceNotAllowed;
    let first = vec![
        Effect::Rejected { message: id(1), reason },
        Effect::Expired { message: id(2) },
        Effect::Quarantined { message: id(3), reason: "panicked".to_owned() },
    ];
    store.commit(partition, epoch, step(first.clone())).await.unwrap();
    store.commit(partition, epoch, step(first)).await.unwrap();
    let crossed = vec![
        Effect::Expired { message: id(1) },
        Effect::Rejected { message: id(2), reason },
        processed(3, 1, 10),
    ];
    store.commit(partition, epoch, step(crossed)).await.unwrap();
    assert_eq!(state_of(store, 1, 1).await.status, MessageStatus::Rejected(reason));
    assert_eq!(state_of(store, 2, 1).await.status, MessageStatus::Expired);
    let quarantined = MessageStatus::Quarantined("panicked".to_owned());
    assert_eq!(state_of(store, 3, 1).await.status, quarantined);
    let totals = store.books(&everywhere()).await.unwrap().messages;
    assert_eq!((totals.rejected, totals.expired, totals.quarantined), ([1, 0, 0], 1, 1));
    assert_eq!(totals.open(), 0);
}

async fn a_delivery_settles_once(store: &dyn Store) {
    let (partition, epoch) = one_processed(store).await;
    let settled = |outcome| {
        step(vec![Effect::Settled { message: message(1, 1).id, endpoint: endpoint(1), outcome }])
    };
    store.commit(partition, epoch, settled(Outcome::Delivered)).await.unwrap();
    let late = settled(Outcome::Failed(Failure::EndpointGone));
    store.commit(partition, epoch, late).await.unwrap();
    let status = state_of(store, 1, 1).await.deliveries[1].status;
    assert_eq!(status, DeliveryStatus::Ended { outcome: Outcome::Delivered, at: Millis(5_000) });
    let totals = store.books(&everywhere()).await.unwrap().all_deliveries();
    assert_eq!((totals.delivered, totals.failed, totals.open()), (2, 0, 0));
    assert_eq!(due_ids(store, partition, 100).await, vec![]);
}

async fn a_deferral_moves_the_delivery_and_counts_once(store: &dyn Store) {
    let (partition, epoch) = one_processed(store).await;
    let defer = |due, retry| Effect::Deferred {
        message: message(1, 1).id,
        endpoint: endpoint(1),
        due: Millis(due),
        retry,
    };
    store.commit(partition, epoch, step(vec![defer(20, true)])).await.unwrap();
    store.commit(partition, epoch, step(vec![defer(20, true)])).await.unwrap();
    store.commit(partition, epoch, step(vec![defer(30, false)])).await.unwrap();
    assert_eq!(due_ids(store, partition, 100).await, vec![(30, endpoint(1))]);
    assert_eq!(state_of(store, 1, 1).await.deliveries[1].retries, 1);
    assert_eq!(store.books(&everywhere()).await.unwrap().all_deliveries().retried, 1);

    let end = Effect::Settled {
        message: message(1, 1).id,
        endpoint: endpoint(1),
        outcome: Outcome::Expired,
    };
    store.commit(partition, epoch, step(vec![end, defer(40, true)])).await.unwrap();
    assert_eq!(due_ids(store, partition, 100).await, vec![]);
    assert_eq!(store.books(&everywhere()).await.unwrap().all_deliveries().retried, 1);
}

async fn a_quarantine_cancels_what_is_pending(store: &dyn Store) {
    let (partition, epoch) = one_processed(store).await;
    let aside = Effect::Quarantined { message: message(1, 1).id, reason: "panicked".to_owned() };
    store.commit(partition, epoch, step(vec![aside])).await.unwrap();
    let state = state_of(store, 1, 1).await;
    assert_eq!(state.status, MessageStatus::Processed);
    let cancelled = DeliveryStatus::Ended { outcome: Outcome::Cancelled, at: Millis(5_000) };
    assert_eq!(state.deliveries[1].status, cancelled);
    assert_eq!(due_ids(store, partition, 100).await, vec![]);
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!((books.messages.processed, books.messages.quarantined), (1, 0));
    assert_eq!((books.all_deliveries().cancelled, books.all_deliveries().open()), (1, 0));
}

async fn effects_on_the_unknown_change_nothing(store: &dyn Store) {
    let (partition, epoch) = one_processed(store).await;
    accept(store, 2, 1).await;
    let before = store.books(&everywhere()).await.unwrap();
    let unknown = message(9, 1).id;
    let stranger = (2..100).find(|other| home(*other) == home(1)).unwrap();
    let effects = vec![
        Effect::Expired { message: unknown },
        Effect::Settled { message: unknown, endpoint: endpoint(1), outcome: Outcome::Delivered },
        Effect::Settled {
            message: message(1, 1).id,
            endpoint: Endpoint::Mailbox,
            outcome: Outcome::Delivered,
        },
        Effect::DeviceDropped {
            citizen: code(stranger),
            device: device(1, 0).id(),
            registered_before: Millis(u64::MAX),
        },
        Effect::AddressRefused { citizen: code(stranger), address: AddressId::of("a@example.org") },
    ];
    store.commit(partition, epoch, step(effects)).await.unwrap();
    assert_eq!(store.books(&everywhere()).await.unwrap(), before);
    assert_eq!(state_of(store, 2, 1).await.status, MessageStatus::Accepted);
}

async fn a_message_for_nobody_is_rejected_when_its_turn_comes(store: &dyn Store) {
    accept(store, 1, 1).await;
    accept(store, 2, 1).await;
    let (partition, epoch) = open(store, 1).await;
    let elsewhere = (2..100).find(|other| home(*other) != home(1)).unwrap();
    store.put_citizens(vec![citizen(elsewhere)]).await.unwrap();
    let foreign = Effect::Processed {
        message: message(2, 1).id,
        citizen: code(elsewhere),
        lane: Lane::Normal,
        deliveries: plan(1, "apple", 10, 0),
    };
    let both = vec![processed(1, 1, 10), foreign];
    store.commit(partition, epoch, step(both.clone())).await.unwrap();
    store.commit(partition, epoch, step(both)).await.unwrap();
    for n in [1, 2] {
        let state = state_of(store, n, 1).await;
        assert_eq!(state.status, MessageStatus::Rejected(RejectionReason::UserNotFound));
        assert_eq!((state.deliveries, state.published), (vec![], 0));
    }
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!((books.messages.rejected, books.messages.open()), ([0, 2, 0], 0));
    assert_eq!(books.all_deliveries().planned, 0);
    assert_eq!(due_ids(store, partition, 100).await, vec![]);
}

async fn older_owners_are_fenced(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    accept(store, 1, 1).await;
    let (partition, old) = open(store, 1).await;
    let (_, new) = open(store, 1).await;
    assert!(new > old);
    let mut late = step(vec![processed(1, 1, 10)]);
    late.checkpoints = up_to(1);
    let refused = store.commit(partition, old, late.clone()).await;
    assert_eq!(refused, Err(StoreError::Fenced(partition)));
    assert_eq!(store.arrivals(partition, Lane::Normal, 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.processed, 0);
    store.commit(partition, new, late).await.unwrap();
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.processed, 1);
}

async fn due_deliveries_come_oldest_first_but_for_the_excepted(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    for n in 1..=4 {
        accept(store, n, 1).await;
    }
    let (partition, epoch) = open(store, 1).await;
    let effects =
        vec![processed(1, 1, 40), processed(2, 1, 20), processed(3, 1, 10), processed(4, 1, 20)];
    store.commit(partition, epoch, step(effects)).await.unwrap();
    let found = |until, limit, except: Vec<_>| async move {
        let apple = route("apple");
        let (due, next) = store
            .due(partition, &apple, Lane::Normal, Millis(until), limit, &except)
            .await
            .unwrap();
        (due.into_iter().map(|one| one.message.id).collect::<Vec<_>>(), next)
    };
    let id = |n| message(n, 1).id;
    assert_eq!(found(100, 10, vec![]).await, (vec![id(3), id(2), id(4), id(1)], None));
    assert_eq!(found(20, 10, vec![]).await, (vec![id(3), id(2), id(4)], Some(Millis(40))));
    assert_eq!(found(100, 2, vec![]).await, (vec![id(3), id(2)], Some(Millis(20))));
    assert_eq!(found(9, 10, vec![]).await, (vec![], Some(Millis(10))));
    let flying = vec![(id(3), endpoint(1)), (id(1), endpoint(1))];
    assert_eq!(found(20, 10, flying).await, (vec![id(2), id(4)], None));

    let due =
        store.due(partition, &route("apple"), Lane::Normal, Millis(10), 1, &[]).await.unwrap().0;
    assert_eq!(due[0].message, message(3, 1));
    assert_eq!(due[0].state, state_of(store, 3, 1).await);
    assert_eq!(due[0].citizen, store.citizen(code(1)).await.unwrap());
}

async fn a_delivery_planned_for_the_past_is_found_after_later_ones(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    accept(store, 1, 1).await;
    accept(store, 2, 1).await;
    let (partition, epoch) = open(store, 1).await;
    store.commit(partition, epoch, step(vec![processed(1, 1, 500)])).await.unwrap();
    assert_eq!(due_ids(store, partition, 1_000).await, vec![(500, endpoint(1))]);
    store.commit(partition, epoch, step(vec![processed(2, 1, 3)])).await.unwrap();
    let both = vec![(3, endpoint(1)), (500, endpoint(1))];
    assert_eq!(due_ids(store, partition, 1_000).await, both);
}

async fn routes_have_their_own_due_deliveries(store: &dyn Store) {
    let (partition, epoch) = one_processed(store).await;
    accept(store, 2, 1).await;
    let other = Effect::Processed {
        message: message(2, 1).id,
        citizen: code(1),
        lane: Lane::Normal,
        deliveries: plan(1, "google", 5, 0),
    };
    store.commit(partition, epoch, step(vec![other])).await.unwrap();
    assert_eq!(due_ids(store, partition, 100).await, vec![(10, endpoint(1))]);
    let due = |name| {
        let name = route(name);
        async move { store.due(partition, &name, Lane::Normal, Millis(100), 10, &[]).await }
    };
    assert_eq!(due("google").await.unwrap().0.len(), 1);
    let none = due("unused").await.unwrap();
    assert_eq!(none, (vec![], None));
}

async fn lanes_have_their_own_due_deliveries(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    let (partition, epoch) = open(store, 1).await;
    let due = |lane, until| async move {
        let apple = route("apple");
        let (due, next) = store.due(partition, &apple, lane, until, 9, &[]).await.unwrap();
        assert!(due.iter().all(|one| one.message.lane == lane && one.state.lane == lane));
        (due.into_iter().map(|one| one.due.0).collect::<Vec<_>>(), next)
    };
    for (n, (lane, at)) in (1..).zip(Lane::ALL.into_iter().zip([40, 30, 20, 10])) {
        store.accept(message_in(lane, n, 1), None).await.unwrap();
        let deliveries = plan(1, "apple", at, 0);
        let effect =
            Effect::Processed { message: message(n, 1).id, citizen: code(1), lane, deliveries };
        store.commit(partition, epoch, step(vec![effect])).await.unwrap();
    }
    assert_eq!(due(Lane::Emergency, Millis(99)).await, (vec![40], None));
    assert_eq!(due(Lane::Emergency, Millis(39)).await, (vec![], Some(Millis(40))));
    assert_eq!(due(Lane::Urgent, Millis(99)).await, (vec![30], None));
    assert_eq!(due(Lane::Bulk, Millis(99)).await, (vec![10], None));
    // A later try stays in its lane, and its end leaves the others alone.
    let id = message(4, 1).id;
    let again =
        Effect::Deferred { message: id, endpoint: endpoint(1), due: Millis(50), retry: true };
    store.commit(partition, epoch, step(vec![again])).await.unwrap();
    assert_eq!(due(Lane::Bulk, Millis(99)).await, (vec![50], None));
    let end = Effect::Settled { message: id, endpoint: endpoint(1), outcome: Outcome::Delivered };
    store.commit(partition, epoch, step(vec![end])).await.unwrap();
    assert_eq!(due(Lane::Bulk, Millis(99)).await, (vec![], None));
    assert_eq!(due(Lane::Normal, Millis(99)).await, (vec![20], None));
    let opened = store.open_partition(partition).await.unwrap();
    assert_eq!(opened.backlogs.iter().map(|one| one.pending).collect::<Vec<_>>(), [3]);
}

async fn lanes_have_their_own_journals(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    for n in 0..8 {
        let lane = if n % 4 == 3 { Lane::Emergency } else { Lane::Bulk };
        let sequence = if n % 4 == 3 { n / 4 } else { n - n / 4 };
        let accepted = store.accept(message_in(lane, n, 1), None).await.unwrap();
        assert_eq!(accepted, Acceptance::Accepted { id: message(n, 1).id, sequence });
    }
    let (partition, epoch) = open(store, 1).await;
    let arrivals = |lane| async move {
        let arrivals = store.arrivals(partition, lane, 0, 99).await.unwrap();
        arrivals.iter().map(|one| (one.sequence, one.message.id)).collect::<Vec<_>>()
    };
    let emergencies = vec![(0, message(3, 1).id), (1, message(7, 1).id)];
    assert_eq!(arrivals(Lane::Emergency).await, emergencies);
    assert_eq!(arrivals(Lane::Bulk).await.len(), 6);
    assert_eq!(arrivals(Lane::Urgent).await, vec![]);

    let reject = |n| Effect::Rejected {
        message: message(n, 1).id,
        reason: RejectionReason::ServiceNotAllowed,
    };
    let mut first = step(vec![reject(3), reject(7)]);
    first.checkpoints[Lane::Emergency] = 2;
    first.checkpoints[Lane::Urgent] = 9;
    store.commit(partition, epoch, first).await.unwrap();
    assert_eq!(arrivals(Lane::Emergency).await, vec![]);
    assert_eq!(arrivals(Lane::Bulk).await.len(), 6, "what they overtook still waits");
    let opened = store.open_partition(partition).await.unwrap();
    let found = Lane::ALL.map(|lane| opened.journals[lane]);
    let none = Journal::default();
    let emergency = Journal { checkpoint: 2, tail: 2, unprocessed: 0 };
    let bulk = Journal { checkpoint: 0, tail: 6, unprocessed: 6 };
    assert_eq!(found, [emergency, none, none, bulk]);
}

async fn a_key_is_used_once_whatever_the_lane(store: &dyn Store) {
    let first = store.accept(message(1, 1), Some(claim(7, 1))).await.unwrap();
    let Acceptance::Accepted { id, .. } = first else { panic!("{first:?}") };
    // The operator moved the service to another lane in between.
    let moved = message_in(Lane::Emergency, 2, 1);
    let again = store.accept(moved, Some(claim(7, 1))).await.unwrap();
    assert_eq!(again, Acceptance::Replayed { id });
    let same = store.accept(message_in(Lane::Emergency, 3, 1), None).await.unwrap();
    assert!(matches!(same, Acceptance::Accepted { sequence: 0, .. }));
    let repeated = store.accept(message_in(Lane::Bulk, 3, 1), None).await.unwrap();
    assert_eq!(repeated, Acceptance::Replayed { id: message(3, 1).id });
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.accepted, 2);
}

async fn arrivals_wait_until_the_checkpoint_passes_them(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    for n in 0..4 {
        accept(store, n, 1).await;
    }
    let (partition, epoch) = open(store, 1).await;
    let mut first = step(vec![processed(0, 1, 10), processed(2, 1, 10)]);
    first.checkpoints = up_to(1);
    store.commit(partition, epoch, first).await.unwrap();
    let arrivals = store.arrivals(partition, Lane::Normal, 0, 10).await.unwrap();
    let seen: Vec<_> = arrivals.iter().map(|one| (one.sequence, one.done)).collect();
    assert_eq!(seen, vec![(1, false), (2, true), (3, false)]);
    assert_eq!(arrivals[0].message, message(1, 1));
    assert_eq!(arrivals[0].citizen, store.citizen(code(1)).await.unwrap());
    assert_eq!(store.arrivals(partition, Lane::Normal, 2, 1).await.unwrap()[0].sequence, 2);
    assert_eq!(store.arrivals(partition, Lane::Normal, 4, 10).await.unwrap(), vec![]);

    let back = Step { checkpoints: up_to(0), ..step(vec![]) };
    store.commit(partition, epoch, back).await.unwrap();
    let beyond = Step { checkpoints: up_to(99), ..step(vec![]) };
    store.commit(partition, epoch, beyond).await.unwrap();
    let opened = store.open_partition(partition).await.unwrap();
    assert_eq!(journal(&opened), Journal { checkpoint: 4, tail: 4, unprocessed: 0 });
    assert!(matches!(accept(store, 8, 1).await, Acceptance::Accepted { sequence: 4, .. }));
}

async fn opening_counts_what_waits(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    for n in 0..5 {
        accept(store, n, 1).await;
    }
    let (partition, epoch) = open(store, 1).await;
    let google = Effect::Processed {
        message: message(1, 1).id,
        citizen: code(1),
        lane: Lane::Normal,
        deliveries: plan(1, "google", 5, 0),
    };
    let effects = vec![processed(0, 1, 10), google, processed(2, 1, 10)];
    store.commit(partition, epoch, step(effects)).await.unwrap();
    let opened = store.open_partition(partition).await.unwrap();
    assert_eq!(journal(&opened), Journal { checkpoint: 0, tail: 5, unprocessed: 2 });
    let backlogs: Vec<_> =
        opened.backlogs.iter().map(|one| (one.route.as_str(), one.pending)).collect();
    assert_eq!(backlogs, vec![("apple", 2), ("google", 1)]);
}

async fn the_registry_is_kept(store: &dyn Store) {
    store.put_service(service("b")).await.unwrap();
    store.put_organization(organization("Municipality")).await.unwrap();
    store.put_service(service("a")).await.unwrap();
    store.put_key(api_key("k1")).await.unwrap();
    store.put_key(api_key("k2")).await.unwrap();
    assert!(store.remove_key("k1").await.unwrap());
    assert!(!store.remove_key("k1").await.unwrap());
    let registry = store.registry().await.unwrap();
    assert_eq!(registry.organizations, vec![organization("Municipality")]);
    assert_eq!(registry.keys, vec![api_key("k2")]);
    let mut expected = [service("a"), service("b")];
    for service in &mut expected {
        service.organization = organization("Municipality");
    }
    let services: Vec<_> = registry.services.iter().map(|one| (**one).clone()).collect();
    assert_eq!(services, expected);
}

async fn unknown_partitions_are_refused(store: &dyn Store) {
    let beyond = PartitionId(PARTITIONS);
    assert!(matches!(store.open_partition(beyond).await, Err(StoreError::Unavailable(_))));
    let committed = store.commit(beyond, Epoch(0), step(vec![])).await;
    assert!(matches!(committed, Err(StoreError::Unavailable(_))));
    assert!(store.arrivals(beyond, Lane::Normal, 0, 1).await.is_err());
}
