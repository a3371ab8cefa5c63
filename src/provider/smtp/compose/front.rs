//! Front matter: what IO's senders put before the text, buttons for the app as
//! YAML between two lines `---`. Nothing a reader of a mail can press, so it
//! is left out, by the rule of the citizen page.

/// `markdown` without its front matter.
pub(super) fn without(markdown: &str) -> &str {
    let Some(block) = markdown.strip_prefix("---\n") else { return markdown };
    if !block.split_once('\n').is_some_and(|(first, _)| is_key(first)) {
        return markdown;
    }
    let ends = |(at, line): (usize, &str)| {
        let rest = &block[at + line.len()..];
        rest.strip_prefix('\n').or_else(|| rest.is_empty().then_some(rest))
    };
    block.match_indices("\n---").find_map(ends).unwrap_or(markdown)
}

/// Whether `line` is a key alone, as `it:`.
fn is_key(line: &str) -> bool {
    let key = line.trim_end_matches([' ', '\t']).strip_suffix(':');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    key.is_some_and(|key| !key.is_empty() && key.chars().all(fits))
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn front_matter_is_left_out() {
        let front = "---\nit:\n  cta_1:\n    text: \"Paga\"\n    action: \"iohandled://x\"\n---\n";
        assert_eq!(without(&format!("{front}# Avviso\n\n---\nTesto")), "# Avviso\n\n---\nTesto");
        assert_eq!(without(front), "");
        assert_eq!(without(front.trim_end()), "");
    }

    #[test]
    fn a_rule_is_not_front_matter() {
        for kept in ["---\nTesto\n---\n", "---\nit:\nTesto", "Testo\n---\nit:\n---\n", "---\n", ""]
        {
            assert_eq!(without(kept), kept);
        }
        assert_eq!(without("---\nit:\n----\nTesto"), "---\nit:\n----\nTesto");
    }
}
