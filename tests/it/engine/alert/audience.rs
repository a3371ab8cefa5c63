//! Whom an alert reaches, and what they get.

use super::{alert_everyone, books, counts, end, inbox, progress, stage, submission, submit, text};
use crate::engine::MINUTE;
use crate::engine::harness::{address, citizen, token, with_address};
use araldo_actors::domain::alert::{AlertStatus, Audience};
use araldo_actors::domain::area::Area;
use araldo_actors::domain::citizen::{Citizen, Language};
use araldo_actors::domain::delivery::{Channel, Endpoint};
use araldo_actors::domain::notification::Notification;
use araldo_actors::domain::preference::{PushContent, ServicePreference};
use araldo_actors::engine::SubmitAlertError;
use araldo_actors::port::store::IdempotencyClaim;
use std::collections::HashSet;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn everyone_is_reached_once_on_every_channel() {
    let (harness, _) = stage(2_000).await;
    let id = alert_everyone(&harness).await;
    assert_eq!(end(&harness, id, MINUTE).await.status, AlertStatus::Completed);
    for channel in Channel::ALL {
        let totals = books(&harness, channel).await;
        assert_eq!((totals.planned, totals.delivered), (2_000, 2_000), "{channel:?}");
        assert_eq!(totals.retried, 0);
    }
    let (pushed, mailed) = (counts(harness.provider.attempts()), counts(harness.relay.attempts()));
    for number in 0..2_000 {
        assert_eq!(pushed.get(&token(number)), Some(&1), "{number}");
        assert_eq!(mailed.get(&address(number)), Some(&1), "{number}");
        assert_eq!(inbox(&harness, number).await, [id]);
    }
    let walks = progress(&harness, id).await;
    assert_eq!(walks.len(), 3);
    for (name, totals) in walks {
        assert_eq!((totals.visited, totals.end), (2_000, 2_000), "{name}");
        assert_eq!((totals.recipients, totals.stragglers), (2_000, 0), "{name}");
    }
    harness.assert_conserved().await;
    assert_eq!(harness.running.engine.board().active_citizens(), 0, "no citizen was activated");
}

#[tokio::test(start_paused = true)]
async fn areas_reach_who_lives_there_and_nobody_else() {
    let (harness, _) = stage(0).await;
    let towns = [Some("015146"), Some("015002"), Some("016024"), Some("058091"), None];
    let resident = |number: usize| Citizen {
        municipality: towns[number % 5].map(Into::into),
        ..with_address(number)
    };
    harness.register((0..1_500).map(resident).collect()).await;
    let areas = |codes: &[&str]| {
        Audience::Areas(codes.iter().map(|code| Area::parse(code).unwrap()).collect())
    };
    for (codes, reached) in [
        (vec!["015146"], vec![0]),
        (vec!["015"], vec![0, 1]),
        // Matched twice, reached once.
        (vec!["03", "015146", "016"], vec![0, 1, 2]),
        (vec!["12", "016024"], vec![2, 3]),
        (vec!["20"], vec![]),
    ] {
        let before = harness.provider.count();
        let id = submit(&harness, submission(&harness, areas(&codes))).await;
        assert_eq!(end(&harness, id, MINUTE).await.status, AlertStatus::Completed);
        assert_eq!(harness.provider.count() - before, 300 * reached.len(), "{codes:?}");
        let mine: Vec<_> =
            harness.provider.attempts().into_iter().filter(|(_, message)| *message == id).collect();
        let pushed = counts(mine);
        for number in 0..1_500 {
            let expected = usize::from(reached.contains(&(number % 5)));
            assert_eq!(pushed.get(&token(number)).copied().unwrap_or(0), expected, "{number}");
            assert_eq!(inbox(&harness, number).await.contains(&id), expected == 1, "{number}");
        }
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_to_nobody_completes() {
    let (harness, _) = stage(0).await;
    let id = alert_everyone(&harness).await;
    assert_eq!(end(&harness, id, MINUTE).await.status, AlertStatus::Completed);
    harness.register((0..500).map(citizen).collect()).await;
    let nowhere = Audience::Areas(vec![Area::parse("20").unwrap()]);
    let id = submit(&harness, submission(&harness, nowhere)).await;
    assert_eq!(end(&harness, id, MINUTE).await.status, AlertStatus::Completed);
    assert_eq!((harness.provider.count(), harness.relay.count()), (0, 0));
    assert_eq!(harness.books().await.all_deliveries().planned, 0);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_citizen_switched_off_is_counted_as_suppressed() {
    let (harness, _) = stage(0).await;
    let service = harness.service.id.clone();
    let choosy = |number: usize| {
        let mut citizen = with_address(number);
        let preference = match number % 4 {
            0 => ServicePreference { inbox: false, ..ServicePreference::ALL },
            1 => ServicePreference { push: false, ..ServicePreference::ALL },
            2 => ServicePreference { email: false, ..ServicePreference::ALL },
            _ => ServicePreference::ALL,
        };
        citizen.preferences.insert(service.clone(), preference);
        citizen
    };
    harness.register((0..800).map(choosy).collect()).await;
    let id = alert_everyone(&harness).await;
    end(&harness, id, MINUTE).await;
    for (channel, delivered) in [(Channel::InApp, 600), (Channel::Push, 400), (Channel::Email, 400)]
    {
        let totals = books(&harness, channel).await;
        let planned = if channel == Channel::InApp { 800 } else { 600 };
        assert_eq!((totals.planned, totals.delivered), (planned, delivered), "{channel:?}");
        assert_eq!(totals.suppressed, planned - delivered, "{channel:?}");
    }
    assert_eq!((harness.provider.count(), harness.relay.count()), (400, 400));
    assert_eq!(inbox(&harness, 0).await, []);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn each_gets_it_in_the_best_language_and_sees_in_a_push_what_they_chose() {
    let (harness, _) = stage(0).await;
    let reader = |number: usize, languages: &[Language], push_content| Citizen {
        languages: languages.to_vec(),
        push_content,
        ..with_address(number)
    };
    let (french, german) = (Language::French, Language::German);
    harness
        .register(vec![
            reader(0, &[], PushContent::Full),
            reader(1, &[french, german], PushContent::Full),
            reader(2, &[french], PushContent::Full),
            reader(3, &[french, german], PushContent::Anonymous),
        ])
        .await;
    let id = alert_everyone(&harness).await;
    end(&harness, id, MINUTE).await;
    let requests = harness.provider.requests.lock().unwrap();
    let shown = |number| {
        let push = requests.iter().find_map(|(asked, _)| match asked {
            Notification::Push(push) if push.token == token(number) => Some(push),
            _ => None,
        });
        let push = push.unwrap();
        let device = citizen(number).devices[0].id();
        assert_eq!(push.delivery, Endpoint::Device(device).delivery_id(id));
        (push.notice.body.clone(), push.notice.language)
    };
    assert_eq!(shown(0), (text("it").subject, Language::Italian));
    assert_eq!(shown(1), (text("de").subject, german));
    assert_eq!(shown(2), (text("it").subject, Language::Italian));
    assert_eq!(shown(3).1, french, "says nothing of the alert, in the citizen's own language");
    assert_ne!(shown(3).0, text("de").subject);
    let mails = harness.relay.requests.lock().unwrap();
    let mail = mails.iter().find_map(|(asked, _)| match asked {
        Notification::Email(email) if email.to == address(3) => Some(email),
        _ => None,
    });
    let mail = mail.unwrap();
    let ids: HashSet<_> = mails.iter().map(|(asked, _)| asked.delivery()).collect();
    assert_eq!(ids.len(), 4, "each mail has an id of its own");
    assert_eq!((mail.language, &mail.message.content.subject), (german, &text("de").subject));
    assert_eq!(mail.message.fiscal_code, citizen(3).fiscal_code, "for the unsubscribe link");
}

#[tokio::test(start_paused = true)]
async fn the_same_key_makes_one_alert() {
    let (harness, _) = stage(300).await;
    let engine = &harness.running.engine;
    let mut keyed = submission(&harness, Audience::Everyone);
    keyed.claim = Some(IdempotencyClaim { scope: [1; 32], body: [2; 32] });
    let first = engine.submit_alert(keyed.clone()).await.unwrap();
    let again = engine.submit_alert(keyed.clone()).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.record.alert, again.record.alert);
    end(&harness, first.record.alert.id, MINUTE).await;
    let later = engine.submit_alert(keyed.clone()).await.unwrap();
    assert_eq!(later.record.status, AlertStatus::Completed);
    keyed.claim = Some(IdempotencyClaim { scope: [1; 32], body: [3; 32] });
    assert_eq!(engine.submit_alert(keyed).await, Err(SubmitAlertError::KeyReused));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(harness.provider.count(), 300);
    assert_eq!(engine.alerts(None, 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_right_is_refused_and_leaves_nothing_behind() {
    let (harness, _) = stage(10).await;
    let good = submission(&harness, Audience::Everyone);
    let mut no_fallback = good.clone();
    no_fallback.fallback = Language::French;
    let mut no_area = good.clone();
    no_area.audience = Audience::Areas(vec![]);
    let mut expired = good.clone();
    expired.expires_at = harness.running.engine.now();
    for wrong in [no_fallback, no_area, expired] {
        let refused = harness.running.engine.submit_alert(wrong).await;
        assert!(matches!(refused, Err(SubmitAlertError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(harness.running.engine.alerts(None, 10).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn live_sessions_are_woken_when_the_alert_is_in_the_inbox() {
    let (harness, _) = stage(400).await;
    let engine = &harness.running.engine;
    let mut session = engine.live(citizen(7).fiscal_code).await.unwrap();
    // Providers are out of reach: the inbox does not wait for them.
    harness.provider.cut();
    harness.relay.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = alert_everyone(&harness).await;
    assert!(tokio::time::timeout(MINUTE, session.changed()).await.unwrap());
    assert_eq!(inbox(&harness, 7).await, [id]);
}
