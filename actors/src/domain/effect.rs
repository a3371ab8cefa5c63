//! What a turn changes in the store.
//!
//! Policies return effects; a partition commits a batch of them in one atomic
//! step under its epoch. Applying an effect twice changes nothing: the store
//! looks at the state it finds (a message is processed once, a delivery
//! settles once), which is what makes a replay after a crash harmless.

use super::alert::{Cursor, Walk};
use super::delivery::{Channel, DeliveryRecord, Endpoint};
use super::fiscal_code::FiscalCode;
use super::id::{AddressId, DeviceId, MessageId};
use super::lane::Lane;
use super::ledger::{Mark, Run};
use super::message::RejectionReason;
use super::outcome::Outcome;
use super::time::Millis;

/// One change. `at` of the batch is the time recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The message enters the citizen's inbox and its deliveries are planned;
    /// pending ones become due entries of their routes.
    Processed {
        /// The message.
        message: MessageId,
        /// Its recipient.
        citizen: FiscalCode,
        /// The lane its deliveries wait in.
        lane: Lane,
        /// Its deliveries, the inbox one included and already delivered.
        deliveries: Vec<DeliveryRecord>,
    },
    /// The message is refused.
    Rejected {
        /// The message.
        message: MessageId,
        /// Why.
        reason: RejectionReason,
    },
    /// The message's time passed before its turn.
    Expired {
        /// The message.
        message: MessageId,
    },
    /// The message is set aside: its turn failed repeatedly. What was already
    /// planned of it is cancelled.
    Quarantined {
        /// The message.
        message: MessageId,
        /// How it failed; no personal data.
        reason: String,
    },
    /// A delivery ended.
    Settled {
        /// The message.
        message: MessageId,
        /// Which of its deliveries.
        endpoint: Endpoint,
        /// How it ended.
        outcome: Outcome,
    },
    /// A delivery will be tried again.
    Deferred {
        /// The message.
        message: MessageId,
        /// Which of its deliveries.
        endpoint: Endpoint,
        /// When.
        due: Millis,
        /// Whether this counts as a retry (an attempt was made and failed)
        /// or not (no attempt was made).
        retry: bool,
    },
    /// A provider said that a device is gone: no further attempt to it.
    DeviceDropped {
        /// Its owner.
        citizen: FiscalCode,
        /// The device.
        device: DeviceId,
        /// Only if registered before this instant.
        registered_before: Millis,
    },
    /// A relay said that an address does not exist (RFC 3463, 5.1.1): it
    /// counts as not validated until its owner confirms it again.
    AddressRefused {
        /// Its owner.
        citizen: FiscalCode,
        /// The address; another one that replaced it meanwhile is left alone.
        address: AddressId,
    },
    /// A walk of an alert went on. Applied only to the cursor it was made
    /// from (its revision is one lower). The difference of the totals goes
    /// into the books. A run of the inbox walk takes the next place in the
    /// order of the partition: its members have the alert in their inboxes.
    Walked {
        /// The alert.
        alert: MessageId,
        /// Which of its walks.
        walk: Walk,
        /// The channel that walk serves, in whose books it counts.
        channel: Channel,
        /// How far it is now.
        cursor: Cursor,
        /// The ordinals visited; none when only stragglers ended.
        run: Option<Run>,
        /// Marks that changed in earlier runs.
        changed: Vec<(u32, Mark)>,
    },
}
