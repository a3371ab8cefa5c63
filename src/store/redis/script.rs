//! The scripts that run inside Redis, and how one is called.
//!
//! They hold no rules of ours: what is to be written is decided here and sent
//! as a checked batch (see [`batch`](super::batch)). Only what must look up or
//! take a number while nobody else writes is theirs.

use redis::{Cmd, Script};
use std::sync::LazyLock;

/// Checks, then writes.
pub(super) static APPLY: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/apply.lua")));
/// Appends to a journal.
pub(super) static ACCEPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/accept.lua")));
/// Raises an epoch.
pub(super) static OPEN: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/open.lua")));
/// Reads entries of a journal with all that a turn needs.
pub(super) static ARRIVALS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/arrivals.lua")));
/// Counts the turns not taken in a stretch of a journal.
pub(super) static COUNT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/count.lua")));
/// Reads citizens by fiscal code.
pub(super) static CITIZENS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/citizens.lua")));

/// Puts an entry at its place in a journal.
pub(super) static PLACE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/place.lua")));
/// Renews a lease.
pub(super) static RENEW: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/renew.lua")));
/// Gives a lease back.
pub(super) static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/release.lua")));
/// Notes a node's sign of life and lists the nodes.
pub(super) static BEAT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/beat.lua")));
/// Takes a node's sign of life back.
pub(super) static LEAVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/leave.lua")));
/// Draws from a bucket of tokens.
pub(super) static DRAW: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("script/draw.lua")));

/// What every connection loads first.
pub(super) fn load_all() -> Vec<Cmd> {
    let texts = [
        include_str!("script/apply.lua"),
        include_str!("script/accept.lua"),
        include_str!("script/open.lua"),
        include_str!("script/arrivals.lua"),
        include_str!("script/count.lua"),
        include_str!("script/citizens.lua"),
        include_str!("script/place.lua"),
        include_str!("script/renew.lua"),
        include_str!("script/release.lua"),
        include_str!("script/beat.lua"),
        include_str!("script/leave.lua"),
        include_str!("script/draw.lua"),
    ];
    let load = |text: &str| {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(text);
        load
    };
    texts.into_iter().map(load).collect()
}

/// A call of `script` with these keys; arguments are added to it.
pub(super) fn call(script: &Script, keys: &[String]) -> Cmd {
    let mut call = redis::cmd("EVALSHA");
    call.arg(script.get_hash()).arg(keys.len()).arg(keys);
    call
}
