//! Values as Redis keeps them: postcard, behind a few fixed bytes that scripts
//! compare or fill in.
//!
//! | row | layout |
//! |---|---|
//! | message | sequence in its journal u64, `Message` |
//! | state | place in the order of publication u64, ordinal of the recipient u32, `MessageState` with place 0 |
//! | citizen | revision u64, `Citizen` |
//! | journal entry | message id, CRC-32 of the `Message`, fiscal code |
//! | due entry | place u64, message id, endpoint, ordinal u32 |
//! | inbox entry | place of the last change of its marks u64, message id, published at u64, marks |
//! | run of a route's walk | first ordinal u32, `Run` |
//! | run of the inbox walk | place u64, first ordinal u32, published at u64, `Run` |
//! | address | partition u16, ordinal u32, revision u64 |
//! | loose address | hash of the address, the row of `address` |
//!
//! Numbers are big-endian. The others are the rows of `codec`.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::{Endpoint, MessageState};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, MessageId};
use araldo_actors::domain::inbox::{InboxEntry, Marks};
use araldo_actors::domain::ledger::Run;
use araldo_actors::domain::message::Message;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use crate::store::codec::{decode, encode, endpoint_bytes, read_endpoint, unreadable};
use crate::store::ledger::{Piece, Publication};

/// Ordinal in the state of a message that is in no inbox.
const NOBODY: u32 = u32::MAX;

/// A message as stored.
pub(super) fn message(message: &Message) -> Result<Vec<u8>, StoreError> {
    let mut row = Vec::new();
    encode("messages", message, &mut row)?;
    Ok(row)
}

/// The encoded message in a row.
pub(super) fn message_part(row: &[u8]) -> &[u8] {
    row.get(8..).unwrap_or_default()
}

pub(super) fn read_message(row: &[u8], id: MessageId) -> Result<Message, StoreError> {
    decode("messages", message_part(row), || format!("message {id}"))
}

/// The state of a message, and the ordinal of its recipient once it is in an
/// inbox.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) state: MessageState,
    pub(super) ordinal: Option<u32>,
}

impl Held {
    /// What stands behind the place.
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let state = MessageState { published: 0, ..self.state.clone() };
        let mut encoded = Vec::new();
        encode("states", &state, &mut encoded)?;
        Ok([self.ordinal.unwrap_or(NOBODY).to_be_bytes().as_slice(), &encoded].concat())
    }

    pub(super) fn read(row: &[u8], id: MessageId) -> Result<Self, StoreError> {
        let place = || format!("message {id}");
        let damaged = || unreadable("states", place);
        let (published, rest) = row.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (ordinal, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let ordinal = Some(u32::from_be_bytes(*ordinal)).filter(|ordinal| *ordinal != NOBODY);
        let state: MessageState = decode("states", rest, place)?;
        let published = u64::from_be_bytes(*published);
        Ok(Self { state: MessageState { published, ..state }, ordinal })
    }
}

pub(super) fn citizen(citizen: &Citizen) -> Result<Vec<u8>, StoreError> {
    let mut encoded = Vec::new();
    encode("citizens", citizen, &mut encoded)?;
    Ok([citizen.revision.to_be_bytes().as_slice(), &encoded].concat())
}

pub(super) fn read_citizen(row: &[u8], place: impl Fn() -> String) -> Result<Citizen, StoreError> {
    let (revision, rest) =
        row.split_first_chunk::<8>().ok_or_else(|| unreadable("citizens", &place))?;
    let citizen: Citizen = decode("citizens", rest, &place)?;
    if citizen.revision == u64::from_be_bytes(*revision) {
        Ok(citizen)
    } else {
        Err(unreadable("citizens", place))
    }
}

pub(super) fn read_ordinal(bytes: &[u8]) -> Result<u32, StoreError> {
    let ordinal = bytes.try_into().map(u32::from_be_bytes);
    ordinal.map_err(|_| unreadable("index", || "the number of a citizen".to_owned()))
}

/// An entry of a journal.
pub(super) fn entry(id: MessageId, checksum: u32, recipient: &FiscalCode) -> Vec<u8> {
    [id.to_bytes().as_slice(), &checksum.to_be_bytes(), recipient.as_bytes()].concat()
}

/// The message of an entry, and the checksum of its row.
pub(super) fn read_entry(entry: &[u8]) -> Option<(MessageId, u32)> {
    let (id, rest) = entry.split_first_chunk::<16>()?;
    let (checksum, _) = rest.split_first_chunk::<4>()?;
    Some((MessageId::from_bytes(*id), u32::from_be_bytes(*checksum)))
}

/// A due entry: what stands behind the place.
pub(super) fn due(message: MessageId, endpoint: Endpoint, ordinal: u32) -> Vec<u8> {
    let (id, endpoint) = (message.to_bytes(), endpoint_bytes(endpoint));
    [id.as_slice(), &endpoint, &ordinal.to_be_bytes()].concat()
}

/// Message, endpoint and ordinal of a whole due entry.
pub(super) fn read_due(member: &[u8]) -> Option<(MessageId, Endpoint, u32)> {
    let (_, rest) = member.split_first_chunk::<8>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (endpoint, ordinal) = rest.split_first_chunk::<9>()?;
    let ordinal = u32::from_be_bytes(ordinal.try_into().ok()?);
    Some((MessageId::from_bytes(*id), read_endpoint(endpoint)?, ordinal))
}

const READ: u8 = 1;
const ARCHIVED: u8 = 2;

/// An inbox entry: what stands behind the place of its last change.
pub(super) fn inbox(message: MessageId, published_at: Millis, marks: Marks) -> Vec<u8> {
    let marks = if marks.read { READ } else { 0 } | if marks.archived { ARCHIVED } else { 0 };
    [message.to_bytes().as_slice(), &published_at.0.to_be_bytes(), &[marks]].concat()
}

/// The inbox entry at place `sequence`.
pub(super) fn read_inbox(sequence: u64, member: &[u8]) -> Result<InboxEntry, StoreError> {
    let read = || {
        let (marked, rest) = member.split_first_chunk::<8>()?;
        let (message, rest) = rest.split_first_chunk::<16>()?;
        let (published_at, marks) = rest.split_first_chunk::<8>()?;
        let &[marks] = marks else { return None };
        (marks & !(READ | ARCHIVED) == 0).then_some(InboxEntry {
            sequence,
            message: MessageId::from_bytes(*message),
            published_at: Millis(u64::from_be_bytes(*published_at)),
            marks: Marks { read: marks & READ != 0, archived: marks & ARCHIVED != 0 },
            marked: u64::from_be_bytes(*marked),
        })
    };
    read().ok_or_else(|| unreadable("inbox", || format!("entry {sequence}")))
}

/// A run: what stands behind the place of the inbox walk's, and the whole of a
/// route's.
pub(super) fn piece(piece: &Piece) -> Vec<u8> {
    let mut row = piece.run.first.to_be_bytes().to_vec();
    if let Some(publication) = piece.publication {
        row.extend_from_slice(&publication.published_at.0.to_be_bytes());
    }
    piece.run.encode(&mut row);
    row
}

/// Reads a whole run of the inbox walk (`shown`) or of a route's.
pub(super) fn read_piece(member: &[u8], shown: bool) -> Result<Piece, StoreError> {
    let read = || {
        let (sequence, rest) = if shown {
            let (sequence, rest) = member.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*sequence), rest)
        } else {
            (0, member)
        };
        let (first, rest) = rest.split_first_chunk::<4>()?;
        let (published_at, run) = if shown {
            let (published_at, run) = rest.split_first_chunk::<8>()?;
            (Millis(u64::from_be_bytes(*published_at)), run)
        } else {
            (Millis(0), rest)
        };
        let publication = shown.then_some(Publication { sequence, published_at });
        Some(Piece { publication, run: Run::decode(u32::from_be_bytes(*first), run)? })
    };
    read().ok_or_else(|| unreadable("ledger", || "a run".to_owned()))
}

/// Who validated an address, and the revision of the record that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) partition: u16,
    pub(super) ordinal: u32,
    pub(super) revision: u64,
}

impl Holder {
    /// Whether it is the same citizen.
    pub(super) const fn is_same(self, other: Self) -> bool {
        self.partition == other.partition && self.ordinal == other.ordinal
    }

    pub(super) fn to_bytes(self) -> [u8; 14] {
        let mut row = [0; 14];
        row[..2].copy_from_slice(&self.partition.to_be_bytes());
        row[2..6].copy_from_slice(&self.ordinal.to_be_bytes());
        row[6..].copy_from_slice(&self.revision.to_be_bytes());
        row
    }

    pub(super) fn read(row: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let (partition, rest) = row.split_first_chunk::<2>()?;
            let (ordinal, revision) = rest.split_first_chunk::<4>()?;
            Some(Self {
                partition: u16::from_be_bytes(*partition),
                ordinal: u32::from_be_bytes(*ordinal),
                revision: u64::from_be_bytes(revision.try_into().ok()?),
            })
        };
        read().ok_or_else(|| unreadable("addresses", || "the owner of an address".to_owned()))
    }
}

/// An address whose row may still name this holder, who no longer has it.
pub(super) fn loose(address: AddressId, holder: Holder) -> Vec<u8> {
    [address.0.as_slice(), &holder.to_bytes()].concat()
}

pub(super) fn read_loose(member: &[u8]) -> Result<(AddressId, Holder), StoreError> {
    let (address, holder) = member
        .split_first_chunk::<16>()
        .ok_or_else(|| unreadable("loose", || "an address".to_owned()))?;
    Ok((AddressId(*address), Holder::read(holder)?))
}

#[cfg(test)]
mod tests {
    use super::{
        Endpoint, Held, Holder, Marks, MessageId, MessageState, Millis, Piece, Publication, Run,
        due, inbox, piece, read_due, read_inbox, read_piece,
    };
    use araldo_actors::domain::id::DeviceId;
    use araldo_actors::domain::ledger::Mark;

    fn placed(place: u64, row: &[u8]) -> Vec<u8> {
        [place.to_be_bytes().as_slice(), row].concat()
    }

    #[test]
    fn rows_survive_the_round_trip() {
        let id = MessageId::new(Millis(3), 4);
        let state = MessageState { published: 9, ..MessageState::accepted(Millis(5)) };
        for ordinal in [None, Some(77)] {
            let held = Held { state: state.clone(), ordinal };
            let read = Held::read(&placed(9, &held.encode().unwrap()), id).unwrap();
            assert_eq!((&read.state, read.ordinal), (&state, ordinal));
        }
        for endpoint in [Endpoint::Inbox, Endpoint::Device(DeviceId(u64::MAX)), Endpoint::Mailbox] {
            assert_eq!(read_due(&placed(1, &due(id, endpoint, 5))), Some((id, endpoint, 5)));
        }
        let marks = Marks { read: true, archived: false };
        let entry = read_inbox(6, &placed(7, &inbox(id, Millis(8), marks))).unwrap();
        assert_eq!((entry.sequence, entry.marked, entry.marks), (6, 7, marks));
        assert!(read_inbox(6, b"short").is_err());
        let run = Run { first: 300, marks: vec![Mark::Delivered, Mark::None, Mark::Suppressed] };
        let publication = Publication { sequence: 9, published_at: Millis(77) };
        let shown = Piece { publication: Some(publication), run: run.clone() };
        assert_eq!(read_piece(&placed(9, &piece(&shown)), true), Ok(shown));
        let other = Piece { publication: None, run };
        assert_eq!(read_piece(&piece(&other), false), Ok(other));
        let holder = Holder { partition: 2, ordinal: 3, revision: u64::MAX };
        assert_eq!(Holder::read(&holder.to_bytes()), Ok(holder));
    }
}
