//! Pure decisions. Nothing here waits, reads a clock or draws a number:
//! what a policy needs comes in as arguments, what it decides goes out as
//! values, so each is tested exhaustively without an actor.

pub mod admission;
pub mod backoff;
pub mod breaker;
#[cfg(test)]
pub(crate) mod fixture;
pub mod lanes;
pub mod notice;
pub mod ownership;
pub mod rate;
pub mod refusals;
pub mod restart;
pub mod routing;
pub mod shares;
pub mod turn;
pub mod turnstile;
pub mod walk;
pub mod watermark;
