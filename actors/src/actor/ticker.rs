//! The ticker: tells partitions and routes that time has passed, so that due
//! retries, breakers and closed connections are looked at.
//!
//! One timer for all of them: a timer task per retry would be a task per
//! waiting delivery.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;

use crate::message::partition::PartitionHandle;
use crate::message::route::RouteMessage;
use crate::supervise::Address;

/// How late a retry can start at most, besides the route's own queue.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The actor.
pub(crate) struct Ticker;

/// Whom it tells.
#[derive(Clone)]
pub(crate) struct Audience {
    pub(crate) partitions: Arc<[PartitionHandle]>,
    pub(crate) routes: Vec<Address<RouteMessage>>,
}

impl Actor for Ticker {
    type Msg = ();
    type State = Audience;
    type Arguments = Audience;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        audience: Audience,
    ) -> Result<Audience, ActorProcessingErr> {
        myself.send_after(TICK, || ());
        Ok(audience)
    }

    async fn handle(
        &self,
        myself: ActorRef<()>,
        (): (),
        audience: &mut Audience,
    ) -> Result<(), ActorProcessingErr> {
        for route in &audience.routes {
            route.cast(RouteMessage::Tick);
        }
        for partition in &*audience.partitions {
            partition.tick();
        }
        myself.send_after(TICK, || ());
        Ok(())
    }
}
