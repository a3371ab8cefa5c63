//! The rows of the walks, and that no delivery is lost or counted twice
//! whatever the answers are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    Answers, Item, LOAD, Landing, Load, MAX_STRAGGLERS, give_up, has_room, is_over, judge,
    next_due, pass, publish,
};
use crate::domain::alert::{Alert, AlertText, Audience, Cursor, Members};
use crate::domain::answer::Answer;
use crate::domain::area::Area;
use crate::domain::citizen::{Citizen, Language};
use crate::domain::delivery::Endpoint;
use crate::domain::effect::Effect;
use crate::domain::id::DeviceId;
use crate::domain::lane::Lane;
use crate::domain::ledger::{Mark, Run, Straggler};
use crate::domain::outcome::{Failure, Outcome};
use crate::domain::preference::ServicePreference;
use crate::domain::service::Service;
use crate::domain::time::Millis;
use crate::policy::backoff::RetryPolicy;
use crate::policy::fixture::{ACCEPTED_AT, citizen, message, service};
use crate::policy::turn::Target;

const NOW: Millis = ACCEPTED_AT;
const RETRY: RetryPolicy =
    RetryPolicy { base: Duration::from_secs(10), max: Duration::from_secs(60), budget: 5 };
const REASON: &str = "Test";

fn alert(audience: Audience) -> Alert {
    let text = AlertText { subject: "Allerta meteo".into(), markdown: "Pioggia forte. ".repeat(8) };
    Alert {
        id: message().id,
        service: service().id,
        accepted_at: NOW,
        expires_at: NOW.after(Duration::from_hours(24)),
        lane: Lane::Bulk,
        texts: [(Language::Italian, text)].into(),
        fallback: Language::Italian,
        audience,
        require_secure_channels: None,
    }
}

fn answers(successes: u64) -> Answers<'static> {
    let expires_at = NOW.after(Duration::from_hours(24));
    Answers { alert: message().id, expires_at, retry: &RETRY, successes, now: NOW }
}

fn device(number: u64) -> Endpoint {
    Endpoint::Device(DeviceId(number))
}

/// One delivery for each of these ordinals.
fn load(from: u32, next: u32) -> Load {
    let items = (from..next).map(|ordinal| Item::new(ordinal, device(u64::from(ordinal))));
    Load::stretch(from, next, items.collect())
}

/// Answers a delivery, after so many successes of others.
fn answer(load: &mut Load, place: usize, answer: Answer, successes: u64) -> Vec<Effect> {
    let target = Some(Target::Device(Millis(1_000)));
    load.answer(place, citizen().fiscal_code, target, answer, &answers(successes), 0.5)
}

#[test]
fn the_audience_and_the_citizens_choice_decide_who_gets_it_into_the_inbox() {
    let milan = || Citizen { municipality: Some("015146".into()), ..citizen() };
    let area = |code: &str| Audience::Areas(vec![Area::parse(code).unwrap()]);
    let off = |citizen: Citizen| Citizen { inbox_enabled: false, ..citizen };
    let not_this = |mut citizen: Citizen| {
        let preference = ServicePreference { inbox: false, ..ServicePreference::ALL };
        citizen.preferences.insert(service().id, preference);
        citizen
    };
    let closed = Service { enabled: false, ..service() };
    let open = service();
    for (audience, citizen, service, expected) in [
        (Audience::Everyone, citizen(), Some(&open), Mark::Delivered),
        (Audience::Everyone, off(citizen()), Some(&open), Mark::Suppressed),
        (Audience::Everyone, not_this(citizen()), Some(&open), Mark::Suppressed),
        (Audience::Everyone, citizen(), Some(&closed), Mark::Suppressed),
        (Audience::Everyone, citizen(), None, Mark::Suppressed),
        (area("015146"), milan(), Some(&open), Mark::Delivered),
        (area("015"), milan(), Some(&open), Mark::Delivered),
        (area("03"), milan(), Some(&open), Mark::Delivered),
        (area("04"), milan(), Some(&open), Mark::None),
        (area("03"), citizen(), Some(&open), Mark::None),
        (area("03"), off(milan()), Some(&open), Mark::Suppressed),
    ] {
        let alert = alert(audience);
        let members = Members::from(&alert.audience);
        let judged = judge(&alert, &members, &citizen, service, NOW);
        assert_eq!(judged, expected, "{:?}", alert.audience);
    }
}

#[test]
fn a_step_of_the_inbox_walk_counts_members_and_leaves_a_run() {
    let cursor = Cursor { next: 10, revision: 3, recipients: 7, ..Cursor::default() };
    let judged =
        [(10, Mark::Delivered), (12, Mark::None), (13, Mark::Suppressed), (14, Mark::Failed)];
    let Landing { cursor: after, run, changed } = publish(&cursor, 16, &judged);
    let marks =
        [Mark::Delivered, Mark::None, Mark::None, Mark::Suppressed, Mark::Failed, Mark::None];
    assert_eq!(run, Some(Run { first: 10, marks: marks.to_vec() }));
    assert_eq!((after.next, after.revision, after.recipients), (16, 4, 10));
    let totals = after.totals;
    assert_eq!((totals.planned, totals.ended(), totals.delivered), (3, 3, 1));
    assert!(changed.is_empty());
    let nobody = publish(&after, 20, &[(17, Mark::None)]);
    assert_eq!(nobody.run, None, "nobody is there: no place in the order is taken");
    assert_eq!((nobody.cursor.next, nobody.cursor.recipients), (20, 10));
}

#[test]
fn what_is_wrong_with_one_delivery_straggles_and_what_is_wrong_with_the_route_holds() {
    let wait = Some(Duration::from_secs(30));
    let ended = |outcome| (Some(outcome), None);
    let straggles = |due| (None, Some(due));
    let holds = (None, None);
    for (given, expected) in [
        (Answer::RetryDelivery { after: wait, reason: REASON }, straggles(true)),
        (Answer::ProviderFailed { after: None, reason: REASON }, holds),
        (Answer::RetryRoute { after: wait, reason: REASON }, holds),
        (Answer::RetryElsewhere { reason: REASON }, holds),
        (Answer::Unknown { reason: REASON }, holds),
        (Answer::Halt { reason: REASON }, holds),
        (Answer::Fail { failure: Failure::RefusedContent, reason: REASON }, ended(Mark::Failed)),
        (Answer::DropToken { registered_before: None, reason: REASON }, ended(Mark::Failed)),
    ] {
        let mut load = load(0, 1);
        let effects = answer(&mut load, 0, given.clone(), 0);
        let dropped = matches!(given, Answer::DropToken { .. });
        assert_eq!(effects.len(), usize::from(dropped), "{given:?}");
        assert_eq!(load.is_settled(), expected != holds, "{given:?}");
        if load.is_settled() {
            let landing = load.finish(&Cursor::default());
            let run = landing.run.unwrap();
            match expected {
                (Some(mark), _) => assert_eq!(run.marks, [mark], "{given:?}"),
                (None, straggler) => {
                    assert_eq!(run.marks, [Mark::Waiting], "{given:?}");
                    let found = &landing.cursor.stragglers[0];
                    assert_eq!((found.retries, Some(found.due > NOW)), (1, straggler));
                }
            }
        }
    }
}

#[test]
fn a_delivery_that_fails_while_others_get_through_straggles_in_the_end() {
    let trouble = || Answer::Unknown { reason: REASON };
    let mut alone = load(0, 1);
    for _ in 0..100 {
        answer(&mut alone, 0, trouble(), 1_000);
        assert!(!alone.is_settled(), "the route has done nothing for anybody since");
    }
    let mut one_of_many = load(0, 1);
    for round in 1..=3 {
        assert!(!one_of_many.is_settled());
        answer(&mut one_of_many, 0, trouble(), 1_000 + round);
        assert_eq!(one_of_many.is_settled(), round == 3);
    }
    let landing = one_of_many.finish(&Cursor::default());
    assert_eq!(landing.cursor.totals.retried, 3);
    assert_eq!(landing.cursor.stragglers[0].retries, 1);
}

#[test]
fn a_straggler_has_a_budget() {
    let straggler = Straggler { ordinal: 3, endpoint: device(3), retries: RETRY.budget, due: NOW };
    let cursor = Cursor { next: 9, stragglers: vec![straggler], ..Cursor::default() };
    let mut load = Load::stragglers(vec![straggler], 0);
    answer(&mut load, 0, Answer::RetryDelivery { after: None, reason: REASON }, 0);
    let landing = load.finish(&cursor);
    assert_eq!(landing.changed, [(3, Mark::Failed)]);
    assert_eq!((landing.cursor.totals.failed, landing.cursor.next), (1, 9));
    assert!(landing.cursor.stragglers.is_empty());
}

#[test]
fn a_refused_stream_goes_again_at_once_but_only_a_few_times() {
    let refused = || Answer::RetryElsewhere { reason: REASON };
    let mut load = load(0, 1);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        answer(&mut load, 0, refused(), 0);
        pauses.push(load.again_at(NOW, 0.0).since(NOW));
    }
    assert_eq!(pauses[..3], [Duration::ZERO; 3]);
    assert!(pauses[3..].iter().all(|pause| *pause >= Duration::from_secs(1)), "{pauses:?}");
    assert!(pauses[3..].is_sorted());
}

#[test]
fn while_the_route_fails_a_load_goes_again_ever_more_rarely_and_writes_nothing() {
    let mut load = load(0, 192);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        for place in 0..192 {
            answer(&mut load, place, Answer::Unknown { reason: REASON }, 7);
        }
        assert_eq!(load.open().count(), 192);
        pauses.push(load.again_at(NOW, 1.0).since(NOW));
    }
    assert!(pauses.is_sorted());
    assert_eq!(pauses.last(), Some(&Duration::from_secs(30)));
    load.give_back();
    assert_eq!(load.again_at(NOW, 0.5).since(NOW), Duration::from_millis(200));
    assert_eq!(load.again_at(NOW, 0.5), NOW, "nothing was wrong");
}

#[test]
fn two_devices_of_one_citizen_leave_one_mark_the_best() {
    let both = |first: Answer, second: Answer| {
        let items = vec![Item::new(4, device(1)), Item::new(4, device(2))];
        let mut load = Load::stretch(4, 5, items);
        for (place, given) in [first, second].into_iter().enumerate() {
            match given {
                Answer::Accepted => load.end(place, Outcome::Delivered),
                given => drop(answer(&mut load, place, given, 0)),
            }
        }
        load.finish(&Cursor { next: 4, ..Cursor::default() })
    };
    let later = || Answer::RetryDelivery { after: None, reason: REASON };
    let gone = || Answer::Fail { failure: Failure::RefusedEndpoint, reason: REASON };
    for (first, second, mark) in [
        (Answer::Accepted, gone(), Mark::Delivered),
        (gone(), Answer::Accepted, Mark::Delivered),
        (later(), gone(), Mark::Waiting),
        (Answer::Accepted, later(), Mark::Delivered),
        (gone(), gone(), Mark::Failed),
    ] {
        let landing = both(first, second);
        assert_eq!(landing.run.unwrap().marks, [mark]);
        assert_eq!(landing.cursor.recipients, 1);
        assert_eq!(landing.cursor.totals.planned, 2);
    }
}

#[test]
fn the_mark_waits_until_the_last_straggler_of_a_citizen_has_ended() {
    let straggler = |number| Straggler {
        ordinal: 7,
        endpoint: device(number),
        retries: 1,
        due: Millis(number),
    };
    let cursor =
        Cursor { next: 8, stragglers: vec![straggler(1), straggler(2)], ..Cursor::default() };
    assert_eq!(next_due(&cursor), Some(Millis(1)));
    let mut first = Load::stragglers(vec![straggler(1)], 0);
    first.end(0, Outcome::Failed(Failure::EndpointGone));
    let landing = first.finish(&cursor);
    assert!(landing.changed.is_empty());
    assert!(!is_over(&landing.cursor, 8));
    let mut second = Load::stragglers(vec![straggler(2)], 0);
    second.end(0, Outcome::Delivered);
    let landing = second.finish(&landing.cursor);
    assert_eq!(landing.changed, [(7, Mark::Delivered)]);
    assert!(is_over(&landing.cursor, 8) && !is_over(&landing.cursor, 9));
}

#[test]
fn a_stop_ends_the_stragglers_it_is_asked_to() {
    let straggler =
        |ordinal| Straggler { ordinal, endpoint: Endpoint::Mailbox, retries: 0, due: Millis(1) };
    let stragglers = (0..3).map(straggler).collect();
    let cursor = Cursor { next: 3, revision: 9, stragglers, ..Cursor::default() };
    let landing = give_up(&cursor, Outcome::Cancelled, |one| one.ordinal != 1).unwrap();
    assert_eq!(landing.changed, [(0, Mark::Cancelled), (2, Mark::Cancelled)]);
    assert_eq!((landing.cursor.totals.cancelled, landing.cursor.revision), (2, 10));
    assert_eq!(landing.cursor.stragglers, [straggler(1)]);
    assert_eq!(give_up(&pass(&cursor, 3).cursor, Outcome::Expired, |_| false), None);
}

#[test]
fn a_load_that_lands_after_a_stop_leaves_no_stragglers() {
    let mut load = load(0, 3);
    load.end(0, Outcome::Delivered);
    answer(&mut load, 1, Answer::RetryDelivery { after: None, reason: REASON }, 0);
    load.give_up(Outcome::Cancelled);
    assert!(load.is_settled());
    let landing = load.finish(&Cursor::default());
    assert_eq!(landing.cursor.stragglers, []);
    let totals = landing.cursor.totals;
    assert_eq!((totals.planned, totals.delivered, totals.cancelled), (3, 1, 2));
    assert_eq!(landing.run.unwrap().marks, [Mark::Delivered, Mark::Cancelled, Mark::Cancelled]);
}

#[test]
fn with_many_stragglers_nobody_new_is_visited() {
    let straggler = Straggler { ordinal: 0, endpoint: device(0), retries: 0, due: NOW };
    let mut cursor = Cursor::default();
    assert!(has_room(&cursor));
    cursor.stragglers = vec![straggler; MAX_STRAGGLERS - LOAD + 1];
    assert!(!has_room(&cursor));
}

/// Each delivery of each ordinal: how it ended, if it has.
type Deliveries = BTreeMap<(u32, u64), Option<Mark>>;

/// What the provider does to a delivery.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Accepted,
    Later,
    Trouble,
    Gone,
    Returned,
    Forbidden,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Accepted),
        1 => Just(Fate::Later),
        1 => Just(Fate::Trouble),
        1 => Just(Fate::Gone),
        1 => Just(Fate::Returned),
        1 => Just(Fate::Forbidden),
    ]
}

/// Carries a load through until nothing of it is open.
fn carry(load: &mut Load, fates: &mut impl Iterator<Item = Fate>, stop: usize) {
    for round in 0..stop {
        for place in load.open().collect::<Vec<_>>() {
            match fates.next().unwrap_or(Fate::Accepted) {
                Fate::Accepted => load.end(place, Outcome::Delivered),
                Fate::Forbidden => load.end(place, Outcome::Cancelled),
                Fate::Returned => load.give_back(),
                Fate::Gone => {
                    let failure = Failure::EndpointGone;
                    answer(load, place, Answer::Fail { failure, reason: REASON }, 0);
                }
                Fate::Later => {
                    let given = Answer::RetryDelivery { after: None, reason: REASON };
                    answer(load, place, given, 0);
                }
                Fate::Trouble => {
                    answer(load, place, Answer::Unknown { reason: REASON }, round as u64);
                }
            }
        }
        if load.is_settled() {
            return;
        }
        load.again_at(NOW, 0.5);
    }
    // A pause in the middle.
    load.put_off(NOW);
}

/// Writes down what a step says, as a store does.
fn store(ledger: &mut Vec<Run>, cursor: &mut Cursor, landing: Landing) {
    assert_eq!(landing.cursor.revision, cursor.revision + 1);
    assert!(landing.cursor.next >= cursor.next);
    if let Some(run) = &landing.run {
        assert!(run.first >= cursor.next, "runs do not overlap");
        assert_eq!(run.first + u32::try_from(run.marks.len()).unwrap(), landing.cursor.next);
    }
    ledger.extend(landing.run);
    for (ordinal, mark) in landing.changed {
        let run = ledger.iter_mut().rev().find(|run| run.first <= ordinal).unwrap();
        assert!(run.set(ordinal, mark));
    }
    *cursor = landing.cursor;
}

proptest! {
    #[test]
    fn every_delivery_ends_once_or_waits_and_the_ledger_says_so(
        devices in prop::collection::vec(0_u64..3, 1..60),
        fates in prop::collection::vec(any_fate(), 0..400),
        step in 1_usize..20,
        rounds in 1_usize..6,
    ) {
        let (mut cursor, mut ledger) = (Cursor::default(), Vec::new());
        let mut fates = fates.into_iter();
        let end = u32::try_from(devices.len()).unwrap();
        let mut planned = 0;
        for chunk in (0..end).collect::<Vec<_>>().chunks(step) {
            let of = |ordinal: &u32| {
                let count = devices[usize::try_from(*ordinal).unwrap()];
                let ordinal = *ordinal;
                (0..count).map(move |number| Item::new(ordinal, device(number)))
            };
            let items: Vec<_> = chunk.iter().flat_map(of).collect();
            planned += items.len() as u64;
            let mut load = Load::stretch(chunk[0], chunk[chunk.len() - 1] + 1, items);
            carry(&mut load, &mut fates, rounds);
            let landing = load.finish(&cursor);
            store(&mut ledger, &mut cursor, landing);
        }
        prop_assert_eq!(cursor.next, end);
        check(&cursor, &ledger, &devices)?;
        for _ in 0..4 {
            let some = cursor.stragglers.iter().step_by(2).copied().collect();
            let mut load = Load::stragglers(some, 0);
            carry(&mut load, &mut fates, rounds);
            let landing = load.finish(&cursor);
            store(&mut ledger, &mut cursor, landing);
            check(&cursor, &ledger, &devices)?;
        }
        if let Some(landing) = give_up(&cursor, Outcome::Cancelled, |_| true) {
            store(&mut ledger, &mut cursor, landing);
        }
        check(&cursor, &ledger, &devices)?;
        prop_assert!(is_over(&cursor, end));
        prop_assert_eq!((cursor.totals.planned, cursor.totals.open()), (planned, 0));
        let reached = devices.iter().filter(|count| **count > 0).count() as u64;
        prop_assert_eq!(cursor.recipients, reached);
    }
}

/// What must hold after every step.
fn check(cursor: &Cursor, ledger: &[Run], devices: &[u64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(cursor.totals.open(), cursor.stragglers.len() as u64);
    let mut waiting = Deliveries::new();
    for straggler in &cursor.stragglers {
        let Endpoint::Device(id) = straggler.endpoint else { panic!("{straggler:?}") };
        prop_assert!(waiting.insert((straggler.ordinal, id.0), None).is_none(), "twice");
    }
    for (ordinal, count) in (0..).zip(devices) {
        let run = ledger.iter().rev().find(|run| run.first <= ordinal);
        let mark = run.and_then(|run| run.mark(ordinal)).unwrap_or_default();
        let waits = waiting.keys().any(|(who, _)| *who == ordinal);
        prop_assert_eq!(mark == Mark::None, *count == 0, "ordinal {}", ordinal);
        prop_assert!(mark != Mark::Waiting || waits, "ordinal {}", ordinal);
        prop_assert!(!waits || matches!(mark, Mark::Waiting | Mark::Delivered));
    }
    Ok(())
}
