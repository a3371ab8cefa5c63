//! The post office: mails that confirm a citizen's address.
//!
//! Owns a bounded queue and one worker that sends what is in it over the
//! first configured relay, with a few retries within minutes. Deliberately
//! not durable: the citizen sits before the page and waits for this mail,
//! nothing but that wait depends on it, and who does not get it asks again,
//! as the contract provides (`email-validation-process`). A mail an hour
//! late, after a restart, would only confuse. So it has none of what
//! deliveries have: no journal, no outcome, no place in the books.
//!
//! Invariants: never more than [`ROOM`] mails, waiting for a retry or not; a
//! mail that makes the worker panic is counted and dropped, and the worker
//! goes on; no address in a log or metric. On a crash or at the end, what is
//! queued is gone.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::clock::Clock;
use araldo_actors::port::provider::Answer;
use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::provider::smtp::{Mail, SmtpConnector, SmtpLink};
use crate::system::SystemClock;
use crate::telemetry::metric;

/// Mails in the office at one time: what a relay takes within a minute or so.
pub const ROOM: usize = 1_000;
/// Between the attempts of a mail: nobody waits at a page for longer.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// For one attempt, session included.
const ATTEMPT: Duration = Duration::from_secs(60);
/// A session without work is closed after this long.
const IDLE: Duration = Duration::from_secs(20);

/// Why a mail was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Too many are waiting; nothing was kept.
    #[error("too many mails are waiting")]
    Full,
    /// No relay is configured.
    #[error("no route of kind \"smtp\" is configured")]
    NoRoute,
}

/// Hands mails in; cheap to clone.
#[derive(Clone)]
pub struct Post(Option<Counter>);

#[derive(Clone)]
struct Counter {
    queue: mpsc::Sender<Letter>,
    room: Arc<Semaphore>,
}

/// A mail in the office.
struct Letter {
    to: String,
    language: Language,
    link: String,
    at: Millis,
    /// Its place among [`ROOM`].
    place: OwnedSemaphorePermit,
}

impl Post {
    /// A post office that has no relay: refuses everything.
    #[must_use]
    pub const fn closed() -> Self {
        Self(None)
    }

    /// Asks for the mail that makes `link` reach whoever reads `to`. `Ok`
    /// means that it will be tried, not that it arrives.
    ///
    /// # Errors
    /// [`PostError`]; the caller tells the citizen to ask again later.
    pub fn try_send(&self, to: &str, language: Language, link: String) -> Result<(), PostError> {
        let refused = |error: PostError| {
            metric::validation_mail(if error == PostError::Full { "full" } else { "no_route" });
            error
        };
        let counter = self.0.as_ref().ok_or(PostError::NoRoute).map_err(refused)?;
        let place =
            Arc::clone(&counter.room).try_acquire_owned().map_err(|_| refused(PostError::Full))?;
        let at = SystemClock.now();
        let letter = Letter { to: to.to_owned(), language, link, at, place };
        // As many places as in the queue: it fails only when the office is closed.
        counter.queue.try_send(letter).map_err(|_| refused(PostError::Full))
    }
}

/// The running office; dropped without [`Office::close`], it ends at once.
pub struct Office {
    stop: Option<oneshot::Sender<()>>,
    worker: Option<JoinHandle<()>>,
}

/// Opens the office over `relay`; without one it refuses everything.
#[must_use]
pub fn open(relay: Option<SmtpConnector>) -> (Post, Office) {
    let Some(relay) = relay else {
        return (Post::closed(), Office { stop: None, worker: None });
    };
    let (queue, letters) = mpsc::channel(ROOM);
    let (stop, stopped) = oneshot::channel();
    let worker = Worker { relay, link: None, letters, waiting: BTreeMap::new(), count: 0 };
    let office = Office { stop: Some(stop), worker: Some(tokio::spawn(worker.run(stopped))) };
    (Post(Some(Counter { queue, room: Arc::new(Semaphore::new(ROOM)) })), office)
}

impl Office {
    /// Ends the worker; what is queued is dropped and counted.
    pub async fn close(mut self) {
        drop(self.stop.take());
        if let Some(worker) = self.worker.take() {
            // Ends as soon as it hears of it; a panic was reported where it was.
            let _ = worker.await;
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(worker) = &self.worker {
            worker.abort();
        }
    }
}

/// A letter that is tried again later.
struct Waiting {
    mail: Mail,
    attempts: usize,
    _place: OwnedSemaphorePermit,
}

struct Worker {
    relay: SmtpConnector,
    link: Option<SmtpLink>,
    letters: mpsc::Receiver<Letter>,
    /// By when they are due; the number tells apart what is due together.
    waiting: BTreeMap<(Instant, u64), Waiting>,
    count: u64,
}

impl Worker {
    async fn run(mut self, stopped: oneshot::Receiver<()>) {
        tokio::select! {
            () = self.work() => {}
            _ = stopped => {}
        }
        self.letters.close();
        let mut left = self.waiting.len();
        while self.letters.try_recv().is_ok() {
            left += 1;
        }
        if left > 0 {
            tracing::warn!(left, "validation mails dropped at the end; citizens can ask again");
        }
    }

    /// Until nobody can hand in any more.
    async fn work(&mut self) {
        loop {
            let due = self.waiting.first_key_value().map(|((due, _), _)| *due);
            let again = sleep_until(due.unwrap_or_else(Instant::now));
            tokio::select! {
                letter = self.letters.recv() => match letter {
                    Some(letter) => self.take(letter).await,
                    None => return,
                },
                () = again, if due.is_some() => {
                    if let Some((_, waiting)) = self.waiting.pop_first() {
                        self.attempt(waiting).await;
                    }
                }
                () = sleep(IDLE), if self.link.is_some() => self.link = None,
            }
        }
    }

    async fn take(&mut self, letter: Letter) {
        let written = self.relay.validation(&letter.to, letter.language, &letter.link, letter.at);
        match written {
            Ok(mail) => self.attempt(Waiting { mail, attempts: 0, _place: letter.place }).await,
            Err(error) => end("refused", &error.to_string()),
        }
    }

    async fn attempt(&mut self, mut waiting: Waiting) {
        let sent =
            AssertUnwindSafe(timeout(ATTEMPT, self.send(&waiting.mail))).catch_unwind().await;
        let reason = match sent {
            Ok(Ok(Ok(Answer::Accepted))) => return end("sent", ""),
            Ok(Ok(Ok(Answer::Fail { reason, .. } | Answer::DropToken { reason, .. }))) => {
                return end("refused", reason);
            }
            Ok(Ok(Ok(
                Answer::RetryDelivery { reason, .. }
                | Answer::ProviderFailed { reason, .. }
                | Answer::RetryRoute { reason, .. }
                | Answer::RetryElsewhere { reason }
                | Answer::Unknown { reason }
                | Answer::Halt { reason },
            ))) => reason.to_owned(),
            Ok(Ok(Err(unreachable))) => unreachable,
            Ok(Err(_)) => "no answer in time".to_owned(),
            Err(_) => return end("panicked", ""),
        };
        let Some(pause) = PAUSES.get(waiting.attempts) else { return end("gave_up", &reason) };
        waiting.attempts += 1;
        self.count += 1;
        self.waiting.insert((Instant::now() + *pause, self.count), waiting);
    }

    /// Sends over the session there is, or over a new one. A session that was
    /// closed meanwhile is no attempt.
    async fn send(&mut self, mail: &Mail) -> Result<Answer, String> {
        // Taken out: should this attempt be cut off, its session goes too.
        if let Some(link) = self.link.take() {
            let answer = link.deliver(mail).await;
            if !matches!(answer, Answer::RetryElsewhere { .. }) {
                self.link = Some(link);
                return Ok(answer);
            }
        }
        let link = self.relay.open().await.map_err(|error| error.to_string())?;
        let answer = link.deliver(mail).await;
        self.link = Some(link);
        Ok(answer)
    }
}

/// Counts and tells how a mail ended.
fn end(outcome: &'static str, reason: &str) {
    metric::validation_mail(outcome);
    if outcome == "sent" {
        tracing::debug!("validation mail sent");
    } else {
        tracing::warn!(outcome, reason, "validation mail not sent; the citizen can ask again");
    }
}
