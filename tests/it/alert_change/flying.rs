//! Who changes while deliveries to others are in the air.

use super::*;

const RESIDENTS: u64 = 1_600;
/// Attempts last long enough to change something between two loads, and to see
/// whether it was in time.
const LOAD_MS: u32 = 2_500;
/// Rounds of changes that are in time.
const ROUNDS: usize = 3;

/// Residents who switched pushes off.
#[derive(Default)]
struct Switched {
    all: BTreeSet<u64>,
    /// Those who were answered before anything else left.
    in_time: BTreeSet<u64>,
}

impl Switched {
    /// Some who are next switch pushes off; true when it was in time.
    async fn round(&mut self, town: &Town, id: &str) -> bool {
        // A load of each is in the air, and the next ones are put together.
        let before = settled(&town.setting).await;
        let next = furthest(town, id).await + 1;
        assert!(next + HELD < RESIDENTS, "too slow to change anything in time");
        let near = (next..next + 40).filter(|index| !lives_elsewhere(*index));
        let chosen: Vec<u64> = near.step_by(3).collect();
        for index in &chosen {
            switch(&town.person(*index), true, true, false).await;
        }
        let in_time = requests(&town.setting).await == before;
        if in_time {
            self.in_time.extend(&chosen);
        }
        self.all.extend(chosen);
        let moved = || async { requests(&town.setting).await > before };
        until("the next loads leave", LIMIT, moved).await;
        in_time
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_change_is_answered_no_attempt_starts_against_it() {
    let town = Town::start(Residents::plain(5, RESIDENTS), 1, &Behaviour::default()).await;
    for route in ["apple", "google"] {
        town.tell(route, &slow(LOAD_MS)).await;
    }
    let id = town.herald.send(at_home()).await;
    let mut switched = Switched::default();
    let mut rounds = 0;
    while rounds < ROUNDS {
        rounds += usize::from(switched.round(&town, &id).await);
    }
    // One is erased while the push to them is in the air: nothing after that.
    settled(&town.setting).await;
    let flying = furthest(&town, &id).await;
    erase(&town.person(flying)).await;
    town.setting.behave(&Behaviour::default()).await;
    let view = town.herald.ends_within(&id, "completed", LIMIT).await;
    town.setting.rest(LIMIT).await;
    town.setting.assert_conserved().await;

    let all = pushes(&town, &id).await;
    assert!(all.iter().all(|record| record.accepted == 1), "repeated");
    let pushed = owners(&all, &town.residents, false);
    assert!(pushed.contains(&flying));
    assert!(switched.in_time.len() > 10 * ROUNDS, "{:?}", switched.in_time);
    assert!(switched.in_time.is_disjoint(&pushed), "attempted after the answer");
    let without: BTreeSet<u64> = (0..RESIDENTS)
        .filter(|index| !lives_elsewhere(*index) && !pushed.contains(index))
        .collect();
    assert!(without.is_subset(&switched.all), "not reached: {without:?}");
    let suppressed: u64 =
        ["apple", "google"].iter().map(|route| number(walk(&view, route), "suppressed")).sum();
    assert_eq!(suppressed, without.len() as u64, "{view}");
    town.setting.stage.shutdown().await.unwrap();
}

async fn pushes(town: &Town, id: &str) -> Vec<Record> {
    let mut all = records(&town.setting, "apple", id).await;
    all.extend(records(&town.setting, "google", id).await);
    all
}

/// The last resident whose push has been received.
async fn furthest(town: &Town, id: &str) -> u64 {
    owners(&pushes(town, id).await, &town.residents, false).last().copied().unwrap_or(0)
}
