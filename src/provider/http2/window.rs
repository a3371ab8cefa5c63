//! The stream window of one connection: how many requests may be open.
//!
//! Owns the slots. Their number follows the least of the peer's SETTINGS, our
//! own cap, and 1 until the connection is proven; it is 0 before SETTINGS and
//! after the end. Shrinking takes free slots at once and used ones as they
//! come back ("debt"), so a request in flight is never disturbed. Closing wakes
//! everybody who waits: what was not written can go elsewhere.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

struct Limits {
    /// The peer's SETTINGS_MAX_CONCURRENT_STREAMS; 0 before SETTINGS.
    peer: usize,
    proven: bool,
    closed: bool,
    /// Slots in the semaphore, free or used, less the debt.
    granted: usize,
    /// Slots to withdraw as they come back.
    debt: usize,
}

pub(super) struct Window {
    cap: usize,
    slots: Semaphore,
    limits: Mutex<Limits>,
    /// Copies for the usual request, which takes no lock.
    capacity: AtomicUsize,
    peer: AtomicUsize,
    proven: AtomicBool,
    closed: AtomicBool,
    in_debt: AtomicBool,
}

/// The window is closed: the request was not written.
#[derive(Debug)]
pub(super) struct Closed;

/// The right to one stream, given back on drop.
pub(super) struct Slot<'a> {
    window: &'a Window,
    permit: Option<SemaphorePermit<'a>>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.window.in_debt.load(Ordering::Acquire) {
            return;
        }
        let mut limits = self.window.lock();
        if limits.debt > 0
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            limits.debt -= 1;
            self.window.in_debt.store(limits.debt > 0, Ordering::Release);
        }
    }
}

impl Window {
    /// A window of no slots until SETTINGS arrive, of at most `cap` after.
    pub(super) fn new(cap: usize, first_alone: bool) -> Self {
        let limits = Limits { peer: 0, proven: !first_alone, closed: false, granted: 0, debt: 0 };
        Self {
            cap: cap.min(Semaphore::MAX_PERMITS),
            slots: Semaphore::new(0),
            limits: Mutex::new(limits),
            capacity: AtomicUsize::new(0),
            peer: AtomicUsize::new(0),
            proven: AtomicBool::new(!first_alone),
            closed: AtomicBool::new(false),
            in_debt: AtomicBool::new(false),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Acquire)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Acquire)
    }

    /// The peer allows `streams`.
    pub(super) fn set_peer(&self, streams: usize) {
        if self.peer.load(Ordering::Acquire) != streams {
            self.change(|limits| limits.peer = streams);
        }
    }

    /// A request was accepted: the first-alone rule is fulfilled.
    pub(super) fn prove(&self) {
        if !self.is_proven() {
            self.change(|limits| limits.proven = true);
        }
    }

    /// No further request.
    pub(super) fn close(&self) {
        if !self.is_closed() {
            self.change(|limits| limits.closed = true);
            self.slots.close();
        }
    }

    /// Waits for a slot; the caller sets the deadline.
    pub(super) async fn slot(&self) -> Result<Slot<'_>, Closed> {
        let permit = match self.slots.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.slots.acquire().await.map_err(|_| Closed)?,
        };
        Ok(Slot { window: self, permit: Some(permit) })
    }

    fn change(&self, change: impl FnOnce(&mut Limits)) {
        let mut limits = self.lock();
        change(&mut limits);
        let alone = if limits.proven { usize::MAX } else { 1 };
        let target = if limits.closed { 0 } else { limits.peer.min(self.cap).min(alone) };
        if target > limits.granted {
            let more = target - limits.granted;
            let forgiven = more.min(limits.debt);
            limits.debt -= forgiven;
            self.slots.add_permits(more - forgiven);
        } else {
            let fewer = limits.granted - target;
            limits.debt += fewer - self.slots.forget_permits(fewer);
        }
        limits.granted = target;
        self.in_debt.store(limits.debt > 0, Ordering::Release);
        self.peer.store(limits.peer, Ordering::Release);
        self.proven.store(limits.proven, Ordering::Release);
        self.closed.store(limits.closed, Ordering::Release);
        self.capacity.store(target, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn take(window: &Window) -> Option<Slot<'_>> {
        window.slot().now_or_never().map(Result::unwrap)
    }

    #[test]
    fn the_first_request_is_alone_until_accepted() {
        let window = Window::new(900, true);
        assert!(take(&window).is_none(), "nothing before SETTINGS");
        window.set_peer(1_000);
        assert_eq!(window.capacity(), 1);
        let first = take(&window).unwrap();
        assert!(take(&window).is_none());
        window.prove();
        drop(first);
        assert_eq!(window.capacity(), 900);
        let all: Vec<_> = (0..900).map(|_| take(&window).unwrap()).collect();
        assert!(take(&window).is_none());
        drop(all);
    }

    #[test]
    fn smaller_settings_take_used_slots_as_they_come_back() {
        let window = Window::new(900, false);
        window.set_peer(10);
        let mut used: Vec<_> = (0..8).map(|_| take(&window).unwrap()).collect();
        window.set_peer(3);
        assert_eq!(window.capacity(), 3);
        assert!(take(&window).is_none());
        used.truncate(3);
        assert!(take(&window).is_none(), "five came back and five were withdrawn");
        used.truncate(2);
        let third = take(&window).unwrap();
        assert!(take(&window).is_none());
        window.set_peer(4);
        assert!(take(&window).is_some());
        drop(third);
    }

    #[test]
    fn a_debt_is_forgiven_when_settings_grow_again() {
        let window = Window::new(900, false);
        window.set_peer(5);
        let used: Vec<_> = (0..5).map(|_| take(&window).unwrap()).collect();
        window.set_peer(1);
        window.set_peer(5);
        drop(used);
        let again: Vec<_> = (0..5).map(|_| take(&window).unwrap()).collect();
        assert!(take(&window).is_none());
        drop(again);
    }

    #[tokio::test]
    async fn closing_wakes_those_who_wait() {
        let window = Window::new(900, true);
        let (waiting, ()) = tokio::join!(window.slot(), async {
            tokio::task::yield_now().await;
            window.close();
        });
        assert!(waiting.is_err());
        assert_eq!(window.capacity(), 0);
        assert!(window.is_closed());
    }
}
