//! The simulator's own books: what arrived, what was accepted, how often and when.
//!
//! Owns every count the audit later compares with the engine's. One record of 64 bytes a delivery in chunks that never
//! move, found over a 4-byte index, in 16 shards: 2 million deliveries take about 150 MB. A delivery is counted once
//! as unique, and every further accept of the same id is a duplicate. The books live in memory only: a simulator that
//! dies takes them along, which is why the audit reads them before it is stopped.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::Kind;
use super::mix::mix2;

const SHARDS: usize = 16;
const CHUNK: usize = 4_096;
/// Deliveries refused and not yet accepted whose attempts are remembered, per shard. Beyond it an attempt counts as
/// the first again, so that failures by attempt number may repeat; nothing else depends on it.
const MAX_REFUSED_PER_SHARD: usize = 262_144;

/// Bytes of one record on the wire, see [`Record::encode`].
pub const RECORD_BYTES: usize = 52;

/// One delivery as the simulator saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// `apns-id` or `data.delivery_id` (a UUID), as a number.
    pub delivery: u128,
    /// The message's ULID as a number; 0 when the request carried none.
    pub message: u128,
    /// Whom it went to: [`hash_bytes`](super::mix::hash_bytes) of the device token, or of a mail's first recipient in lower
    /// case, in the first request of this delivery.
    pub device: u64,
    /// Unix microseconds of the first accept.
    pub first_accept_us: u64,
    /// How often it was accepted; more than 1 means duplicates.
    pub accepted: u32,
}

impl Record {
    /// Wire form, big-endian: delivery (16), message (16), device (8), first accept (8), accepted (4).
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..16].copy_from_slice(&self.delivery.to_be_bytes());
        bytes[16..32].copy_from_slice(&self.message.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.device.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.first_accept_us.to_be_bytes());
        bytes[48..].copy_from_slice(&self.accepted.to_be_bytes());
        bytes
    }

    /// Reads the wire form back.
    #[must_use]
    pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Self {
        let word = |from: usize| {
            let mut part = [0; 16];
            part.copy_from_slice(&bytes[from..from + 16]);
            u128::from_be_bytes(part)
        };
        let half = |from: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[from..from + 8]);
            u64::from_be_bytes(part)
        };
        let mut accepted = [0; 4];
        accepted.copy_from_slice(&bytes[48..]);
        Self {
            delivery: word(0),
            message: word(16),
            device: half(32),
            first_accept_us: half(40),
            accepted: u32::from_be_bytes(accepted),
        }
    }
}

#[derive(Default)]
struct Shard {
    index: HashTable<u32>,
    chunks: Vec<Vec<Record>>,
    refused: HashMap<u128, u32>,
    unique: usize,
}

impl Shard {
    fn accepted(&self, delivery: u128) -> u32 {
        let at = |position: u32| &self.chunks[position as usize / CHUNK][position as usize % CHUNK];
        self.index
            .find(hash(delivery), |p| at(*p).delivery == delivery)
            .map_or(0, |p| at(*p).accepted)
    }

    fn accept(&mut self, record: Record) -> bool {
        let delivery = record.delivery;
        if !self.refused.is_empty() {
            self.refused.remove(&delivery);
        }
        let hash = hash(delivery);
        let chunks = &self.chunks;
        let at = |position: u32| &chunks[position as usize / CHUNK][position as usize % CHUNK];
        if let Some(position) = self.index.find(hash, |p| at(*p).delivery == delivery).copied() {
            let record = &mut self.chunks[position as usize / CHUNK][position as usize % CHUNK];
            record.accepted = record.accepted.saturating_add(1);
            return false;
        }
        let Ok(position) = u32::try_from(self.unique) else {
            return false;
        };
        if self.unique.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(record);
        }
        self.unique += 1;
        let chunks = &self.chunks;
        self.index.insert_unique(hash, position, |p| {
            self::hash(chunks[*p as usize / CHUNK][*p as usize % CHUNK].delivery)
        });
        true
    }
}

/// What the simulator counted so far; the answer of `GET /books`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BooksReport {
    /// `apns`, `fcm` or `smtp`.
    pub kind: String,
    /// Send requests received completely. SMTP: mail transactions begun (MAIL).
    pub requests: u64,
    /// Send requests accepted, repeats included.
    pub accepted: u64,
    /// Bytes of the bodies of all complete requests. SMTP: not counted.
    #[serde(default)]
    pub body_bytes: u64,
    /// Different delivery ids accepted. SMTP: different Message-IDs.
    pub unique_deliveries: u64,
    /// Accepts beyond the first of the same delivery.
    pub duplicates: u64,
    /// Send requests refused with an answer. SMTP: commands and mails refused.
    pub refused: u64,
    /// Those by the provider's reason. SMTP: stage and reply, such as `rcpt 550 5.1.1`.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Requests left without an answer and not delivered.
    pub hung: u64,
    /// Requests delivered (and in `accepted`) whose answer was withheld.
    pub lost_answers: u64,
    /// Streams reset on purpose, not delivered.
    pub reset: u64,
    /// Streams opened before a valid provider token was seen, when only one is allowed (refused).
    pub early_streams: u64,
    /// Connections taken.
    pub connections_opened: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Connections reset at once because the behaviour says so.
    pub connections_refused: u64,
    /// GOAWAYs sent. SMTP: 421 sent by order.
    pub goaways: u64,
    /// SMTP: recipients of the mails accepted, repeats included.
    #[serde(default)]
    pub recipients: u64,
    /// SMTP: sessions that switched to TLS.
    #[serde(default)]
    pub tls_sessions: u64,
    /// Provider tokens verified (APNs) or access tokens issued (FCM).
    pub tokens: u64,
    /// Unix microseconds of the first accept; 0 before it.
    pub first_accept_us: u64,
    /// Unix microseconds of the latest accept; 0 before the first.
    pub last_accept_us: u64,
}

/// Plain counters, each read on its own.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) hung: AtomicU64,
    pub(crate) lost_answers: AtomicU64,
    pub(crate) reset: AtomicU64,
    pub(crate) early_streams: AtomicU64,
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_open: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) goaways: AtomicU64,
    pub(crate) recipients: AtomicU64,
    pub(crate) tls_sessions: AtomicU64,
    first_accept_us: AtomicU64,
    last_accept_us: AtomicU64,
}

/// The books of one simulator.
pub struct Books {
    kind: Kind,
    pub(crate) count: Counters,
    refused: Mutex<BTreeMap<String, u64>>,
    shards: [Mutex<Shard>; SHARDS],
}

impl Books {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            count: Counters::default(),
            refused: Mutex::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts an accept; true when this delivery id is new.
    pub(crate) fn accept(&self, delivery: u128, message: u128, device: u64, now_us: u64) -> bool {
        bump(&self.count.accepted);
        if self.count.first_accept_us.load(Ordering::Relaxed) == 0 {
            let _ = self.count.first_accept_us.compare_exchange(
                0,
                now_us,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        self.count.last_accept_us.fetch_max(now_us, Ordering::Relaxed);
        let record = Record { delivery, message, device, first_accept_us: now_us, accepted: 1 };
        lock(&self.shards[shard_of(delivery)]).accept(record)
    }

    /// Counts a refusal under its reason.
    pub(crate) fn refuse(&self, reason: &str) {
        let mut refused = lock(&self.refused);
        match refused.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                refused.insert(reason.to_owned(), 1);
            }
        }
    }

    /// How often this delivery was tried before, refused or accepted, and counts this attempt.
    pub(crate) fn attempt(&self, delivery: u128) -> u32 {
        let mut shard = lock(&self.shards[shard_of(delivery)]);
        // An accept whose answer was lost is tried again: it must not meet the same fate for ever.
        let accepted = shard.accepted(delivery);
        if let Some(attempts) = shard.refused.get_mut(&delivery) {
            *attempts = attempts.saturating_add(1);
            return attempts.saturating_add(accepted);
        }
        if shard.refused.len() < MAX_REFUSED_PER_SHARD {
            shard.refused.insert(delivery, 0);
        }
        accepted
    }

    /// Everything counted so far. Taken counter by counter: exact only when nothing is in flight.
    #[must_use]
    pub fn report(&self) -> BooksReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let unique: usize = self.shards.iter().map(|shard| lock(shard).unique).sum();
        let unique = u64::try_from(unique).unwrap_or(u64::MAX);
        let by_reason = lock(&self.refused).clone();
        let accepted = read(&self.count.accepted);
        BooksReport {
            kind: self.kind.name().to_owned(),
            requests: read(&self.count.requests),
            accepted,
            body_bytes: read(&self.count.body_bytes),
            unique_deliveries: unique,
            duplicates: accepted.saturating_sub(unique),
            refused: by_reason.values().sum(),
            refused_by_reason: by_reason,
            hung: read(&self.count.hung),
            lost_answers: read(&self.count.lost_answers),
            reset: read(&self.count.reset),
            early_streams: read(&self.count.early_streams),
            connections_opened: read(&self.count.connections_opened),
            connections_open: read(&self.count.connections_open),
            connections_refused: read(&self.count.connections_refused),
            goaways: read(&self.count.goaways),
            recipients: read(&self.count.recipients),
            tls_sessions: read(&self.count.tls_sessions),
            tokens: 0,
            first_accept_us: read(&self.count.first_accept_us),
            last_accept_us: read(&self.count.last_accept_us),
        }
    }

    /// Forgets everything but the connections open now.
    pub(crate) fn reset(&self) {
        lock(&self.refused).clear();
        for shard in &self.shards {
            *lock(shard) = Shard::default();
        }
        let count = &self.count;
        for counter in [
            &count.requests,
            &count.body_bytes,
            &count.accepted,
            &count.hung,
            &count.lost_answers,
            &count.reset,
            &count.early_streams,
            &count.connections_opened,
            &count.connections_refused,
            &count.goaways,
            &count.recipients,
            &count.tls_sessions,
            &count.first_accept_us,
            &count.last_accept_us,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// The next block of records behind `place`, or none at the end. A block is copied under the shard's lock, so
    /// reading the books does not stop the traffic.
    pub(crate) fn block(&self, place: &mut Place) -> Option<Vec<Record>> {
        while place.shard < SHARDS {
            let shard = lock(&self.shards[place.shard]);
            if let Some(chunk) = shard.chunks.get(place.chunk) {
                place.chunk += 1;
                return Some(chunk.clone());
            }
            drop(shard);
            *place = Place { shard: place.shard + 1, chunk: 0 };
        }
        None
    }

    /// All records, for tests and audits within one process.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut place = Place::default();
        let mut all = Vec::new();
        while let Some(block) = self.block(&mut place) {
            all.extend(block);
        }
        all
    }
}

/// Where a reader of the books stands.
#[derive(Default)]
pub(crate) struct Place {
    shard: usize,
    chunk: usize,
}

#[expect(clippy::cast_possible_truncation, reason = "folding 128 bits into 64")]
const fn hash(delivery: u128) -> u64 {
    mix2((delivery >> 64) as u64, delivery as u64)
}

const fn shard_of(delivery: u128) -> usize {
    (hash(delivery) >> 32) as usize % SHARDS
}

/// Counts one and gives the count before it.
pub(crate) fn bump(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

/// A lock whose data stays meaningful after a panic elsewhere: counts are complete after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_unique_once_and_a_duplicate_after() {
        let books = Books::new(Kind::Apns);
        for round in 0..2u64 {
            for delivery in 0..10_000u128 {
                assert_eq!(books.accept(delivery, delivery + 1, 9, 100 + round), round == 0);
            }
        }
        let report = books.report();
        assert_eq!(
            (report.accepted, report.unique_deliveries, report.duplicates),
            (20_000, 10_000, 10_000)
        );
        assert_eq!((report.first_accept_us, report.last_accept_us), (100, 101));
        let records = books.records();
        assert_eq!(records.len(), 10_000);
        assert!(records.iter().all(|r| r.accepted == 2
            && r.message == r.delivery + 1
            && r.device == 9
            && r.first_accept_us == 100));
        books.reset();
        assert_eq!(
            books.report(),
            BooksReport { kind: "apns".to_owned(), ..BooksReport::default() }
        );
    }

    #[test]
    fn attempts_are_counted_over_refusals_and_accepts() {
        let books = Books::new(Kind::Fcm);
        assert_eq!([books.attempt(7), books.attempt(7), books.attempt(7)], [0, 1, 2]);
        books.accept(7, 0, 0, 1);
        assert_eq!([books.attempt(7), books.attempt(7)], [1, 2]);
    }

    #[test]
    fn the_wire_form_reads_back() {
        let record = Record {
            delivery: u128::MAX - 5,
            message: 42,
            device: u64::MAX - 9,
            first_accept_us: 1_700_000_000_000_000,
            accepted: 3,
        };
        assert_eq!(Record::decode(&record.encode()), record);
    }
}
