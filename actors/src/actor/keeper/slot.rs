//! What the keeper has of one partition.

use ractor::ActorCell;
use tokio::time::Instant;

/// A living partition.
pub(super) struct Hold {
    cell: ActorCell,
}

impl Hold {
    pub(super) const fn new(cell: ActorCell) -> Self {
        Self { cell }
    }

    /// Whether it is this actor.
    pub(super) fn is(&self, who: &ActorCell) -> bool {
        self.cell.get_id() == who.get_id()
    }

    /// Has it end after what it is doing now; the keeper hears of the end.
    pub(super) fn stop(&self) {
        self.cell.stop(None);
    }
}

/// See the module's text.
pub(super) enum Slot {
    /// Nothing; not to be opened before then.
    Free { not_before: Instant },
    /// It is being opened.
    Opening,
    /// It works.
    Held(Hold),
    /// It starts nothing new and is given back when it has nothing in hand;
    /// whether that came in time.
    Leaving { hold: Hold, whole: bool },
    /// Its lease is lost: it is about to end.
    Lost(Hold),
}

impl Default for Slot {
    fn default() -> Self {
        Self::free_at(Instant::now())
    }
}

impl Slot {
    pub(super) const fn free_at(not_before: Instant) -> Self {
        Self::Free { not_before }
    }

    /// Somebody says that it can be had.
    pub(super) fn retry_now(&mut self) {
        if let Self::Free { not_before } = self {
            *not_before = Instant::now();
        }
    }

    pub(super) const fn hold(&self) -> Option<&Hold> {
        match self {
            Self::Held(hold) | Self::Lost(hold) | Self::Leaving { hold, .. } => Some(hold),
            Self::Free { .. } | Self::Opening => None,
        }
    }
}
