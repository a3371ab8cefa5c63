//! One worker of the driver: takes the next index, sends it until its fate is known, writes it down.
//!
//! Owns a connection to each node and its part of the report. The message in hand is repeated with the same Idempotency-Key:
//! at once on another node, once each was tried after a short pause that grows up to a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;

use super::{Accepted, DriveReport, Outgoing, Shared, Source, deadline};
use crate::client::{Link, SUBSCRIPTION_KEY};
use crate::simulator::clock::unix_us;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Without Retry-After, wait this long after 429 or 503.
const DEFAULT_RETRY: Duration = Duration::from_millis(500);
/// A server that asks for more is asked again after this.
const MAX_RETRY: Duration = Duration::from_secs(60);

pub(super) struct Worker {
    /// Among the workers.
    number: usize,
    shared: Arc<Shared>,
    source: Source,
    report: DriveReport,
    /// By node.
    links: Vec<Option<Link>>,
    pause: Duration,
}

/// The answer to one attempt.
enum Attempt {
    Accepted(u128),
    /// Try again after this long.
    Later(Duration),
    Refused,
    Broken,
}

#[derive(Deserialize)]
struct Created<'a> {
    id: &'a str,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        source: Source,
        report: DriveReport,
    ) -> Self {
        let links = (0..shared.targets.len()).map(|_| None).collect();
        Self { number, shared, source, report, links, pause: Duration::ZERO }
    }

    pub(super) async fn run(mut self) -> DriveReport {
        loop {
            let index = self.shared.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.shared.end || !self.wait_until_due(index).await {
                return self.report;
            }
            self.settle(index).await;
            self.shared.settled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the message is to be sent still, once its time has come.
    async fn wait_until_due(&self, index: u64) -> bool {
        let Some((start, schedule)) = &self.shared.schedule else {
            return true;
        };
        let passed = schedule.interval.saturating_mul(u32::try_from(index).unwrap_or(u32::MAX));
        tokio::time::sleep_until(*start + passed).await;
        !schedule.stop.load(Ordering::Relaxed)
    }

    async fn settle(&mut self, index: u64) {
        let outgoing = (self.source)(index);
        let deadline = deadline(self.shared.patience);
        let nodes = self.shared.targets.len() as u64;
        let (mut attempts, mut last) = (0, None);
        loop {
            if attempts > 0 {
                self.report.retries += 1;
            }
            let target = self.shared.targets.pick(index, attempts, last);
            (attempts, last) = (attempts + 1, Some(target));
            let start = Instant::now();
            let attempt = self.attempt(target, &outgoing).await;
            let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
            let wait = match attempt {
                Attempt::Accepted(id) => {
                    self.report.latency_us.saturating_record(micros);
                    self.report.accepted.push(Accepted { index, id, at_us: unix_us() });
                    self.shared.accepted.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Attempt::Refused => {
                    self.report.refused += 1;
                    return;
                }
                Attempt::Later(wait) => {
                    self.report.refused_us.saturating_record(micros);
                    wait
                }
                Attempt::Broken => self.broken(target),
            };
            // Another node may take it at once.
            let wait = if attempts % nodes == 0 { wait } else { Duration::ZERO };
            if Instant::now() + wait >= deadline {
                self.report.gave_up += 1;
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait before this node is asked again.
    fn broken(&mut self, target: usize) -> Duration {
        self.report.network_errors += 1;
        self.shared.targets.is_away(target);
        self.links[target] = None;
        self.pause = (self.pause * 2).clamp(Duration::from_millis(20), Duration::from_secs(1));
        self.pause
    }

    async fn attempt(&mut self, target: usize, outgoing: &Outgoing) -> Attempt {
        let limit = self.shared.attempt_limit;
        match tokio::time::timeout(limit, self.exchange(target, outgoing)).await {
            Ok(Ok(attempt)) => {
                self.pause = Duration::ZERO;
                attempt
            }
            Ok(Err(reason)) => {
                tracing::debug!(worker = self.number, reason, "attempt broke");
                Attempt::Broken
            }
            Err(_) => {
                self.report.timeouts += 1;
                Attempt::Broken
            }
        }
    }

    async fn exchange(&mut self, target: usize, outgoing: &Outgoing) -> Result<Attempt, String> {
        let request = self.request(target, outgoing)?;
        let mut link = match self.links[target].take() {
            Some(link) => link,
            None => Link::open(&self.shared.targets.get(target).authority)
                .await
                .map_err(|error| error.to_string())?,
        };
        link.send.ready().await.map_err(|error| error.to_string())?;
        let answer = link.send.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        self.links[target] = Some(link);
        *self.report.statuses.entry(parts.status.as_u16()).or_default() += 1;
        Ok(match parts.status {
            StatusCode::CREATED => Attempt::Accepted(created_id(&body)?),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::CONFLICT => Attempt::Later(retry_after(parts.headers.get(RETRY_AFTER))),
            status if status.is_server_error() => Attempt::Later(DEFAULT_RETRY),
            _ => Attempt::Refused,
        })
    }

    fn request(&self, target: usize, outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::post(outgoing.path)
            .body(Full::new(outgoing.body.clone()))
            .map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.shared.targets.get(target).host.clone());
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(&SUBSCRIPTION_KEY, outgoing.key.clone());
        if let Some(key) = &outgoing.idempotency_key {
            headers.insert(&IDEMPOTENCY_KEY, key.clone());
        }
        Ok(request)
    }
}

fn created_id(body: &[u8]) -> Result<u128, String> {
    let created: Created<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    ulid::Ulid::from_string(created.id)
        .map(u128::from)
        .map_err(|_| "the id of a 201 is not a ULID".to_owned())
}

fn retry_after(value: Option<&HeaderValue>) -> Duration {
    value
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map_or(DEFAULT_RETRY, Duration::from_secs)
        .min(MAX_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_honoured_and_bounded() {
        let of = |text: &'static str| retry_after(Some(&HeaderValue::from_static(text)));
        assert_eq!(of("3"), Duration::from_secs(3));
        assert_eq!(of("100000"), MAX_RETRY);
        assert_eq!(of("soon"), DEFAULT_RETRY);
        assert_eq!(retry_after(None), DEFAULT_RETRY);
    }

    #[test]
    fn an_id_must_be_a_ulid() {
        assert!(created_id(b"{\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\"}").is_ok());
        assert!(created_id(b"{\"id\":\"x\"}").is_err());
        assert!(created_id(b"").is_err());
    }
}
