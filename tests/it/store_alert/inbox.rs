//! Alerts in inboxes: merged with messages by place, marked, erased.

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::citizen::{Citizen, Language};
use araldo_actors::domain::delivery::{Channel, Endpoint};
use araldo_actors::domain::id::{Epoch, MessageId, PartitionId};
use araldo_actors::domain::inbox::{InboxChange, InboxRange, MarkChange, Marks};
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::domain::message::MessageStatus;
use araldo_actors::domain::outcome::{DeliveryStatus, Outcome};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::Store;

use super::fixture::{accepted, alert, id, one_step, push_step, register, residents, walked, who};
use crate::store_fixture::{
    accept, citizen, contract, erasure, everywhere, inbox, message, open, processed, step, up_to,
};

contract!(
    members_read_an_alert_in_their_language,
    alerts_and_messages_are_in_one_order_of_publication,
    pages_go_on_where_they_ended,
    an_alert_keeps_its_marks_and_its_place,
    only_members_have_an_alert_to_mark,
    events_tell_of_alerts_and_of_their_marks,
    an_alert_is_one_of_the_messages_of_its_members,
    all_that_is_addressed_includes_alerts_by_their_ids,
    the_inbox_shows_alerts_wherever_a_run_was_cut,
    an_erased_citizen_leaves_no_way_to_an_alert,
);

const READ: MarkChange = MarkChange { read: true, archived: None };
const ARCHIVE: MarkChange = MarkChange { read: false, archived: Some(true) };
const RESTORE: MarkChange = MarkChange { read: false, archived: Some(false) };

/// Three people of one partition; the first and the third are members of
/// alert 1, and hold ordinals 0 and 2.
async fn one_alert(store: &dyn Store) -> (Vec<u32>, PartitionId, Epoch) {
    let people = residents(1, 3);
    register(store, &people).await;
    accepted(store, 1).await;
    let (partition, epoch) = open(store, people[0]).await;
    let marks = [Mark::Delivered, Mark::Suppressed, Mark::Delivered];
    store.commit(partition, epoch, step(vec![one_step(1, 1, 0, &marks)])).await.unwrap();
    (people, partition, epoch)
}

/// Messages, and alerts as their numbers plus 100, from the newest on.
async fn numbers(store: &dyn Store, person: u32, range: InboxRange) -> Vec<u64> {
    let items = store.inbox(who(person), range).await.unwrap();
    items.iter().map(|item| number(item.entry.message, item.message.accepted_at)).collect()
}

fn number(id: MessageId, accepted_at: Millis) -> u64 {
    let is_alert = id == alert(accepted_at.0.saturating_sub(2_000)).id;
    if is_alert { accepted_at.0 - 2_000 + 100 } else { accepted_at.0 - 1_000 }
}

fn first(limit: usize) -> InboxRange {
    InboxRange { limit, ..InboxRange::default() }
}

async fn members_read_an_alert_in_their_language(store: &dyn Store) {
    let people = residents(1, 3);
    let speaks =
        |n: u32, languages: &[Language]| Citizen { languages: languages.to_vec(), ..citizen(n) };
    let german = speaks(people[0], &[Language::French, Language::German, Language::Italian]);
    let french = speaks(people[1], &[Language::French]);
    store.put_citizens(vec![german, french, citizen(people[2])]).await.unwrap();
    accepted(store, 1).await;
    let (partition, epoch) = open(store, people[0]).await;
    let marks = [Mark::Delivered, Mark::Delivered];
    store.commit(partition, epoch, step(vec![one_step(1, 1, 0, &marks)])).await.unwrap();
    for (person, language) in [(people[0], Language::German), (people[1], Language::Italian)] {
        let items = inbox(store, person).await;
        let [item] = items.as_slice() else { panic!("{items:?}") };
        let (shown, sent) = (&item.message, alert(1));
        let text = &sent.texts[&language];
        assert_eq!(
            (&shown.content.subject, &shown.content.markdown),
            (&text.subject, &text.markdown)
        );
        assert_eq!(
            (shown.id, shown.fiscal_code, &shown.service),
            (sent.id, who(person), &sent.service)
        );
        assert_eq!((shown.lane, shown.accepted_at), (sent.lane, sent.accepted_at));
        assert_eq!(shown.expires_at(), sent.expires_at);
        assert_eq!(shown.content.require_secure_channels, Some(true));
        assert_eq!((item.entry.sequence, item.entry.message), (1, sent.id));
        assert_eq!((item.entry.published_at, item.entry.marks), (Millis(5_000), Marks::default()));
        assert_eq!(store.inbox_item(who(person), sent.id).await.unwrap().as_ref(), Some(item));
    }
    assert_eq!(inbox(store, people[2]).await, []);
    assert_eq!(store.inbox_item(who(people[2]), id(1)).await.unwrap(), None);
    assert_eq!(store.inbox_item(who(9_999), id(1)).await.unwrap(), None);
}

/// Messages 1 and 2 and alerts 1, 2 and 3, by turns, to the first of three
/// people; alert 2 is not for them.
async fn by_turns(store: &dyn Store) -> (u32, PartitionId, Epoch) {
    let people = residents(1, 3);
    register(store, &people).await;
    let (partition, epoch) = open(store, people[0]).await;
    for n in 1..=3 {
        accepted(store, n).await;
        accept(store, n, people[0]).await;
    }
    let member = [Mark::Delivered];
    for effect in [
        one_step(3, 1, 0, &member),
        processed(2, people[0], 10),
        one_step(2, 1, 0, &[Mark::None, Mark::Delivered]),
        one_step(1, 1, 0, &member),
        processed(1, people[0], 10),
    ] {
        store.commit(partition, epoch, step(vec![effect])).await.unwrap();
    }
    (people[0], partition, epoch)
}

async fn alerts_and_messages_are_in_one_order_of_publication(store: &dyn Store) {
    let (person, _, _) = by_turns(store).await;
    assert_eq!(numbers(store, person, first(100)).await, [1, 101, 2, 103]);
    let places: Vec<u64> =
        inbox(store, person).await.iter().map(|item| item.entry.sequence).collect();
    assert_eq!(places, [5, 4, 2, 1]);
    assert_eq!(numbers(store, residents(1, 2)[1], first(100)).await, [102]);
}

async fn pages_go_on_where_they_ended(store: &dyn Store) {
    let (person, _, _) = by_turns(store).await;
    let range = |after, before, limit| InboxRange { after, before, limit, archived: None };
    for (range, expected) in [
        (range(None, None, 2), vec![1, 101]),
        (range(None, Some(4), 2), vec![2, 103]),
        (range(None, Some(1), 2), vec![]),
        (range(Some(1), None, 2), vec![101, 2]),
        (range(Some(4), None, 2), vec![1]),
        (range(Some(5), None, 2), vec![]),
        (range(Some(1), Some(5), 9), vec![101, 2]),
        (range(None, None, 0), vec![]),
    ] {
        assert_eq!(numbers(store, person, range).await, expected, "{range:?}");
    }
}

async fn an_alert_keeps_its_marks_and_its_place(store: &dyn Store) {
    let (person, partition, epoch) = by_turns(store).await;
    let marked = store.mark(who(person), id(1), READ).await.unwrap().unwrap();
    assert_eq!((marked.sequence, marked.marked), (4, 6));
    assert_eq!(marked.marks, Marks { read: true, archived: false });
    // Nothing changes the second time.
    assert_eq!(store.mark(who(person), id(1), READ).await.unwrap(), Some(marked));
    assert_eq!(numbers(store, person, first(100)).await, [1, 101, 2, 103]);
    assert_eq!(inbox(store, person).await[1].entry, marked);
    let item = store.inbox_item(who(person), id(1)).await.unwrap().unwrap();
    assert_eq!(item.entry, marked);

    let archived = |archived| InboxRange { archived: Some(archived), ..first(100) };
    store.mark(who(person), id(3), ARCHIVE).await.unwrap().unwrap();
    assert_eq!(numbers(store, person, archived(true)).await, [103]);
    assert_eq!(numbers(store, person, archived(false)).await, [1, 101, 2]);
    store.mark(who(person), id(3), RESTORE).await.unwrap().unwrap();
    assert_eq!(numbers(store, person, archived(true)).await, [] as [u64; 0]);
    assert_eq!(numbers(store, person, archived(false)).await, [1, 101, 2, 103]);

    // What a route's walk does afterwards is nothing to the inbox.
    let push = push_step(1, "apple", 1, 0, &[Mark::Failed]);
    store.commit(partition, epoch, step(vec![push])).await.unwrap();
    assert_eq!(inbox(store, person).await[1].entry, marked);
}

async fn only_members_have_an_alert_to_mark(store: &dyn Store) {
    let (people, _, _) = one_alert(store).await;
    for person in [people[1], 9_999] {
        assert_eq!(inbox(store, person).await, []);
        assert_eq!(store.mark(who(person), id(1), READ).await.unwrap(), None);
    }
    assert_eq!(store.mark(who(people[0]), id(2), READ).await.unwrap(), None);
    let unchanged = MarkChange { read: false, archived: None };
    let entry = store.mark(who(people[0]), id(1), unchanged).await.unwrap().unwrap();
    assert_eq!((entry.sequence, entry.marks, entry.marked), (1, Marks::default(), 0));
    assert_eq!(store.events(who(people[0]), None, 1).await.unwrap().newest, 1);
}

async fn events_tell_of_alerts_and_of_their_marks(store: &dyn Store) {
    let (person, _, _) = by_turns(store).await;
    store.mark(who(person), id(3), READ).await.unwrap().unwrap();
    store.mark(who(person), message(2, person).id, READ).await.unwrap().unwrap();
    store.mark(who(person), id(3), ARCHIVE).await.unwrap().unwrap();
    let events = async |after, limit| -> Vec<(u64, u64, InboxChange)> {
        let found = store.events(who(person), Some(after), limit).await.unwrap();
        assert_eq!(found.newest, 8);
        let shown = |item: &araldo_actors::domain::inbox::InboxItem| {
            number(item.entry.message, item.message.accepted_at)
        };
        found.events.iter().map(|one| (one.sequence, shown(&one.item), one.change)).collect()
    };
    let (published, marked) = (InboxChange::Published, InboxChange::Marked);
    let all = [
        (1, 103, published),
        (2, 2, published),
        (4, 101, published),
        (5, 1, published),
        (7, 2, marked),
        (8, 103, marked),
    ];
    assert_eq!(events(0, 100).await, all);
    assert_eq!(events(0, 3).await, all[..3]);
    assert_eq!(events(4, 100).await, all[3..]);
    let newest = store.events(who(person), Some(7), 100).await.unwrap().events;
    assert_eq!(newest[0].item.entry.marks, Marks { read: true, archived: true });
}

async fn an_alert_is_one_of_the_messages_of_its_members(store: &dyn Store) {
    let (people, _, _) = one_alert(store).await;
    let (shown, state) = store.message(who(people[2]), id(1)).await.unwrap().unwrap();
    assert_eq!((shown.id, shown.fiscal_code), (id(1), who(people[2])));
    assert_eq!((state.status, state.published), (MessageStatus::Processed, 1));
    assert_eq!(state.updated_at, Millis(5_000));
    let [delivery] = state.deliveries.as_slice() else { panic!("{:?}", state.deliveries) };
    assert_eq!((delivery.endpoint, &delivery.route), (Endpoint::Inbox, &None));
    let ended = DeliveryStatus::Ended { outcome: Outcome::Delivered, at: Millis(5_000) };
    assert_eq!(delivery.status, ended);
    assert_eq!(store.message(who(people[1]), id(1)).await.unwrap(), None);
    assert_eq!(store.message(who(9_999), id(1)).await.unwrap(), None);
}

async fn all_that_is_addressed_includes_alerts_by_their_ids(store: &dyn Store) {
    let (person, _, _) = by_turns(store).await;
    let addressed = async |after, limit| -> Vec<u64> {
        let found = store.addressed(who(person), after, limit).await.unwrap();
        found.iter().map(|(one, _)| number(one.id, one.accepted_at)).collect()
    };
    // Message 3 never got into the inbox, alert 2 was for others.
    assert_eq!(addressed(None, 100).await, [1, 2, 3, 101, 103]);
    assert_eq!(addressed(None, 4).await, [1, 2, 3, 101]);
    assert_eq!(addressed(Some(id(1)), 4).await, [103]);
    assert_eq!(addressed(Some(message(2, person).id), 2).await, [3, 101]);
    assert_eq!(addressed(None, 0).await, [] as [u64; 0]);
    let last = store.addressed(who(person), Some(id(1)), 1).await.unwrap();
    assert_eq!(Some(&last[0]), store.message(who(person), id(3)).await.unwrap().as_ref());
}

async fn the_inbox_shows_alerts_wherever_a_run_was_cut(store: &dyn Store) {
    // As many as it takes to have somebody on either side of a border.
    let people = residents(1, 4_100);
    register(store, &people).await;
    accepted(store, 1).await;
    let (partition, epoch) = open(store, people[0]).await;
    let mut marks = vec![Mark::None; 4_098];
    let members = [3, 4_090, 4_095, 4_096, 4_099];
    for ordinal in members {
        marks[ordinal - 2] = Mark::Delivered;
    }
    let run = Run { first: 2, marks };
    let cursor = Cursor { next: 4_100, revision: 1, ..Cursor::default() };
    let effect = walked(1, Walk::Inbox, Channel::InApp, cursor, Some(run), &[]);
    store.commit(partition, epoch, step(vec![effect])).await.unwrap();
    for ordinal in [0, 2, 3, 4, 4_090, 4_094, 4_095, 4_096, 4_097, 4_099] {
        let person = people[ordinal];
        let entries: Vec<u64> =
            inbox(store, person).await.iter().map(|item| item.entry.sequence).collect();
        let expected: &[u64] = if members.contains(&ordinal) { &[1] } else { &[] };
        assert_eq!(entries, expected, "{ordinal}");
        let item = store.inbox_item(who(person), id(1)).await.unwrap();
        assert_eq!(item.is_some(), members.contains(&ordinal), "{ordinal}");
        let marked = store.mark(who(person), id(1), READ).await.unwrap();
        assert_eq!(marked.is_some(), members.contains(&ordinal), "{ordinal}");
    }
    let visit = store.visit(partition, 0, 4_100, 1_000, Some(id(1))).await.unwrap();
    let visited: Vec<usize> =
        visit.citizens.iter().map(|(ordinal, _)| usize::try_from(*ordinal).unwrap()).collect();
    assert_eq!((visited.as_slice(), visit.next), (members.as_slice(), 4_100));
}

async fn an_erased_citizen_leaves_no_way_to_an_alert(store: &dyn Store) {
    let (people, partition, epoch) = one_alert(store).await;
    let gone = people[0];
    store.mark(who(gone), id(1), READ).await.unwrap().unwrap();
    let erased = store.erase(partition, epoch, who(gone), up_to(0), erasure(1, 9)).await.unwrap();
    assert_eq!(erased.messages, 0);
    let nothing = async || {
        assert_eq!(inbox(store, gone).await, []);
        assert_eq!(store.inbox_item(who(gone), id(1)).await.unwrap(), None);
        assert_eq!(store.message(who(gone), id(1)).await.unwrap(), None);
        assert_eq!(store.addressed(who(gone), None, 9).await.unwrap(), []);
        assert_eq!(store.mark(who(gone), id(1), READ).await.unwrap(), None);
        assert_eq!(store.events(who(gone), Some(0), 9).await.unwrap().events, []);
    };
    nothing().await;
    // Whoever comes back is somebody new.
    register(store, &[gone]).await;
    nothing().await;
    assert_eq!(inbox(store, people[2]).await.len(), 1);
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!(books.deliveries[Channel::InApp.index()].delivered, 2);
}
