//! Administrative areas of Italy, by ISTAT code.
//!
//! A municipality's code has six digits and begins with the three of its
//! province; which region a province belongs to is a table of 107 rows
//! (ISTAT, "Codici statistici delle unità amministrative territoriali").

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::id::InvalidId;

/// A municipality, a province or a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Area {
    /// Region, two digits.
    Region(u8),
    /// Province or metropolitan city, three digits.
    Province(u16),
    /// Municipality, six digits.
    Municipality(u32),
}

/// Region of each province by its code; 0 where no province has the code.
const REGIONS: [u8; 112] = [
    0, 1, 1, 1, 1, 1, 1, 2, 7, 7, 7, 7, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5, 5, 6, 6,
    6, 8, 8, 8, 8, 8, 8, 8, 8, 11, 11, 11, 11, 9, 9, 9, 9, 9, 9, 9, 9, 9, 10, 10, 12, 12, 12, 12,
    12, 15, 15, 15, 15, 15, 13, 13, 13, 13, 14, 16, 16, 16, 16, 16, 17, 17, 18, 18, 18, 19, 19, 19,
    19, 19, 19, 19, 19, 19, 20, 20, 20, 6, 14, 20, 1, 3, 3, 8, 9, 18, 18, 1, 0, 0, 0, 0, 3, 11, 16,
    20,
];

/// The region of a province, if there is such a province.
fn region(province: u16) -> Option<u8> {
    REGIONS.get(usize::from(province)).copied().filter(|region| *region > 0)
}

impl Area {
    /// The area of an ISTAT code: two digits a region, three a province, six
    /// a municipality. Municipalities come and go every year, so any in a
    /// known province is taken.
    ///
    /// # Errors
    /// [`InvalidId`] when `code` is none of these.
    pub fn parse(code: &str) -> Result<Self, InvalidId> {
        Self::read(code).ok_or(InvalidId {
            what: "area code",
            rule: "the ISTAT code of a region (01 to 20), of an existing province (3 digits) or of a \
                   municipality in one (6 digits)",
        })
    }

    fn read(code: &str) -> Option<Self> {
        if !code.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number: u32 = code.parse().ok()?;
        let province = |code: u32| u16::try_from(code).ok().filter(|code| region(*code).is_some());
        match code.len() {
            2 => u8::try_from(number).ok().filter(|code| (1..=20).contains(code)).map(Self::Region),
            3 => province(number).map(Self::Province),
            6 => province(number / 1_000).map(|_| Self::Municipality(number)),
            _ => None,
        }
    }

    /// Whether the municipality with code `municipality` lies in this area.
    #[must_use]
    pub fn contains(self, municipality: u32) -> bool {
        let province = u16::try_from(municipality / 1_000).unwrap_or(u16::MAX);
        match self {
            Self::Municipality(code) => code == municipality,
            Self::Province(code) => code == province,
            Self::Region(code) => region(province) == Some(code),
        }
    }
}

/// Areas, to be asked about many municipalities: three look-ups each, however
/// many areas there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AreaSet(BTreeSet<Area>);

impl AreaSet {
    /// Whether the municipality with code `municipality` lies in one of them.
    #[must_use]
    pub fn contain(&self, municipality: u32) -> bool {
        let province = u16::try_from(municipality / 1_000).unwrap_or(u16::MAX);
        self.0.contains(&Area::Municipality(municipality))
            || self.0.contains(&Area::Province(province))
            || region(province).is_some_and(|code| self.0.contains(&Area::Region(code)))
    }
}

impl FromIterator<Area> for AreaSet {
    fn from_iter<I: IntoIterator<Item = Area>>(areas: I) -> Self {
        Self(areas.into_iter().collect())
    }
}

/// The code, as parsed.
impl std::fmt::Display for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Region(code) => write!(f, "{code:02}"),
            Self::Province(code) => write!(f, "{code:03}"),
            Self::Municipality(code) => write!(f, "{code:06}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Area, AreaSet, region};

    #[test]
    fn there_are_107_provinces_in_20_regions() {
        let known: Vec<u8> = (0..200).filter_map(region).collect();
        assert_eq!(known.len(), 107);
        assert!((1..=20).all(|code| known.contains(&code)));
    }

    #[test]
    fn codes_survive_the_round_trip_and_others_are_refused() {
        for code in ["03", "015", "015146", "20", "111", "001001"] {
            assert_eq!(Area::parse(code).map(|area| area.to_string()), Ok(code.to_owned()));
        }
        for code in ["", "3", "00", "21", "000", "104", "112", "104001", "15146", "01514a", "+15"] {
            assert!(Area::parse(code).is_err(), "{code}");
        }
    }

    #[test]
    fn an_area_contains_its_municipalities_and_no_others() {
        let milan = 15_146;
        for (code, inside) in [
            ("015146", true),
            ("015145", false),
            ("015", true),
            ("016", false),
            ("03", true),
            ("01", false),
        ] {
            assert_eq!(Area::parse(code).map(|area| area.contains(milan)), Ok(inside), "{code}");
        }
    }

    #[test]
    fn a_set_contains_what_one_of_its_areas_contains() {
        let codes = ["015146", "015", "03", "016024", "082", "19", "058091"];
        let areas: Vec<Area> = codes.iter().filter_map(|code| Area::parse(code).ok()).collect();
        assert_eq!(areas.len(), codes.len());
        let homes =
            [0, 1_001, 15_146, 15_145, 16_024, 16_025, 58_091, 82_053, 82_999, 104_001, u32::MAX];
        for some in 0..1_u32 << areas.len() {
            let taken =
                || areas.iter().copied().enumerate().filter(|(bit, _)| some >> bit & 1 == 1);
            let set: AreaSet = taken().map(|(_, area)| area).collect();
            for home in homes {
                let one = taken().any(|(_, area)| area.contains(home));
                assert_eq!(set.contain(home), one, "{home} in {set:?}");
            }
        }
    }
}
