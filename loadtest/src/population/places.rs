//! The Italian municipalities, drawn by resident population.
//!
//! Owns the parsed table (`data/municipalities.csv`, ISTAT, CC BY 3.0 IT) and its cumulative weights; built once, then
//! read only. The file is part of the program, so a fault in it is a fault of the build and a test finds it.

use std::sync::LazyLock;

use serde::Deserialize;

const TABLE: &str = include_str!("../../data/municipalities.csv");

/// One municipality.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Municipality {
    /// ISTAT code, six digits.
    pub istat_code: String,
    /// Official name.
    pub name: String,
    /// ISTAT code of the province, three digits.
    pub province_code: String,
    /// Letters of the province, for example `MI`.
    pub province: String,
    /// ISTAT code of the region, two digits.
    pub region_code: String,
    /// Name of the region.
    pub region: String,
    /// Place of birth in a codice fiscale, for example `F205`.
    pub cadastral_code: String,
    /// Residents.
    pub population: u32,
}

/// The municipalities and how to draw one.
pub struct Places {
    all: Vec<Municipality>,
    /// Residents up to and including each.
    cumulative: Vec<u64>,
}

static PLACES: LazyLock<Places> = LazyLock::new(|| {
    let all: Vec<Municipality> =
        csv::Reader::from_reader(TABLE.as_bytes()).deserialize().filter_map(Result::ok).collect();
    let mut residents = 0;
    let cumulative = all
        .iter()
        .map(|place: &Municipality| {
            residents += u64::from(place.population);
            residents
        })
        .collect();
    Places { all, cumulative }
});

/// The table.
#[must_use]
pub fn places() -> &'static Places {
    &PLACES
}

impl Places {
    /// All municipalities in the order of their ISTAT codes.
    #[must_use]
    pub fn all(&self) -> &[Municipality] {
        &self.all
    }

    /// Position of a municipality drawn by population with a random word.
    #[must_use]
    pub fn draw(&self, word: u64) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(1);
        let point = u64::try_from((u128::from(word) * u128::from(total)) >> 64).unwrap_or(0);
        self.cumulative.partition_point(|end| *end <= point)
    }

    /// Positions of the `count` largest municipalities, largest first.
    #[must_use]
    pub fn largest(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|position| std::cmp::Reverse(self.all[*position].population));
        order.truncate(count);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        assert_eq!(places().all().len(), TABLE.lines().count() - 1);
        assert!(
            places()
                .all()
                .iter()
                .all(|place| place.cadastral_code.len() == 4 && place.istat_code.len() == 6)
        );
        assert_eq!(places().all()[places().largest(1)[0]].name, "Roma");
    }

    #[test]
    fn draws_follow_the_population_and_stay_inside() {
        let rome = places().largest(1)[0];
        let draws = 200_000u64;
        let hits =
            (0..draws).filter(|n| places().draw(crate::simulator::mix::mix(*n)) == rome).count();
        assert!((8_000..9_600).contains(&hits), "{hits}");
        assert_eq!(places().draw(u64::MAX), places().all().len() - 1);
        assert_eq!(places().draw(0), 0);
    }
}
