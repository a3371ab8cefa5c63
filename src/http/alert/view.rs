//! An alert as senders and operators see it: where it stands, and how far it
//! is.
//!
//! Texts are not shown, but for one subject to know it by: the sender has
//! them, and a list of a hundred alerts stays short.

use araldo_actors::board::RouteView;
use araldo_actors::domain::alert::{AlertRecord, AlertStatus, Walk};
use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::id::RouteId;
use araldo_actors::domain::lane::Lane;
use araldo_actors::port::alert_store::{AlertProgress, WalkTotals};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::sender::new_alert::{AudienceIn, AudienceOut};
use crate::http::validate::iso;

/// An alert.
#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
pub struct AlertView {
    /// A ULID.
    #[schema(example = "01BX9NSMKVXXS5PSP2FATZMYYY")]
    id: String,
    /// Who sent it.
    service_id: String,
    /// running, paused, completed, cancelled or expired.
    #[schema(value_type = String)]
    status: AlertStatus,
    /// emergency, urgent, normal or bulk.
    #[schema(value_type = String)]
    lane: Lane,
    accepted_at: String,
    /// Last change of the status.
    updated_at: String,
    /// No attempt starts at or after this instant.
    expires_at: String,
    /// The languages there are texts in.
    #[schema(value_type = Vec<String>, example = json!(["it_IT"]))]
    languages: Vec<Language>,
    /// The language of who prefers none of these.
    #[schema(value_type = String)]
    fallback_language: Language,
    /// Whom it is for.
    #[schema(value_type = AudienceIn)]
    audience: AudienceOut,
    /// The subject in the fallback language.
    subject: String,
    /// How far it is; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

/// How far an alert is.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertProgress)]
struct Progress {
    /// Citizens the inbox walk has visited.
    citizens: u64,
    /// Citizens to visit: those registered when the alert was accepted.
    of: u64,
    /// Visited citizens who belong to the audience.
    recipients: u64,
    /// The inbox walk, and one for each route; of an alert that ended, for each
    /// that was walked.
    walks: Vec<WalkOut>,
}

/// One walk through the citizens.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertWalk)]
struct WalkOut {
    /// inbox, or the name of the route.
    walk: String,
    /// in_app, push or email; absent when the route is not configured any
    /// more.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    /// Citizens visited.
    visited: u64,
    /// Citizens to visit.
    end: u64,
    /// Accepted by the provider or stored in the inbox.
    delivered: u64,
    failed: u64,
    /// Too late.
    expired: u64,
    /// Stopped by somebody.
    cancelled: u64,
    /// Not attempted, by choice.
    suppressed: u64,
    /// Planned and without an outcome: waiting for another try.
    pending: u64,
    /// Attempts repeated.
    retried: u64,
}

impl AlertView {
    /// Shows an alert without its progress.
    pub fn short(record: &AlertRecord) -> Self {
        let alert = &record.alert;
        let subject = alert.texts.get(&alert.fallback).map(|text| text.subject.clone());
        Self {
            id: alert.id.to_string(),
            service_id: alert.service.to_string(),
            status: record.status,
            lane: alert.lane,
            accepted_at: iso(alert.accepted_at),
            updated_at: iso(record.updated_at),
            expires_at: iso(alert.expires_at),
            languages: alert.texts.keys().copied().collect(),
            fallback_language: alert.fallback,
            audience: AudienceOut::from(&alert.audience),
            subject: subject.unwrap_or_default(),
            progress: None,
        }
    }

    /// Shows an alert that is as far as `progress` says.
    pub fn with_progress(app: &App, record: &AlertRecord, progress: AlertProgress) -> Self {
        let routes = app.engine().board().routes();
        let progress = Progress::new(record, progress, &routes);
        Self { progress: Some(progress), ..Self::short(record) }
    }

    /// Shows an alert with its progress as it is now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn read(app: &App, record: &AlertRecord) -> Result<Self, Problem> {
        let progress = app.read(app.engine().alert_progress(record.alert.id)).await?;
        Ok(Self::with_progress(app, record, progress))
    }
}

impl Progress {
    fn new(record: &AlertRecord, progress: AlertProgress, routes: &[RouteView]) -> Self {
        let of = record.ends.iter().copied().map(u64::from).sum();
        let mut stored = progress.walks;
        let begun = |walk| (walk, WalkTotals { end: of, ..WalkTotals::default() });
        // A walk that has not stored a step yet is one that has come nowhere. One
        // that did not by the end was none: its route is newer than the alert.
        let ahead = routes.iter().filter(|_| !record.status.is_final());
        let ahead = ahead.map(|route| Walk::Route(route.id.clone()));
        for walk in std::iter::once(Walk::Inbox).chain(ahead) {
            if !stored.iter().any(|(one, _)| *one == walk) {
                stored.push(begun(walk));
            }
        }
        stored.sort_by(|(one, _), (other, _)| one.cmp(other));
        let inbox = stored.iter().find(|(walk, _)| *walk == Walk::Inbox).map(|(_, totals)| *totals);
        let inbox = inbox.unwrap_or_default();
        let walks = stored.iter().map(|(walk, totals)| WalkOut::new(walk, totals, routes));
        Self { citizens: inbox.visited, of, recipients: inbox.recipients, walks: walks.collect() }
    }
}

impl WalkOut {
    fn new(walk: &Walk, totals: &WalkTotals, routes: &[RouteView]) -> Self {
        let (name, channel) = match walk {
            Walk::Inbox => ("inbox".to_owned(), Some(Channel::InApp)),
            Walk::Route(route) => (route.to_string(), channel(route, routes)),
        };
        let deliveries = &totals.deliveries;
        Self {
            walk: name,
            channel: channel.map(Channel::as_str),
            visited: totals.visited,
            end: totals.end,
            delivered: deliveries.delivered,
            failed: deliveries.failed,
            expired: deliveries.expired,
            cancelled: deliveries.cancelled,
            suppressed: deliveries.suppressed,
            pending: deliveries.open(),
            retried: deliveries.retried,
        }
    }
}

/// What `route` carries, if it is configured.
fn channel(route: &RouteId, routes: &[RouteView]) -> Option<Channel> {
    let view = routes.iter().find(|view| view.id == *route)?;
    Some(if view.kind == "smtp" { Channel::Email } else { Channel::Push })
}
