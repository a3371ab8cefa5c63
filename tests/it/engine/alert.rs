//! Alerts: everyone in the audience once, whatever happens on the way.

mod audience;
mod change;
mod crash;
mod lane;
mod metric;
mod outage;
mod status;

use super::harness::{Harness, OPTIONS, citizen, with_address};
use araldo::store::memory::MemoryStore;
use araldo_actors::domain::alert::{AlertRecord, AlertText, Audience, Walk};
use araldo_actors::domain::books::DeliveryTotals;
use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::id::{MessageId, RouteId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::engine::AlertSubmission;
use araldo_actors::port::alert_store::WalkTotals;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An engine and its store, with this many citizens: a device and an address
/// each.
async fn stage(count: usize) -> (Harness, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new(OPTIONS.partitions));
    let harness = Harness::start_with(OPTIONS, Arc::clone(&store)).await;
    harness.register((0..count).map(with_address).collect()).await;
    (harness, store)
}

fn text(language: &str) -> AlertText {
    AlertText {
        subject: format!("Allerta meteo ({language})"),
        markdown: "Piogge intense nelle prossime ore. ".repeat(3),
    }
}

fn submission(harness: &Harness, audience: Audience) -> AlertSubmission {
    AlertSubmission {
        service: Arc::clone(&harness.service),
        expires_at: harness.running.engine.now().after(Duration::from_secs(24 * 3_600)),
        lane: Lane::Bulk,
        texts: [(Language::Italian, text("it")), (Language::German, text("de"))].into(),
        fallback: Language::Italian,
        audience,
        require_secure_channels: None,
        claim: None,
    }
}

/// Sends an alert to everyone.
async fn alert_everyone(harness: &Harness) -> MessageId {
    submit(harness, submission(harness, Audience::Everyone)).await
}

async fn submit(harness: &Harness, submission: AlertSubmission) -> MessageId {
    let submitted = harness.running.engine.submit_alert(submission).await.unwrap();
    assert!(!submitted.replayed);
    submitted.record.alert.id
}

async fn record(harness: &Harness, id: MessageId) -> AlertRecord {
    harness.running.engine.alert(id).await.unwrap().unwrap()
}

/// Waits until an alert has ended.
async fn end(harness: &Harness, id: MessageId, limit: Duration) -> AlertRecord {
    let deadline = Instant::now() + limit;
    loop {
        let record = record(harness, id).await;
        if record.status.is_final() {
            return record;
        }
        let progress = harness.running.engine.alert_progress(id).await.unwrap();
        assert!(Instant::now() < deadline, "{:?} {progress:?}", record.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How far each walk of an alert is.
async fn progress(harness: &Harness, id: MessageId) -> HashMap<String, WalkTotals> {
    let progress = harness.running.engine.alert_progress(id).await.unwrap();
    let name = |walk| match walk {
        Walk::Inbox => "inbox".to_owned(),
        Walk::Route(route) => RouteId::as_str(&route).to_owned(),
    };
    progress.walks.into_iter().map(|(walk, totals)| (name(walk), totals)).collect()
}

/// Totals of one walk.
async fn walk(harness: &Harness, id: MessageId, walk: &str) -> WalkTotals {
    progress(harness, id).await.get(walk).copied().unwrap_or_default()
}

async fn books(harness: &Harness, channel: Channel) -> DeliveryTotals {
    harness.books().await.deliveries[channel.index()]
}

/// Messages in the inbox of the n-th citizen.
async fn inbox(harness: &Harness, number: usize) -> Vec<MessageId> {
    let range = araldo_actors::domain::inbox::InboxRange { limit: 100, ..Default::default() };
    let items = harness.running.engine.inbox(citizen(number).fiscal_code, range).await.unwrap();
    items.into_iter().map(|item| item.entry.message).collect()
}

/// How often each device or address was asked for.
fn counts(attempts: Vec<(String, MessageId)>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for (to, _) in attempts {
        *counts.entry(to).or_default() += 1;
    }
    counts
}
