//! The courier: makes the attempts of one link, many at once, in one task.
//!
//! Grants the route as many slots as the link takes and tells it of answers
//! as they come, all that are there in one message: at full speed neither the
//! scheduler nor a mailbox sees the single attempt. When the link closes it
//! hands back what has not started and stays until the last answer.

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use ractor::ActorRef;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::mpsc;

use crate::cluster::Gate;
use crate::domain::answer::Answer;
use crate::domain::id::RouteId;
use crate::domain::outcome::{Failure, Outcome};
use crate::message::connection::ConnectionMessage;
use crate::message::route::{RouteMessage, Signal, Signals};
use crate::message::ticket::{End, Ticket};
use crate::metric::RouteMetrics;
use crate::policy::refusals::{self, RefusalGuard};
use crate::port::clock::Clock;
use crate::port::provider::Link;
use crate::supervise::Address;

/// Attempts of one link at one time, whatever it says it takes.
const MOST: usize = 2_048;
/// Orders on their way: one for each attempt at worst, and as many looks.
pub(super) const ORDERS: usize = 2 * MOST;
/// Answers told in one message at most, so that their slots are used again
/// soon.
const TOGETHER: usize = 64;

/// What a courier is told.
pub(super) enum Order {
    /// Attempts to make.
    Attempt(Vec<Ticket>),
    /// Time has passed: see whether the link still lives, and how many it
    /// takes.
    Look,
}

/// See the module's text.
pub(super) struct Courier {
    pub(super) connection: usize,
    /// Number of the link among its connection's.
    pub(super) number: u64,
    pub(super) route: Address<RouteMessage>,
    pub(super) myself: ActorRef<ConnectionMessage>,
    pub(super) link: Arc<dyn Link>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: RouteMetrics,
    pub(super) id: RouteId,
    pub(super) guard: Arc<RefusalGuard>,
    pub(super) orders: mpsc::Receiver<Order>,
    /// Shut while a change told by another node may be unknown here.
    pub(super) gate: Arc<Gate>,
    /// Slots granted to the route and not yet used.
    pub(super) granted: usize,
}

/// An attempt that is over.
type Done = (Ticket, Result<Answer, End>);

impl Courier {
    /// Works until the link is closed and the last attempt answered.
    pub(super) async fn run(mut self) {
        let (link, clock) = (Arc::clone(&self.link), Arc::clone(&self.clock));
        let gate = Arc::clone(&self.gate);
        let mut attempts = FuturesUnordered::new();
        let mut open = true;
        self.free(Signals::default(), 0);
        while open || !attempts.is_empty() {
            if open && self.link.is_closed() {
                open = false;
                self.close();
                continue;
            }
            tokio::select! {
                biased;
                Some(done) = attempts.next(), if !attempts.is_empty() => {
                    let mut signals = Signals::default();
                    signals.add(self.finish(done));
                    while signals.count() < TOGETHER
                        && let Some(Some(done)) = attempts.next().now_or_never()
                    {
                        signals.add(self.finish(done));
                    }
                    self.free(signals, attempts.len());
                }
                order = self.orders.recv(), if open => match order {
                    Some(Order::Attempt(tickets)) if link.is_closed() => self.hold(tickets),
                    Some(Order::Attempt(tickets)) => {
                        self.granted = self.granted.saturating_sub(tickets.len());
                        let begin = |ticket| attempt(&*link, &*clock, &gate, ticket);
                        attempts.extend(tickets.into_iter().map(begin));
                    }
                    Some(Order::Look) => self.free(Signals::default(), attempts.len()),
                    // The connection is gone: its route has started another.
                    None => return,
                }
            }
        }
    }

    /// Tells the route of answers, and grants it what the link takes beyond
    /// what is used or granted.
    fn free(&mut self, signals: Signals, in_flight: usize) {
        let slots = if self.link.is_closed() {
            0
        } else {
            self.link.capacity().min(MOST).saturating_sub(in_flight + self.granted)
        };
        self.granted += slots;
        if slots > 0 || signals.count() > 0 {
            let connection = self.connection;
            self.route.cast(RouteMessage::Finished { connection, signals, slots });
        }
    }

    /// Ends the ticket of an attempt; returns what the answer says about the
    /// route.
    fn finish(&self, (ticket, end): Done) -> Signal {
        let answer = match end {
            Ok(answer) => answer,
            Err(end) => {
                ticket.end(end);
                return Signal::Neutral;
            }
        };
        let seconds = |at| self.clock.now().since(at).as_secs_f64();
        let waited = ticket.accepted_at().map(|at| (ticket.lane(), seconds(at)));
        self.metrics.answered(&answer, waited);
        let answer = self.judge(answer);
        let signal = signal(&answer);
        ticket.end(End::Answered(answer));
        signal
    }

    /// What to make of an answer beside those before it. The metrics count what
    /// the provider said.
    fn judge(&self, answer: Answer) -> Answer {
        let was_raised = self.guard.is_raised();
        let answer = self.guard.judge(answer);
        if !was_raised && self.guard.is_raised() {
            tracing::error!(
                route = %self.id,
                in_a_row = refusals::MOST_IN_A_ROW,
                "the provider refuses every recipient: deliveries wait until it accepts one"
            );
        }
        answer
    }

    /// The link takes no more: what is not started goes back.
    fn close(&mut self) {
        self.orders.close();
        // Fails only when the connection is gone.
        let _ = self.myself.cast(ConnectionMessage::Closed { link: self.number });
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Attempt(tickets) = order {
                self.hold(tickets);
            }
        }
    }

    fn hold(&self, tickets: Vec<Ticket>) {
        self.route.cast(RouteMessage::Hold { connection: self.connection, tickets });
    }
}

/// One attempt, cut off when this process may not work on its partition any
/// more.
async fn attempt(link: &dyn Link, clock: &dyn Clock, gate: &Gate, mut ticket: Ticket) -> Done {
    let Some(mut watch) = ticket.watch() else {
        let end = carry_out(link, clock, &mut ticket).await;
        return (ticket, end);
    };
    tokio::select! {
        () = gate.pass() => {}
        () = watch.stopped() => return (ticket, Err(End::Returned)),
    }
    let end = tokio::select! {
        biased;
        () = watch.cut() => Err(End::Returned),
        end = carry_out(link, clock, &mut ticket) => end,
    };
    (ticket, end)
}

/// One attempt, unless time or the citizen's choice now forbids it (promise
/// 3): looked at when the attempt is about to start, not when it was queued.
async fn carry_out(link: &dyn Link, clock: &dyn Clock, ticket: &mut Ticket) -> Result<Answer, End> {
    let now = clock.now();
    let prepared = catch_unwind(AssertUnwindSafe(|| ticket.prepare(now)));
    let notification = match prepared {
        Ok(prepared) => prepared?,
        Err(_) => return Err(End::Ended(Outcome::Failed(Failure::TurnFailed))),
    };
    let sent = AssertUnwindSafe(link.send(&notification)).catch_unwind().await;
    Ok(sent.unwrap_or(Answer::Unknown { reason: "panic" }))
}

/// What an answer about one delivery says about the route.
const fn signal(answer: &Answer) -> Signal {
    match answer {
        Answer::Accepted | Answer::DropToken { .. } | Answer::Fail { .. } => Signal::Success,
        Answer::RetryDelivery { .. } | Answer::RetryElsewhere { .. } => Signal::Neutral,
        Answer::ProviderFailed { .. }
        | Answer::Unknown { .. }
        | Answer::RetryRoute { after: None, .. } => Signal::Failure,
        Answer::RetryRoute { after: Some(wait), .. } => Signal::Pause(*wait),
        Answer::Halt { reason } => Signal::Halt(reason),
    }
}
