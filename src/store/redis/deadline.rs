//! One deadline for all questions of an operation: who waits for an answer is
//! told within [`RedisOptions::answered_within`] whatever it takes, not after
//! that time for each question.
//!
//! It belongs to the task that carries the operation out, so it reaches every
//! question without being handed through. What works on many rows and has nobody
//! waiting for it (takeovers, steps, erasures, lists of many records) has none:
//! there each question has the time for itself.
//!
//! [`RedisOptions::answered_within`]: super::RedisOptions::answered_within

use tokio::time::Instant;

use super::RedisStore;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// When the operation under way must be over, if there is such a time.
pub(super) fn of_operation() -> Option<Instant> {
    DEADLINE.try_with(|at| *at).ok()
}

impl RedisStore {
    /// Carries an operation out, all its questions within one deadline.
    pub(super) async fn in_time<T>(&self, operation: impl Future<Output = T>) -> T {
        let at = Instant::now() + self.link.patience();
        DEADLINE.scope(of_operation().map_or(at, |set| set.min(at)), operation).await
    }
}
