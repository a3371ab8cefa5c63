//! The codice fiscale: how the state, and so every sender, knows a citizen.
//!
//! The shape is the contract's (IO `FiscalCode` pattern: it takes the seven
//! "omocodia" letters in place of digits and does not test the check
//! character). The check character follows the decree of 23 December 1976;
//! only the import looks at it, and only to warn.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::id::InvalidId;

/// Upper-case codice fiscale of a person, 16 ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FiscalCode([u8; 16]);

/// Digits and the letters that replace them to tell homonyms apart.
const DIGIT_OR_OMOCODIA: &[u8] = b"0123456789LMNPQRSTUV";
/// The letters of the months, January to December.
const MONTH: &[u8] = b"ABCDEHLMPRST";
/// Value of each character (0-9 then A-Z) in the odd positions.
const ODD_VALUE: [u16; 36] = [
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6,
    8, 12, 14, 16, 10, 22, 25, 24, 23,
];

impl FiscalCode {
    /// Reads `text`, which must have the contract's shape (upper case).
    ///
    /// # Errors
    /// [`InvalidId`], which does not repeat the text: it may be somebody's.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId {
            what: "fiscal code",
            rule: "16 upper-case characters of the codice fiscale's form",
        };
        let bytes: [u8; 16] = text.as_bytes().try_into().map_err(|_| invalid.clone())?;
        let fits = bytes.iter().enumerate().all(|(place, byte)| match place {
            0..=5 | 11 | 15 => byte.is_ascii_uppercase(),
            8 => MONTH.contains(byte),
            _ => DIGIT_OR_OMOCODIA.contains(byte),
        });
        if fits { Ok(Self(bytes)) } else { Err(invalid) }
    }

    /// Whether the sixteenth character is the one the other fifteen give.
    #[must_use]
    pub fn has_valid_check_character(&self) -> bool {
        let sum: u16 = self.0[..15]
            .iter()
            .enumerate()
            .map(|(place, &byte)| {
                let rank = char_rank(byte);
                if place % 2 == 0 { ODD_VALUE[usize::from(rank)] } else { even_value(rank) }
            })
            .sum();
        u16::from(self.0[15] - b'A') == sum % 26
    }

    /// The sixteen ASCII bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Place of a digit or upper-case letter in `0-9A-Z`.
const fn char_rank(byte: u8) -> u8 {
    if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 }
}

/// Value in the even positions: digits count as themselves, letters from 0.
const fn even_value(rank: u8) -> u16 {
    if rank < 10 { rank as u16 } else { (rank - 10) as u16 }
}

impl fmt::Display for FiscalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Personal data: a debug print shows only that there is one.
impl fmt::Debug for FiscalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FiscalCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::FiscalCode;

    #[test]
    fn takes_every_code_of_the_contracts_pattern() {
        for code in ["AAAAAA00A00A000A", "RSSMRA85T10A562S", "RSSMRAURTMLARSNL", "SPNDAA80A01B354R"]
        {
            assert!(FiscalCode::parse(code).is_ok(), "{code}");
        }
    }

    #[test]
    fn refuses_other_shapes_and_lower_case() {
        for code in [
            "",
            "AAAAAA00A00A000",
            "AAAAAA00A00A000AA",
            "aaaaaa00a00a000a",
            "AAAAAA00F00A000A",
            "AAAAAA0AA00A000A",
            "AAAAAA00A00A0001",
            "ÀAAAA00A00A000A",
            "12345678901",
        ] {
            assert!(FiscalCode::parse(code).is_err(), "{code}");
        }
    }

    #[test]
    fn check_character_follows_the_decree() {
        let valid = |code: &str| FiscalCode::parse(code).map(|c| c.has_valid_check_character());
        assert_eq!(valid("RSSMRA85T10A562S"), Ok(true));
        assert_eq!(valid("RSSMRA85T10A562T"), Ok(false));
        assert_eq!(valid("AAAAAA00A00A000A"), Ok(false));
    }

    #[test]
    fn debug_print_hides_the_person() {
        let code = FiscalCode::parse("RSSMRA85T10A562S").map(|c| format!("{c:?}"));
        assert_eq!(code.as_deref(), Ok("FiscalCode(..)"));
    }
}
