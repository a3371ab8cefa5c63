//! The budgets of a process that shares its routes with nobody.
//!
//! Owns one bucket for each route that has a rate. After a crash they are full
//! again: a restart gives at most a tenth of a second's worth more.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::id::RouteId;
use crate::policy::rate::{Bucket, Rate};
use crate::port::budget::{Budget, Grant};
use crate::port::clock::Clock;
use crate::port::store::StoreError;

/// See the module's text.
pub struct LocalBudget {
    clock: Arc<dyn Clock>,
    /// As many as there are routes with a rate.
    buckets: Mutex<BTreeMap<RouteId, Bucket>>,
}

impl LocalBudget {
    /// Full budgets.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, buckets: Mutex::default() }
    }
}

#[async_trait]
impl Budget for LocalBudget {
    async fn draw(&self, route: &RouteId, rate: Rate, want: u32) -> Result<Grant, StoreError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at under the lock: no bucket sees time go back.
        let now = self.clock.now();
        if let Some(bucket) = buckets.get_mut(route) {
            return Ok(bucket.take(now, want));
        }
        let bucket = buckets.entry(route.clone()).or_insert_with(|| Bucket::new(rate, now));
        Ok(bucket.take(now, want))
    }
}
