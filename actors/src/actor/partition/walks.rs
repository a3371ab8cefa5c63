//! Walks: how a partition carries alerts through its citizens.
//!
//! Owns a cursor for each walk of each alert under way, the loads in flight
//! and the steps taken and not yet stored. Goes on in small steps, one
//! mailbox message each, so that personal messages pass between them. Order
//! of every step as elsewhere: decide, store, act; a route's walk leaves only
//! for citizens whose place in the inbox walk is stored.
//!
//! After a crash the next generation reads the cursors and goes on from
//! there; what was in flight is done again under the same ids. What the old
//! generation's tickets bring back is not heard.

use ractor::ActorProcessingErr;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::State;
use super::state::Outcomes;
use crate::alert::RunningAlert;
use crate::domain::alert::{AlertStatus, Cursor, Walk};
use crate::domain::citizen::Citizen;
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::RouteId;
use crate::domain::lane::{ByLane, Lane};
use crate::domain::time::Millis;
use crate::message::batch::{Batch, Cohort};
use crate::message::route::RouteHandle;
use crate::metric::{ShownWalk, WalkMetrics};
use crate::policy::walk::{self, Load};

mod inbox;
mod route;
mod stop;
mod stride;

use stride::Stride;

/// Loads of one route and one lane under way at one time in a partition, new
/// ones and repeated ones each: the others wait. So an outage of one route
/// holds little in memory, and no lane's alerts keep out another's.
const FLIGHTS: usize = 4;
/// Visited citizens kept for routes that have not come by yet, in steps of the
/// inbox walks. Routes further behind read them again.
const COHORTS: usize = 4;
/// Ticks between looks while every alert is paused: a stop or a change pokes,
/// and only time itself has to be looked for.
const IDLE_TICKS: u32 = 10;
/// An inbox walk goes on though no route is close behind if it has stood for
/// this long: what a slow relay or an outage holds up is its own walk.
const STANDSTILL: Duration = Duration::from_millis(500);

/// A walk among those of its alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Inbox,
    /// By place among the routes.
    Route(usize),
    /// By place among the lost ones.
    Lost(usize),
}

/// Deliveries under way.
struct Flight {
    load: Load,
    batch: Arc<Batch>,
    /// When what is open goes again; none while it is in the air.
    again: Option<Millis>,
    /// What else is to be stored with it.
    extra: Vec<(FiscalCode, Effect)>,
}

/// A route's walk.
struct RouteWalk {
    /// As of the last step taken.
    cursor: Cursor,
    /// The next ordinal to look at. Ahead of the cursor where nobody had
    /// anything to be delivered on this route.
    at: u32,
    /// Steps not yet stored.
    storing: usize,
    load: Option<Flight>,
    retry: Option<Flight>,
    shown: ShownWalk,
}

/// The walks of one alert.
struct AlertWalk {
    running: Arc<RunningAlert>,
    end: u32,
    inbox: Cursor,
    /// The inbox walk as stored: how far the routes may go.
    reached: u32,
    inbox_shown: ShownWalk,
    routes: Vec<RouteWalk>,
    /// Walks of routes that are not configured any more.
    lost: Vec<(RouteId, Cursor)>,
    /// When the inbox walk last went on.
    moved_at: Millis,
    /// Citizens visited by the inbox walk, for routes close behind.
    recent: VecDeque<Arc<Cohort>>,
    closed: bool,
}

/// What can be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// A load goes again.
    Again { alert: usize, route: usize, retry: bool },
    /// Stragglers go again.
    Retry { alert: usize, route: usize },
    /// A new load.
    Fill { alert: usize, route: usize },
    /// A route's walk says that it is at the end.
    Pass { alert: usize, route: usize },
    /// The inbox walk goes on.
    Inbox { alert: usize, limit: usize },
}

/// Flights of one route, by lane: loads of new deliveries, and of repeated
/// ones.
type Aloft = [ByLane<usize>; 2];

/// See the module's text.
pub(crate) struct Walks {
    /// The board's list that these are of.
    seen: Option<u64>,
    /// In the order in which they are served.
    alerts: Vec<AlertWalk>,
    pub(super) strides: Vec<Stride>,
    /// Stragglers of all of them: counted where they change, since it is
    /// looked at after every message.
    pending: u64,
    /// By route.
    aloft: Vec<Aloft>,
    /// Every alert is paused, with nothing under way.
    idle: bool,
    /// Time has passed: one inbox walk may go on though no route is close.
    urged: bool,
    inbox_metrics: Arc<WalkMetrics>,
    route_metrics: Vec<Arc<WalkMetrics>>,
}

impl Walks {
    pub(super) fn new(routes: &[RouteHandle]) -> Self {
        let of = |route: &RouteHandle| Arc::new(WalkMetrics::new(&Walk::Route(route.id.clone())));
        Self {
            seen: None,
            alerts: Vec::new(),
            strides: Vec::new(),
            pending: 0,
            aloft: routes.iter().map(|_| Aloft::default()).collect(),
            idle: false,
            urged: false,
            inbox_metrics: Arc::new(WalkMetrics::new(&Walk::Inbox)),
            route_metrics: routes.iter().map(of).collect(),
        }
    }

    /// Deliveries that wait for another try.
    pub(super) const fn pending(&self) -> u64 {
        self.pending
    }

    /// The list of alerts changed.
    fn recount(&mut self) {
        self.pending = self.alerts.iter().map(AlertWalk::stragglers).sum();
    }

    /// Whether nothing is in flight and everything stored.
    pub(super) fn is_at_rest(&self) -> bool {
        let flying = |alert: &AlertWalk| alert.flights().next().is_some();
        self.strides.is_empty() && !self.alerts.iter().any(flying)
    }

    /// Whether a delivery to `code` is in the air.
    pub(super) fn carries(&self, code: FiscalCode) -> bool {
        let mut flights = self.alerts.iter().flat_map(AlertWalk::flights);
        flights.any(|flight| {
            let items = flight.load.items();
            flight.batch.carries(code, |place| items.get(place).is_some_and(|one| one.is_open()))
        })
    }

    fn cohorts(&self) -> impl Iterator<Item = &Arc<Cohort>> {
        let kept = self.alerts.iter().flat_map(|alert| &alert.recent);
        let new = self.strides.iter().filter_map(|stride| stride.cohort.as_ref());
        let flights = self.alerts.iter().flat_map(AlertWalk::flights);
        kept.chain(new).chain(flights.map(|flight| &flight.batch.cohort))
    }

    /// Whether the record of `code` is held.
    pub(super) fn knows(&self, code: FiscalCode) -> bool {
        self.cohorts().any(|cohort| cohort.find(code).next().is_some())
    }

    /// Whose records are held.
    pub(super) fn citizens(&self) -> impl Iterator<Item = FiscalCode> {
        let held = self.cohorts().flat_map(|cohort| &cohort.passengers);
        held.filter(|passenger| passenger.record().is_some()).map(|passenger| passenger.code)
    }

    /// Replaces the record of `code`: attempts look at it before they start.
    pub(super) fn renew(&mut self, code: FiscalCode, citizen: Option<&Citizen>) {
        for passenger in self.cohorts().flat_map(|cohort| cohort.find(code)) {
            let mut record = passenger.record();
            // Who was erased and comes back is somebody else to the walks.
            if record.is_some() {
                *record = citizen.cloned();
            }
        }
        if citizen.is_none() {
            for flight in self.alerts.iter_mut().flat_map(AlertWalk::flights_mut) {
                flight.disembark(code);
            }
        }
    }

    /// Whether one more load of an alert of `lane` may leave on a route.
    fn may_leave(&self, route: usize, lane: Lane, retry: bool) -> bool {
        self.aloft[route][usize::from(retry)][lane] < FLIGHTS
    }

    /// What to do next: the most urgent alert first, and of it what keeps its
    /// routes busy before what goes ahead of them.
    fn choose(&self, now: Millis) -> Option<Move> {
        self.alerts.iter().enumerate().find_map(|(place, alert)| {
            let runs = alert.running.status() == AlertStatus::Running;
            if runs { self.choose_for(place, alert, now) } else { None }
        })
    }

    fn choose_for(&self, alert: usize, walks: &AlertWalk, now: Millis) -> Option<Move> {
        let lane = walks.running.alert.lane;
        let mut close = walks.routes.is_empty();
        for (route, walk) in walks.routes.iter().enumerate() {
            if let Some(retry) = walk.due_again(now) {
                return Some(Move::Again { alert, route, retry });
            }
            let stored = walk.storing == 0;
            if stored
                && walk.retry.is_none()
                && self.may_leave(route, lane, true)
                && walk::next_due(&walk.cursor).is_some_and(|due| due <= now)
            {
                return Some(Move::Retry { alert, route });
            }
            let idle = stored && walk.load.is_none();
            let takes = walk::has_room(&walk.cursor)
                && (walk.load.is_some() || self.may_leave(route, lane, false));
            if idle && takes && walk.at < walks.reached {
                return Some(Move::Fill { alert, route });
            }
            if idle && walk.at == walks.end && walk.cursor.next < walk.at {
                return Some(Move::Pass { alert, route });
            }
            // One step ahead, so that a load can leave as soon as one is back.
            close |= takes && walk.at >= walks.reached;
        }
        let ready = walks.inbox.next == walks.reached && walks.reached < walks.end;
        let urged = self.urged && now >= walks.moved_at.after(STANDSTILL);
        let limit = if close && walks.is_dense() { walk::LOAD } else { walk::AHEAD };
        (ready && (close || urged)).then_some(Move::Inbox { alert, limit })
    }
}

impl AlertWalk {
    /// Whether a good part of the citizens belongs to the audience.
    fn is_dense(&self) -> bool {
        !self.routes.is_empty() && self.inbox.recipients * 4 >= u64::from(self.inbox.next)
    }

    fn stragglers(&self) -> u64 {
        let routes = self.routes.iter().map(|walk| walk.cursor.stragglers.len());
        let lost = self.lost.iter().map(|(_, cursor)| cursor.stragglers.len());
        routes.chain(lost).map(|count| count as u64).sum()
    }

    fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.routes.iter().flat_map(|walk| walk.load.iter().chain(&walk.retry))
    }

    fn flights_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.routes.iter_mut().flat_map(|walk| walk.load.iter_mut().chain(&mut walk.retry))
    }

    /// Forgets the citizens whom every route has passed.
    fn forget_passed(&mut self) {
        let slowest = self.routes.iter().map(|walk| walk.at).min().unwrap_or(self.end);
        while self.recent.front().is_some_and(|cohort| cohort.next <= slowest) {
            self.recent.pop_front();
        }
    }
}

impl RouteWalk {
    /// Which of its flights goes again at `now`: the stragglers'?
    fn due_again(&self, now: Millis) -> Option<bool> {
        let due = |flight: &Option<Flight>| {
            flight.as_ref().is_some_and(|flight| flight.again.is_some_and(|at| at <= now))
        };
        if due(&self.load) { Some(false) } else { due(&self.retry).then_some(true) }
    }

    const fn flight(&mut self, retry: bool) -> &mut Option<Flight> {
        if retry { &mut self.retry } else { &mut self.load }
    }

    fn show(&mut self) {
        let count =
            |flight: &Option<Flight>| flight.as_ref().map_or(0, |flight| flight.load.items().len());
        let flying = count(&self.load) + count(&self.retry);
        self.shown.flying(flying);
    }
}

impl State {
    /// Lets the walks go on by a step.
    pub(crate) async fn walk(&mut self) -> Outcomes {
        self.context.handle().take_walk();
        self.adopt().await?;
        self.stop_walks();
        if self.draining.is_none()
            && self.context.lease().holds()
            && let Some(next) = self.walks.choose(self.now())
        {
            self.advance(next).await?;
            self.context.handle().walk();
        }
        self.close_walks().await?;
        let rests =
            |walks: &AlertWalk| walks.running.status() == AlertStatus::Paused && !walks.is_busy();
        self.walks.idle = self.walks.strides.is_empty() && self.walks.alerts.iter().all(rests);
        Ok(())
    }

    async fn advance(&mut self, next: Move) -> Outcomes {
        match next {
            Move::Again { alert, route, retry } => self.fly_again(alert, route, retry),
            Move::Retry { alert, route } => self.retry_stragglers(alert, route).await?,
            Move::Fill { alert, route } => self.fill(alert, route).await?,
            Move::Pass { alert, route } => {
                let walk = &self.walks.alerts[alert].routes[route];
                let landing = walk::pass(&walk.cursor, walk.at);
                self.step(alert, Which::Route(route), landing, Vec::new(), None);
            }
            Move::Inbox { alert, limit } => {
                self.walks.urged = false;
                self.visit_inboxes(alert, limit).await?;
            }
        }
        Ok(())
    }

    /// Time has passed: stragglers may be due.
    pub(super) fn urge_walks(&mut self) {
        let changed = self.walks.seen != Some(self.context.alerts.version());
        let asleep = self.walks.idle && !self.ticks.is_multiple_of(IDLE_TICKS);
        if changed || (!self.walks.alerts.is_empty() && !asleep) {
            self.walks.urged = true;
            self.context.handle().walk();
        }
    }

    /// Takes up the alerts that are new on the board, lets go of those that
    /// have ended.
    pub(super) async fn adopt(&mut self) -> Outcomes {
        let version = self.context.alerts.version();
        if self.walks.seen == Some(version) {
            return Ok(());
        }
        let known = std::mem::take(&mut self.walks.alerts);
        let mut known: HashMap<_, _> =
            known.into_iter().map(|walk| (walk.running.alert.id, walk)).collect();
        for running in self.context.alerts.all() {
            let walk = match known.remove(&running.alert.id) {
                Some(walk) => walk,
                None => self.take_up(running).await?,
            };
            self.walks.alerts.push(walk);
        }
        // Stopped, and only waiting for the last answers.
        self.walks.alerts.extend(known.into_values().filter(AlertWalk::is_busy));
        self.walks.recount();
        self.walks.seen = Some(version);
        Ok(())
    }

    async fn take_up(&self, running: Arc<RunningAlert>) -> Result<AlertWalk, ActorProcessingErr> {
        let (store, id) = (&self.context.store, self.context.id);
        let mut cursors = store.cursors(id, running.alert.id).await?;
        let end = running.end(id);
        let mut take = |walk: Walk| {
            let place = cursors.iter().position(|(known, _)| *known == walk);
            place.map(|place| cursors.swap_remove(place).1).unwrap_or_default()
        };
        let inbox = take(Walk::Inbox);
        let mut routes = Vec::with_capacity(self.routes.len());
        for (book, metrics) in self.routes.iter().zip(&self.walks.route_metrics) {
            let cursor = take(Walk::Route(book.id.clone()));
            let (at, shown) = (cursor.next, metrics.show(&cursor, end));
            routes.push(RouteWalk { cursor, at, storing: 0, load: None, retry: None, shown });
        }
        let lost = cursors.into_iter().filter_map(|(walk, cursor)| match walk {
            Walk::Route(route) if !cursor.stragglers.is_empty() => Some((route, cursor)),
            _ => None,
        });
        Ok(AlertWalk {
            reached: inbox.next,
            inbox_shown: self.walks.inbox_metrics.show(&inbox, end),
            lost: lost.collect(),
            moved_at: self.now(),
            recent: VecDeque::new(),
            closed: false,
            running,
            end,
            inbox,
            routes,
        })
    }
}
