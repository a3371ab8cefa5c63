//! Lists of alerts, the newest first, in pages of bounded work: of records
//! looked through, of those in memory at one time, and of areas shown.

use araldo_actors::domain::alert::{AlertRecord, Audience};
use araldo_actors::domain::id::MessageId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::AlertView;
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::sender::new_alert::MOST_AREAS;

/// Items in a page when nothing is said.
const USUAL: usize = 20;
/// Most items in a page.
const MOST: usize = 100;
/// Records read at a time. One may have 600 kB of texts.
const CHUNK: usize = 20;
/// Records looked through for one page.
const LOOKED_THROUGH: usize = 500;
/// Areas shown in one page: where this is passed, the page ends.
const AREAS: usize = 2 * MOST_AREAS;

/// Which part of the list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlertsQuery {
    /// Most items to answer, 1 to 100; 20 when absent.
    limit: Option<usize>,
    /// Go on after the alert with this id: `next` of the page before.
    before: Option<String>,
}

/// A part of a list of alerts.
#[derive(Serialize, ToSchema)]
pub struct AlertsPage {
    /// The alerts, the newest first, without their progress. There may be
    /// fewer than asked for on any page.
    items: Vec<AlertView>,
    /// Pass it as `before` to go on; null on the last page.
    #[schema(value_type = Option<String>, example = "01BX9NSMKVXXS5PSP2FATZMYYY")]
    next: Option<String>,
}

impl AlertsQuery {
    /// The wanted part of the alerts that `show` takes.
    ///
    /// # Errors
    /// 400 when the query is not as described, 503 when the store does not
    /// answer.
    pub async fn read(
        &self,
        app: &App,
        show: impl Fn(&AlertRecord) -> bool,
    ) -> Result<AlertsPage, Problem> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::field("limit", format!("must be 1 to {MOST}")));
        }
        let before = self.before.as_deref().map(MessageId::parse).transpose();
        let before = before.map_err(|_| {
            Problem::field("before", "must be the id of an alert, such as the last page's next")
        })?;
        let _turn = app.look().await?;
        let mut page = Filling { limit, before, looked_through: 0, areas: 0, items: Vec::new() };
        loop {
            let records = app.read(app.engine().alerts(page.before, CHUNK)).await?;
            let is_last = records.len() < CHUNK;
            let is_full = records.iter().any(|record| !page.take(record, &show));
            if is_full || is_last {
                return Ok(page.end(is_full));
            }
        }
    }
}

/// A page being filled.
struct Filling {
    limit: usize,
    /// The last record that was looked at.
    before: Option<MessageId>,
    looked_through: usize,
    areas: usize,
    items: Vec<AlertView>,
}

impl Filling {
    /// Takes a record; false when the page has no room for it.
    fn take(&mut self, record: &AlertRecord, show: impl Fn(&AlertRecord) -> bool) -> bool {
        let is_full = self.items.len() >= self.limit
            || self.looked_through >= LOOKED_THROUGH
            || self.areas >= AREAS;
        if is_full {
            return false;
        }
        self.looked_through += 1;
        self.before = Some(record.alert.id);
        if show(record) {
            self.items.push(AlertView::short(record));
            if let Audience::Areas(areas) = &record.alert.audience {
                self.areas += areas.len();
            }
        }
        true
    }

    fn end(self, goes_on: bool) -> AlertsPage {
        let next = self.before.filter(|_| goes_on).map(|id| id.to_string());
        AlertsPage { items: self.items, next }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use araldo_actors::domain::alert::{Alert, AlertRecord, AlertStatus, Audience};
    use araldo_actors::domain::area::Area;
    use araldo_actors::domain::citizen::Language;
    use araldo_actors::domain::id::{MessageId, ServiceId};
    use araldo_actors::domain::lane::Lane;
    use araldo_actors::domain::time::Millis;

    use super::{Filling, LOOKED_THROUGH, MOST, MOST_AREAS};

    fn record(areas: usize) -> AlertRecord {
        AlertRecord {
            alert: Alert {
                id: MessageId::new(Millis(1), 1),
                service: ServiceId::parse("s").expect("a service id"),
                accepted_at: Millis(1),
                expires_at: Millis(2),
                lane: Lane::Bulk,
                texts: BTreeMap::new(),
                fallback: Language::Italian,
                audience: match areas {
                    0 => Audience::Everyone,
                    count => Audience::Areas(vec![Area::Region(3); count]),
                },
                require_secure_channels: None,
            },
            status: AlertStatus::Running,
            updated_at: Millis(1),
            ends: vec![],
            cancelling_since: None,
        }
    }

    fn empty() -> Filling {
        Filling { limit: MOST, before: None, looked_through: 0, areas: 0, items: vec![] }
    }

    #[test]
    fn a_page_ends_when_it_has_looked_through_enough() {
        let mut page = empty();
        let other = record(0);
        let taken = (0..1_000).take_while(|_| page.take(&other, |_| false)).count();
        assert_eq!(taken, LOOKED_THROUGH);
        let page = page.end(true);
        assert_eq!((page.items.len(), page.next), (0, Some(other.alert.id.to_string())));
    }

    #[test]
    fn a_page_ends_when_it_shows_enough_areas() {
        let mut page = empty();
        let long = record(MOST_AREAS);
        let taken = (0..1_000).take_while(|_| page.take(&long, |_| true)).count();
        assert_eq!(taken, 2);
        let mut page = empty();
        let short = record(0);
        let taken = (0..1_000).take_while(|_| page.take(&short, |_| true)).count();
        assert_eq!(taken, MOST);
    }
}
