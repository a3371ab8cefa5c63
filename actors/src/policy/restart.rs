//! Restart intensity, as OTP supervisors have it: a child that keeps failing
//! is not restarted for ever, the failure goes up.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::time::Millis;

/// How many restarts within how long are taken for bad luck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts allowed.
    pub restarts: usize,
    /// Within this time.
    pub within: Duration,
}

/// The restarts of one supervisor's children.
#[derive(Clone, Debug)]
pub struct RestartWindow {
    intensity: Intensity,
    recent: VecDeque<Millis>,
}

impl RestartWindow {
    /// A window with no restarts.
    #[must_use]
    pub const fn new(intensity: Intensity) -> Self {
        Self { intensity, recent: VecDeque::new() }
    }

    /// Records a failure at `now`; returns whether the child may be
    /// restarted.
    pub fn permits(&mut self, now: Millis) -> bool {
        while self.recent.front().is_some_and(|&at| now.since(at) >= self.intensity.within) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() <= self.intensity.restarts
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Intensity, Millis, RestartWindow};

    #[test]
    fn gives_up_on_too_many_restarts_within_the_window_only() {
        let intensity = Intensity { restarts: 2, within: Duration::from_secs(10) };
        let mut window = RestartWindow::new(intensity);
        assert!(window.permits(Millis(0)));
        assert!(window.permits(Millis(5_000)));
        assert!(!window.permits(Millis(9_999)));
        let mut window = RestartWindow::new(intensity);
        assert!((0..100).all(|n| window.permits(Millis(n * 5_000))));
    }
}
