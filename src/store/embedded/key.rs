//! Keys of every row. Numbers are big-endian, so that the order of the bytes
//! is the order of the numbers; the partition comes first, so that a
//! partition's rows lie together.

use araldo_actors::domain::delivery::Endpoint;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, DeviceId, MessageId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::time::Millis;

/// The row that tells which group commit last wrote to a table. It stands
/// behind all others: no partition is numbered 65,535, and no tag is 255.
pub(super) const COMMIT: &[u8] = b"\xff\xff commit";
/// Format and partition count, in `meta`.
pub(super) const FORMAT: &[u8] = b"\x00 format";

const META_PARTITION: u8 = 1;
const META_ROUTE: u8 = 2;
const CLAIM: u8 = 1;
const CLAIM_BY_TIME: u8 = 2;
const ADDRESS: u8 = 1;
const DELETION: u8 = 1;
const ERASURE: u8 = 2;

/// Kinds of rows in `registry`.
#[derive(Clone, Copy)]
pub(super) enum Registered {
    Organization = 1,
    Service = 2,
    Key = 3,
}

/// Joins byte strings of known length into an array.
fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    let mut at = 0;
    for part in parts {
        key[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    key
}

pub(super) fn meta_partition(partition: u16) -> [u8; 3] {
    join(&[&[META_PARTITION], &partition.to_be_bytes()])
}

/// `number` is the route's short name in due entries.
pub(super) fn meta_route(number: u16) -> [u8; 3] {
    join(&[&[META_ROUTE], &number.to_be_bytes()])
}

pub(super) const fn meta_routes() -> [u8; 1] {
    [META_ROUTE]
}

pub(super) fn citizen(partition: u16, ordinal: u32) -> [u8; 6] {
    join(&[&partition.to_be_bytes(), &ordinal.to_be_bytes()])
}

/// The ordinal in a key made by [`citizen`].
pub(super) fn citizen_ordinal(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(2..)?.try_into().ok()?))
}

pub(super) fn citizen_index(partition: u16, code: &FiscalCode) -> [u8; 18] {
    join(&[&partition.to_be_bytes(), code.as_bytes()])
}

/// Of `messages` and `states`.
pub(super) fn message(partition: u16, id: MessageId) -> [u8; 18] {
    join(&[&partition.to_be_bytes(), &id.to_bytes()])
}

/// Of an entry of the journal of `lane`.
pub(super) fn intake(partition: u16, lane: Lane, sequence: u64) -> [u8; 11] {
    join(&[&partition.to_be_bytes(), &[lane.number()], &sequence.to_be_bytes()])
}

/// A place in a citizen's inbox: partition, ordinal, sequence.
pub(super) type InboxKey = (u16, u32, u64);

/// A place in the order of events where the marks of an entry changed.
pub(super) type ChangeKey = InboxKey;

/// Of `inbox`, `changes` and, with a block of ordinals, `alert_order`.
pub(super) fn inbox((partition, ordinal, sequence): InboxKey) -> [u8; 14] {
    join(&[&citizen(partition, ordinal), &sequence.to_be_bytes()])
}

/// What the keys of all messages addressed to a citizen begin with.
pub(super) fn addressed_to(partition: u16, code: &FiscalCode) -> [u8; 18] {
    citizen_index(partition, code)
}

pub(super) fn addressed(partition: u16, code: &FiscalCode, id: MessageId) -> [u8; 34] {
    join(&[&addressed_to(partition, code), &id.to_bytes()])
}

/// The message in a key made by [`addressed`].
pub(super) fn addressed_message(key: &[u8]) -> Option<MessageId> {
    Some(MessageId::from_bytes(key.get(18..)?.try_into().ok()?))
}

pub(super) fn address(id: AddressId) -> [u8; 17] {
    join(&[&[ADDRESS], &id.0])
}

/// Of a pending request to be deleted at `due`.
pub(super) fn deletion(due: Millis, code: &FiscalCode) -> [u8; 25] {
    join(&[&deletions_from(due), code.as_bytes()])
}

/// Where the requests to be deleted at `due` begin.
pub(super) fn deletions_from(due: Millis) -> [u8; 9] {
    join(&[&[DELETION], &due.0.to_be_bytes()])
}

/// The citizen in a key made by [`deletion`].
pub(super) fn deletion_citizen(key: &[u8]) -> Option<FiscalCode> {
    FiscalCode::parse(std::str::from_utf8(key.get(9..)?).ok()?).ok()
}

/// Of the record that a citizen was erased.
pub(super) fn erasure(at: Millis, subject: &[u8; 32]) -> [u8; 41] {
    join(&[&[ERASURE], &at.0.to_be_bytes(), subject])
}

pub(super) const fn erasures() -> [u8; 1] {
    [ERASURE]
}

pub(super) fn claim(scope: &[u8; 32]) -> [u8; 33] {
    join(&[&[CLAIM], scope])
}

pub(super) fn claim_by_time(at: Millis, scope: &[u8; 32]) -> [u8; 41] {
    join(&[&[CLAIM_BY_TIME], &at.0.to_be_bytes(), scope])
}

/// Where the claims made at `at` begin.
pub(super) fn claims_from(at: Millis) -> [u8; 9] {
    join(&[&[CLAIM_BY_TIME], &at.0.to_be_bytes()])
}

/// The scope in a key made by [`claim_by_time`].
pub(super) fn claim_scope(key: &[u8]) -> Option<[u8; 32]> {
    key.get(9..)?.try_into().ok()
}

pub(super) fn registered(kind: Registered, id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + id.len());
    key.push(kind as u8);
    key.extend_from_slice(id.as_bytes());
    key
}

/// A due entry: all its content is in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DueKey {
    pub(super) partition: u16,
    pub(super) route: u16,
    pub(super) lane: Lane,
    pub(super) due: Millis,
    /// The message's place in the order of publication.
    pub(super) published: u64,
    pub(super) message: MessageId,
    pub(super) endpoint: Endpoint,
}

/// Length of a [`DueKey`] in bytes.
const DUE: usize = 46;

impl DueKey {
    pub(super) fn to_bytes(self) -> [u8; DUE] {
        let (tag, device): (u8, u64) = match self.endpoint {
            Endpoint::Inbox => (0, 0),
            Endpoint::Device(device) => (1, device.0),
            Endpoint::Mailbox => (2, 0),
        };
        join(&[
            &due_from(self.partition, self.route, self.lane, self.due),
            &self.published.to_be_bytes(),
            &self.message.to_bytes(),
            &[tag],
            &device.to_be_bytes(),
        ])
    }

    pub(super) fn from_bytes(key: &[u8]) -> Option<Self> {
        let key: &[u8; DUE] = key.try_into().ok()?;
        let number = |at: usize| Some(u64::from_be_bytes(key[at..at + 8].try_into().ok()?));
        let endpoint = match key[37] {
            0 => Endpoint::Inbox,
            1 => Endpoint::Device(DeviceId(number(38)?)),
            2 => Endpoint::Mailbox,
            _ => return None,
        };
        Some(Self {
            partition: u16::from_be_bytes([key[0], key[1]]),
            route: u16::from_be_bytes([key[2], key[3]]),
            lane: Lane::of_number(key[4])?,
            due: Millis(number(5)?),
            published: number(13)?,
            message: MessageId::from_bytes(key[21..37].try_into().ok()?),
            endpoint,
        })
    }
}

/// Where the entries of a route's lane due at `due` begin.
pub(super) fn due_from(partition: u16, route: u16, lane: Lane, due: Millis) -> [u8; 13] {
    join(&[&due_lane(partition, route, lane), &due.0.to_be_bytes()])
}

/// What every due entry of a route's lane begins with.
pub(super) fn due_lane(partition: u16, route: u16, lane: Lane) -> [u8; 5] {
    join(&[&due_route(partition, route), &[lane.number()]])
}

/// What every due entry of a route begins with.
pub(super) fn due_route(partition: u16, route: u16) -> [u8; 4] {
    join(&[&partition.to_be_bytes(), &route.to_be_bytes()])
}

/// The last eight bytes as a number: the sequence in keys that end with one.
pub(super) fn trailing_number(key: &[u8]) -> Option<u64> {
    let (_, tail) = key.split_last_chunk::<8>()?;
    Some(u64::from_be_bytes(*tail))
}

#[cfg(test)]
mod tests {
    use super::{
        DeviceId, DueKey, Endpoint, FiscalCode, Lane, MessageId, Millis, addressed,
        addressed_message, deletion, deletion_citizen, inbox, trailing_number,
    };

    #[test]
    fn due_keys_survive_the_round_trip_and_sort_by_lane_and_time() {
        let of = |lane, due, endpoint| DueKey {
            partition: 7,
            route: 3,
            lane,
            due: Millis(due),
            published: 77,
            message: MessageId::new(Millis(5), 9),
            endpoint,
        };
        let key = |due, endpoint| of(Lane::Normal, due, endpoint);
        for endpoint in [Endpoint::Inbox, Endpoint::Device(DeviceId(u64::MAX)), Endpoint::Mailbox] {
            for lane in Lane::ALL {
                let due = of(lane, 1_000, endpoint);
                assert_eq!(DueKey::from_bytes(&due.to_bytes()), Some(due));
            }
        }
        let late = of(Lane::Emergency, u64::MAX, Endpoint::Mailbox);
        assert!(late.to_bytes() < of(Lane::Urgent, 0, Endpoint::Inbox).to_bytes());
        let mut unknown = late.to_bytes();
        unknown[4] = 4;
        assert_eq!(DueKey::from_bytes(&unknown), None);
        assert!(key(255, Endpoint::Mailbox).to_bytes() < key(256, Endpoint::Inbox).to_bytes());
        assert_eq!(DueKey::from_bytes(b"short"), None);
    }

    #[test]
    fn sequences_are_read_back_from_the_end_of_a_key() {
        assert_eq!(trailing_number(&inbox((1, 2, 77))), Some(77));
        assert_eq!(trailing_number(b"seven b"), None);
    }

    #[test]
    fn people_and_messages_are_read_back_from_the_keys_that_hold_them() {
        let code = FiscalCode::parse("AAAAAA00A00A000A").unwrap();
        let id = MessageId::new(Millis(5), 9);
        assert_eq!(addressed_message(&addressed(7, &code, id)), Some(id));
        assert_eq!(addressed_message(b"short"), None);
        assert_eq!(deletion_citizen(&deletion(Millis(1), &code)), Some(code));
        assert_eq!(deletion_citizen(b"\x01 due at something else"), None);
    }
}
