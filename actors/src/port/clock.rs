//! Time, only ever through this handle.

use crate::domain::time::Millis;

/// The wall clock. Timers inside the engine use tokio's clock, which tests
/// pause; this one names instants that are stored.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Millis;
}
