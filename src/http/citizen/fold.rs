//! Search without regard to case and accents: "citta" finds "Città".

use icu_normalizer::DecomposingNormalizerBorrowed;

use crate::http::problem::Problem;

/// Longest text searched for, characters.
pub const LONGEST: usize = 100;

/// `text` in lower case, without combining accents (Unicode NFKD, then
/// U+0300 to U+036F removed).
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let normalizer = const { DecomposingNormalizerBorrowed::new_nfkd() };
    let plain = |c: &char| !('\u{300}'..='\u{36f}').contains(c);
    normalizer.normalize_iter(text.chars()).filter(plain).flat_map(char::to_lowercase).collect()
}

/// Words that must all occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// The words of a query; none given means everything is found.
    ///
    /// # Errors
    /// 400 naming `field` when the text is too long.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Problem> {
        if text.chars().count() > LONGEST {
            return Err(Problem::field(field, format!("must have at most {LONGEST} characters")));
        }
        let mut words: Vec<_> = fold(text).split_whitespace().map(str::to_owned).collect();
        words.sort_unstable();
        words.dedup();
        Ok(Self(words))
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each word occurs in one of `texts`, which are folded.
    pub fn occur_in(&self, texts: &[&str]) -> bool {
        self.0.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::{Words, fold};

    #[test]
    fn case_and_accents_do_not_count() {
        assert_eq!(fold("CITTÀ di Forlì"), "citta di forli");
        assert_eq!(fold("Cittа\u{300}"), fold("Cittа"));
        assert_eq!(fold("Ærøskøbing"), "ærøskøbing");
        assert_eq!(fold("ﬁne"), "fine");
    }

    #[test]
    fn every_word_must_occur_somewhere() {
        let words = Words::parse("q", " identità  CARTA ").expect("short enough");
        assert!(words.occur_in(&["la sua carta", "d'identita"]));
        assert!(!words.occur_in(&["la sua carta"]));
        assert!(Words::parse("q", "  ").expect("short").is_empty());
        assert!(Words::parse("q", &"è".repeat(101)).is_err());
    }
}
