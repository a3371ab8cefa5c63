//! A citizen's requests about all data held of them (GDPR articles 15, 17 and
//! 20; IO `UserDataProcessing`).

use serde::{Deserialize, Serialize};

use super::time::Millis;

/// What is asked for (IO `UserDataProcessingChoice`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DataChoice {
    /// A copy of everything.
    Download,
    /// That everything be removed.
    Delete,
}

/// Where a request stands (IO `UserDataProcessingStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DataRequestStatus {
    /// Waits for its time; can be taken back.
    Pending,
    /// Being carried out.
    Wip,
    /// Done.
    Closed,
    /// Could not be carried out.
    Failed,
    /// Taken back by the citizen.
    Aborted,
}

/// One request, as stored with its citizen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRequest {
    /// Where it stands.
    pub status: DataRequestStatus,
    /// When it was made.
    pub created_at: Millis,
    /// Last change.
    pub updated_at: Millis,
    /// Raised by one on each change.
    pub version: u32,
    /// When it is carried out.
    pub due: Millis,
}

/// What is kept of a citizen who was erased: that it happened, and when
/// (GDPR article 5(2), accountability). Names nobody: `subject` is a keyed
/// hash of the fiscal code, which only proves an answer to whoever already
/// knows the code and holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Keyed hash of the fiscal code.
    pub subject: [u8; 32],
    /// When the citizen asked.
    pub requested_at: Millis,
    /// When it was done.
    pub erased_at: Millis,
    /// Messages removed.
    pub messages: u64,
}
