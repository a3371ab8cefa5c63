//! Live citizens: thousands of app sessions over Server-Sent Events in one process, and the verdict over what they got.
//!
//! Owns one task a session, in a `JoinSet` that ends with the crowd. A session is a socket, two small buffers and what it has
//! got; the server's fault or restart is its ordinary life. The verdict: each session has exactly the messages expected of
//! it, none missing, none twice.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use book::Arrival;
pub use inbox::read_inbox;
pub use limit::raise_open_files;

mod book;
mod inbox;
mod limit;
mod session;
mod sse;

use crate::client::{ClientError, authority};
use crate::simulator::books::lock;
use book::Book;
use session::Session;

/// Sessions opened at the same time.
const OPENERS: usize = 128;
/// Files beside the sessions' sockets.
const OTHER_FILES: u64 = 256;

/// Why there is no crowd.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The base URL is unusable.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The process may not have so many sockets.
    #[error("{0}")]
    Limit(String),
}

/// What the sessions share.
struct Shared {
    base: String,
    authority: String,
    tokens: Vec<String>,
    books: Vec<Mutex<Book>>,
    openers: Semaphore,
    changed: Notify,
}

impl Shared {
    fn tell(&self) {
        self.changed.notify_waiters();
    }
}

/// What all sessions got, against what they should have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LiveReport {
    /// Sessions.
    pub sessions: u64,
    /// Those that were told `ready` at least once.
    pub ready: u64,
    /// Those refused with 401 or 403, which ends them.
    pub ended: u64,
    /// Connections beyond the first of each session.
    pub reconnects: u64,
    /// Events `message`.
    pub events: u64,
    /// Events `status`.
    pub statuses: u64,
    /// Events `reset`.
    pub resets: u64,
    /// Times an inbox was read, after a reset or a lost place.
    pub lists: u64,
    /// Messages expected, over all sessions.
    pub expected: u64,
    /// Those that never came.
    pub missing: u64,
    /// Events that repeated a message.
    pub twice: u64,
    /// Messages that nobody expected.
    pub unexpected: u64,
    /// Events that could not be understood.
    pub faults: u64,
}

impl LiveReport {
    /// Whether each session has exactly its messages.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.missing == 0 && self.twice == 0 && self.unexpected == 0 && self.faults == 0
    }
}

/// A crowd of live citizens. Dropping it ends all sessions.
pub struct LiveCrowd {
    shared: Arc<Shared>,
    // Held for its drop: the sessions end with it.
    _sessions: JoinSet<()>,
}

impl LiveCrowd {
    /// Opens one session for each token at `base_url` (`http://host:port`), on the current tokio runtime.
    ///
    /// Raises this process's limit of open files as needed. A server started by this process inherits its limit: raise it
    /// before ([`raise_open_files`]). A session sees what is published from its first `ready` on; wait for [`LiveCrowd::wait_ready`] before sending.
    ///
    /// # Errors
    /// [`LiveError`]: the URL is unusable, or the system does not allow so many sockets.
    pub fn start(base_url: &str, tokens: Vec<String>) -> Result<Self, LiveError> {
        let authority = authority(base_url)?.to_owned();
        raise_open_files(tokens.len() as u64 + OTHER_FILES).map_err(LiveError::Limit)?;
        let shared = Arc::new(Shared {
            base: base_url.to_owned(),
            authority,
            books: tokens.iter().map(|_| Mutex::default()).collect(),
            tokens,
            openers: Semaphore::new(OPENERS),
            changed: Notify::new(),
        });
        let mut sessions = JoinSet::new();
        for index in 0..shared.tokens.len() {
            let shared = Arc::clone(&shared);
            sessions.spawn(Session { shared, index, place: None, behind: false }.run());
        }
        Ok(Self { shared, _sessions: sessions })
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.books.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds messages (ULIDs as numbers) that session `index` must have, in the order of the tokens. An index without a
    /// session changes nothing.
    pub fn expect(&self, index: usize, messages: impl IntoIterator<Item = u128>) {
        if let Some(book) = self.shared.books.get(index) {
            lock(book).expected.extend(messages);
        }
    }

    /// Waits until every session was told `ready`; false when the time is over first.
    pub async fn wait_ready(&self, limit: Duration) -> bool {
        self.wait(limit, |book| book.ready).await
    }

    /// Waits until no session misses anything; false when the time is over first. Beyond it, a message that comes twice
    /// may still come: [`LiveCrowd::report`] after a pause is the verdict.
    pub async fn wait_complete(&self, limit: Duration) -> bool {
        self.wait(limit, Book::is_complete).await
    }

    async fn wait(&self, limit: Duration, holds: impl Fn(&Book) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        // Sessions that hold once go on holding, so each is asked until it does.
        let mut next = 0;
        loop {
            while let Some(book) = self.shared.books.get(next) {
                if !holds(&lock(book)) {
                    break;
                }
                next += 1;
            }
            if next == self.shared.books.len() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            let changed = self.shared.changed.notified();
            // A change between look and wait is caught by the next tick.
            let _ = tokio::time::timeout(Duration::from_millis(10), changed).await;
        }
    }

    /// What session `index` got as events, in their order.
    #[must_use]
    pub fn arrivals(&self, index: usize) -> Vec<Arrival> {
        self.shared.books.get(index).map(|book| lock(book).events.clone()).unwrap_or_default()
    }

    /// Events `message` so far, over all sessions.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.shared.books.iter().map(|book| lock(book).events.len() as u64).sum()
    }

    /// The verdict so far.
    #[must_use]
    pub fn report(&self) -> LiveReport {
        let mut report =
            LiveReport { sessions: self.shared.books.len() as u64, ..LiveReport::default() };
        for book in &self.shared.books {
            let book = lock(book);
            let verdict = book.verdict();
            report.ready += u64::from(book.ready);
            report.ended += u64::from(book.ended);
            report.reconnects += book.connects.saturating_sub(1);
            report.events += book.events.len() as u64;
            report.statuses += book.statuses;
            report.resets += book.resets;
            report.lists += book.lists;
            report.expected += book.expected.len() as u64;
            report.missing += verdict.missing;
            report.twice += verdict.twice;
            report.unexpected += verdict.unexpected;
            report.faults += book.faults;
        }
        report
    }
}
