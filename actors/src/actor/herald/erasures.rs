//! Requests of other nodes to erase a citizen: each carried out once, however
//! often it is asked, and answered again when its answer was lost.

use std::collections::{HashSet, VecDeque};
use tokio::task::JoinSet;

/// Requests under way at one time; further ones are asked again.
const MOST: usize = 64;
/// Answers remembered: longer than anybody asks for the same one.
const REMEMBERED: usize = 1_024;

/// What is known of a request.
pub(super) enum Request {
    /// Nothing: it is begun.
    New,
    /// It is being carried out, or there is no room now.
    UnderWay,
    /// It was carried out; its answer.
    Done(Option<u64>),
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Erasures {
    under_way: HashSet<u128>,
    /// The newest last.
    done: VecDeque<(u128, Option<u64>)>,
}

impl Erasures {
    /// Takes a request up, unless it is known.
    pub(super) fn begin(&mut self, request: u128) -> Request {
        if let Some((_, messages)) = self.done.iter().find(|(known, _)| *known == request) {
            return Request::Done(*messages);
        }
        if self.under_way.len() >= MOST || !self.under_way.insert(request) {
            return Request::UnderWay;
        }
        Request::New
    }

    /// Takes note of those that have ended.
    pub(super) fn reap(&mut self, tasks: &mut JoinSet<(u128, Option<Option<u64>>)>) {
        while let Some(ended) = tasks.try_join_next() {
            let Ok((request, erased)) = ended else {
                // One panicked, which is unknown: all may be asked again.
                self.under_way.clear();
                continue;
            };
            let first = self.under_way.remove(&request);
            if let Some(messages) = erased.filter(|_| first) {
                if self.done.len() == REMEMBERED {
                    self.done.pop_front();
                }
                self.done.push_back((request, messages));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Erasures, JoinSet, MOST, Request};

    #[tokio::test]
    async fn a_request_is_carried_out_once_and_answered_again() {
        let (mut erasures, mut tasks) = (Erasures::default(), JoinSet::new());
        assert!(matches!(erasures.begin(7), Request::New));
        assert!(matches!(erasures.begin(7), Request::UnderWay));
        tasks.spawn(async { (7, Some(Some(3))) });
        tokio::task::yield_now().await;
        erasures.reap(&mut tasks);
        assert!(matches!(erasures.begin(7), Request::Done(Some(3))));
        // The partition moved: it is begun anew when it is asked again.
        assert!(matches!(erasures.begin(8), Request::New));
        tasks.spawn(async { (8, None) });
        tokio::task::yield_now().await;
        erasures.reap(&mut tasks);
        assert!(matches!(erasures.begin(8), Request::New));
    }

    #[test]
    fn no_more_are_under_way_than_there_is_room_for() {
        let mut erasures = Erasures::default();
        let begun = (0..100).filter(|one| matches!(erasures.begin(*one), Request::New));
        assert_eq!(begun.count(), MOST);
    }
}
