//! Random operations on a store, for the comparison with the reference.

use proptest::prelude::{Just, Strategy, any, prop_oneof};

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::inbox::{InboxRange, MarkChange};
use araldo_actors::domain::lane::Lane;

use super::alert;
use crate::store_fixture::{PARTITIONS, reachable};

/// People in the tests; the last of them is never registered.
pub const PEOPLE: u32 = 6;
/// Addresses they share, and one that nobody has.
pub const ADDRESSES: u8 = 4;

/// What is asked of both stores.
#[derive(Clone, Debug)]
pub enum Operation {
    Put(Vec<(u32, u64, Profile)>),
    Swap {
        person: u32,
        stale: bool,
        profile: Profile,
        deletion: Option<(bool, u64)>,
    },
    Mark {
        message: usize,
        change: MarkChange,
    },
    Inbox {
        person: u32,
        range: InboxRange,
    },
    Events {
        person: u32,
        after: Option<u64>,
        limit: usize,
    },
    Addressed {
        person: u32,
        after: Option<usize>,
        limit: usize,
    },
    Erase {
        person: u32,
        stale: bool,
        checkpoint: Option<u64>,
        at: u64,
    },
    ErasuresDue {
        until: u64,
        limit: usize,
    },
    Accept {
        n: u64,
        to: u32,
        key: Option<(u8, u8)>,
    },
    Open(u16),
    Commit {
        partition: u16,
        stale: bool,
        changes: Vec<Change>,
        checkpoint: Option<u64>,
    },
    Due {
        partition: u16,
        lane: Lane,
        until: u64,
        limit: usize,
        skip: usize,
    },
    Arrivals {
        partition: u16,
        lane: Lane,
        from: u64,
        limit: usize,
    },
    Forget(u64),
    Alert(alert::Operation),
    /// Closed and opened again.
    /// Moved into another store; never by chance.
    Move,
    Restart,
    /// Opened again from the files as they were while it was open.
    Kill,
}

/// Which address somebody has, and whether it is validated.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    address: Option<u8>,
    validated: bool,
}

impl Profile {
    /// No address.
    pub const NONE: Self = Self { address: None, validated: false };

    /// Gives the citizen this address.
    pub fn apply(self, citizen: Citizen) -> Citizen {
        let reachable = reachable(0, &address(self.address.unwrap_or_default()));
        let email = self.address.and(reachable.email);
        Citizen { email, email_validated: self.validated, ..citizen }
    }
}

/// Address number `n`.
pub fn address(n: u8) -> String {
    format!("address{n}@example.org")
}

/// An effect on one of the messages accepted so far, by its place.
#[derive(Clone, Debug)]
pub enum Change {
    Process { message: usize, via: bool, due: u64 },
    Reject(usize),
    Expire(usize),
    Quarantine(usize),
    Settle { message: usize, inbox: bool, delivered: bool },
    Defer { message: usize, due: u64, retry: bool },
    DropDevice { person: u32, before: u64 },
    RefuseAddress { person: u32, address: u8 },
}

fn change() -> impl Strategy<Value = Change> {
    let message = 0..24_usize;
    let due = 1..40_u64;
    prop_oneof![
        6 => (message.clone(), any::<bool>(), due.clone())
            .prop_map(|(message, via, due)| Change::Process { message, via, due }),
        1 => message.clone().prop_map(Change::Reject),
        1 => message.clone().prop_map(Change::Expire),
        1 => message.clone().prop_map(Change::Quarantine),
        4 => (message.clone(), any::<bool>(), any::<bool>()).prop_map(
            |(message, inbox, delivered)| Change::Settle { message, inbox, delivered }
        ),
        3 => (message, due, any::<bool>())
            .prop_map(|(message, due, retry)| Change::Defer { message, due, retry }),
        1 => (0..PEOPLE, 50..400_u64)
            .prop_map(|(person, before)| Change::DropDevice { person, before }),
        1 => (0..PEOPLE, 0..ADDRESSES)
            .prop_map(|(person, address)| Change::RefuseAddress { person, address }),
    ]
}

fn profile() -> impl Strategy<Value = Profile> {
    (proptest::option::of(0..ADDRESSES - 1), any::<bool>())
        .prop_map(|(address, validated)| Profile { address, validated })
}

/// What a citizen does.
fn citizens_own() -> impl Strategy<Value = Operation> {
    let place = || proptest::option::of(0..30_u64);
    let deletion = proptest::option::of((any::<bool>(), 1..20_u64));
    let change = (any::<bool>(), proptest::option::of(any::<bool>()))
        .prop_map(|(read, archived)| MarkChange { read, archived });
    let range = (place(), place(), proptest::option::of(any::<bool>()), 0..6_usize)
        .prop_map(|(after, before, archived, limit)| InboxRange { after, before, archived, limit });
    prop_oneof![
        3 => (0..PEOPLE - 1, proptest::bool::weighted(0.1), profile(), deletion).prop_map(
            |(person, stale, profile, deletion)| Operation::Swap { person, stale, profile, deletion }
        ),
        4 => (0..24_usize, change).prop_map(|(message, change)| Operation::Mark { message, change }),
        2 => (0..PEOPLE, range).prop_map(|(person, range)| Operation::Inbox { person, range }),
        2 => (0..PEOPLE, place(), 0..6_usize)
            .prop_map(|(person, after, limit)| Operation::Events { person, after, limit }),
        1 => (0..PEOPLE, proptest::option::of(0..24_usize), 0..6_usize)
            .prop_map(|(person, after, limit)| Operation::Addressed { person, after, limit }),
        2 => (0..PEOPLE, proptest::bool::weighted(0.1), proptest::option::of(0..12_u64), 1..99_u64)
            .prop_map(|(person, stale, checkpoint, at)| Operation::Erase {
                person,
                stale,
                checkpoint,
                at
            }),
        1 => (0..25_u64, 0..4_usize)
            .prop_map(|(until, limit)| Operation::ErasuresDue { until, limit }),
    ]
}

fn lane() -> impl Strategy<Value = Lane> {
    proptest::sample::select(Lane::ALL.to_vec())
}

/// Any operation.
pub fn operation() -> impl Strategy<Value = Operation> {
    let partition = 0..PARTITIONS;
    let key = proptest::option::weighted(0.3, (0..4_u8, 0..2_u8));
    prop_oneof![
        2 => proptest::collection::vec((0..PEOPLE - 1, 60..300_u64, profile()), 1..5)
            .prop_map(Operation::Put),
        12 => citizens_own(),
        14 => alert::operation().prop_map(Operation::Alert),
        6 => (0..30_u64, 0..PEOPLE, key)
            .prop_map(|(n, to, key)| Operation::Accept { n, to, key }),
        1 => partition.clone().prop_map(Operation::Open),
        8 => (
            partition.clone(),
            proptest::bool::weighted(0.1),
            proptest::collection::vec(change(), 0..6),
            proptest::option::weighted(0.3, 0..12_u64),
        )
            .prop_map(|(partition, stale, changes, checkpoint)| Operation::Commit {
                partition,
                stale,
                changes,
                checkpoint
            }),
        4 => (partition.clone(), lane(), 0..45_u64, 0..4_usize, 0..3_usize).prop_map(
            |(partition, lane, until, limit, skip)| Operation::Due { partition, lane, until, limit, skip }
        ),
        2 => (partition, lane(), 0..10_u64, 0..6_usize).prop_map(|(partition, lane, from, limit)| {
            Operation::Arrivals { partition, lane, from, limit }
        }),
        1 => (1_000..1_040_u64).prop_map(Operation::Forget),
        1 => Just(Operation::Restart),
        1 => Just(Operation::Kill),
    ]
}
