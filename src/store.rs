//! Where everything durable is kept: the implementations of
//! [`Store`](araldo_actors::port::store::Store).
//!
//! [`memory`] is the reference: small, obviously right, and the oracle that
//! the others are compared with under random sequences of operations.
//! [`embedded`] keeps everything in one folder of one machine.
//!
//! What the port leaves open is decided once, here, for all of them:
//!
//! - A citizen's first version is 0; each write raises it by one.
//! - A message whose id is already in its partition's journal was accepted
//!   before, claim or not: it is answered `Replayed` and nothing is written.
//! - With a claim the id is [`claimed_id`]: a second node that receives the
//!   same request derives the same random part.
//! - An effect that names a message or citizen the partition does not hold
//!   changes nothing.
//! - A message set aside after it was processed stays processed (the books
//!   count each message once); only its pending deliveries are cancelled.
//! - A deferral to the very instant already recorded is a repetition: it
//!   changes nothing and does not count as a retry.
//! - A service whose organisation was never written brings it along; an
//!   organisation already there keeps its name.
//! - Publication sequences start at 1, so that 0 can mean "before all".

use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::IdempotencyClaim;

pub mod embedded;
pub mod memory;

/// Id of the message that `claim` was first used for, accepted at `at`: its
/// random part is the first 80 bits of the claim's scope.
#[must_use]
pub fn claimed_id(at: Millis, claim: &IdempotencyClaim) -> MessageId {
    let bits = claim.scope[..10].iter().fold(0_u128, |sum, &byte| sum << 8 | u128::from(byte));
    MessageId::new(at, bits)
}
