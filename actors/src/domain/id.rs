//! Identifiers. Each is a newtype so that one cannot be passed for another.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use ulid::Ulid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::fiscal_code::FiscalCode;
use super::time::Millis;

/// An identifier that does not have its required form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {rule}")]
pub struct InvalidId {
    /// Which identifier was being read.
    pub what: &'static str,
    /// The form it must have.
    pub rule: &'static str,
}

/// A message: a ULID, 26 characters of Crockford's base 32 on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// Builds the identifier from its creation time and 80 bits of `entropy`
    /// (higher bits are ignored).
    #[must_use]
    pub fn new(at: Millis, entropy: u128) -> Self {
        Self(Ulid::from_parts(at.0, entropy).to_bytes())
    }

    /// Reads the 26-character form, in either case.
    ///
    /// # Errors
    /// [`InvalidId`] when `text` is not a ULID.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        Ulid::from_string(text)
            .map(|ulid| Self(ulid.to_bytes()))
            .map_err(|_| InvalidId { what: "message id", rule: "a ULID of 26 characters" })
    }

    /// The 16 bytes, big-endian: their order is the order of creation.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The inverse of [`MessageId::to_bytes`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0_u8; ulid::ULID_LEN];
        f.write_str(Ulid::from_bytes(self.0).array_to_str(&mut buffer))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Defines an identifier that is checked text.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("# Errors\n[`InvalidId`] when `text` is not ", $rule, ".")]
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { what: $what, rule: $rule })
                }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A service, as IO names it.
    ServiceId,
    "service id",
    "1 to 64 letters, digits, '-' or '_'",
    |text| is_name(text, 64)
);

text_id!(
    /// An organisation: its fiscal code.
    OrganizationId,
    "organization fiscal code",
    "11 digits",
    |text| text.len() == 11 && text.bytes().all(|b| b.is_ascii_digit())
);

text_id!(
    /// A configured route, by its name in `[route.NAME]`.
    RouteId,
    "route name",
    "1 to 32 letters, digits, '-' or '_'",
    |text| is_name(text, 32)
);

text_id!(
    /// A process among its peers, by its name in the configuration.
    NodeId,
    "node name",
    "1 to 64 letters, digits, '-' or '_'",
    |text| is_name(text, 64)
);

fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A hash slice of the citizens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(pub u16);

impl PartitionId {
    /// The slice that `citizen` belongs to among `count` slices.
    ///
    /// The hash (XXH3-64) and the count are fixed when a store is created:
    /// changing either would orphan what is stored.
    #[must_use]
    pub fn of(citizen: &FiscalCode, count: u16) -> Self {
        let slice = xxh3_64(citizen.as_bytes()) % u64::from(count.max(1));
        Self(u16::try_from(slice).unwrap_or(0))
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which ownership of a partition a writer acts under; a store refuses the
/// writes of any but the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// A citizen's device, by a hash of platform and token, so that a delivery
/// can name it without carrying the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId(pub u64);

impl DeviceId {
    /// The identifier of `token` on the platform tagged `platform`.
    #[must_use]
    pub fn of(platform: &str, token: &str) -> Self {
        let length = platform.len() + 1 + token.len();
        let mut short = [0; Self::SHORT];
        let mut long = Vec::new();
        // Tokens of today fit: millions of them are hashed in a walk.
        let bytes = if length <= Self::SHORT {
            &mut short[..length]
        } else {
            long.resize(length, 0);
            &mut long[..]
        };
        bytes[..platform.len()].copy_from_slice(platform.as_bytes());
        bytes[platform.len() + 1..].copy_from_slice(token.as_bytes());
        Self(xxh3_64(bytes))
    }

    /// Longest platform and token hashed without an allocation, in bytes.
    const SHORT: usize = 256;
}

/// An e-mail address, by a hash of its lower-case form: names the address
/// without carrying it, and orders the index that keeps validated addresses
/// unique. BLAKE3, since citizens choose their addresses and must not be able
/// to choose another's identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressId(pub [u8; 16]);

impl AddressId {
    /// The identifier of `address`.
    #[must_use]
    pub fn of(address: &str) -> Self {
        let hash = blake3::hash(address.to_lowercase().as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        Self(id)
    }
}

/// Not reversible, but the same address is recognised by it: not printed.
impl fmt::Debug for AddressId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressId(..)")
    }
}

/// A delivery: the same message to the same endpoint always has the same id,
/// so that every repetition can be recognised by provider and auditor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryId([u8; 16]);

impl DeliveryId {
    /// Derives the id from the message and the tagged endpoint.
    #[must_use]
    pub fn of(message: MessageId, channel_tag: u8, endpoint: u64) -> Self {
        let mut bytes = [0_u8; 25];
        bytes[..16].copy_from_slice(&message.to_bytes());
        bytes[16] = channel_tag;
        bytes[17..].copy_from_slice(&endpoint.to_be_bytes());
        Self(xxh3_128(&bytes).to_be_bytes())
    }

    /// The 16 bytes with RFC 9562 version 8 (custom) and variant bits set:
    /// what goes on the wire as `apns-id`.
    #[must_use]
    pub const fn uuid_bytes(self) -> [u8; 16] {
        let mut bytes = self.0;
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}
