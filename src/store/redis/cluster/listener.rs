//! Listening: a task of its own that hears the bus, and itself.
//!
//! # The own voice
//!
//! Five times a second a ping is published like everything else, behind a write
//! to the same server, so that a server that takes no writes any more (demoted,
//! cut off from its replicas, without its slots) gives no echo. A ping that was
//! answered and came back is an [`Heard::Echo`]: whatever was told before it left
//! has been heard, since all publish to one master in one order.
//!
//! # Gaps
//!
//! One comes first on each connection, and whenever messages were dropped: by
//! the connection's queue, or because the listener's is full. Until it could be
//! handed out nothing else is, echoes least of all.
//!
//! A connection whose pings stay away for [`SILENCE`], that ended, or whose
//! server does not hold the slot any more is made again.
//!
//! # Crash
//!
//! Ends with the store or with who listens. Nothing is kept.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use araldo_actors::port::cluster::Heard;

use super::bus::{self, Said};
use crate::store::redis::RedisStore;
use crate::store::redis::base::asked;
use crate::store::redis::key::Space;
use crate::store::redis::link::{Link, Push, Subscription};

/// What waits for the listener.
const WAITING: usize = 1_024;
/// How often a ping leaves.
const BETWEEN_PINGS: Duration = Duration::from_millis(200);
/// How long a connection may give no echo.
const SILENCE: Duration = Duration::from_secs(1);
/// Pings under way: none is of use after [`SILENCE`].
const UNDER_WAY: usize = 8;
/// Pauses between connections.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Why a connection is of no use: it gives no echo.
const NO_ECHO: &str = "no echo comes back";

/// A ping under way.
struct Ping {
    number: u64,
    sent: Instant,
    /// The server took it, and the write before it.
    answered: bool,
    /// It came back.
    heard: bool,
}

/// See the module's text.
struct Listener {
    link: Arc<Link>,
    all: Space,
    channel: String,
    incarnation: u128,
    listener: mpsc::Sender<Heard>,
    /// Something was missed, and the listener not told yet.
    gap: bool,
    pings: VecDeque<Ping>,
    number: u64,
    last_echo: Instant,
}

impl RedisStore {
    pub(super) fn start_listening(&self) -> mpsc::Receiver<Heard> {
        let (listener, heard) = mpsc::channel(WAITING);
        let task = Listener {
            link: Arc::clone(&self.link),
            all: self.all.clone(),
            channel: bus::channel(&self.all),
            incarnation: self.incarnation,
            listener,
            gap: true,
            pings: VecDeque::new(),
            number: 0,
            last_echo: Instant::now(),
        };
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task.run());
        heard
    }
}

impl Listener {
    async fn run(mut self) {
        let mut pause = SHORTEST_PAUSE;
        while !self.listener.is_closed() {
            match self.link.subscribe(self.all.slot(), &self.channel).await {
                Ok(subscription) => {
                    pause = SHORTEST_PAUSE;
                    let why = self.follow(subscription).await;
                    tracing::debug!(why, "the bus is listened to anew");
                    if why == NO_ECHO {
                        // The server may not be the master any more.
                        drop(self.link.refresh().await);
                    }
                }
                Err(why) => {
                    tracing::debug!(why, "the bus cannot be listened to");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Hears a connection until it is of no use; why.
    async fn follow(&mut self, mut subscription: Subscription) -> &'static str {
        self.gap = true;
        self.pings.clear();
        self.last_echo = Instant::now();
        let listener = self.listener.clone();
        let mut ticks = interval(BETWEEN_PINGS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking: Option<BoxFuture<'static, (u64, bool)>> = None;
        loop {
            tokio::select! {
                room = listener.reserve(), if self.gap => {
                    let Ok(room) = room else { return "nobody listens" };
                    room.send(Heard::Gap);
                    self.gap = false;
                }
                push = subscription.next() => match push {
                    Push::Message(message) => self.hear(&message),
                    Push::Dropped => self.gap = true,
                    Push::Ended => return "the connection ended",
                },
                (number, taken) = answer(&mut asking) => {
                    asking = None;
                    if taken {
                        self.settle(number, |ping| ping.answered = true);
                    }
                }
                _ = ticks.tick() => {
                    let silent = self.last_echo.elapsed();
                    // After a stall of this process echoes may wait to be read.
                    if silent > SILENCE && (subscription.is_idle() || silent > 2 * SILENCE) {
                        return NO_ECHO;
                    }
                    if !subscription.is_at(&self.link, self.all.slot()) {
                        return "another server holds the slot";
                    }
                    if asking.is_none() {
                        asking = Some(self.ping());
                    }
                }
                () = listener.closed() => return "nobody listens",
            }
        }
    }

    /// Sends a ping; its number and whether it was taken.
    fn ping(&mut self) -> BoxFuture<'static, (u64, bool)> {
        self.number += 1;
        let number = self.number;
        if self.pings.len() >= UNDER_WAY {
            self.pings.pop_front();
        }
        let sent = Instant::now();
        self.pings.push_back(Ping { number, sent, answered: false, heard: false });
        let mut pulse = redis::cmd("SET");
        pulse.arg(self.all.pulse()).arg(1);
        let publish = bus::spublish(&self.channel, &bus::ping(self.incarnation, number));
        let ask = asked(&self.all, vec![pulse, publish], true);
        let link = Arc::clone(&self.link);
        async move {
            let taken = timeout(SILENCE, link.write(ask)).await;
            (number, matches!(taken, Ok(Ok(_))))
        }
        .boxed()
    }

    fn hear(&mut self, message: &[u8]) {
        match bus::read(message, self.incarnation) {
            Said::Notices(notices) => {
                for notice in notices {
                    self.hand_out(Heard::Notice(notice));
                }
            }
            Said::Echo(number) => self.settle(number, |ping| ping.heard = true),
            Said::Nothing => {}
            Said::Unreadable => self.gap = true,
        }
    }

    /// Notes what happened to a ping; an echo once all did.
    fn settle(&mut self, number: u64, note: impl FnOnce(&mut Ping)) {
        let Some(at) = self.pings.iter().position(|ping| ping.number == number) else { return };
        let ping = &mut self.pings[at];
        note(ping);
        if ping.answered && ping.heard {
            let sent = ping.sent;
            self.pings.drain(..=at);
            self.last_echo = Instant::now();
            self.hand_out(Heard::Echo { sent });
        }
    }

    fn hand_out(&mut self, heard: Heard) {
        if self.gap {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.listener.try_send(heard) {
            self.gap = true;
        }
    }
}

/// What became of the ping under way, if there is one.
async fn answer(asking: &mut Option<BoxFuture<'static, (u64, bool)>>) -> (u64, bool) {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}
