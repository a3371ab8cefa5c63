//! Acceptance: the append to the journal of a partition's lane, and what goes with it: the
//! claim, and the entry in the list of what was addressed to the citizen.

use fjall::UserValue;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::Message;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Acceptance, IdempotencyClaim, StoreError};

use super::group::Group;
use super::key;
use super::row::{ClaimRow, IntakeRow, encode};
use super::table::Table;
use crate::store::claimed_id;

/// A message ready to be appended: encoded by the caller, so that the writer
/// only has to copy it.
pub(super) struct Append {
    partition: u16,
    id: MessageId,
    recipient: FiscalCode,
    lane: Lane,
    at: Millis,
    row: UserValue,
    checksum: u32,
    claim: Option<IdempotencyClaim>,
}

impl Append {
    /// Encodes `message`, with the id its claim gives it.
    pub(super) fn new(
        partition: u16,
        mut message: Message,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Self, StoreError> {
        if let Some(claim) = &claim {
            message.id = claimed_id(message.accepted_at, claim);
        }
        let content = &message.content;
        let mut row = Vec::with_capacity(192 + content.subject.len() + content.markdown.len());
        encode(Table::Messages, &message, &mut row)?;
        Ok(Self {
            partition,
            id: message.id,
            recipient: message.fiscal_code,
            lane: message.lane,
            at: message.accepted_at,
            checksum: crc32fast::hash(&row),
            row: row.into(),
            claim,
        })
    }

    /// Bytes it adds to a group.
    pub(super) fn size(&self) -> usize {
        self.row.len()
    }
}

impl Group {
    /// Appends a message, once per claim and id.
    pub(super) fn accept(&mut self, append: Append) -> Result<Acceptance, StoreError> {
        let Append { partition, id, recipient, lane, at, row, checksum, claim } = append;
        if let Some(claim) = &claim
            && let Some(held) = self.claim(&claim.scope)?
        {
            return Ok(if held.body == claim.body {
                Acceptance::Replayed { id: held.message }
            } else {
                Acceptance::KeyReused
            });
        }
        if self.has_message(partition, id)? {
            return Ok(Acceptance::Replayed { id });
        }
        if let Some(claim) = claim {
            self.add_claim(claim.scope, ClaimRow { message: id, body: claim.body, at })?;
        }
        let counters = self.partition_mut(partition);
        let sequence = counters.journals[lane].tail;
        counters.journals[lane].tail += 1;
        counters.books.messages.accepted += 1;
        self.put(Table::Messages, key::message(partition, id).as_slice(), row);
        let addressed = key::addressed(partition, &recipient, id);
        self.put(Table::Addressed, addressed.as_slice(), [].as_slice());
        let entry = IntakeRow { message: id, checksum };
        self.put(
            Table::Intake,
            key::intake(partition, lane, sequence).as_slice(),
            entry.to_bytes().as_slice(),
        );
        self.add_message(partition, id);
        Ok(Acceptance::Accepted { id, sequence })
    }
}
