//! A connection of its own that listens to one channel.
//!
//! RESP3: messages are pushes, which the crate hands to a function. They wait in
//! a queue of [`WAITING`]; when it is full they are dropped and it is noted, so
//! that the connection's task never waits for who listens.

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, PushKind, Value,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

use super::connection::{is_master, send, told};
use super::{Link, Manner};

/// Messages that wait to be read.
const WAITING: usize = 1_024;

/// What came over a subscription.
pub(in crate::store::redis) enum Push {
    /// A message of the channel.
    Message(Vec<u8>),
    /// Messages were dropped before this one.
    Dropped,
    /// It ended.
    Ended,
}

/// See the module's text. Ends with this value.
pub(in crate::store::redis) struct Subscription {
    /// Of the server it is made to.
    address: String,
    pushes: mpsc::Receiver<PushInfo>,
    dropped: Arc<AtomicBool>,
    _open: MultiplexedConnection,
}

impl Subscription {
    /// Listens to `channel` on the server at `info`.
    ///
    /// # Errors
    /// Why it cannot, as text.
    async fn open(info: ConnectionInfo, manner: &Manner, channel: &str) -> Result<Self, String> {
        let address = info.addr().to_string();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings);
        let (queue, pushes) = mpsc::channel(WAITING);
        let dropped = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&dropped);
        let hand = move |push: PushInfo| {
            let handed = queue.try_send(push);
            if handed.is_err() {
                noted.store(true, Ordering::Release);
            }
            handed.map_err(drop)
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(manner.answered_within / 2))
            .set_response_timeout(Some(manner.answered_within))
            .set_push_sender(hand);
        let client = Client::open(info).map_err(|error| told(&error))?;
        let open = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut open = open.map_err(|error| told(&error))?;
        let mut begin = redis::pipe();
        begin.cmd("ROLE");
        if !is_master(send(&mut open, &begin).await?.last()) {
            return Err("it is not a master".to_owned());
        }
        let mut subscribe = redis::pipe();
        subscribe.cmd("SSUBSCRIBE").arg(channel);
        match send(&mut open, &subscribe).await?.last() {
            Some(Value::ServerError(error)) => Err(format!("it answered {}", error.code())),
            _ => Ok(Self { address, pushes, dropped, _open: open }),
        }
    }

    /// The next thing heard.
    pub(in crate::store::redis) async fn next(&mut self) -> Push {
        loop {
            let push = self.pushes.recv().await;
            if self.dropped.swap(false, Ordering::AcqRel) {
                return Push::Dropped;
            }
            let Some(push) = push else { return Push::Ended };
            match push.kind {
                PushKind::SMessage => match push.data.into_iter().nth(1) {
                    Some(Value::BulkString(message)) => return Push::Message(message),
                    _ => return Push::Dropped,
                },
                PushKind::SUnsubscribe | PushKind::Disconnection => return Push::Ended,
                _ => {}
            }
        }
    }

    /// Whether nothing waits to be read.
    pub(in crate::store::redis) fn is_idle(&self) -> bool {
        self.pushes.is_empty()
    }

    /// Whether it is made to the server that holds `slot`.
    pub(in crate::store::redis) fn is_at(&self, link: &Link, slot: u16) -> bool {
        link.route(slot).is_some_and(|node| node.info().addr().to_string() == self.address)
    }
}

impl Link {
    /// Listens to a channel on the master that holds `slot`.
    ///
    /// # Errors
    /// Why it cannot, as text; who holds the slot was looked up again.
    pub(in crate::store::redis) async fn subscribe(
        &self,
        slot: u16,
        channel: &str,
    ) -> Result<Subscription, String> {
        let open = match self.route(slot) {
            Some(node) => Subscription::open(node.info().clone(), &self.manner, channel).await,
            None => Err("no server holds its slot".to_owned()),
        };
        if open.is_err() {
            drop(self.refresh().await);
        }
        open
    }
}
