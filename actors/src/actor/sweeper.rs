//! The sweeper: removes what has been kept for its time.
//!
//! Idempotency claims, and citizens whose request to be deleted is due; and
//! takes up alerts whose submitter hung up before they were on the board. A
//! sweep that fails is repeated at the next one; nothing depends on its being
//! punctual, and a restart loses nothing: what is due stays so in the store.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;

use crate::alert::AlertBoard;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::time::Millis;
use crate::erasure::Eraser;
use crate::port::clock::Clock;
use crate::port::store::Store;

/// Between sweeps of claims.
const CLAIMS: Duration = Duration::from_mins(5);
/// Between looks for citizens to erase.
const ERASURES: Duration = Duration::from_mins(1);
/// Between looks for alerts that the board does not know.
const ALERTS: Duration = Duration::from_secs(10);
/// Citizens erased at one look.
const BATCH: usize = 1_000;
/// For what a citizen has in flight to end; longer, and the next look finds
/// the citizen erased or waits again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The actor.
pub(crate) struct Sweeper;

/// What is due.
pub(crate) enum Sweep {
    /// Idempotency claims.
    Claims,
    /// Citizens to erase.
    Erasures,
    /// Alerts that somebody submitted or changed and hung up.
    Alerts,
}

/// What it sweeps and how long that is kept.
#[derive(Clone)]
pub(crate) struct Broom {
    pub(crate) eraser: Eraser,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alerts: Arc<AlertBoard>,
    pub(crate) claims_kept: Duration,
}

impl Actor for Sweeper {
    type Msg = Sweep;
    type State = Broom;
    type Arguments = Broom;

    async fn pre_start(
        &self,
        myself: ActorRef<Sweep>,
        broom: Broom,
    ) -> Result<Broom, ActorProcessingErr> {
        myself.send_after(CLAIMS, || Sweep::Claims);
        myself.send_after(ERASURES, || Sweep::Erasures);
        myself.send_after(ALERTS, || Sweep::Alerts);
        Ok(broom)
    }

    async fn handle(
        &self,
        myself: ActorRef<Sweep>,
        sweep: Sweep,
        broom: &mut Broom,
    ) -> Result<(), ActorProcessingErr> {
        match sweep {
            Sweep::Claims => {
                broom.sweep_claims().await;
                myself.send_after(CLAIMS, || Sweep::Claims);
            }
            Sweep::Erasures => {
                broom.erase_due().await;
                myself.send_after(ERASURES, || Sweep::Erasures);
            }
            Sweep::Alerts => {
                if let Err(error) = broom.alerts.reconcile().await {
                    tracing::warn!(%error, "alerts not looked up");
                }
                myself.send_after(ALERTS, || Sweep::Alerts);
            }
        }
        Ok(())
    }
}

impl Broom {
    async fn sweep_claims(&self) {
        let kept = u64::try_from(self.claims_kept.as_millis()).unwrap_or(u64::MAX);
        let before = Millis(self.clock.now().0.saturating_sub(kept));
        match self.store.forget_claims(before).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "idempotency claims forgotten"),
            Err(error) => tracing::warn!(%error, "idempotency claims not swept"),
        }
    }

    /// Erases whoever is due, one by one.
    async fn erase_due(&self) {
        let due = match self.store.erasures_due(self.clock.now(), BATCH).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "citizens to erase not looked up");
                return;
            }
        };
        let (mut erased, mut waiting) = (0_u64, 0_u64);
        // The others are their own node's.
        for citizen in due.into_iter().filter(|citizen| self.eraser.is_here(citizen)) {
            if self.erase(citizen).await {
                erased += 1;
            } else {
                waiting += 1;
            }
        }
        if erased + waiting > 0 {
            tracing::info!(erased, waiting, "citizens erased at their request");
        }
    }

    /// Whether the citizen is erased by now.
    async fn erase(&self, citizen: FiscalCode) -> bool {
        match tokio::time::timeout(PATIENCE, self.eraser.erase(citizen, true)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a citizen is not erased yet");
                false
            }
            Err(_) => false,
        }
    }
}
