//! The codice fiscale: how it is put together and its check character (Decreto ministeriale 23/12/1976, art. 1-13).
//!
//! Owns the letters and weights of the decree, nothing else. Only synthetic people are coded here.

/// Letters of the months, January first.
const MONTHS: &[u8; 12] = b"ABCDEHLMPRST";

/// Weights of the characters in odd places (first, third, …): index 0-9 the digits (and A-J), then K-Z.
const ODD: [u8; 26] =
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

/// The parts a code is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Three letters of the surname, see [`surname_triplet`].
    pub surname: [u8; 3],
    /// Three letters of the given name, see [`given_name_triplet`].
    pub given_name: [u8; 3],
    /// Year of birth.
    pub year: u16,
    /// Month of birth, 1-12.
    pub month: u8,
    /// Day of birth, 1-31.
    pub day: u8,
    /// Women have 40 added to the day.
    pub female: bool,
    /// Cadastral code of the place of birth, for example `F205`.
    pub place: [u8; 4],
}

/// The sixteen characters of a code.
///
/// A month outside 1-12 is taken as the nearest one: callers pass dates of the calendar.
#[must_use]
pub fn encode(parts: &Parts) -> String {
    let day = parts.day + if parts.female { 40 } else { 0 };
    let year = parts.year % 100;
    let month = MONTHS[usize::from(parts.month.clamp(1, 12)) - 1];
    let mut code = String::with_capacity(16);
    let digit = |value: u16| char::from(b'0' + u8::try_from(value % 10).unwrap_or(0));
    code.extend(parts.surname.iter().chain(&parts.given_name).map(|byte| char::from(*byte)));
    code.extend([digit(year / 10), digit(year), char::from(month)]);
    code.extend([digit(u16::from(day) / 10), digit(u16::from(day))]);
    code.extend(parts.place.iter().map(|byte| char::from(*byte)));
    let check = check_character(code.as_bytes());
    code.push(char::from(check));
    code
}

/// The sixteenth character for the first fifteen, taken as written.
#[must_use]
pub fn check_character(code: &[u8]) -> u8 {
    let sum: u32 = code
        .iter()
        .take(15)
        .enumerate()
        .map(|(place, byte)| {
            let value = match byte {
                b'0'..=b'9' => byte - b'0',
                b'A'..=b'Z' => byte - b'A',
                _ => 0,
            };
            // The first character is in an odd place.
            let weight = if place % 2 == 0 { ODD[usize::from(value)] } else { value };
            u32::from(weight)
        })
        .sum();
    b'A' + u8::try_from(sum % 26).unwrap_or(0)
}

/// Whether the check character of a sixteen-character code is right.
#[must_use]
pub fn is_valid(code: &str) -> bool {
    let bytes = code.as_bytes();
    bytes.len() == 16
        && bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && check_character(bytes) == bytes[15]
}

/// Consonants first, then vowels, then X.
#[must_use]
pub fn surname_triplet(surname: &str) -> [u8; 3] {
    let (consonants, vowels) = letters(surname);
    first_three(consonants.into_iter().chain(vowels))
}

/// As for the surname, but with four or more consonants the second one is left out.
#[must_use]
pub fn given_name_triplet(name: &str) -> [u8; 3] {
    let (mut consonants, vowels) = letters(name);
    if consonants.len() >= 4 {
        consonants.remove(1);
    }
    first_three(consonants.into_iter().chain(vowels))
}

fn letters(name: &str) -> (Vec<u8>, Vec<u8>) {
    name.bytes()
        .filter(u8::is_ascii_alphabetic)
        .map(|byte| byte.to_ascii_uppercase())
        .partition(|byte| !b"AEIOU".contains(byte))
}

fn first_three(letters: impl Iterator<Item = u8>) -> [u8; 3] {
    let mut triplet = *b"XXX";
    for (place, letter) in triplet.iter_mut().zip(letters) {
        *place = letter;
    }
    triplet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decrees_own_rules_give_the_known_example() {
        // The example printed in most explanations: Mario Rossi, 1 January 1980, Roma.
        let parts = Parts {
            surname: surname_triplet("Rossi"),
            given_name: given_name_triplet("Mario"),
            year: 1980,
            month: 1,
            day: 1,
            female: false,
            place: *b"H501",
        };
        assert_eq!(encode(&parts), "RSSMRA80A01H501U");
        assert!(is_valid("RSSMRA85T10A562S"));
        assert!(!is_valid("RSSMRA85T10A562T"));
        assert!(!is_valid("rssmra85t10a562s") && !is_valid("RSSMRA"));
    }

    #[test]
    fn short_names_are_filled_and_long_given_names_skip_the_second_consonant() {
        assert_eq!(&surname_triplet("Fo"), b"FOX");
        assert_eq!(&surname_triplet("De Luca"), b"DLC");
        assert_eq!(&given_name_triplet("Gianfranco"), b"GFR");
        assert_eq!(&given_name_triplet("Luca"), b"LCU");
    }

    #[test]
    fn women_have_forty_added_to_the_day() {
        let parts = Parts {
            surname: *b"BNC",
            given_name: *b"GLI",
            year: 2003,
            month: 12,
            day: 5,
            female: true,
            place: *b"H501",
        };
        assert!(encode(&parts).starts_with("BNCGLI03T45H501"));
    }
}
