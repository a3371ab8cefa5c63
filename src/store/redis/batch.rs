//! A checked batch: what is to be written in one atomic step, and what must
//! hold for it (see `script/apply.lua`).

use redis::{Cmd, Value};
use std::collections::HashMap;
use std::fmt::Display;

use araldo_actors::port::store::StoreError;

use super::key::Space;
use super::reply;
use super::script;

/// Arguments of one command: what a script can pass on at once is limited.
const ARGUMENTS: usize = 1_000;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// Written, now or (an owner's step) by an earlier try; the place before
    /// the first one taken.
    Done(u64),
    /// A check failed; nothing was written.
    Conflict,
    /// The step does not follow the last one; nothing was written.
    OutOfStep,
    /// The store lacks what was there before; nothing was written.
    WentBack,
    /// The token is not the newest; nothing was written.
    Fenced,
}

/// An owner's right to write, and the step it makes.
pub(super) struct Claimed {
    /// Epoch and incarnation.
    pub(super) token: String,
    /// The number of the step before.
    pub(super) step: u64,
}

/// No key has this number.
const NO_KEY: usize = 0;

/// A value with a place in the order of events, known or taken by this batch.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Known.
    At(u64),
    /// The n-th taken, from 1 on.
    Taken(u64),
}

/// Places that a batch takes are numbered from here while it is put together:
/// no partition ever has so many events.
const TAKEN: u64 = 1 << 62;

impl Place {
    /// The n-th place taken, from 1 on, as a number.
    pub(super) const fn taken(n: u64) -> u64 {
        TAKEN + n
    }

    /// What a number stands for.
    pub(super) const fn of(number: u64) -> Self {
        match number.checked_sub(TAKEN) {
            Some(n) => Self::Taken(n),
            None => Self::At(number),
        }
    }

    /// The number once the place before the first one taken is known.
    pub(super) const fn settled(number: u64, before: u64) -> u64 {
        match Self::of(number) {
            Self::At(number) => number,
            Self::Taken(n) => before + n,
        }
    }
}

/// See the module's text.
pub(super) struct Batch {
    counters: String,
    keys: Vec<String>,
    numbers: HashMap<String, usize>,
    claimed: Option<Claimed>,
    places: u64,
    checks: usize,
    checked: Vec<Vec<u8>>,
    commands: Vec<Vec<u8>>,
}

fn bytes(text: impl Display) -> Vec<u8> {
    text.to_string().into_bytes()
}

impl Batch {
    /// An empty batch on the rows of `space`.
    pub(super) fn new(space: &Space) -> Self {
        Self {
            counters: space.counters(),
            keys: Vec::new(),
            numbers: HashMap::new(),
            claimed: None,
            places: 0,
            checks: 0,
            checked: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// The next step of an owner.
    pub(super) fn step(space: &Space, claimed: Claimed) -> Self {
        Self { claimed: Some(claimed), ..Self::new(space) }
    }

    /// Takes `count` places in the order of events.
    pub(super) const fn take(&mut self, count: u64) {
        self.places = count;
    }

    fn number(&mut self, key: &str) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        self.keys.push(key.to_owned());
        self.numbers.insert(key.to_owned(), self.keys.len());
        self.keys.len()
    }

    fn check(&mut self, kind: &str, key: &str, field: &[u8], expected: &[u8]) {
        let number = self.number(key);
        self.checks += 1;
        self.checked.extend([bytes(kind), bytes(number), field.to_vec(), expected.to_vec()]);
    }

    /// The field of a hash must begin with `expected`; empty: must not be
    /// there.
    pub(super) fn check_field(&mut self, key: &str, field: &[u8], expected: &[u8]) {
        self.check("h", key, field, expected);
    }

    /// A counter must be no lower than it was when it was read: it never is,
    /// unless the store went back.
    pub(super) fn check_not_before(&mut self, key: &str, field: &str, number: u64) {
        self.check("g", key, field.as_bytes(), &bytes(number));
    }

    /// A member of a sorted set must have this score.
    pub(super) fn check_member(&mut self, key: &str, member: &[u8], score: u64) {
        self.check("z", key, member, &bytes(score));
    }

    /// No member of a sorted set may have this score.
    pub(super) fn check_vacant(&mut self, key: &str, score: u64) {
        self.check("c", key, &bytes(score), b"0");
    }

    /// A command with these arguments behind its key.
    pub(super) fn run(&mut self, name: &str, key: &str, arguments: &[&[u8]]) {
        self.add("", name, key, arguments);
    }

    /// A command that takes any number of arguments, in groups of `group`.
    pub(super) fn run_many(&mut self, name: &str, key: &str, group: usize, arguments: &[&[u8]]) {
        for some in arguments.chunks(ARGUMENTS / group * group) {
            self.run(name, key, some);
        }
    }

    fn add(&mut self, op: &str, name: &str, key: &str, arguments: &[&[u8]]) {
        let number = self.number(key);
        self.commands.extend([bytes(op), bytes(name), bytes(number), bytes(arguments.len())]);
        self.commands.extend(arguments.iter().map(|one| one.to_vec()));
    }

    /// A command whose last argument begins with a place, as 8 bytes.
    pub(super) fn run_prefixed(
        &mut self,
        name: &str,
        key: &str,
        arguments: &[&[u8]],
        (place, last): (Place, &[u8]),
    ) {
        let mut all = arguments.to_vec();
        match place {
            Place::Taken(n) => {
                all.push(last);
                self.add(&format!("p{n}"), name, key, &all);
            }
            Place::At(number) => {
                let last = [number.to_be_bytes().as_slice(), last].concat();
                all.push(&last);
                self.run(name, key, &all);
            }
        }
    }

    /// Adds a member whose score is a place to a sorted set.
    pub(super) fn add_at(&mut self, key: &str, place: Place, member: &[u8]) {
        match place {
            Place::Taken(n) => self.add(&format!("s{n}"), "ZADD", key, &[member]),
            Place::At(number) => self.run("ZADD", key, &[&bytes(number), member]),
        }
    }

    /// As a call of the script.
    pub(super) fn into_call(mut self) -> Cmd {
        // Declared only where it is needed.
        let counters = if self.claimed.is_some() || self.places > 0 {
            let counters = std::mem::take(&mut self.counters);
            self.number(&counters)
        } else {
            NO_KEY
        };
        let mut call = script::call(&script::APPLY, &self.keys);
        match &self.claimed {
            Some(Claimed { token, step }) => {
                // A number says which step it is only among those of one sender
                // that hears its answers.
                let name = format!("{:016x}", rand::random::<u64>());
                call.arg(token).arg(*step).arg(step + 1).arg(name);
            }
            None => {
                call.arg("").arg("").arg("").arg("");
            }
        }
        call.arg(counters).arg(self.places).arg(self.checks);
        call.arg(self.checked.as_slice()).arg(self.commands.as_slice());
        call
    }
}

impl Applied {
    /// Reads what the script answered.
    pub(super) fn read(value: Value) -> Result<Self, StoreError> {
        let what = "the answer to a batch";
        let mut parts = reply::list(value, what)?.into_iter();
        match reply::count(reply::next(&mut parts), what)? {
            0 | 3 => Ok(Self::Done(reply::count(reply::next(&mut parts), what)?)),
            1 => Ok(Self::Conflict),
            2 => Ok(Self::Fenced),
            4 => Ok(Self::OutOfStep),
            5 => Ok(Self::WentBack),
            _ => Err(reply::unexpected(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Place, Space};

    #[test]
    fn places_are_settled_once_the_batch_is_written() {
        assert_eq!(Place::settled(77, 1_000), 77);
        assert_eq!(Place::settled(Place::taken(2), 1_000), 1_002);
    }

    #[test]
    fn what_a_script_can_pass_on_at_once_is_not_exceeded() {
        let mut batch = Batch::new(&Space::of("araldo", 0));
        let fields: Vec<Vec<u8>> = (0..3_001_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        batch.run_many("HDEL", "key", 1, &fields);
        batch.run_many("HSET", "key", 2, &fields[..3_000]);
        let heads = batch.commands.iter().filter(|one| *one == b"HDEL" || *one == b"HSET").count();
        assert_eq!(heads, 4 + 3);
        assert_eq!(batch.keys, ["key"], "a key is declared once, and no other");
    }
}
