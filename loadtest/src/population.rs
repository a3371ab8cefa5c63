//! A synthetic population: citizens drawn from a seed, each from its index alone.
//!
//! Owns nothing but the seed: `citizen(index)` is a pure function, so ten million citizens cost no memory and any
//! process finds the same ones. Codici fiscali are unique by construction: the index is mapped one to one to a pair
//! (surname, date of birth), and both are part of the code. Nobody in it exists; e-mail addresses are in a domain
//! that can be nobody's (RFC 2606, section 2).

use std::io::{self, Write};

pub use citizen::{Citizen, Device, Mode, Switches};
pub use places::{Municipality, Places, places};

mod citizen;
pub mod fiscal_code;
mod names;
mod places;

use crate::simulator::mix::{mix, mix2};
use names::SURNAMES;

/// Days a date of birth is drawn from: 1 January 1930 and the 29,200 days after it. Eighty years, so that the two
/// digits of the year in a codice fiscale stay unambiguous.
pub(crate) const BIRTH_DAYS: u64 = 29_200;

/// What kind of citizens are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mix {
    /// As in a real register: 0 to 3 devices, preferences of every kind, some unreachable.
    #[default]
    Real,
    /// Every citizen has exactly one device, no address, and takes everything, so that each message is one push.
    OneDevice,
    /// As [`Mix::OneDevice`], and the device is Apple's.
    OneApns,
    /// As [`Mix::OneDevice`], and the device takes FCM.
    OneFcm,
    /// Every citizen has a confirmed address, no device, and takes everything, so that each message is one mail.
    MailOnly,
    /// Every citizen has exactly one device and a confirmed address, and takes everything, so that each message is one push
    /// and one mail.
    DeviceAndMail,
    /// Every citizen takes everything and has neither device nor address, so that each message is in the inbox only.
    InboxOnly,
}

/// A population of `size` citizens.
#[derive(Debug, Clone, Copy)]
pub struct Population {
    seed: u64,
    size: u64,
    mix: Mix,
}

impl Population {
    /// The largest population: one citizen for each pair of surname and date of birth.
    #[must_use]
    pub fn max_size() -> u64 {
        SURNAMES.all.len() as u64 * BIRTH_DAYS
    }

    /// A population; `size` is cut at [`Population::max_size`].
    #[must_use]
    pub fn new(seed: u64, size: u64, mix: Mix) -> Self {
        Self { seed, size: size.min(Self::max_size()), mix }
    }

    /// How many citizens it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The citizen at this index. Indices beyond the size give valid citizens who are in no register.
    #[must_use]
    pub fn citizen(&self, index: u64) -> Citizen {
        citizen::draw(self, index % Self::max_size())
    }

    /// The import line of this citizen, without the line feed.
    #[must_use]
    pub fn line(&self, index: u64) -> String {
        self.citizen(index).line()
    }

    /// Writes the import lines of a range of citizens, one object a line.
    ///
    /// # Errors
    /// Whatever the writer answers.
    pub fn write_lines(&self, range: std::ops::Range<u64>, out: &mut impl Write) -> io::Result<()> {
        for index in range.start..range.end.min(self.size) {
            out.write_all(self.line(index).as_bytes())?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Surname and day of birth of an index: one to one, common surnames first.
    ///
    /// Both tiers are an affine map modulo their size, with a factor prime to it, so neighbours land far apart.
    pub(crate) fn identity(&self, index: u64) -> (usize, u64) {
        let common = SURNAMES.common as u64 * BIRTH_DAYS;
        let (base, size, index) = if index < common {
            (0, common, index)
        } else {
            (common, Self::max_size() - common, index - common)
        };
        let factor = coprime(size / 1_000 * 618 + mix(self.seed) % 10_000, size);
        let shift = mix2(self.seed, size) % size;
        let place = base + mul_mod(index, factor, size, shift);
        let surname = usize::try_from(place / BIRTH_DAYS).unwrap_or(0);
        (surname, place % BIRTH_DAYS)
    }
}

/// `(a * b + c) mod m` without overflow.
fn mul_mod(a: u64, b: u64, m: u64, c: u64) -> u64 {
    let value = (u128::from(a) * u128::from(b) + u128::from(c)) % u128::from(m);
    u64::try_from(value).unwrap_or(0)
}

/// The first number from `start` on that has no common divisor with `size`.
fn coprime(start: u64, size: u64) -> u64 {
    let gcd = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (start.max(1)..).find(|candidate| gcd(*candidate, size) == 1).unwrap_or(1)
}

/// A stream of random words from one seed; the same in every version.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) const fn new(seed: u64, index: u64) -> Self {
        Self(mix2(seed, index))
    }

    pub(crate) const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0..end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        ((self.word() as u128 * end as u128) >> 64) as u64
    }

    /// True in this many of a hundred cases.
    pub(crate) const fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn two_hundred_thousand_codici_fiscali_are_valid_and_different() {
        let population = Population::new(42, 200_000, Mix::Real);
        let mut seen = HashSet::new();
        for index in 0..200_000 {
            let code = population.citizen(index).fiscal_code;
            assert!(fiscal_code::is_valid(&code), "{code}");
            assert!(seen.insert(code), "repeated at {index}");
        }
    }

    #[test]
    fn identities_are_one_to_one_over_the_border_of_the_tiers_too() {
        let population = Population::new(7, 10_000_000, Mix::Real);
        let border = SURNAMES.common as u64 * BIRTH_DAYS;
        let mut seen = HashSet::new();
        for index in (border - 300_000)..(border + 300_000) {
            assert!(seen.insert(population.identity(index)));
        }
        assert!(Population::max_size() > 60_000_000);
    }

    #[test]
    fn the_same_seed_gives_the_same_citizens_and_another_seed_others() {
        let (one, two) =
            (Population::new(1, 1_000, Mix::Real), Population::new(1, 50_000, Mix::Real));
        let other = Population::new(2, 1_000, Mix::Real);
        for index in 0..1_000 {
            assert_eq!(one.line(index), two.line(index));
            assert_ne!(one.line(index), other.line(index));
        }
    }

    #[test]
    fn the_mix_is_that_of_a_register() {
        let population = Population::new(3, 20_000, Mix::Real);
        let citizens: Vec<Citizen> = (0..20_000).map(|index| population.citizen(index)).collect();
        let devices: Vec<&Device> = citizens.iter().flat_map(|citizen| &citizen.devices).collect();
        let fcm =
            devices.iter().filter(|device| device.platform == "fcm").count() * 100 / devices.len();
        assert!((52..58).contains(&fcm), "{fcm} % FCM");
        for device in &devices {
            match device.platform {
                "apns" => assert!(
                    device.token.len() == 64 && device.token.bytes().all(|b| b.is_ascii_hexdigit())
                ),
                _ => assert!(device.token.len() == 152 && device.token.contains(":APA91b")),
            }
        }
        let tokens: HashSet<&str> = devices.iter().map(|device| device.token.as_str()).collect();
        assert_eq!(tokens.len(), devices.len());
        let share = |test: fn(&Citizen) -> bool| {
            citizens.iter().filter(|citizen| test(citizen)).count() * 100 / citizens.len()
        };
        assert!((1..8).contains(&share(|c| !c.is_inbox_enabled)));
        assert!((3..12).contains(&share(|c| !c.is_push_enabled)));
        assert!((8..18).contains(&share(|c| c.mode == Mode::Manual)));
        assert!((47..53).contains(&share(|c| c.female)));
        assert!((90..99).contains(&share(|c| c.languages[0] == "it_IT")));
    }

    #[test]
    fn the_channels_asked_for_means_no_other_and_no_obstacle() {
        for (mix, devices, address) in [
            (Mix::OneDevice, 1, false),
            (Mix::OneApns, 1, false),
            (Mix::OneFcm, 1, false),
            (Mix::MailOnly, 0, true),
            (Mix::DeviceAndMail, 1, true),
            (Mix::InboxOnly, 0, false),
        ] {
            let population = Population::new(3, 500, mix);
            for index in 0..500 {
                let citizen = population.citizen(index);
                assert_eq!((citizen.devices.len(), citizen.email.is_some()), (devices, address));
                let platforms: &[&str] = match mix {
                    Mix::OneApns => &["apns"],
                    Mix::OneFcm => &["fcm"],
                    _ => &["apns", "fcm"],
                };
                assert!(citizen.devices.iter().all(|device| platforms.contains(&device.platform)));
                assert!(citizen.is_inbox_enabled && citizen.is_email_enabled);
                assert!(citizen.is_push_enabled && citizen.preferences.is_empty());
                assert!(citizen.email_validated == address && citizen.mode == Mode::Auto);
            }
        }
    }

    #[test]
    fn addresses_are_in_a_reserved_domain_plain_and_nobody_elses() {
        let population = Population::new(5, 20_000, Mix::Real);
        let citizens: Vec<Citizen> = (0..20_000).map(|index| population.citizen(index)).collect();
        let addresses: Vec<&str> = citizens.iter().filter_map(|c| c.email.as_deref()).collect();
        for address in &addresses {
            let (local, domain) = address.split_once('@').unwrap();
            assert_eq!(domain, "posta.example");
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(local.split('.').all(|part| !part.is_empty() && part.bytes().all(plain)));
        }
        assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), addresses.len());
        assert!((65..75).contains(&(addresses.len() * 100 / citizens.len())));
        let unconfirmed = citizens.iter().filter(|c| c.email.is_some() && !c.email_validated);
        assert!((5..12).contains(&(unconfirmed.count() * 100 / addresses.len())));
        assert!(citizens.iter().all(|c| c.email.is_some() || !c.email_validated));
    }

    #[test]
    fn lines_are_json_objects_of_the_import_format() {
        let population = Population::new(11, 300, Mix::Real);
        let mut bytes = Vec::new();
        population.write_lines(0..1_000, &mut bytes).unwrap();
        let lines: Vec<serde_json::Value> = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 300);
        let known = [
            "fiscal_code",
            "email",
            "email_validated",
            "languages",
            "municipality",
            "birth_year",
            "timezone",
            "devices",
            "is_inbox_enabled",
            "is_email_enabled",
            "is_push_enabled",
            "preferences_mode",
            "preferences",
        ];
        for line in &lines {
            assert!(line.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())));
            assert_eq!(line["municipality"].as_str().unwrap().len(), 6);
        }
    }
}
