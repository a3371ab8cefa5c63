//! Signed links: what a citizen can do from a mail, without signing in.
//!
//! A link carries who and what, sealed (ChaCha20-Poly1305): whoever sees it in
//! a log or a proxy learns nothing, and none can be made up or changed. The
//! nonce comes from the content (BLAKE3, keyed), so that a mail sent again
//! carries the same link. Mails write links ([`Links::unsubscribe`],
//! [`Links::validate`]), the HTTP side opens them; both pages answer GET with
//! a button and act on POST only, since mail scanners follow links (RFC 8058,
//! section 1).

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, ServiceId};
use araldo_actors::domain::time::Millis;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Path of the page that ends mails of one service; the token follows.
pub const UNSUBSCRIBE: &str = "/email/unsubscribe/";
/// Path of the page that confirms an address; the token follows.
pub const VALIDATE: &str = "/email/validate/";
/// Longest token opened.
const LONGEST: usize = 512;

/// What a link is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Subject {
    Unsubscribe { citizen: FiscalCode, service: ServiceId },
    Validate { citizen: FiscalCode, address: AddressId, expires: Millis },
}

/// Why a link opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It was not made here, or not for this page.
    #[error("the link is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the link has expired")]
    Expired,
}

/// Makes and opens links.
pub struct Links {
    key: LessSafeKey,
    nonce_key: [u8; 32],
    public_url: String,
}

impl Links {
    /// Links under `public_url` (scheme and host, no path), sealed under `secret`.
    ///
    /// # Panics
    /// Never: the key has the cipher's length.
    #[must_use]
    pub fn new(secret: &Secret, public_url: &str) -> Self {
        let key = secret.derive("araldo 2026-11 links in mails: seal");
        #[expect(clippy::expect_used, reason = "32 bytes are this cipher's key length")]
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the key's length fits");
        Self {
            key: LessSafeKey::new(key),
            nonce_key: secret.derive("araldo 2026-11 links in mails: nonce"),
            public_url: public_url.trim_end_matches('/').to_owned(),
        }
    }

    /// Ends the mails of `service` to `citizen`. Never expires: an old mail
    /// must still be able to end them.
    #[must_use]
    pub fn unsubscribe(&self, citizen: FiscalCode, service: &ServiceId) -> String {
        let subject = Subject::Unsubscribe { citizen, service: service.clone() };
        format!("{}{UNSUBSCRIBE}{}", self.public_url, self.seal(&subject))
    }

    /// Confirms that `citizen` reads mail at `address`, until `expires`.
    #[must_use]
    pub fn validate(&self, citizen: FiscalCode, address: AddressId, expires: Millis) -> String {
        let subject = Subject::Validate { citizen, address, expires };
        format!("{}{VALIDATE}{}", self.public_url, self.seal(&subject))
    }

    /// Whose mails of which service a link ends.
    ///
    /// # Errors
    /// [`LinkError::Invalid`].
    pub fn open_unsubscribe(&self, token: &str) -> Result<(FiscalCode, ServiceId), LinkError> {
        match self.open(token) {
            Some(Subject::Unsubscribe { citizen, service }) => Ok((citizen, service)),
            _ => Err(LinkError::Invalid),
        }
    }

    /// Whose address a link confirms.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open_validate(
        &self,
        token: &str,
        now: Millis,
    ) -> Result<(FiscalCode, AddressId), LinkError> {
        match self.open(token) {
            Some(Subject::Validate { expires, .. }) if now >= expires => Err(LinkError::Expired),
            Some(Subject::Validate { citizen, address, .. }) => Ok((citizen, address)),
            _ => Err(LinkError::Invalid),
        }
    }

    fn seal(&self, subject: &Subject) -> String {
        // Encoding a value of this type and sealing a few bytes cannot fail;
        // an empty token would open nothing.
        let Ok(mut text) = postcard::to_allocvec(subject) else { return String::new() };
        let hash = blake3::keyed_hash(&self.nonce_key, &text);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&hash.as_bytes()[..NONCE_LEN]);
        let sealed = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::empty(),
            &mut text,
        );
        if sealed.is_err() {
            return String::new();
        }
        let mut token = nonce.to_vec();
        token.extend_from_slice(&text);
        URL_SAFE_NO_PAD.encode(token)
    }

    fn open(&self, token: &str) -> Option<Subject> {
        if token.len() > LONGEST {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self.key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        postcard::from_bytes(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressId, FiscalCode, LinkError, Links, Millis, Secret, ServiceId};

    fn links() -> Links {
        Links::new(&Secret::new([7; 32]), "https://example.it/")
    }

    fn citizen() -> FiscalCode {
        FiscalCode::parse("AAAAAA00A00A000A").unwrap_or_else(|_| unreachable!())
    }

    fn token(link: &str) -> &str {
        link.rsplit('/').next().unwrap_or_default()
    }

    #[test]
    fn a_link_opens_to_what_it_was_made_for_and_says_nothing_of_it() {
        let service = ServiceId::parse("mensa").unwrap_or_else(|_| unreachable!());
        let link = links().unsubscribe(citizen(), &service);
        assert!(link.starts_with("https://example.it/email/unsubscribe/"));
        assert_eq!(link, links().unsubscribe(citizen(), &service), "the same again");
        assert_eq!(links().open_unsubscribe(token(&link)), Ok((citizen(), service)));
        assert_eq!(links().open_validate(token(&link), Millis(0)), Err(LinkError::Invalid));
    }

    #[test]
    fn a_link_that_was_changed_or_made_elsewhere_opens_nothing() {
        let address = AddressId::of("someone@example.it");
        let link = links().validate(citizen(), address, Millis(10));
        let whole = token(&link).to_owned();
        assert_eq!(links().open_validate(&whole, Millis(9)), Ok((citizen(), address)));
        assert_eq!(links().open_validate(&whole, Millis(10)), Err(LinkError::Expired));
        for at in 0..whole.len() {
            let mut changed = whole.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap_or_default();
            assert_eq!(links().open_validate(&changed, Millis(0)), Err(LinkError::Invalid));
        }
        let other = Links::new(&Secret::new([8; 32]), "https://example.it");
        assert_eq!(other.open_validate(&whole, Millis(0)), Err(LinkError::Invalid));
        assert_eq!(links().open_validate("", Millis(0)), Err(LinkError::Invalid));
        assert_eq!(links().open_validate(&"A".repeat(10_000), Millis(0)), Err(LinkError::Invalid));
    }
}
