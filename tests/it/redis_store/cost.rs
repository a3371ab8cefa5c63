//! What an alert costs: commands that Redis carries out, those inside scripts
//! included.

use araldo::store::redis::RedisStore;
use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::books::DeliveryTotals;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::port::alert_store::AlertStore;
use araldo_actors::port::store::Store;

use araldo::store::redis::Servers;

use crate::redis_kit::{Server, own};
use crate::store_alert::fixture::{accepted, id, register, residents, walked};
use crate::store_fixture::{open, route, step};

/// Citizens of a walk's step (`policy::walk::LOAD`).
const LOAD: u32 = 192;
const STEPS: u32 = 10;

fn commands(server: &Server) -> u64 {
    let stats = server.ask(&["INFO", "stats"]);
    let count = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    count.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_delivery_of_an_alert_costs_less_than_a_tenth_of_an_operation() {
    let server = Server::start(&[]);
    let store = RedisStore::open(&own(Servers::Single(server.url()))).await.unwrap();
    let people = residents(0, usize::try_from(LOAD * STEPS).unwrap());
    register(&store, &people).await;
    accepted(&store, 1).await;
    let (partition, epoch) = open(&store, people[0]).await;
    let before = commands(&server);
    for walk in [Walk::Inbox, Walk::Route(route("apple"))] {
        let (channel, members) = match walk {
            Walk::Inbox => (Channel::InApp, None),
            Walk::Route(_) => (Channel::Push, Some(id(1))),
        };
        for n in 0..STEPS {
            let (first, limit) = (n * LOAD, usize::try_from(LOAD).unwrap());
            let end = STEPS * LOAD;
            let visit = store.visit(partition, first, end, limit, members).await.unwrap();
            assert_eq!((visit.citizens.len(), visit.next), (limit, first + LOAD));
            let reached = u64::from(visit.next);
            let totals = DeliveryTotals {
                planned: reached,
                delivered: reached,
                ..DeliveryTotals::default()
            };
            let (next, revision) = (visit.next, u64::from(n) + 1);
            let cursor =
                Cursor { next, revision, recipients: reached, totals, ..Cursor::default() };
            let run = Run { first, marks: vec![Mark::Delivered; limit] };
            let effect = walked(1, walk.clone(), channel, cursor, Some(run), &[]);
            store.commit(partition, epoch, step(vec![effect])).await.unwrap();
        }
    }
    let spent = commands(&server) - before;
    let deliveries = u64::from(2 * LOAD * STEPS);
    assert!(spent * 10 < deliveries, "{spent} operations for {deliveries} deliveries");
}
