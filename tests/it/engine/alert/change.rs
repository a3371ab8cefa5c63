//! Citizens who come, move, change their mind or leave while an alert walks.

use super::{alert_everyone, books, counts, end, inbox, stage, submission, submit, walk};
use crate::engine::MINUTE;
use crate::engine::email::change;
use crate::engine::harness::{Harness, address, citizen, token, with_address};
use araldo_actors::domain::alert::{AlertStatus, Audience};
use araldo_actors::domain::area::Area;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::service::Service;
use std::sync::atomic::Ordering;
use std::time::Duration;

const COUNT: usize = 1_200;

/// An alert to everyone, slow enough to be changed on the way.
async fn slowly(count: usize) -> (Harness, araldo_actors::domain::id::MessageId) {
    let (harness, _) = stage(count).await;
    for provider in [&harness.provider, &harness.relay] {
        provider.slow(Duration::from_millis(50));
    }
    let id = alert_everyone(&harness).await;
    (harness, id)
}

fn attempts(harness: &Harness, number: usize) -> (usize, usize) {
    (harness.provider.attempts_to(&token(number)), harness.relay.attempts_to(&address(number)))
}

#[tokio::test(start_paused = true)]
async fn who_registers_afterwards_is_not_reached() {
    let (harness, id) = slowly(COUNT).await;
    harness.register((COUNT..COUNT + 300).map(with_address).collect()).await;
    harness.provider.fast();
    harness.relay.fast();
    assert_eq!(end(&harness, id, 60 * MINUTE).await.status, AlertStatus::Completed);
    assert_eq!((harness.provider.count(), harness.relay.count()), (COUNT, COUNT));
    for number in COUNT..COUNT + 300 {
        assert_eq!(inbox(&harness, number).await, []);
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn the_audience_is_what_it_was_when_the_walk_came_by() {
    let (harness, _) = stage(0).await;
    let town = |number: usize, town: &str| Citizen {
        municipality: Some(town.into()),
        ..with_address(number)
    };
    let home = |number: usize| if number.is_multiple_of(2) { "015146" } else { "058091" };
    harness.register((0..COUNT).map(|number| town(number, home(number))).collect()).await;
    harness.provider.slow(Duration::from_millis(50));
    let milan = Audience::Areas(vec![Area::parse("015146").unwrap()]);
    let id = submit(&harness, submission(&harness, milan)).await;
    while walk(&harness, id, "inbox").await.visited < COUNT as u64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(harness.provider.count() < COUNT / 2, "still on the way");
    // Everybody moves to the other town.
    harness.register((0..COUNT).map(|number| town(number, home(number + 1))).collect()).await;
    harness.provider.fast();
    end(&harness, id, 60 * MINUTE).await;
    let pushed = counts(harness.provider.attempts());
    for number in 0..COUNT {
        let expected = (number.is_multiple_of(2)).then_some(&1);
        assert_eq!(pushed.get(&token(number)), expected, "{number}");
        assert_eq!(inbox(&harness, number).await.len(), expected.copied().unwrap_or(0));
    }
}

#[tokio::test(start_paused = true)]
async fn once_a_change_is_answered_no_attempt_starts_against_it() {
    let (harness, id) = slowly(COUNT).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut answered = Vec::with_capacity(COUNT);
    for number in 0..COUNT {
        let decide = |citizen: &mut Citizen| match number % 3 {
            0 => citizen.push_enabled = false,
            1 => citizen.email_enabled = false,
            _ => {}
        };
        change(&harness, number, decide).await;
        answered.push(attempts(&harness, number));
    }
    harness.provider.fast();
    harness.relay.fast();
    end(&harness, id, 60 * MINUTE).await;
    let mut stopped = 0;
    for (number, (push, mail)) in answered.into_iter().enumerate() {
        let (push, mail) = match number % 3 {
            0 => (push, 1),
            1 => (1, mail),
            _ => (1, 1),
        };
        assert_eq!(attempts(&harness, number), (push, mail), "{number}");
        stopped += 2 - push as u64 - mail as u64;
    }
    assert!(stopped > 500, "most were stopped in time: {stopped}");
    let (push, mail) =
        (books(&harness, Channel::Push).await, books(&harness, Channel::Email).await);
    assert_eq!(push.suppressed + mail.suppressed, stopped);
    assert_eq!((push.planned, mail.planned), (COUNT as u64, COUNT as u64));
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_replaced_on_the_way_is_not_used_and_the_new_one_not_added() {
    let (harness, id) = slowly(COUNT).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut before = Vec::new();
    for number in 0..100 {
        let renew = |citizen: &mut Citizen| citizen.devices[0].token = token(number + 50_000);
        change(&harness, number, renew).await;
        before.push(harness.provider.attempts_to(&token(number)));
    }
    harness.provider.fast();
    end(&harness, id, 60 * MINUTE).await;
    for (number, before) in before.into_iter().enumerate() {
        // Whoever was visited before is done with; the others get it on the
        // device they have when the walk comes by.
        let old = harness.provider.attempts_to(&token(number));
        let new = harness.provider.attempts_to(&token(number + 50_000));
        assert_eq!(old, before, "{number}");
        assert!(old + new <= 1, "{number}");
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_switched_off_stops_the_rest() {
    let (harness, id) = slowly(COUNT).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let off = Service { enabled: false, ..(*harness.service).clone() };
    harness.running.engine.put_service(off).await.unwrap();
    let started = (harness.provider.count(), harness.relay.count());
    assert_eq!(end(&harness, id, 60 * MINUTE).await.status, AlertStatus::Completed);
    assert_eq!((harness.provider.count(), harness.relay.count()), started);
    let push = books(&harness, Channel::Push).await;
    assert_eq!(push.delivered, started.0 as u64);
    assert_eq!(push.open(), 0);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_gets_nothing_more_and_is_waited_for_by_nobody() {
    let (harness, id) = slowly(COUNT).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let engine = &harness.running.engine;
    let mut before = Vec::new();
    for number in (0..COUNT).step_by(4) {
        let begun = tokio::time::Instant::now();
        engine.erase(citizen(number).fiscal_code).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "only what has started is waited for");
        assert_eq!(engine.citizen(citizen(number).fiscal_code).await, Ok(None));
        assert_eq!(inbox(&harness, number).await, []);
        before.push((number, attempts(&harness, number)));
    }
    harness.provider.fast();
    harness.relay.fast();
    assert_eq!(end(&harness, id, 60 * MINUTE).await.status, AlertStatus::Completed);
    for (number, before) in before {
        assert_eq!(attempts(&harness, number), before, "{number}");
    }
    for number in (0..COUNT).filter(|number| number % 4 != 0) {
        assert_eq!(attempts(&harness, number), (1, 1), "{number}");
    }
    harness.assert_conserved().await;
    let books = harness.books().await.all_deliveries();
    assert_eq!(books.open(), 0, "{books:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_and_comes_back_is_not_in_the_audience() {
    let (harness, _) = stage(COUNT).await;
    harness.provider.cut();
    harness.relay.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = alert_everyone(&harness).await;
    // Many records are in the hands of walks, under way or next.
    tokio::time::sleep(MINUTE).await;
    let gone = |number: usize| number.is_multiple_of(4);
    for number in (0..COUNT).filter(|number| gone(*number)) {
        let code = citizen(number).fiscal_code;
        harness.running.engine.erase(code).await.unwrap();
        let comes = |_| Ok::<_, std::convert::Infallible>(with_address(number));
        harness.running.engine.change_citizen(code, comes).await.unwrap();
    }
    harness.provider.reachable.store(true, Ordering::Relaxed);
    harness.relay.reachable.store(true, Ordering::Relaxed);
    assert_eq!(end(&harness, id, 60 * MINUTE).await.status, AlertStatus::Completed);
    for number in 0..COUNT {
        let expected = usize::from(!gone(number));
        assert_eq!(attempts(&harness, number), (expected, expected), "{number}");
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_hold_up_an_erasure() {
    let (harness, _) = stage(400).await;
    harness.provider.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(MINUTE).await;
    let begun = tokio::time::Instant::now();
    for number in 0..50 {
        harness.running.engine.erase(citizen(number).fiscal_code).await.unwrap();
    }
    assert!(begun.elapsed() < MINUTE, "{:?}", begun.elapsed());
    harness.provider.reachable.store(true, std::sync::atomic::Ordering::Relaxed);
    end(&harness, id, 60 * MINUTE).await;
    assert_eq!(harness.provider.count(), 350);
    harness.assert_conserved().await;
}
