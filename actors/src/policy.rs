//! Pure decisions. Nothing here waits, reads a clock or draws a number:
//! what a policy needs comes in as arguments, what it decides goes out as
//! values, so each is tested exhaustively without an actor.

pub mod admission;
