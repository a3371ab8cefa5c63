//! The gate: no attempt starts while this process may have missed what another
//! one told it.
//!
//! Its own voice, sent the way everybody else's goes, comes back behind all that
//! was told before. Once it came back, the gate is open until [`FRESH`] after it
//! was sent. So what another node told before it answered (a preference, a
//! cancelled alert) holds here at most that much later, whatever the network
//! does: either it was heard, or nothing starts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a change told by another node may be unknown here (promise 3).
pub const FRESH: Duration = Duration::from_secs(1);

const OPEN: u64 = u64::MAX;

/// See the module's text.
#[derive(Debug)]
pub struct Gate {
    base: Instant,
    /// Open until then, in milliseconds after `base`.
    until: AtomicU64,
    opened: Notify,
}

impl Gate {
    /// A gate that is always open: there is nobody else.
    pub fn open() -> Self {
        Self { base: Instant::now(), until: AtomicU64::new(OPEN), opened: Notify::new() }
    }

    /// A gate that nothing was heard at yet.
    pub fn closed() -> Self {
        Self { base: Instant::now(), until: AtomicU64::new(0), opened: Notify::new() }
    }

    /// Everything told before `sent` has been taken up.
    pub fn heard(&self, sent: Instant) {
        let until = (sent + FRESH).saturating_duration_since(self.base).as_millis();
        self.until.fetch_max(u64::try_from(until).unwrap_or(OPEN - 1), Ordering::AcqRel);
        self.opened.notify_waiters();
    }

    /// Something may have been missed: shut until the next echo.
    pub fn shut(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether an attempt may start now.
    pub fn is_open(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            OPEN => true,
            until => self.base.elapsed().as_millis() < u128::from(until),
        }
    }

    /// Waits until an attempt may start.
    pub async fn pass(&self) {
        while !self.is_open() {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            // Noted before the second look, so that no opening is missed.
            opened.as_mut().enable();
            if self.is_open() {
                return;
            }
            opened.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{Duration, FRESH, Gate, Instant};

    #[tokio::test(start_paused = true)]
    async fn the_gate_is_open_for_a_second_after_the_echo_was_sent() {
        let gate = Gate::closed();
        assert!(gate.pass().now_or_never().is_none());
        let sent = Instant::now();
        tokio::time::advance(Duration::from_millis(300)).await;
        gate.heard(sent);
        assert!(gate.pass().now_or_never().is_some());
        tokio::time::advance(FRESH - Duration::from_millis(301)).await;
        assert!(gate.is_open());
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(!gate.is_open());
        gate.heard(Instant::now());
        assert!(gate.is_open());
        gate.shut();
        assert!(!gate.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_at_the_gate_goes_on_when_it_opens() {
        let gate = std::sync::Arc::new(Gate::closed());
        let waiting = tokio::spawn({
            let gate = std::sync::Arc::clone(&gate);
            async move { gate.pass().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        gate.heard(Instant::now());
        waiting.await.expect("it passes");
    }

    #[tokio::test(start_paused = true)]
    async fn alone_nobody_waits() {
        let gate = Gate::open();
        tokio::time::advance(Duration::from_hours(1_000)).await;
        gate.heard(Instant::now());
        assert!(gate.pass().now_or_never().is_some());
    }
}
