//! What senders and operators share of alerts: how one is shown, listed and
//! changed. Who may do which is decided by `sender::alert` and
//! `operator::alert`.

mod change;
mod page;
mod view;

use araldo_actors::domain::alert::AlertRecord;
use araldo_actors::domain::id::MessageId;

use super::app::App;
use super::problem::Problem;

pub use change::Change;
pub use page::{AlertsPage, AlertsQuery};
pub use view::AlertView;

/// The alert called `id`; none, too, when that is no identifier.
///
/// # Errors
/// When the store does not answer.
pub async fn find(app: &App, id: &str) -> Result<Option<AlertRecord>, Problem> {
    match MessageId::parse(id) {
        Ok(id) => app.read(app.engine().alert(id)).await,
        Err(_) => Ok(None),
    }
}
