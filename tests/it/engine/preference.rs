//! Preferences changed while ten thousand messages are queued (promise 3).

use super::email::change;
use super::harness::{Harness, address, citizen, token, with_address};
use araldo_actors::domain::books::{Books, DeliveryTotals};
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::id::ServiceId;
use araldo_actors::domain::preference::ServicePreference;
use std::time::Duration;

const CITIZENS: usize = 1_000;
const MESSAGES: usize = 10_000;
const EACH: u64 = (MESSAGES / CITIZENS) as u64;

/// What the n-th citizen switches off, a quarter each.
fn decide(number: usize, service: &ServiceId, citizen: &mut Citizen) {
    let preference = match number % 4 {
        0 => ServicePreference { push: false, ..ServicePreference::ALL },
        1 => ServicePreference { email: false, ..ServicePreference::ALL },
        2 => ServicePreference { inbox: false, ..ServicePreference::ALL },
        _ => return,
    };
    citizen.preferences.insert(service.clone(), preference);
}

const fn may_push(number: usize) -> bool {
    matches!(number % 4, 1 | 3)
}

const fn may_mail(number: usize) -> bool {
    matches!(number % 4, 0 | 3)
}

fn of(books: &Books, channel: Channel) -> DeliveryTotals {
    books.deliveries[channel.index()]
}

/// Attempts to each citizen so far, by push and by mail.
fn attempts(harness: &Harness) -> Vec<(u64, u64)> {
    let mut counts = vec![(0, 0); CITIZENS];
    let numbers: std::collections::HashMap<_, _> =
        (0..CITIZENS).flat_map(|n| [(token(n), n), (address(n), n)]).collect();
    for (to, _) in harness.provider.attempts() {
        counts[numbers[&to]].0 += 1;
    }
    for (to, _) in harness.relay.attempts() {
        counts[numbers[&to]].1 += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn with_ten_thousand_messages_queued_no_attempt_starts_against_a_change_once_answered() {
    let harness = Harness::start().await;
    harness.register((0..CITIZENS).map(with_address).collect()).await;
    for provider in [&harness.provider, &harness.relay] {
        provider.slow(Duration::from_millis(50));
    }
    for number in 0..MESSAGES {
        harness.submit(citizen(number % CITIZENS).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let books = harness.books().await;
    assert_eq!(books.messages.processed, MESSAGES as u64);
    assert!(of(&books, Channel::Push).open() > 9_000, "{books:?}");
    assert!(of(&books, Channel::Email).open() > 9_000, "{books:?}");

    // One after the other, while attempts go on. What each citizen had got
    // when the change was answered is all they may ever get.
    let mut answered = Vec::with_capacity(CITIZENS);
    for number in 0..CITIZENS {
        let service = &harness.service.id;
        change(&harness, number, |citizen| decide(number, service, citizen)).await;
        answered.push((
            harness.provider.attempts_to(&token(number)) as u64,
            harness.relay.attempts_to(&address(number)) as u64,
        ));
    }
    harness.provider.fast();
    harness.relay.fast();
    let books = harness.settle(Duration::from_mins(50)).await;
    assert_eq!(books.all_deliveries().open(), 0, "{books:?}");

    let (mut pushed, mut mailed) = (0, 0);
    for (number, (push, mail)) in attempts(&harness).into_iter().enumerate() {
        let (push_then, mail_then) = answered[number];
        let expected = |allowed, then| if allowed { EACH } else { then };
        assert_eq!(push, expected(may_push(number), push_then), "push to citizen {number}");
        assert_eq!(mail, expected(may_mail(number), mail_then), "mail to citizen {number}");
        pushed += push;
        mailed += mail;
    }
    for (channel, sent) in [(Channel::Push, pushed), (Channel::Email, mailed)] {
        let totals = of(&books, channel);
        assert_eq!((totals.planned, totals.delivered), (MESSAGES as u64, sent), "{channel:?}");
        assert_eq!(totals.suppressed, MESSAGES as u64 - sent, "{channel:?}");
    }
    // Some were on their way before, most were stopped in time.
    assert!((5_000..5_600).contains(&pushed), "{pushed}");
    assert!((5_000..5_600).contains(&mailed), "{mailed}");
    harness.assert_conserved().await;
}
