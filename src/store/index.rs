//! What is found by something other than the citizen: who validated an
//! address, and whose request to be deleted is due.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::{DataChoice, DataRequestStatus};
use araldo_actors::domain::id::AddressId;
use araldo_actors::domain::time::Millis;

/// What the indexes hold of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexed {
    /// Its address, if validated.
    pub(super) address: Option<AddressId>,
    /// When its pending request to be deleted is due.
    pub(super) deletion: Option<Millis>,
}

impl Indexed {
    pub(super) fn of(citizen: &Citizen) -> Self {
        Self::with(citizen, citizen.address())
    }

    /// The same, `address` being that of the citizen.
    pub(super) fn with(citizen: &Citizen, address: Option<AddressId>) -> Self {
        let request = citizen.data_requests.get(&DataChoice::Delete);
        let pending = request.filter(|request| request.status == DataRequestStatus::Pending);
        Self {
            address: address.filter(|_| citizen.email_validated),
            deletion: pending.map(|request| request.due),
        }
    }
}
