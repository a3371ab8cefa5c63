//! Metrics of the engine: every name, label and help text in one place.
//!
//! Labels come from fixed lists (route names from the configuration); none
//! ever names a person, a token or a message.

use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::domain::answer::Answer;
use crate::domain::id::RouteId;
use crate::domain::lane::{ByLane, Lane};
use crate::live::{LiveRefused, LiveSession};

mod alert;
mod cluster;

pub(crate) use alert::{AlertMetrics, ShownWalk, WalkMetrics};
pub(crate) use cluster::ClusterMetrics;

/// Attempts answered, by route and kind of answer.
pub const ATTEMPTS: &str = "araldo_attempts_total";
/// Answers that were not an acceptance, by route, kind of answer and the
/// provider's reason.
pub const REFUSALS: &str = "araldo_provider_refusals_total";
/// Seconds from a message's acceptance to its provider's, by route and lane.
pub const DELIVERY_SECONDS: &str = "araldo_delivery_seconds";
/// Citizen actors started.
pub const ACTIVATIONS: &str = "araldo_citizen_activations_total";
/// Turns that panicked.
pub const PANICS: &str = "araldo_citizen_panics_total";
/// Restarts of supervised actors, by child.
pub const RESTARTS: &str = "araldo_actor_restarts_total";
/// Effects per committed step of a partition.
pub const STEP_EFFECTS: &str = "araldo_step_effects";
/// Live sessions now open.
pub const LIVE_SESSIONS: &str = "araldo_live_sessions";
/// Live sessions opened.
pub const LIVE_OPENED: &str = "araldo_live_sessions_opened_total";
/// Live sessions not opened, by reason.
pub const LIVE_REFUSED: &str = "araldo_live_sessions_refused_total";
/// Live sessions woken.
pub const LIVE_WOKEN: &str = "araldo_live_sessions_woken_total";
/// Citizens erased.
pub const ERASURES: &str = "araldo_erasures_total";
/// Alerts under way, by status.
pub const ALERTS: &str = "araldo_alerts";
/// When the oldest alert under way was accepted.
pub const ALERTS_OLDEST: &str = "araldo_alerts_oldest_timestamp_seconds";
/// Ordinals that the walks of the alerts under way have visited, by walk.
pub const WALK_VISITED: &str = "araldo_alert_walk_visited";
/// Ordinals that those walks visit in all, by walk.
pub const WALK_END: &str = "araldo_alert_walk_end";
/// Deliveries of the alerts under way that wait for another try, by walk.
pub const WALK_STRAGGLERS: &str = "araldo_alert_walk_stragglers";
/// Deliveries of alerts handed to a route and not yet recorded, by walk.
pub const WALK_FLYING: &str = "araldo_alert_walk_in_flight";
/// Deliveries of alerts that ended, by walk and outcome.
pub const WALK_ENDED: &str = "araldo_alert_deliveries_ended_total";
/// Attempts of deliveries of alerts repeated, by walk.
pub const WALK_RETRIED: &str = "araldo_alert_deliveries_retried_total";
/// Members of an audience found, by walk.
pub const WALK_RECIPIENTS: &str = "araldo_alert_recipients_total";

/// Nodes that this one knows to live.
pub const CLUSTER_NODES: &str = "araldo_cluster_nodes";
/// Partitions that this node has.
pub const CLUSTER_PARTITIONS: &str = "araldo_cluster_partitions_held";
/// How long this node's own voice took to come back.
pub const CLUSTER_ECHO: &str = "araldo_cluster_echo_seconds";
/// Times that notices may have been missed.
pub const CLUSTER_GAPS: &str = "araldo_cluster_gaps_total";
/// Leases lost.
pub const CLUSTER_LEASES_LOST: &str = "araldo_cluster_leases_lost_total";
/// Writes refused because the partition had a newer owner.
pub const CLUSTER_FENCED: &str = "araldo_cluster_fenced_total";
/// Signs of life that could not be given.
pub const CLUSTER_BEATS_MISSED: &str = "araldo_cluster_beats_missed_total";

/// Tells the recorder what each metric means.
pub fn describe() {
    cluster::describe();
    describe_counter!(ATTEMPTS, "Attempts answered, by route and kind of answer");
    describe_counter!(
        REFUSALS,
        "Answers other than acceptance, by route, kind of answer and provider's reason"
    );
    describe_histogram!(
        DELIVERY_SECONDS,
        Unit::Seconds,
        "From a message's acceptance by us to its acceptance by the provider, by route and lane; \
         alerts are not measured"
    );
    describe_counter!(ACTIVATIONS, "Citizen actors started");
    describe_counter!(PANICS, "Turns of a citizen that panicked");
    describe_counter!(RESTARTS, "Restarts of supervised actors");
    describe_histogram!(STEP_EFFECTS, Unit::Count, "Changes per committed step of a partition");
    describe_gauge!(LIVE_SESSIONS, "Live sessions open on this node");
    describe_counter!(LIVE_OPENED, "Live sessions opened");
    describe_counter!(LIVE_REFUSED, "Live sessions not opened, by reason");
    describe_counter!(LIVE_WOKEN, "Live sessions woken because an inbox changed");
    describe_counter!(ERASURES, "Citizens whose rows were all removed");
    describe_alerts();
}

fn describe_alerts() {
    describe_gauge!(ALERTS, "Alerts under way, by status: running or paused");
    describe_gauge!(
        ALERTS_OLDEST,
        Unit::Seconds,
        "When the oldest alert under way was accepted, since the Unix epoch; 0 when there is none"
    );
    describe_gauge!(WALK_VISITED, "Citizens visited by the walks of alerts under way, by walk");
    describe_gauge!(WALK_END, "Citizens those walks visit in all, by walk");
    describe_gauge!(WALK_STRAGGLERS, "Deliveries of alerts that wait for another try, by walk");
    describe_gauge!(WALK_FLYING, "Deliveries of alerts handed to a route and not yet recorded");
    describe_counter!(WALK_ENDED, "Deliveries of alerts that ended, by walk and outcome");
    describe_counter!(WALK_RETRIED, "Attempts of deliveries of alerts repeated, by walk");
    describe_counter!(WALK_RECIPIENTS, "Citizens found in the audience of an alert, by walk");
}

/// Handles of one route's metrics, looked up once: the macros hash and lock
/// on each call.
#[derive(Clone)]
pub(crate) struct RouteMetrics {
    route: RouteId,
    accepted: Counter,
    delivery_seconds: ByLane<Histogram>,
}

impl RouteMetrics {
    pub(crate) fn new(route: &RouteId) -> Self {
        let name = route.as_str().to_owned();
        let seconds = |lane: Lane| histogram!(DELIVERY_SECONDS, "route" => name.clone(), "lane" => lane.as_str());
        Self {
            route: route.clone(),
            accepted: counter!(ATTEMPTS, "route" => name.clone(), "answer" => "accepted"),
            delivery_seconds: ByLane::from_fn(seconds),
        }
    }

    /// Counts an answer; with the message's lane and the seconds since it was
    /// accepted, where that is told (an alert takes as long as it takes).
    pub(crate) fn answered(&self, answer: &Answer, waited: Option<(Lane, f64)>) {
        let (kind, reason) = match answer {
            Answer::Accepted => {
                self.accepted.increment(1);
                if let Some((lane, seconds)) = waited {
                    self.delivery_seconds[lane].record(seconds);
                }
                return;
            }
            Answer::RetryDelivery { reason, .. } => ("retry_delivery", *reason),
            Answer::ProviderFailed { reason, .. } => ("provider_failed", *reason),
            Answer::RetryRoute { reason, .. } => ("retry_route", *reason),
            Answer::RetryElsewhere { reason } => ("retry_elsewhere", *reason),
            Answer::Unknown { reason } => ("unknown", *reason),
            Answer::DropToken { reason, .. } => ("drop_token", *reason),
            Answer::Fail { reason, .. } => ("fail", *reason),
            Answer::Halt { reason } => ("halt", *reason),
        };
        let route = || self.route.as_str().to_owned();
        counter!(ATTEMPTS, "route" => route(), "answer" => kind).increment(1);
        counter!(REFUSALS, "route" => route(), "answer" => kind, "reason" => reason).increment(1);
    }
}

/// Handles of a partition's metrics.
#[derive(Clone)]
pub(crate) struct PartitionMetrics {
    pub(crate) activations: Counter,
    pub(crate) panics: Counter,
    pub(crate) step_effects: Histogram,
    pub(crate) erasures: Counter,
}

impl PartitionMetrics {
    pub(crate) fn new() -> Self {
        Self {
            activations: counter!(ACTIVATIONS),
            panics: counter!(PANICS),
            step_effects: histogram!(STEP_EFFECTS),
            erasures: counter!(ERASURES),
        }
    }
}

/// Handles of the live sessions' metrics.
#[derive(Clone)]
pub(crate) struct LiveMetrics {
    sessions: Gauge,
    opened: Counter,
    woken: Counter,
}

impl LiveMetrics {
    pub(crate) fn new() -> Self {
        Self {
            sessions: gauge!(LIVE_SESSIONS),
            opened: counter!(LIVE_OPENED),
            woken: counter!(LIVE_WOKEN),
        }
    }

    /// Shows how many sessions are open.
    pub(crate) fn open(&self, sessions: usize) {
        self.sessions.set(sessions as f64);
    }

    /// Counts sessions woken.
    pub(crate) fn woken(&self, sessions: usize) {
        self.woken.increment(sessions as u64);
    }

    /// Counts a session opened or refused.
    pub(crate) fn entered(&self, entered: &Result<LiveSession, LiveRefused>) {
        let reason = match entered {
            Ok(_) => return self.opened.increment(1),
            Err(LiveRefused::TooManyOfCitizen) => "too_many_of_citizen",
            Err(LiveRefused::TooMany) => "too_many",
            Err(LiveRefused::Unavailable) => "unavailable",
        };
        counter!(LIVE_REFUSED, "reason" => reason).increment(1);
    }
}

/// Counts a restart of the child called `name`.
pub(crate) fn restarted(name: &str) {
    counter!(RESTARTS, "actor" => name.to_owned()).increment(1);
}
