//! Where everything durable is kept: the implementations of
//! [`Store`](araldo_actors::port::store::Store).
//!
//! [`memory`] is the reference: small, obviously right, and the oracle that
//! the others are compared with under random sequences of operations.
//! [`embedded`] keeps everything in one folder of one machine, [`redis`] in a
//! Redis that many share. What a step does to rows is decided once for these two
//! (in `effect`); the reference decides for itself.
//!
//! What the port leaves open is decided once, here, for all of them:
//!
//! - What [`put_citizens`](araldo_actors::port::store::Store::put_citizens)
//!   keeps of a stored record is decided by [`renew`]. A new record has version
//!   0 and begins to count its revisions at a place no other record of the
//!   partition ever had ([`first_revision`]): whoever read a record that was
//!   erased cannot replace one that was made since.
//! - A message whose id is already in its partition's journal was accepted
//!   before, claim or not: it is answered `Replayed` and nothing is written.
//! - With a claim the id is [`claimed_id`]: a second node that receives the
//!   same request derives the same random part.
//! - An effect that names a message or citizen the partition does not hold
//!   changes nothing, but for one: a message processed for a citizen who is not
//!   (or no longer) known is rejected, or it would wait for ever.
//! - A device dropped and an address refused raise the revision of a record,
//!   not its version: the citizen's profile is as its owner left it.
//! - A message set aside after it was processed stays processed (the books
//!   count each message once); only its pending deliveries are cancelled.
//! - A deferral to the very instant already recorded is a repetition: it
//!   changes nothing and does not count as a retry.
//! - A service whose organisation was never written brings it along; an
//!   organisation already there keeps its name.
//! - The events of a partition (publications, changes of marks) are counted
//!   from 1, so that 0 can mean "before all".
//! - The index of requests to be deleted holds those that are pending.
//! - Erasing leaves messages whose turn is not taken. It is refused, with
//!   nothing removed, while a journal still holds a message it would remove:
//!   the journals stay whole, and the caller tries again with checkpoints
//!   beyond. Where nothing is held of a citizen nothing is recorded either, so
//!   that an erasure can be repeated. A message that is erased stays in the
//!   books. What remains are the idempotency claims (hashes, and the id of a
//!   message that is gone; forgotten after a day) and the record.

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::{DeliveryRecord, Endpoint, MessageState};
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::ledger::{LONGEST_RUN, Mark, Run};
use araldo_actors::domain::message::MessageStatus;
use araldo_actors::domain::outcome::{DeliveryStatus, Outcome};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{IdempotencyClaim, StoreError};

mod codec;
mod effect;
pub mod embedded;
mod index;
mod ledger;
pub mod memory;
pub mod migrate;
pub mod redis;

/// Id of the message that `claim` was first used for, accepted at `at`: its
/// random part is the first 80 bits of the claim's scope.
#[must_use]
pub fn claimed_id(at: Millis, claim: &IdempotencyClaim) -> MessageId {
    let bits = claim.scope[..10].iter().fold(0_u128, |sum, &byte| sum << 8 | u128::from(byte));
    MessageId::new(at, bits)
}

/// The first revision of the record that gets `ordinal` in its partition.
/// Ordinals are never reused, so neither are revisions.
#[must_use]
pub fn first_revision(ordinal: u32) -> u64 {
    (u64::from(ordinal) << 32) + 1
}

/// Makes `given` the successor of `stored` under an import: the next version
/// and revision; a device already registered keeps its time of registration
/// and its installation; what only the citizen can set stays. Another mode
/// ends the preferences stored until then, as when the citizen changes it.
///
/// Once the citizen has accepted the terms of service the profile is the
/// citizen's: what the citizen chooses there stays, an import brings only what
/// the registries know (residence, places, year of birth, time zone, quiet
/// hours, activations).
pub fn renew(stored: &Citizen, given: &mut Citizen) {
    given.version = stored.version.saturating_add(1);
    given.revision = stored.revision.saturating_add(1);
    for device in &mut given.devices {
        let known = stored
            .devices
            .iter()
            .find(|known| known.platform == device.platform && known.token == device.token);
        if let Some(known) = known {
            device.registered_at = known.registered_at;
            device.installation.clone_from(&known.installation);
        }
    }
    given.settings_version = stored.settings_version;
    if given.mode == stored.mode {
        for (service, preference) in &mut given.preferences {
            if let Some(known) = stored.preferences.get(service) {
                preference.read_status = known.read_status;
            }
        }
    } else {
        given.settings_version = stored.settings_version.saturating_add(1);
    }
    if stored.accepted_tos_version.is_some() {
        keep_choices(stored, given);
    }
    given.accepted_tos_version = stored.accepted_tos_version;
    given.reminders = stored.reminders;
    given.last_app_version.clone_from(&stored.last_app_version);
    given.sessions_revoked_at = stored.sessions_revoked_at;
    given.data_requests.clone_from(&stored.data_requests);
}

/// Keeps what a citizen chose, in `given`, of `stored`.
fn keep_choices(stored: &Citizen, given: &mut Citizen) {
    given.email.clone_from(&stored.email);
    given.email_validated = stored.email_validated;
    given.languages.clone_from(&stored.languages);
    given.devices.clone_from(&stored.devices);
    given.inbox_enabled = stored.inbox_enabled;
    given.email_enabled = stored.email_enabled;
    given.push_enabled = stored.push_enabled;
    given.push_content = stored.push_content;
    given.mode = stored.mode;
    given.settings_version = stored.settings_version;
    given.preferences.clone_from(&stored.preferences);
}

/// Why an erasure has to wait.
fn still_in_journal() -> StoreError {
    StoreError::Unavailable(
        "a message of the citizen is still in a journal, beyond its checkpoint".to_owned(),
    )
}

/// Why an erasure is refused: its rows are elsewhere.
fn of_another_partition() -> StoreError {
    StoreError::Unavailable("the citizen is of another partition".to_owned())
}

/// Ordinals a visit looks at for each citizen it may return.
const LOOKED_AT: usize = 16;

/// Where a visit from ordinal `from` ends at the latest.
fn stretch_end(from: u32, end: u32, limit: usize) -> u32 {
    let most = u32::try_from(limit.saturating_mul(LOOKED_AT)).unwrap_or(u32::MAX);
    end.min(from.saturating_add(most)).max(from)
}

/// Refuses a step of a walk that would make the ledger wrong, whatever the
/// stored cursor says.
///
/// # Errors
/// [`StoreError::Unavailable`]: nothing of the step is stored.
pub fn check_walk(
    walk: &Walk,
    cursor: &Cursor,
    run: Option<&Run>,
    changed: &[(u32, Mark)],
) -> Result<(), StoreError> {
    let refused = |why: &str| Err(StoreError::Unavailable(format!("a walk's step: {why}")));
    if *walk == Walk::Inbox && !changed.is_empty() {
        return refused("the marks of an inbox walk never change");
    }
    let Some(run) = run else { return Ok(()) };
    if run.marks.is_empty() || run.marks.len() > LONGEST_RUN {
        return refused("a run has 1 to 65,536 marks");
    }
    let length = u32::try_from(run.marks.len()).unwrap_or(u32::MAX);
    match run.first.checked_add(length) {
        Some(behind) if behind <= cursor.next => Ok(()),
        _ => refused("its run does not lie before its cursor"),
    }
}

/// The state of an alert as one of a citizen's messages: delivered to the
/// inbox.
#[must_use]
pub fn published_state(sequence: u64, at: Millis) -> MessageState {
    MessageState {
        status: MessageStatus::Processed,
        deliveries: vec![DeliveryRecord {
            endpoint: Endpoint::Inbox,
            route: None,
            retries: 0,
            status: DeliveryStatus::Ended { outcome: Outcome::Delivered, at },
        }],
        lane: Lane::Normal,
        published: sequence,
        updated_at: at,
    }
}
