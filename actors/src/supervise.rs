//! Supervision in the manner of OTP: stable addresses, generations and
//! restart intensity. ractor has none of them: its default supervisor stops
//! when a child ends.

use ractor::{ActorRef, Message};
use std::sync::{Arc, PoisonError, RwLock};

/// Where an actor can be reached across its incarnations.
///
/// While no incarnation lives, a message is dropped: whatever must not be
/// lost is in the store, and work handed over reports its own drop.
pub struct Address<M>(Arc<RwLock<Option<ActorRef<M>>>>);

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Default for Address<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Message> Address<M> {
    /// Sends `message` to the living incarnation. Returns whether there was
    /// one.
    pub fn cast(&self, message: M) -> bool {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().is_some_and(|actor| actor.cast(message).is_ok())
    }

    /// Points the address to a new incarnation.
    pub(crate) fn set(&self, actor: ActorRef<M>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }
}
