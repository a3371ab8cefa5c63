//! The budgets of all nodes: buckets in Redis, by its clock.

use std::time::Duration;

use araldo_actors::domain::id::RouteId;
use araldo_actors::policy::rate::Rate;
use araldo_actors::port::budget::{Budget, Grant};
use araldo_actors::port::store::StoreError;
use async_trait::async_trait;

use super::RedisStore;

#[async_trait]
impl Budget for RedisStore {
    async fn draw(&self, route: &RouteId, rate: Rate, want: u32) -> Result<Grant, StoreError> {
        let name = format!("route.{route}");
        let (attempts, portion) = (rate.attempts(), rate.portion());
        let (granted, next) = Self::draw(self, &name, attempts, portion, want).await?;
        Ok(Grant { granted, again: rate.patience(want, granted, earned(rate, next)) })
    }
}

/// Thousandths of an attempt that are there when the next whole one is `next`
/// away.
fn earned(rate: Rate, next: Duration) -> u64 {
    let coming = next.as_micros() * u128::from(rate.attempts()) / 1_000;
    1_000_u64.saturating_sub(u64::try_from(coming).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Duration, Rate, earned};

    #[test]
    fn what_is_earned_follows_from_when_the_next_comes() {
        let rate = Rate::per_second(10).unwrap();
        for (next_ms, thousandths) in [(100, 0), (25, 750), (0, 1_000), (10_000, 0)] {
            assert_eq!(earned(rate, Duration::from_millis(next_ms)), thousandths);
        }
    }
}
