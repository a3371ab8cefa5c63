//! A small stable hash for decisions that must be the same in every run and every version.
//!
//! Owns nothing. Library hashers may change between versions; a decision "this token is always unregistered"
//! must not, so the mixing is the published SplitMix64 finaliser over FNV-1a.

/// SplitMix64 finaliser (Steele, Lea, Flood 2014): every input bit moves about half of the output bits.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Mixes two words into one.
#[must_use]
pub const fn mix2(a: u64, b: u64) -> u64 {
    mix(mix(a) ^ b.rotate_left(32))
}

/// FNV-1a over bytes, finished by [`mix`].
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash)
}

/// A number in `[0, 1)` from the upper 53 bits of a mixed word.
#[must_use]
pub fn unit(word: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let mantissa = (word >> 11) as f64;
    mantissa / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(hash_bytes(b""), mix(0xcbf2_9ce4_8422_2325));
    }

    #[test]
    fn shares_come_out_as_asked() {
        let hits = (0..100_000u64).filter(|n| unit(mix(*n)) < 0.03).count();
        assert!((2_800..3_200).contains(&hits), "{hits} of 100000 for a share of 3 %");
    }
}
