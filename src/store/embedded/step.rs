//! A step of a partition's owner: the rows that its effects name are loaded,
//! lent to `effect`, and written with the group.

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::books::Books;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{Epoch, MessageId, PartitionId};
use araldo_actors::domain::inbox::Marks;
use araldo_actors::domain::lane::ByLane;
use araldo_actors::domain::ledger::Run;
use araldo_actors::port::store::{Step, StoreError};

use super::group::Group;
use super::key::{self, DueKey};
use super::row::{InboxRow, JournalRow};
use super::table::Table;
use crate::store::effect::{self, Cell, Rows, Waiting};
use crate::store::index::Indexed;
use crate::store::ledger::{Piece, Publication};

/// Journal entries removed in one step, of all lanes together: keeps a group
/// small. A checkpoint further on is reached by the steps that follow; entries
/// it has passed are `done`, so that nothing is repeated meanwhile.
const REMOVED_AT_ONCE: u64 = 65_536;

impl Group {
    /// Applies a step, if `epoch` is the newest.
    pub(super) fn step(
        &mut self,
        id: PartitionId,
        epoch: Epoch,
        step: Step,
    ) -> Result<(), StoreError> {
        let counters = *self.partition(id)?;
        if counters.epoch != epoch.0 {
            return Err(StoreError::Fenced(id));
        }
        for effect in &step.effects {
            self.load(id.0, effect)?;
        }
        let mut slice = Slice { group: self, partition: id.0 };
        for effect in step.effects {
            effect::apply(&mut slice, effect, step.at);
        }
        self.remove_done(id.0, &counters.journals, &step.checkpoints, REMOVED_AT_ONCE);
        Ok(())
    }

    /// Moves the checkpoints of `journals` on, as far as that removes no more
    /// than `most` entries, and removes what they pass.
    pub(super) fn remove_done(
        &mut self,
        partition: u16,
        journals: &ByLane<JournalRow>,
        checkpoints: &ByLane<u64>,
        mut most: u64,
    ) {
        for (lane, journal) in journals.iter() {
            let within = journal.checkpoint.saturating_add(most);
            let reached = checkpoints[lane].min(journal.tail).min(within);
            if reached <= journal.checkpoint {
                continue;
            }
            for sequence in journal.checkpoint..reached {
                self.remove(Table::Intake, key::intake(partition, lane, sequence).as_slice());
            }
            most -= reached - journal.checkpoint;
            self.partition_mut(partition).journals[lane].checkpoint = reached;
        }
    }

    /// Loads what `effect` needs: all that can fail happens here.
    fn load(&mut self, partition: u16, effect: &Effect) -> Result<(), StoreError> {
        match effect {
            Effect::Processed { message, citizen, deliveries, .. } => {
                self.load_state(partition, *message)?;
                self.ordinal(citizen)?;
                for route in deliveries.iter().filter_map(|delivery| delivery.route.as_ref()) {
                    self.number_route(route)?;
                }
                Ok(())
            }
            Effect::Rejected { message, .. }
            | Effect::Expired { message }
            | Effect::Quarantined { message, .. }
            | Effect::Settled { message, .. }
            | Effect::Deferred { message, .. } => self.load_state(partition, *message),
            Effect::DeviceDropped { citizen, .. } => self.load_record(partition, citizen),
            Effect::AddressRefused { citizen, address } => {
                self.load_record(partition, citizen)?;
                self.load_address(*address)
            }
            Effect::Walked { .. } => self.load_walk(partition, effect),
        }
    }
}

/// The rows of one partition in the group.
struct Slice<'a> {
    group: &'a mut Group,
    partition: u16,
}

impl Slice<'_> {
    /// The ordinal of a citizen of this partition.
    fn resident(&self, code: &FiscalCode) -> Option<u32> {
        self.group.known_ordinal(code).filter(|_| self.group.home(code) == self.partition)
    }
}

impl Rows for Slice<'_> {
    fn state(&mut self, id: MessageId) -> Option<&mut Cell<MessageState>> {
        self.group.state(self.partition, id)
    }

    fn books(&mut self) -> &mut Books {
        &mut self.group.partition_mut(self.partition).books
    }

    fn is_resident(&mut self, citizen: &FiscalCode) -> bool {
        self.resident(citizen).is_some()
    }

    fn next_place(&mut self) -> u64 {
        let counters = self.group.partition_mut(self.partition);
        counters.events += 1;
        counters.events
    }

    fn publish(&mut self, citizen: &FiscalCode, message: MessageId, at: &Publication) {
        let Some(ordinal) = self.resident(citizen) else { return };
        let Publication { sequence, published_at } = *at;
        let row = InboxRow { message, published_at, marked: 0, marks: Marks::default() };
        self.group.add_entry((self.partition, ordinal, sequence), row);
    }

    fn set_due(&mut self, waiting: Waiting, live: bool) {
        let Waiting { lane, due, published, message, endpoint, route } = waiting;
        if let Some(route) = self.group.known_route(&route) {
            let partition = self.partition;
            let entry = DueKey { partition, route, lane, due, published, message, endpoint };
            self.group.set_due(entry, live);
        }
    }

    fn citizen(&mut self, code: &FiscalCode) -> Option<&mut Cell<Citizen>> {
        let ordinal = self.resident(code)?;
        let cell = self.group.citizen(self.partition, ordinal)?;
        (cell.value.fiscal_code == *code).then_some(cell)
    }

    fn reindex(&mut self, code: &FiscalCode, before: Indexed, after: Indexed) {
        self.group.reindex(code, before, after);
    }

    fn cursor(&mut self, alert: MessageId, walk: &Walk) -> Option<&mut Cell<Cursor>> {
        self.group.cursor(self.partition, alert, walk)
    }

    fn piece(&mut self, alert: MessageId, walk: &Walk, ordinal: u32) -> Option<&mut Cell<Piece>> {
        self.group.piece(self.partition, alert, walk, ordinal)
    }

    fn add_piece(&mut self, alert: MessageId, walk: &Walk, piece: Piece) {
        self.group.add_piece(self.partition, alert, walk, piece);
    }

    fn show(&mut self, alert: MessageId, publication: &Publication, members: &Run) {
        self.group.show(self.partition, alert, publication, members);
    }
}
