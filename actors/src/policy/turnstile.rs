//! The turnstile: of what shares a key, one is out at a time, and the others
//! follow in the order they came.
//!
//! For one citizen, attempts to one device in one lane go out in the order
//! accepted (promise 7): two connections, or two streams of one, would
//! otherwise overtake each other.

use std::collections::VecDeque;

/// Items of type `T`, each with an identity `I` and a key `K`.
#[derive(Debug)]
pub struct Turnstile<I, K, T> {
    out: Vec<(I, K)>,
    waiting: VecDeque<(I, K, T)>,
}

impl<I, K, T> Default for Turnstile<I, K, T> {
    fn default() -> Self {
        Self { out: Vec::new(), waiting: VecDeque::new() }
    }
}

impl<I: PartialEq, K: PartialEq + Clone, T> Turnstile<I, K, T> {
    /// Returns `item` if it may go now; else it waits.
    pub fn enter(&mut self, id: I, key: K, item: T) -> Option<T> {
        if self.out.iter().any(|(_, taken)| *taken == key) {
            self.waiting.push_back((id, key, item));
            None
        } else {
            self.out.push((id, key));
            Some(item)
        }
    }

    /// `id` is back: returns the next of its key, which is out from here on.
    pub fn leave(&mut self, id: &I) -> Option<T> {
        let key = self.take(id)?;
        let place = self.waiting.iter().position(|(_, waits, _)| *waits == key)?;
        let (next, key, item) = self.waiting.remove(place)?;
        self.out.push((next, key));
        Some(item)
    }

    /// `id` is back and will come again: returns all that waited behind it,
    /// for they must come again after it.
    pub fn recall(&mut self, id: &I) -> Vec<T> {
        let Some(key) = self.take(id) else { return Vec::new() };
        let (behind, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, waits, _)| *waits == key);
        self.waiting = others;
        behind.into_iter().map(|(_, _, item)| item).collect()
    }

    /// Returns all that wait, whatever their key; those out stay so.
    pub fn withdraw(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, _, item)| item).collect()
    }

    fn take(&mut self, id: &I) -> Option<K> {
        let place = self.out.iter().position(|(out, _)| out == id)?;
        Some(self.out.swap_remove(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::Turnstile;
    use proptest::prelude::*;

    #[test]
    fn one_of_a_key_at_a_time_in_the_order_they_came() {
        let mut stile = Turnstile::default();
        assert_eq!(stile.enter(1, 'a', "a1"), Some("a1"));
        assert_eq!(stile.enter(2, 'b', "b2"), Some("b2"));
        assert_eq!(stile.enter(3, 'a', "a3"), None);
        assert_eq!(stile.enter(4, 'a', "a4"), None);
        assert_eq!(stile.leave(&2), None);
        assert_eq!(stile.leave(&1), Some("a3"));
        assert_eq!(stile.leave(&1), None);
        assert_eq!(stile.leave(&3), Some("a4"));
        assert_eq!(stile.leave(&4), None);
        assert_eq!(stile.enter(5, 'a', "a5"), Some("a5"));
    }

    #[test]
    fn what_waited_behind_a_returned_one_is_recalled_with_it() {
        let mut stile = Turnstile::default();
        assert_eq!(stile.enter(1, 'a', "a1"), Some("a1"));
        assert_eq!(stile.enter(2, 'a', "a2"), None);
        assert_eq!(stile.enter(3, 'a', "a3"), None);
        assert_eq!(stile.recall(&1), ["a2", "a3"]);
        assert_eq!(stile.enter(1, 'a', "a1"), Some("a1"));
    }

    #[test]
    fn what_is_withdrawn_waits_no_more_and_what_is_out_comes_back() {
        let mut stile = Turnstile::default();
        assert_eq!(stile.enter(1, 'a', "a1"), Some("a1"));
        assert_eq!(stile.enter(2, 'b', "b2"), Some("b2"));
        assert_eq!(stile.enter(3, 'a', "a3"), None);
        assert_eq!(stile.enter(4, 'b', "b4"), None);
        assert_eq!(stile.withdraw(), ["a3", "b4"]);
        assert_eq!(stile.enter(5, 'a', "a5"), None, "a1 is still out");
        assert_eq!(stile.leave(&2), None);
        assert_eq!(stile.leave(&1), Some("a5"));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_each_key_keeps_its_order(keys in prop::collection::vec(0_u8..4, 0..60)) {
            let mut stile = Turnstile::default();
            let mut out: Vec<usize> = Vec::new();
            for (id, key) in keys.iter().enumerate() {
                out.extend(stile.enter(id, *key, id));
            }
            let mut next = 0;
            while next < out.len() {
                let freed = stile.leave(&out[next]);
                out.extend(freed);
                next += 1;
            }
            prop_assert_eq!(out.len(), keys.len());
            for key in 0..4 {
                let order: Vec<_> = out.iter().filter(|id| keys[**id] == key).collect();
                prop_assert!(order.is_sorted());
            }
        }
    }
}
