//! Several engines over one Redis, on the real clock: any of them serves any
//! request, and what one is told holds on all.

use super::harness::{Harness, OPTIONS, citizen, token, with_address};
use crate::redis_kit::{own, shared_server};
use crate::stage_kit::until;
use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::alert::{AlertStatus, AlertText, Audience};
use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{DeliveryId, MessageId, NodeId, PartitionId};
use araldo_actors::domain::inbox::MarkChange;
use araldo_actors::domain::lane::Lane;
use araldo_actors::engine::{AlertSubmission, Engine};
use araldo_actors::pipeline::{Membership, NodeOptions};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(60);
/// Within this every node knows what one was told (promise 3).
const FRESH: Duration = Duration::from_secs(1);
const PEOPLE: usize = 200;

/// Engines that share a store.
struct Fleet {
    options: RedisOptions,
    nodes: Vec<Harness>,
    /// What those that left had delivered.
    left: Vec<DeliveryId>,
}

impl Fleet {
    async fn start(nodes: usize) -> Self {
        let servers = Servers::Single(shared_server().url());
        let lease = Duration::from_secs(6);
        let options = RedisOptions { partitions: OPTIONS.partitions, lease, ..own(servers) };
        let mut fleet = Self { options, nodes: Vec::new(), left: Vec::new() };
        for _ in 0..nodes {
            fleet.join().await;
        }
        fleet.settled().await;
        fleet
    }

    async fn join(&mut self) {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let incarnation = u128::from(number);
        let options = RedisOptions { incarnation, ..self.options.clone() };
        let store = Arc::new(RedisStore::open(&options).await.unwrap());
        let node = NodeOptions {
            id: NodeId::parse(&format!("node-{}", self.nodes.len() + self.left.len())).unwrap(),
            incarnation,
            address: "http://127.0.0.1:1".into(),
            version: "0.0.0".into(),
        };
        let cluster = Some(Membership { cluster: store.clone(), node });
        self.nodes.push(Harness::start_among(OPTIONS, store, cluster).await);
    }

    fn engine(&self, node: usize) -> &Engine {
        &self.nodes[node].running.engine
    }

    fn owned(&self, node: usize) -> usize {
        let engine = self.engine(node);
        engine.owned().len()
    }

    /// Waits until every partition is somebody's and every node hears the others.
    async fn settled(&self) {
        until("every partition has one owner, as meant", PATIENCE, || async {
            let owned: usize = (0..self.nodes.len()).map(|node| self.owned(node)).sum();
            let hears = self.nodes.iter().all(|node| node.running.engine.is_accepting());
            let all = self.engine(0).cluster().len() == self.nodes.len();
            let shares = self.nodes.len() == 1 || (0..self.nodes.len()).all(|n| self.owned(n) > 0);
            owned == usize::from(OPTIONS.partitions) && hears && all && shares
        })
        .await;
    }

    /// A citizen whose partition is at `node`.
    fn citizen_of(&self, node: usize) -> usize {
        let owned = self.engine(node).owned();
        let home =
            |number: &usize| PartitionId::of(&citizen(*number).fiscal_code, OPTIONS.partitions);
        (0..PEOPLE).find(|number| owned.contains(&home(number))).unwrap()
    }

    /// Everything pushed, by whichever node.
    fn pushed(&self) -> Vec<DeliveryId> {
        let now = self.nodes.iter().flat_map(|node| node.provider.deliveries());
        now.chain(self.left.iter().copied()).collect()
    }

    fn attempts_to(&self, number: usize) -> usize {
        self.nodes.iter().map(|node| node.provider.attempts_to(&token(number))).sum()
    }

    async fn drained(&self) {
        until("nothing waits", PATIENCE, || async {
            let books = self.engine(0).books().await.unwrap();
            books.messages.open() + books.all_deliveries().open() == 0
        })
        .await;
    }
}

fn assert_once(pushed: &[DeliveryId], count: usize) {
    let different: HashSet<_> = pushed.iter().collect();
    assert_eq!((pushed.len(), different.len()), (count, count), "each once");
}

fn alert(harness: &Harness) -> AlertSubmission {
    let text = AlertText {
        subject: "Allerta meteo".to_owned(),
        markdown: "Piogge intense nelle prossime ore. ".repeat(3),
    };
    AlertSubmission {
        service: Arc::clone(&harness.service),
        expires_at: harness.running.engine.now().after(Duration::from_secs(24 * 3_600)),
        lane: Lane::Bulk,
        texts: [(Language::Italian, text)].into(),
        fallback: Language::Italian,
        audience: Audience::Everyone,
        require_secure_channels: None,
        claim: None,
    }
}

async fn status(engine: &Engine, id: MessageId) -> AlertStatus {
    engine.alert(id).await.unwrap().unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_a_message_for_anybody_and_it_goes_out_once() {
    let fleet = Fleet::start(3).await;
    fleet.nodes[0].register((0..PEOPLE).map(citizen).collect()).await;
    for number in 0..PEOPLE {
        let node = &fleet.nodes[number % 3];
        node.submit(citizen(number).fiscal_code).await;
    }
    fleet.drained().await;
    assert_once(&fleet.pushed(), PEOPLE);
    for node in 0..3 {
        let books = fleet.engine(node).own_books().await.unwrap();
        let board = fleet.engine(node).board();
        assert_eq!(books.messages.open(), board.pending_messages());
        assert_eq!(books.all_deliveries().open(), board.pending_deliveries());
        assert!(books.messages.processed > 0, "every node has its share");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_join_and_leave_under_load_and_nothing_is_lost_or_repeated() {
    let mut fleet = Fleet::start(1).await;
    fleet.nodes[0].register((0..PEOPLE).map(citizen).collect()).await;
    let mut sent = 0;
    for nodes in [3, 2, 1] {
        while fleet.nodes.len() < nodes {
            fleet.join().await;
        }
        let engine = fleet.engine(0).clone();
        let harness = &fleet.nodes[0];
        let submissions: Vec<_> =
            (0..PEOPLE).map(|number| harness.submission(citizen(number).fiscal_code)).collect();
        sent += submissions.len();
        let load = tokio::spawn(async move {
            for submission in submissions {
                engine.submit(submission).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        if nodes < 3 {
            let node = fleet.nodes.pop().unwrap();
            let provider = Arc::clone(&node.provider);
            node.running.shutdown(Duration::from_secs(30)).await;
            fleet.left.extend(provider.deliveries());
        }
        load.await.unwrap();
    }
    fleet.settled().await;
    fleet.drained().await;
    assert_once(&fleet.pushed(), sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_told_to_one_node_holds_on_all_within_a_second() {
    let fleet = Fleet::start(2).await;
    let number = fleet.citizen_of(1);
    let person = citizen(number);
    fleet.nodes[0].register(vec![person.clone()]).await;
    fleet.nodes[0].submit(person.fiscal_code).await;
    fleet.drained().await;
    assert_eq!(fleet.attempts_to(number), 1);
    // In the queue of the other node, behind a provider that is slow.
    fleet.nodes[1].provider.slow(Duration::from_millis(400));
    for _ in 0..40 {
        fleet.nodes[1].submit(person.fiscal_code).await;
    }
    let forget = |known: Option<araldo_actors::domain::citizen::Citizen>| {
        let mut known = known.unwrap();
        known.devices.clear();
        Ok::<_, std::convert::Infallible>(known)
    };
    fleet.engine(0).change_citizen(person.fiscal_code, forget).await.unwrap();
    tokio::time::sleep(FRESH).await;
    let before = fleet.attempts_to(number);
    fleet.drained().await;
    assert_eq!(fleet.attempts_to(number), before, "no attempt starts against it");
    assert!(before < 41);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_session_on_one_node_hears_what_happens_on_another() {
    let fleet = Fleet::start(2).await;
    let number = fleet.citizen_of(1);
    let code = citizen(number).fiscal_code;
    fleet.nodes[0].register(vec![citizen(number)]).await;
    let here = fleet.engine(0);
    let mut session = here.live(code).await.unwrap();
    let newest = here.events(code, None, 0).await.unwrap().newest;
    let id = fleet.nodes[1].submit(code).await;
    assert!(timeout(PATIENCE, session.changed()).await.unwrap());
    until("it can be read", PATIENCE, || async {
        let events = here.events(code, Some(newest), 10).await.unwrap().events;
        events.iter().any(|event| event.item.message.id == id)
    })
    .await;
    // A mark made there wakes here, too, and so does the end of all sessions.
    let mark = MarkChange { read: true, archived: None };
    while timeout(Duration::from_millis(300), session.changed()).await.is_ok() {}
    fleet.engine(1).mark(code, id, mark).await.unwrap().unwrap();
    assert!(timeout(PATIENCE, session.changed()).await.unwrap());
    fleet.engine(1).revoke_sessions(code).await.unwrap();
    until("the session is over", PATIENCE, || async { session.is_over() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_registers_on_one_node_is_known_to_all() {
    let fleet = Fleet::start(2).await;
    let mut service = super::harness::service();
    service.enabled = false;
    fleet.engine(0).put_service(service.clone()).await.unwrap();
    until("the other node knows", FRESH, || async {
        fleet.engine(1).directory().service(&service.id).is_some_and(|known| !known.enabled)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_accepted_by_one_node_is_walked_by_all_and_ends_once() {
    let fleet = Fleet::start(2).await;
    fleet.nodes[0].register((0..PEOPLE).map(with_address).collect()).await;
    let id = fleet.engine(0).submit_alert(alert(&fleet.nodes[0])).await.unwrap().record.alert.id;
    until("it ends", PATIENCE, || async {
        status(fleet.engine(1), id).await == AlertStatus::Completed
    })
    .await;
    fleet.drained().await;
    assert_once(&fleet.pushed(), PEOPLE);
    assert!(fleet.nodes.iter().all(|node| node.provider.count() > 0), "both had a share");
    let mails: usize = fleet.nodes.iter().map(|node| node.relay.count()).sum();
    assert_eq!(mails, PEOPLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_paused_resumed_and_cancelled_from_any_node() {
    let fleet = Fleet::start(2).await;
    fleet.nodes[0].register((0..PEOPLE).map(citizen).collect()).await;
    for node in &fleet.nodes {
        // Those that are open take many at once.
        node.provider.cut();
        node.provider.slow(Duration::from_millis(100));
        node.provider.reachable.store(true, Ordering::Relaxed);
    }
    let id = fleet.engine(0).submit_alert(alert(&fleet.nodes[0])).await.unwrap().record.alert.id;
    until("both are at it", PATIENCE, || async {
        fleet.nodes.iter().all(|node| node.provider.count() > 3)
    })
    .await;
    fleet.engine(0).pause_alert(id).await.unwrap();
    tokio::time::sleep(FRESH).await;
    let paused = fleet.pushed().len();
    tokio::time::sleep(FRESH).await;
    assert_eq!(fleet.pushed().len(), paused, "nothing starts while it is paused");
    fleet.engine(1).resume_alert(id).await.unwrap();
    until("it goes on", PATIENCE, || async { fleet.pushed().len() > paused + 4 }).await;
    let asked = Instant::now();
    fleet.engine(1).cancel_alert(id).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let cancelled = fleet.pushed().len();
    tokio::time::sleep(FRESH).await;
    assert_eq!(fleet.pushed().len(), cancelled);
    assert!(cancelled < PEOPLE);
    for node in 0..2 {
        assert_eq!(status(fleet.engine(node), id).await, AlertStatus::Cancelled);
    }
    fleet.drained().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_citizen_is_erased_by_whichever_node_is_asked() {
    let fleet = Fleet::start(2).await;
    let codes: Vec<FiscalCode> =
        (0..2).map(|node| citizen(fleet.citizen_of(node)).fiscal_code).collect();
    let people = (0..2).map(|node| citizen(fleet.citizen_of(node))).collect();
    fleet.nodes[0].register(people).await;
    for code in &codes {
        fleet.nodes[0].submit(*code).await;
    }
    fleet.drained().await;
    for code in codes {
        assert_eq!(fleet.engine(0).erase(code).await.unwrap(), 1);
        assert!(fleet.engine(1).citizen(code).await.unwrap().is_none());
    }
    assert_eq!(fleet.engine(1).erasures(10).await.unwrap().len(), 2);
}
