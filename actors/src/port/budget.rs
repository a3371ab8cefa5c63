//! Budgets: how many attempts of a route may start, of all nodes together.
//!
//! What an account at a provider allows is one number for the whole fleet
//! (FCM counts messages a project and minute), so each node draws its part of
//! it, a tenth of a second's worth at a time, and spends what it drew.

use async_trait::async_trait;

use crate::domain::id::RouteId;
use crate::policy::rate::Rate;
use crate::port::store::StoreError;

pub use crate::policy::rate::Grant;

/// The budgets of all routes.
#[async_trait]
pub trait Budget: Send + Sync + 'static {
    /// Takes up to `want` attempts out of the budget of `route`, which earns
    /// `rate`. What was taken and is not used is lost; so is what was taken by
    /// a call whose answer did not arrive.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`]: nothing may
    /// start; to be asked again.
    async fn draw(&self, route: &RouteId, rate: Rate, want: u32) -> Result<Grant, StoreError>;
}
