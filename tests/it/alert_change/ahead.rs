//! Who changes before the walk comes by.

use super::*;

const RESIDENTS: u64 = 3_000;
/// The last hundred: nobody has come by.
const AHEAD: u64 = RESIDENTS - 100;
/// Two of the last hundred who are erased; one of them registers again.
const GONE: u64 = AHEAD + 4;
const BACK: u64 = AHEAD + 5;

/// An alert, paused when the walk had come by some, but not by the last.
async fn paused(town: &Town) -> String {
    let id = town.herald.send(at_home()).await;
    until("it goes on", LIMIT, || async { taken(&town.setting).await > 0 }).await;
    town.herald.change(&id, "pause").await.expect(200);
    // What was on its way when it was paused.
    settled(&town.setting).await;
    let visited = number(&town.herald.view(&id).await["progress"], "citizens");
    assert!((1..AHEAD).contains(&visited), "{visited} visited");
    id
}

/// Of the last hundred: one leaves home, one comes home, two go for good, one
/// wants nothing, one no push. Of the first, who were reached: one leaves home,
/// one comes home. And there are newcomers, one of them somebody who was erased.
async fn change(town: &Town, all: &Residents) {
    for index in [2, AHEAD + 2] {
        move_to(town, index, elsewhere()).await;
    }
    for index in [3, AHEAD + 3] {
        assert!(lives_elsewhere(index));
        move_to(town, index, home()).await;
    }
    for index in [GONE, BACK] {
        erase(&town.person(index)).await;
    }
    switch(&town.person(AHEAD + 6), false, true, true).await;
    switch(&town.person(AHEAD + 7), true, true, false).await;
    all.register(&town.setting.stage, RESIDENTS..all.size()).await;
    assert_eq!(renew(&town.setting.stage, &[all.citizen(BACK)]).await, 1, "as new");
}

/// Whom it reaches after that.
fn reached(residents: &Residents) -> Reached {
    let mut reached = Reached::default();
    for index in 0..RESIDENTS {
        let mut citizen = residents.citizen(index);
        let mut belongs = citizen.municipality == home();
        match index.checked_sub(AHEAD) {
            Some(2 | 4 | 5) => belongs = false,
            Some(3) => belongs = true,
            Some(6) => citizen.is_inbox_enabled = false,
            Some(7) => {
                // No push; the address is another matter.
                assert!(citizen.email.is_some());
                citizen.is_push_enabled = false;
            }
            _ => {}
        }
        reached.add(&citizen, belongs);
    }
    reached
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_moves_or_goes_before_the_walk_comes_by_is_judged_as_they_are_then() {
    let all = Residents::plain(4, RESIDENTS + 10);
    let town = Town::start(Residents::plain(4, RESIDENTS), 1, &slow(300)).await;
    let id = paused(&town).await;
    change(&town, &all).await;
    town.setting.behave(&Behaviour::default()).await;
    town.herald.change(&id, "resume").await.expect(200);
    town.herald.ends_within(&id, "completed", LIMIT).await;
    let reached = reached(&town.residents);
    assert_eq!(judge(&town.setting, &town.herald, &id, &reached).await, 0, "repeated");
    let with = [2, AHEAD + 3, AHEAD + 7];
    let without = [3, AHEAD + 2, GONE, BACK, AHEAD + 6, RESIDENTS];
    for (index, has) in with.map(|index| (index, 1)).into_iter().chain(without.map(|i| (i, 0))) {
        let person = Person::of(&town.setting.stage, &all.citizen(index).fiscal_code);
        assert_eq!(person.inbox(false).await.len(), has, "{index}");
    }
    let mut setting = town.setting;
    assert_eq!(setting.stage.stop_server().await.unwrap(), Some(0));
    assert_no_trace(&setting.stage, &town.residents, &[GONE]);
    setting.stage.shutdown().await.unwrap();
}
