//! The sweeper: removes what has been kept for its time.
//!
//! Idempotency claims only, so far. A sweep that fails is repeated at the
//! next one; nothing depends on its being punctual.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::time::Millis;
use crate::port::clock::Clock;
use crate::port::store::Store;

/// Time between sweeps.
const PERIOD: Duration = Duration::from_mins(5);

/// The actor.
pub(crate) struct Sweeper;

/// What it sweeps and how long that is kept.
#[derive(Clone)]
pub(crate) struct Broom {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) claims_kept: Duration,
}

impl Actor for Sweeper {
    type Msg = ();
    type State = Broom;
    type Arguments = Broom;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        broom: Broom,
    ) -> Result<Broom, ActorProcessingErr> {
        myself.send_after(PERIOD, || ());
        Ok(broom)
    }

    async fn handle(
        &self,
        myself: ActorRef<()>,
        (): (),
        broom: &mut Broom,
    ) -> Result<(), ActorProcessingErr> {
        let kept = u64::try_from(broom.claims_kept.as_millis()).unwrap_or(u64::MAX);
        let before = Millis(broom.clock.now().0.saturating_sub(kept));
        match broom.store.forget_claims(before).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "idempotency claims forgotten"),
            Err(error) => tracing::warn!(%error, "idempotency claims not swept"),
        }
        myself.send_after(PERIOD, || ());
        Ok(())
    }
}
