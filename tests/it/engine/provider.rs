//! A provider that answers by script and writes down what it was asked.

use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::id::{DeliveryId, MessageId, RouteId};
use araldo_actors::domain::notification::{Carrier, Notification};
use araldo_actors::pipeline::RouteOptions;
use araldo_actors::policy::backoff::RetryPolicy;
use araldo_actors::policy::breaker::BreakerLimits;
use araldo_actors::port::provider::{ConnectError, Connector, Link};
use async_trait::async_trait;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What the provider answers to its n-th request.
pub type Script = Box<dyn Fn(usize, &Notification) -> Answer + Send + Sync>;

/// A provider that answers by script and writes down what it was asked.
pub struct Provider {
    pub script: Mutex<Script>,
    pub latency: Mutex<Duration>,
    pub window: AtomicUsize,
    pub reachable: AtomicBool,
    pub closed: Arc<AtomicBool>,
    pub requests: Mutex<Vec<(Notification, Duration)>>,
    pub connections: AtomicUsize,
    pub busy: AtomicUsize,
    pub busiest: AtomicUsize,
    start: Instant,
}

impl Provider {
    pub fn new(start: Instant) -> Self {
        Self {
            script: Mutex::new(Box::new(|_, _| Answer::Accepted)),
            latency: Mutex::new(Duration::from_millis(10)),
            window: AtomicUsize::new(100),
            reachable: AtomicBool::new(true),
            closed: Arc::default(),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            busiest: AtomicUsize::new(0),
            start,
        }
    }

    /// One attempt a connection at a time, each this long.
    pub fn slow(&self, latency: Duration) {
        self.window.store(1, Ordering::Relaxed);
        *self.latency.lock().unwrap() = latency;
    }

    pub fn fast(&self) {
        self.window.store(100, Ordering::Relaxed);
        *self.latency.lock().unwrap() = Duration::from_millis(1);
    }

    /// Closes every connection and takes no new one.
    pub fn cut(&self) {
        self.reachable.store(false, Ordering::Relaxed);
        self.closed.store(true, Ordering::Relaxed);
    }

    pub fn deliveries(&self) -> Vec<DeliveryId> {
        self.requests.lock().unwrap().iter().map(|(asked, _)| asked.delivery()).collect()
    }

    /// Token or address and message of each attempt started so far.
    pub fn attempts(&self) -> Vec<(String, MessageId)> {
        let attempt = |asked: &Notification| match asked {
            Notification::Push(push) => (push.token.clone(), push.message),
            Notification::Email(email) => (email.to.clone(), email.message.id),
        };
        self.requests.lock().unwrap().iter().map(|(asked, _)| attempt(asked)).collect()
    }

    /// Attempts started so far to this token or address.
    pub fn attempts_to(&self, endpoint: &str) -> usize {
        self.attempts().iter().filter(|(to, _)| to == endpoint).count()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub fn answer_with(
        &self,
        script: impl Fn(usize, &Notification) -> Answer + Send + Sync + 'static,
    ) {
        *self.script.lock().unwrap() = Box::new(script);
    }
}

struct ProviderConnector(Arc<Provider>);
struct ProviderLink(Arc<Provider>, Arc<AtomicBool>);

#[async_trait]
impl Connector for ProviderConnector {
    async fn connect(&self) -> Result<Arc<dyn Link>, ConnectError> {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        if !self.0.reachable.load(Ordering::Relaxed) {
            return Err(ConnectError::Unreachable("connection refused".into()));
        }
        self.0.closed.store(false, Ordering::Relaxed);
        Ok(Arc::new(ProviderLink(Arc::clone(&self.0), Arc::clone(&self.0.closed))))
    }
}

#[async_trait]
impl Link for ProviderLink {
    fn capacity(&self) -> usize {
        if self.is_closed() { 0 } else { self.0.window.load(Ordering::Relaxed) }
    }

    fn is_closed(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    async fn send(&self, notification: &Notification) -> Answer {
        let number = {
            let mut requests = self.0.requests.lock().unwrap();
            requests.push((notification.clone(), self.0.start.elapsed()));
            requests.len() - 1
        };
        let busy = self.0.busy.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.busiest.fetch_max(busy, Ordering::Relaxed);
        let latency = *self.0.latency.lock().unwrap();
        tokio::time::sleep(latency).await;
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        let script = self.0.script.lock().unwrap();
        script(number, notification)
    }
}

/// The route to this provider.
pub fn route(name: &str, carrier: Carrier, provider: &Arc<Provider>) -> RouteOptions {
    RouteOptions {
        id: RouteId::parse(name).unwrap(),
        carrier,
        connector: Arc::new(ProviderConnector(Arc::clone(provider))),
        connections: 2,
        retry: RetryPolicy {
            base: Duration::from_secs(1),
            max: Duration::from_secs(60),
            budget: 10,
        },
        breaker: BreakerLimits {
            threshold: 5,
            base: Duration::from_secs(1),
            max: Duration::from_secs(60),
        },
        rate: None,
    }
}
