//! Names of the synthetic people: common Italian given names and surnames, combined at random, and invented surnames.
//!
//! Owns the table of surnames, ordered so that no two have the same triplet in a codice fiscale: first the common ones,
//! then invented ones for every triplet left over the consonants used. A person found here has no counterpart.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::fiscal_code::{given_name_triplet, surname_triplet};

const WOMEN: [&str; 48] = [
    "Maria",
    "Anna",
    "Giulia",
    "Chiara",
    "Francesca",
    "Laura",
    "Sara",
    "Elena",
    "Paola",
    "Silvia",
    "Martina",
    "Alessia",
    "Valentina",
    "Federica",
    "Roberta",
    "Elisa",
    "Claudia",
    "Monica",
    "Cristina",
    "Simona",
    "Giovanna",
    "Rosa",
    "Teresa",
    "Angela",
    "Lucia",
    "Carla",
    "Daniela",
    "Barbara",
    "Patrizia",
    "Stefania",
    "Sofia",
    "Aurora",
    "Giorgia",
    "Beatrice",
    "Alice",
    "Emma",
    "Greta",
    "Noemi",
    "Camilla",
    "Ilaria",
    "Serena",
    "Marta",
    "Caterina",
    "Irene",
    "Veronica",
    "Luisa",
    "Rita",
    "Michela",
];

const MEN: [&str; 48] = [
    "Giuseppe",
    "Giovanni",
    "Antonio",
    "Mario",
    "Luigi",
    "Francesco",
    "Angelo",
    "Vincenzo",
    "Pietro",
    "Salvatore",
    "Carlo",
    "Franco",
    "Domenico",
    "Bruno",
    "Paolo",
    "Michele",
    "Giorgio",
    "Aldo",
    "Sergio",
    "Luciano",
    "Marco",
    "Andrea",
    "Luca",
    "Alessandro",
    "Matteo",
    "Lorenzo",
    "Davide",
    "Simone",
    "Federico",
    "Riccardo",
    "Leonardo",
    "Gabriele",
    "Tommaso",
    "Filippo",
    "Stefano",
    "Roberto",
    "Fabio",
    "Claudio",
    "Massimo",
    "Daniele",
    "Nicola",
    "Emanuele",
    "Giacomo",
    "Edoardo",
    "Diego",
    "Samuele",
    "Enrico",
    "Alberto",
];

const COMMON: &str = "Rossi Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti Costa Giordano Mancini Rizzo \
Lombardi Moretti Barbieri Fontana Santoro Mariani Rinaldi Caruso Ferrara Galli Martini Leone Longo Gentile Martinelli \
Vitale Lombardo Serra Coppola Marchetti Parisi Villa Conte Ferri Fabbri Bianco Marini Grasso Valentini Messina Sala Gatti \
Pellegrini Palumbo Sanna Farina Monti Cattaneo Morelli Amato Silvestri Mazza Testa Grassi Pellegrino Carbone Giuliani \
Benedetti Barone Rossetti Caputo Montanari Guerra Palmieri Bernardi Martino Fiore Ferretti Bellini Basile Riva Donati \
Piras Vitali Battaglia Sartori Neri Costantini Milani Pagano Ruggiero Sorrentino Orlando Damico Negri Ferraro Bruni \
Marra Cirillo Fiorentini Grimaldi Monaco Ventura Nicoletti Sacco Tosi Volpe Zanetti Bassi Bertolini Bonetti Brambilla \
Cadeddu Calabrese Campana Carli Castelli Cavalli Ceccarelli Cocco Corsi Cozzi Cremonesi Dotti Fadda Falcone Fasano \
Ferrero Filippi Fumagalli Furlan Gamba Garofalo Giglio Giusti Gualtieri Guidi Iacono Landi Lazzari Locatelli Loi Lupo \
Maggi Magnani Manca Mauri Melis Meloni Merlo Mura Murgia Napoli Nardi Natale Oliva Olivieri Pace Pavan Perini Pinna \
Piva Poli Porcu Poggi Proietti Raimondi Rocca Salerno Salvi Scotti Simonetti Spada Stella Tedesco Tonelli Usai Valente \
Venturi Viola Visconti Zago Zanella Zonta";

/// Consonants invented surnames are made of.
const CONSONANTS: &[u8; 14] = b"BCDFGLMNPRSTVZ";
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const ENDINGS: [&str; 6] = ["i", "o", "a", "ini", "elli", "etti"];

/// A surname and its triplet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surname {
    pub(crate) name: String,
    pub(crate) triplet: [u8; 3],
}

/// All surnames, no triplet twice; the first [`Surnames::common`] are common Italian ones.
pub(crate) struct Surnames {
    pub(crate) all: Vec<Surname>,
    pub(crate) common: usize,
}

pub(crate) static SURNAMES: LazyLock<Surnames> = LazyLock::new(|| {
    let mut seen = HashSet::new();
    let mut all: Vec<Surname> = COMMON
        .split_ascii_whitespace()
        .map(|name| Surname { name: name.to_owned(), triplet: surname_triplet(name) })
        .filter(|surname| seen.insert(surname.triplet))
        .collect();
    let common = all.len();
    for number in 0..CONSONANTS.len().pow(3) {
        let name = invented(number);
        let triplet = surname_triplet(&name);
        if seen.insert(triplet) {
            all.push(Surname { name, triplet });
        }
    }
    Surnames { all, common }
});

/// An invented surname over three consonants, for example `Bacedini`.
fn invented(number: usize) -> String {
    let base = CONSONANTS.len();
    let consonant = |place: usize| char::from(CONSONANTS[place % base]);
    let (first, second, third) = (number / base / base, number / base, number);
    let mut name = String::from(consonant(first));
    name.push_str(VOWELS[(number / 3) % VOWELS.len()]);
    name.push(consonant(second).to_ascii_lowercase());
    name.push_str(VOWELS[(number / 7) % VOWELS.len()]);
    name.push(consonant(third).to_ascii_lowercase());
    name.push_str(ENDINGS[(number / 11) % ENDINGS.len()]);
    name
}

/// A given name and its triplet, by a random word.
pub(crate) fn given_name(female: bool, word: u64) -> (&'static str, [u8; 3]) {
    let list: &[&'static str] = if female { &WOMEN } else { &MEN };
    let position = usize::try_from(word % list.len() as u64).unwrap_or(0);
    (list[position], given_name_triplet(list[position]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_surnames_share_a_triplet_and_every_name_gives_its_own() {
        let triplets: HashSet<[u8; 3]> =
            SURNAMES.all.iter().map(|surname| surname.triplet).collect();
        assert_eq!(triplets.len(), SURNAMES.all.len());
        assert!(SURNAMES.common > 130, "{}", SURNAMES.common);
        assert!(SURNAMES.all.len() > 2_700, "{}", SURNAMES.all.len());
        for surname in &SURNAMES.all {
            assert_eq!(surname_triplet(&surname.name), surname.triplet);
        }
    }
}
