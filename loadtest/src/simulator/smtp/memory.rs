//! What the simulator remembers of recipients: how often they were tried, and whom greylisting has let in.
//!
//! Owns two tables of 64-bit hashes, each bounded. Beyond the bound a try counts as the first again, and greylisting
//! lets everybody in; nothing else depends on it.

use std::collections::HashMap;
use std::sync::Mutex;

use super::behaviour::{Greylist, SmtpStage};
use crate::simulator::books::lock;
use crate::simulator::mix::{hash_bytes, mix2};

/// Entries of a table.
const MAX_ENTRIES: usize = 1_000_000;

#[derive(Default)]
pub(crate) struct Memory {
    tries: Mutex<HashMap<u64, u32>>,
    greylist: Mutex<HashMap<u64, Pair>>,
}

#[derive(Clone, Copy)]
struct Pair {
    first_us: u64,
    tries: u32,
    passed: bool,
}

impl Memory {
    /// How often this recipient was tried before at this stage, and counts this try.
    pub(crate) fn attempt(&self, at: SmtpStage, recipient: u64) -> u32 {
        let mut tries = lock(&self.tries);
        let key = mix2(recipient, hash_bytes(at.name().as_bytes()));
        if let Some(count) = tries.get_mut(&key) {
            *count = count.saturating_add(1);
            return *count;
        }
        if tries.len() < MAX_ENTRIES {
            tries.insert(key, 0);
        }
        0
    }

    /// Whether this pair is put off now.
    pub(crate) fn puts_off(&self, told: Greylist, from: &str, recipient: u64, now_us: u64) -> bool {
        let mut pairs = lock(&self.greylist);
        let key = mix2(hash_bytes(from.as_bytes()), recipient);
        if pairs.len() >= MAX_ENTRIES && !pairs.contains_key(&key) {
            return false;
        }
        let pair = pairs.entry(key).or_insert(Pair { first_us: now_us, tries: 0, passed: false });
        pair.tries = pair.tries.saturating_add(1);
        let waited = pair.tries > 1
            && now_us.saturating_sub(pair.first_us) >= u64::from(told.seconds) * 1_000_000;
        pair.passed |= waited || told.attempts.is_some_and(|attempts| pair.tries >= attempts);
        !pair.passed
    }

    pub(crate) fn clear(&self) {
        lock(&self.tries).clear();
        lock(&self.greylist).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greylisting_passes_after_the_time_or_at_the_try_asked_and_then_for_good() {
        let memory = Memory::default();
        let told = Greylist { seconds: 10, attempts: Some(3) };
        let asked = |recipient, seconds: u64| {
            memory.puts_off(told, "a@araldo.example", recipient, seconds * 1_000_000)
        };
        assert!(asked(1, 0) && asked(1, 9));
        assert!(!asked(1, 9), "the third try");
        assert!(asked(2, 0) && !asked(2, 10) && !asked(2, 10));
        let by_second = Greylist { seconds: 0, attempts: None };
        assert!(memory.puts_off(by_second, "b@araldo.example", 1, 5));
        assert!(!memory.puts_off(by_second, "b@araldo.example", 1, 5));
        memory.clear();
        assert!(asked(2, 11));
    }

    #[test]
    fn tries_are_counted_by_recipient_and_stage() {
        let memory = Memory::default();
        assert_eq!([1, 1, 2].map(|whom| memory.attempt(SmtpStage::Rcpt, whom)), [0, 1, 0]);
        assert_eq!(memory.attempt(SmtpStage::Data, 1), 0);
    }
}
