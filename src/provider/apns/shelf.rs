//! One provider token for all nodes.
//!
//! Apple wants one token of a key on all connections and takes at most one new
//! one in 20 minutes, wherever it was signed. So nodes keep the token in use on
//! a shelf that all of them reach: whoever finds it missing or old puts a new
//! one in its place, if nobody was faster, and everybody else takes that. What
//! the shelf is, is not known here.
//!
//! What lies there bears the same mark as in a file (see `token_file`): only
//! who has the private key can have put it there.

use async_trait::async_trait;

/// Where nodes keep what they must agree on.
#[async_trait]
pub trait Shelf: Send + Sync + 'static {
    /// What lies under `name`.
    ///
    /// # Errors
    /// Why it cannot be told, in a few words.
    async fn look(&self, name: &str) -> Result<Option<Vec<u8>>, String>;

    /// Puts `new` there if what lies there is still `found`; whether it was.
    ///
    /// # Errors
    /// Why it cannot be told, in a few words; it may lie there.
    async fn swap(&self, name: &str, found: Option<&[u8]>, new: &[u8]) -> Result<bool, String>;
}

/// The name of the token of the key with this `identity`; it tells nothing of
/// the key.
pub(super) fn name(identity: &[u8; 32]) -> String {
    let hash = blake3::hash(identity).to_hex();
    format!("apns:{}", &hash[..32])
}
