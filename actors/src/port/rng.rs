//! Randomness, only ever through this handle.

/// A source of randomness for jitter and identifiers.
pub trait Rng: Send + Sync + 'static {
    /// A number from 0 up to, not including, 1.
    fn unit(&self) -> f64;

    /// 128 random bits.
    fn bits(&self) -> u128;
}
