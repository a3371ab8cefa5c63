//! API keys: 32 random bytes, shown once, kept as a hash.

use std::fmt::Write;

use araldo_actors::domain::id::ServiceId;
use araldo_actors::domain::service::{ApiKey, Role};
use araldo_actors::domain::time::Millis;
use rand::TryRngCore;
use rand::rngs::OsRng;

/// A key just made.
pub struct NewKey {
    /// What the holder sends; it can never be shown again.
    pub secret: String,
    /// What is stored.
    pub key: ApiKey,
}

/// Makes a key. Randomness comes from the operating system, not from the
/// engine's source: that one may be replayed.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn create(
    name: String,
    role: Role,
    service: Option<ServiceId>,
    created_at: Millis,
) -> std::io::Result<NewKey> {
    let mut bytes = [0_u8; 40];
    OsRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
    let (id, secret) = bytes.split_at(8);
    let secret = format!("ak_{}", hex(secret));
    let id = format!("key_{}", hex(id));
    let key = ApiKey { id, hash: hash(secret.as_bytes()), name, role, service, created_at };
    Ok(NewKey { secret, key })
}

/// The hash a key is stored and found by.
#[must_use]
pub fn hash(secret: &[u8]) -> [u8; 32] {
    *blake3::hash(secret).as_bytes()
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Millis, Role, create, hash};

    #[test]
    fn a_key_is_found_by_its_secret_and_never_contains_it() {
        let made = create("ops".to_owned(), Role::Admin, None, Millis(1)).expect("randomness");
        assert_eq!(hash(made.secret.as_bytes()), made.key.hash);
        assert_eq!(made.secret.len(), 67);
        assert!(!format!("{:?}", made.key).contains(&made.secret));
        let other = create("ops".to_owned(), Role::Admin, None, Millis(1)).expect("randomness");
        assert_ne!(made.secret, other.secret);
    }
}
