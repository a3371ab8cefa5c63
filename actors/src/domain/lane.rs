//! Priority classes.

use serde::{Deserialize, Serialize};

/// Priority class of a delivery, the most urgent first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Danger to life; overtakes everything.
    Emergency,
    /// Time-critical, such as one-time codes and cancelled appointments.
    Urgent,
    /// Ordinary personal messages.
    #[default]
    Normal,
    /// Mass communications that can wait.
    Bulk,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Emergency, Self::Urgent, Self::Normal, Self::Bulk];

    /// Its name in metrics, the same as on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }

    /// Index into arrays that hold one item per lane.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
