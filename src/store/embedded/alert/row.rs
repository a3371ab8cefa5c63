//! Keys and values of the alerts' tables.
//!
//! Each piece of a run (see `ledger`) has one row in the ledger, by alert, and,
//! if it has members, one in the inbox's index, by block and place in the order.

use araldo_actors::domain::alert::Walk;
use araldo_actors::domain::id::{MessageId, RouteId};
use araldo_actors::domain::ledger::Run;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use crate::store::embedded::key::{inbox as place_key, trailing_number};
use crate::store::embedded::row::unreadable;
use crate::store::embedded::table::Table;
use crate::store::ledger::{BLOCK, Piece, Publication};

const RECORD: u8 = 1;
const OPEN: u8 = 2;

/// The inbox walk's number; a route's is one more than the route's.
pub(super) const INBOX: u16 = 0;

/// A walk's number in keys.
///
/// # Errors
/// [`StoreError::Unavailable`] for the very last route number.
pub(super) fn route_walk(route: u16) -> Result<u16, StoreError> {
    route
        .checked_add(1)
        .ok_or_else(|| StoreError::Unavailable("65,535 routes were used".to_owned()))
}

/// The walk with `number`, if its route is among `routes`.
pub(in crate::store::embedded) fn walk(number: u16, routes: &[(RouteId, u16)]) -> Option<Walk> {
    let Some(route) = number.checked_sub(1) else { return Some(Walk::Inbox) };
    let found = routes.iter().find(|(_, known)| *known == route);
    found.map(|(name, _)| Walk::Route(name.clone()))
}

/// Partition, alert, walk.
pub(super) type CursorKey = (u16, MessageId, u16);
/// Partition, alert, walk, first ordinal.
pub(super) type PieceKey = (u16, MessageId, u16, u32);

fn tagged(tag: u8, id: MessageId) -> [u8; 17] {
    let mut key = [tag; 17];
    key[1..].copy_from_slice(&id.to_bytes());
    key
}

/// An alert's record.
pub(super) fn record(id: MessageId) -> [u8; 17] {
    tagged(RECORD, id)
}

/// The index of alerts that are running or paused.
pub(super) fn open(id: MessageId) -> [u8; 17] {
    tagged(OPEN, id)
}

pub(super) const fn all_open() -> [u8; 1] {
    [OPEN]
}

/// The alert in a key made by [`record`] or [`open`].
pub(super) fn alert_of(key: &[u8]) -> Result<MessageId, StoreError> {
    let id = key.get(1..).and_then(|id| id.try_into().ok());
    id.map(MessageId::from_bytes)
        .ok_or_else(|| unreadable(Table::Alerts, || "the key of an alert".to_owned()))
}

/// What the keys of all cursors of an alert in a partition begin with.
pub(super) fn cursors(partition: u16, alert: MessageId) -> [u8; 18] {
    let mut key = [0; 18];
    key[..2].copy_from_slice(&partition.to_be_bytes());
    key[2..].copy_from_slice(&alert.to_bytes());
    key
}

pub(super) fn cursor((partition, alert, walk): CursorKey) -> [u8; 20] {
    let mut key = [0; 20];
    key[..18].copy_from_slice(&cursors(partition, alert));
    key[18..].copy_from_slice(&walk.to_be_bytes());
    key
}

/// The walk's number in a key made by [`cursor`].
pub(super) fn cursor_walk(key: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(key.get(18..)?.try_into().ok()?))
}

pub(super) fn piece((partition, alert, walk, first): PieceKey) -> [u8; 24] {
    let mut key = [0; 24];
    key[..20].copy_from_slice(&cursor((partition, alert, walk)));
    key[20..].copy_from_slice(&first.to_be_bytes());
    key
}

/// The first ordinal in a key made by [`piece`].
pub(super) fn piece_first(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(20..)?.try_into().ok()?))
}

/// Of the inbox's index: the block that `ordinal` lies in, at a place.
pub(super) fn shown(partition: u16, ordinal: u32, sequence: u64) -> [u8; 14] {
    place_key((partition, ordinal / BLOCK, sequence))
}

const PUBLICATION: usize = 16;

impl Piece {
    pub(in crate::store::embedded) fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        if let Some(Publication { sequence, published_at }) = self.publication {
            buffer.extend_from_slice(&sequence.to_be_bytes());
            buffer.extend_from_slice(&published_at.0.to_be_bytes());
        }
        self.run.encode(buffer);
    }

    /// Reads the row at `at`.
    pub(in crate::store::embedded) fn decode(at: PieceKey, row: &[u8]) -> Result<Self, StoreError> {
        let (publication, run) = split(at, row)?;
        let run = Run::decode(at.3, run).ok_or_else(|| damaged(at))?;
        Ok(Self { publication, run })
    }
}

/// Parts of the row at `at`: where its alert was published, and the run.
pub(super) fn split(at: PieceKey, row: &[u8]) -> Result<(Option<Publication>, &[u8]), StoreError> {
    if at.2 != INBOX {
        return Ok((None, row));
    }
    let (head, run) = row.split_first_chunk::<PUBLICATION>().ok_or_else(|| damaged(at))?;
    let sequence = trailing_number(&head[..8]).ok_or_else(|| damaged(at))?;
    let published_at = Millis(trailing_number(head).ok_or_else(|| damaged(at))?);
    Ok((Some(Publication { sequence, published_at }), run))
}

/// The error for a row of the ledger that cannot be right.
pub(super) fn damaged((partition, alert, walk, first): PieceKey) -> StoreError {
    unreadable(Table::Ledger, || {
        format!("partition {partition}, alert {alert}, walk {walk}, from ordinal {first} on")
    })
}

#[cfg(test)]
mod tests {
    use super::{
        BLOCK, INBOX, MessageId, Millis, Piece, Publication, Run, piece, piece_first, shown, walk,
    };
    use araldo_actors::domain::alert::Walk;
    use araldo_actors::domain::id::RouteId;
    use araldo_actors::domain::ledger::Mark;

    const ALERT: MessageId = MessageId::from_bytes([7; 16]);

    #[test]
    fn rows_of_the_ledger_survive_the_round_trip() {
        let publication = Publication { sequence: 9, published_at: Millis(77) };
        let run = Run { first: 300, marks: vec![Mark::Delivered, Mark::None, Mark::Suppressed] };
        for (number, publication) in [(INBOX, Some(publication)), (3, None)] {
            let row = Piece { publication, run: run.clone() };
            let mut bytes = Vec::new();
            row.encode(&mut bytes);
            let at = (2, ALERT, number, run.first);
            assert_eq!(Piece::decode(at, &bytes), Ok(row));
            assert!(Piece::decode(at, &[]).is_err());
            assert_eq!(piece_first(&piece(at)), Some(run.first));
        }
    }

    #[test]
    fn a_block_has_one_key() {
        assert_eq!(shown(1, BLOCK - 1, 4), shown(1, 0, 4));
        assert!(shown(1, BLOCK, 0) > shown(1, 0, u64::MAX));
    }

    #[test]
    fn walks_are_numbered_behind_the_inbox() {
        let routes =
            [(RouteId::parse("apple").unwrap(), 0), (RouteId::parse("google").unwrap(), 1)];
        assert_eq!(walk(0, &routes), Some(Walk::Inbox));
        assert_eq!(walk(2, &routes), Some(Walk::Route(routes[1].0.clone())));
        assert_eq!(walk(3, &routes), None);
    }
}
