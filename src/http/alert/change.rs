//! Pause, resume, cancel.

use araldo_actors::domain::alert::AlertStatus;
use araldo_actors::domain::id::MessageId;
use araldo_actors::engine::AlertError;

use super::view::AlertView;
use crate::http::app::App;
use crate::http::problem::{Kind, Problem};

/// A change of an alert's status.
#[derive(Clone, Copy)]
pub enum Change {
    /// Stop for now.
    Pause,
    /// Go on.
    Resume,
    /// Stop for good.
    Cancel,
}

impl Change {
    /// Makes the change, and shows the alert after it. A caller who gives up
    /// in between finds it made or not, never half.
    ///
    /// # Errors
    /// 409 when the alert's status does not allow it, 503 `unconfirmed` when
    /// it is not known in time.
    pub async fn make(self, app: &App, id: MessageId) -> Result<AlertView, Problem> {
        let engine = app.engine();
        let changed = match self {
            Self::Pause => app.within_write(engine.pause_alert(id)).await?,
            Self::Resume => app.within_write(engine.resume_alert(id)).await?,
            Self::Cancel => app.within_write(engine.cancel_alert(id)).await?,
        };
        let record = changed.map_err(|error| self.refused(app, &error))?;
        AlertView::read(app, &record).await
    }

    fn refused(self, app: &App, error: &AlertError) -> Problem {
        match error {
            AlertError::Unknown => Problem::not_found("there is no such alert"),
            AlertError::Refused(status) => {
                let detail = format!("the alert {}: {}", now(*status), self.rule());
                Problem::new(Kind::AlertStatus, detail)
            }
            AlertError::Store(error) => {
                app.warn_of_store(error);
                Problem::of_store(error)
            }
        }
    }

    const fn rule(self) -> &'static str {
        match self {
            Self::Pause => "only a running one can be paused",
            Self::Resume => "only a paused one can be resumed",
            Self::Cancel => "only a running or paused one can be cancelled",
        }
    }
}

const fn now(status: AlertStatus) -> &'static str {
    match status {
        AlertStatus::Running => "is running",
        AlertStatus::Paused => "is paused",
        AlertStatus::Completed => "is completed",
        AlertStatus::Cancelled => "is cancelled",
        AlertStatus::Expired => "has expired",
    }
}
