//! Vietnamese text: one normal form, honest lengths, cuts that never split a letter from its accent.
//!
//! Vietnamese letters stack diacritics. The same word may arrive composed (NFC) or decomposed (NFD), and the two
//! differ in bytes, so everything is NFC before it is measured, sealed or sent, and nothing is normalised after.

use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_segmentation::UnicodeSegmentation;

/// Marks a cut; three bytes in UTF-8.
pub const ELLIPSIS: &str = "…";

/// How far back, in graphemes, a cut looks for a space to end at a whole word.
const WORD_SEARCH: usize = 20;

/// NFC, trimmed, line ends as `\n`, without control characters, the invisible marks that reorder text, and those that show nothing at all.
///
/// Direction overrides are removed because they let a text show other words than those approved; what has no width, because two texts that
/// look alike must be alike. Only what joins an emoji stays.
pub fn normalise(raw: &str) -> String {
    let unified = raw.replace("\r\n", "\n").replace('\r', "\n");
    let mut cleaned = String::with_capacity(unified.len());
    for c in unified.chars() {
        let is_kept = match c {
            '\n' => true,
            JOINER => cleaned.chars().next_back().is_some_and(is_joined),
            other => !(other.is_control() || reorders(other) || is_invisible(other)),
        };
        if is_kept {
            cleaned.push(c);
        }
    }
    cleaned.nfc().collect::<String>().trim().to_owned()
}

/// Is this text already in the form [`normalise`] gives?
pub fn is_normal(text: &str) -> bool {
    is_nfc(text) && normalise(text) == text
}

/// User-perceived characters: what a person counts.
pub fn length(text: &str) -> usize {
    text.graphemes(true).count()
}

/// Cuts `text` to at most `budget` bytes of JSON string content, at a grapheme boundary, at a word's end when one is near,
/// marked by [`ELLIPSIS`]. A text that fits is returned as it is.
pub fn cut(text: &str, budget: usize) -> String {
    if json_len(text) <= budget {
        return text.to_owned();
    }
    let room = budget.saturating_sub(ELLIPSIS.len());
    let mut used = 0;
    let mut kept = Vec::new();
    for grapheme in text.graphemes(true) {
        used += json_len(grapheme);
        if used > room {
            break;
        }
        kept.push(grapheme);
    }
    if budget < ELLIPSIS.len() {
        return String::new();
    }
    let near = kept.len().saturating_sub(WORD_SEARCH);
    let space = kept[near..].iter().rposition(|g| g.chars().all(char::is_whitespace));
    // A cut at the very start would leave nothing but the mark.
    if let Some(at) = space.map(|at| near + at).filter(|at| *at > 0) {
        kept.truncate(at);
    }
    let mut out = kept.concat();
    out.truncate(out.trim_end().len());
    out.push_str(ELLIPSIS);
    out
}

/// Bytes `text` takes inside a JSON string that is not ASCII-escaped (RFC 8259 §7): quotes, backslashes and control
/// characters are longer there than in memory.
pub fn json_len(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 2,
            0x00..=0x1f => 6,
            _ => 1,
        })
        .sum()
}

fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Makes one picture of several: a family of four people.
const JOINER: char = '\u{200d}';

/// May something be joined to it? Pictures, their skin and their style; never a letter, a space or another joiner.
fn is_joined(c: char) -> bool {
    !(c.is_alphanumeric() || c.is_whitespace() || c.is_ascii() || c == JOINER)
}

/// Characters without width, or fillers that look like nothing.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}' | '\u{200c}'
        | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decomposed_vietnamese_becomes_composed() {
        let decomposed = "Ca\u{309}nh ba\u{301}o lu\u{303} que\u{301}t";
        assert_eq!(normalise(decomposed), "Cảnh báo lũ quét");
        assert!(is_normal("Cảnh báo lũ quét"));
        assert!(!is_normal(decomposed));
    }

    #[test]
    fn direction_overrides_cannot_show_other_words() {
        assert_eq!(normalise("an toàn\u{202e}gnàot na"), "an toàngnàot na");
    }

    #[test]
    fn what_nobody_sees_is_not_there_and_what_joins_a_picture_is() {
        assert_eq!(normalise("lũ\u{200b} quét\u{ad}\u{2060}\u{3164}"), "lũ quét");
        assert_eq!(normalise("lũ\u{200d}quét \u{200d}\u{200d}ngay"), "lũquét ngay");
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(normalise(family), family);
        assert_eq!(normalise("\u{200b}\u{2060}"), "");
    }

    #[test]
    fn a_text_at_the_limit_is_whole_and_one_byte_more_is_cut() {
        let text = "Sơ tán ngay";
        assert_eq!(cut(text, text.len()), text);
        assert_eq!(cut(text, text.len() - 1), "Sơ tán…");
    }

    #[test]
    fn a_word_longer_than_the_budget_is_cut_inside() {
        let word = "ằ".repeat(5000);
        let short = cut(&word, 100);
        assert!(short.len() <= 100 && short.len() > 95, "{}", short.len());
        assert!(short.ends_with(ELLIPSIS));
    }

    #[test]
    fn a_family_emoji_is_never_torn_apart() {
        let family = "👨‍👩‍👧‍👦";
        for budget in 0..family.len() * 2 {
            let short = cut(&family.repeat(2), budget);
            let rest = short.trim_end_matches(ELLIPSIS);
            assert!(rest.is_empty() || rest == family, "{short:?} at {budget}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_never_exceeds_its_budget_and_stays_valid(text in "\\PC{0,200}", budget in 0usize..300) {
            let text = normalise(&text);
            let short = cut(&text, budget);
            prop_assert!(json_len(&short) <= budget);
            prop_assert!(json_len(&text) > budget || short == text);
        }

        #[test]
        fn json_len_is_what_serde_writes(text in "(\\PC|[\\x00-\\x1f]){0,60}") {
            prop_assert_eq!(json_len(&text), serde_json::to_string(&text).unwrap().len() - 2);
        }

        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,100}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once.clone());
        }
    }
}
