//! The nodes a drive goes to: which one next, and which to leave alone for a while.
//!
//! Shared by all connections of a drive. As a load balancer does: whoever did not answer is not asked again for [`AWAY`],
//! unless nobody else is left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::time::Instant;

use crate::client::{ClientError, authority};
use crate::simulator::mix::mix2;

/// A node that broke a connection or did not answer is left alone for this long.
const AWAY: Duration = Duration::from_millis(500);

pub(super) struct Target {
    /// `host:port`.
    pub(super) authority: String,
    pub(super) host: HeaderValue,
    /// Milliseconds after the start of the drive.
    away_until: AtomicU64,
}

pub(super) struct Targets {
    list: Vec<Target>,
    started: Instant,
}

impl Targets {
    pub(super) fn new(bases: &[String]) -> Result<Self, ClientError> {
        let target = |base: &String| {
            let authority = authority(base)?.to_owned();
            let host =
                HeaderValue::from_str(&authority).unwrap_or(HeaderValue::from_static("localhost"));
            Ok(Target { authority, host, away_until: AtomicU64::new(0) })
        };
        let list = bases.iter().map(target).collect::<Result<Vec<_>, ClientError>>()?;
        if list.is_empty() {
            return Err(ClientError::Url("no node".to_owned()));
        }
        Ok(Self { list, started: Instant::now() })
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, target: usize) -> &Target {
        &self.list[target % self.list.len()]
    }

    /// Where the next attempt goes, drawn by these numbers: to one that is not away, and not to `last` as long as there is
    /// another.
    pub(super) fn pick(&self, index: u64, attempt: u64, last: Option<usize>) -> usize {
        let now = self.now();
        let here = |target: usize| self.list[target].away_until.load(Ordering::Relaxed) <= now;
        let start = mix2(index, attempt) % self.list.len() as u64;
        let start = usize::try_from(start).unwrap_or(0);
        let turn = || (0..self.list.len()).map(|step| (start + step) % self.list.len());
        let other = turn().find(|target| here(*target) && Some(*target) != last);
        other.or_else(|| turn().find(|target| here(*target))).unwrap_or(start)
    }

    /// It did not answer.
    pub(super) fn is_away(&self, target: usize) {
        let until = self.now() + u64::try_from(AWAY.as_millis()).unwrap_or(0);
        self.get(target).away_until.fetch_max(until, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn targets(count: u16) -> Targets {
        let bases: Vec<_> = (1..=count).map(|port| format!("http://127.0.0.1:{port}")).collect();
        Targets::new(&bases).unwrap()
    }

    #[tokio::test]
    async fn everyone_is_asked_but_those_away_and_the_last_one() {
        let targets = targets(3);
        let asked = |last| -> BTreeSet<usize> {
            (0..100).map(|index| targets.pick(index, 0, last)).collect()
        };
        assert_eq!(asked(None), BTreeSet::from([0, 1, 2]));
        assert_eq!(asked(Some(1)), BTreeSet::from([0, 2]));
        targets.is_away(0);
        assert_eq!(asked(None), BTreeSet::from([1, 2]));
        assert_eq!(asked(Some(1)), BTreeSet::from([2]));
        targets.is_away(2);
        assert_eq!(asked(Some(1)), BTreeSet::from([1]), "nobody else is there");
        targets.is_away(1);
        assert_eq!(asked(Some(1)), BTreeSet::from([0, 1, 2]));
        tokio::time::sleep(AWAY + Duration::from_millis(5)).await;
        assert_eq!(asked(None), BTreeSet::from([0, 1, 2]));
    }

    #[test]
    fn a_drive_needs_a_node_with_a_usable_url() {
        assert!(Targets::new(&[]).is_err());
        assert!(Targets::new(&["nonsense".to_owned()]).is_err());
    }
}
