//! The teller: tells the other nodes what is in the outbox.
//!
//! One telling at a time, so that whatever happens meanwhile goes with the next
//! one: under load many hints leave as one message. Holds nothing: what it could
//! not tell goes back into the outbox, and a restart looks there first.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Outbox;
use crate::port::cluster::Cluster;

/// Before what could not be told is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Mailbox of the teller: one message at a time, see [`Outbox`].
pub(crate) enum TellerMessage {
    /// There is something to tell.
    Tell,
}

/// The actor.
pub(crate) struct Teller;

/// What it starts from.
pub(crate) struct Context {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) cluster: Arc<dyn Cluster>,
}

impl Actor for Teller {
    type Msg = TellerMessage;
    type State = Arc<Context>;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<TellerMessage>,
        context: Arc<Context>,
    ) -> Result<Arc<Context>, ActorProcessingErr> {
        context.outbox.teller.set(myself.clone());
        myself.cast(TellerMessage::Tell)?;
        Ok(context)
    }

    async fn handle(
        &self,
        _myself: ActorRef<TellerMessage>,
        TellerMessage::Tell: TellerMessage,
        context: &mut Arc<Context>,
    ) -> Result<(), ActorProcessingErr> {
        let notices = context.outbox.take();
        if notices.is_empty() {
            return Ok(());
        }
        if let Err(error) = context.cluster.tell(&notices).await {
            tracing::debug!(%error, "the other nodes are told later");
            tokio::time::sleep(PAUSE).await;
            context.outbox.put_back(notices);
        }
        Ok(())
    }
}
