//! Alerts, their walks, and people by partition.

use std::collections::BTreeMap;

use araldo_actors::domain::alert::{Alert, AlertRecord, AlertText, Audience, Cursor, Walk};
use araldo_actors::domain::books::DeliveryTotals;
use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::delivery::{Channel, Endpoint};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, PartitionId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::ledger::{Mark, Run, Straggler};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertAcceptance;
use araldo_actors::port::store::Store;

use crate::store_fixture::{citizen, code, home, route};

/// The fiscal code of person number `n`.
pub fn who(n: u32) -> FiscalCode {
    code(n)
}

/// Alert number `n` to everyone, accepted at `2_000 + n`, in two languages.
pub fn alert(n: u64) -> Alert {
    let at = Millis(2_000 + n);
    let text = |language: &str| AlertText {
        subject: format!("Alert {n}, {language}"),
        markdown: "Stay where you are. ".repeat(10),
    };
    Alert {
        id: MessageId::new(at, u128::from(n)),
        service: ServiceId::parse("service-1").unwrap(),
        accepted_at: at,
        expires_at: Millis(at.0 + 7_200_000),
        lane: Lane::Bulk,
        texts: BTreeMap::from([
            (Language::Italian, text("Italian")),
            (Language::German, text("German")),
        ]),
        fallback: Language::Italian,
        audience: Audience::Everyone,
        require_secure_channels: Some(true),
    }
}

/// The id of alert number `n`.
pub fn id(n: u64) -> MessageId {
    alert(n).id
}

/// Accepts alert number `n`.
pub async fn accepted(store: &dyn Store, n: u64) -> AlertRecord {
    match store.accept_alert(alert(n), None).await.unwrap() {
        AlertAcceptance::Accepted(record) => *record,
        other => panic!("{other:?}"),
    }
}

/// The first `count` people whose home is `partition`: registered in this
/// order, they have the ordinals from 0 on.
pub fn residents(partition: u16, count: usize) -> Vec<u32> {
    let mine = |n: &u32| home(*n) == PartitionId(partition);
    (0..).filter(mine).take(count).collect()
}

/// Registers people.
pub async fn register(store: &dyn Store, people: &[u32]) {
    for some in people.chunks(1_000) {
        store.put_citizens(some.iter().map(|n| citizen(*n)).collect()).await.unwrap();
    }
}

/// A step of a walk.
pub fn walked(
    n: u64,
    walk: Walk,
    channel: Channel,
    cursor: Cursor,
    run: Option<Run>,
    changed: &[(u32, Mark)],
) -> Effect {
    Effect::Walked { alert: id(n), walk, channel, cursor, run, changed: changed.to_vec() }
}

/// What a cursor counts that has had nothing but these marks.
pub fn counted(marks: &[Mark]) -> (u64, DeliveryTotals) {
    let mut totals = DeliveryTotals::default();
    for mark in marks.iter().filter(|mark| **mark != Mark::None) {
        totals.planned += 1;
        match mark {
            Mark::Suppressed => totals.suppressed += 1,
            Mark::Expired => totals.expired += 1,
            Mark::Cancelled => totals.cancelled += 1,
            Mark::Failed => totals.failed += 1,
            Mark::Delivered => totals.delivered += 1,
            Mark::None | Mark::Waiting => {}
        }
    }
    (totals.planned, totals)
}

/// Step number `revision` of the inbox walk: `marks` from ordinal `first` on.
/// The totals are those of this run alone.
pub fn one_step(n: u64, revision: u64, first: u32, marks: &[Mark]) -> Effect {
    let (recipients, totals) = counted(marks);
    let next = first + u32::try_from(marks.len()).unwrap();
    let cursor = Cursor { next, revision, recipients, totals, stragglers: Vec::new() };
    let run = Run { first, marks: marks.to_vec() };
    walked(n, Walk::Inbox, Channel::InApp, cursor, Some(run), &[])
}

/// The same of a route's walk; who waits is a straggler.
pub fn push_step(n: u64, via: &str, revision: u64, first: u32, marks: &[Mark]) -> Effect {
    let (recipients, totals) = counted(marks);
    let next = first + u32::try_from(marks.len()).unwrap();
    let waiting = (first..).zip(marks).filter(|(_, mark)| **mark == Mark::Waiting);
    let stragglers = waiting.map(|(ordinal, _)| straggler(ordinal)).collect();
    let cursor = Cursor { next, revision, recipients, totals, stragglers };
    let run = Run { first, marks: marks.to_vec() };
    walked(n, Walk::Route(route(via)), Channel::Push, cursor, Some(run), &[])
}

/// A delivery of the citizen with `ordinal` that waits.
pub fn straggler(ordinal: u32) -> Straggler {
    Straggler { ordinal, endpoint: Endpoint::Mailbox, retries: 1, due: Millis(7) }
}
