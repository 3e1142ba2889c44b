//! A drill that calls itself real, and a warning that calls itself a drill: on 13 January 2018 Hawaii's drill said "this is not a drill",
//! and it went to everybody.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::{Follows, Kind, Status, Text};
use crate::domain::device::Language;
use crate::domain::violation::Violation;

/// What no drill may say, in the form [`squeezed`] gives: however it is written, spaced or accented.
const REAL: [&str; 20] = [
    "khongphaidientap",
    "khongphailadientap",
    "khongphaicuocdientap",
    "khongphailacuocdientap",
    "khongphaibuoidientap",
    "khongphaithunghiem",
    "khongphailathunghiem",
    "khongdientap",
    "canhbaothat",
    "baodongthat",
    "tinhhuongthat",
    "daylathat",
    "notadrill",
    "isntadrill",
    "nodrill",
    "notanexercise",
    "notatest",
    "thisisreal",
    "realemergency",
    "realwarning",
];

/// What nothing that is meant may say of itself. With its accents: *mất điện, tập trung tại trường* is no drill.
const DRILL: [&str; 8] = [
    "đây là diễn tập",
    "đây là cuộc diễn tập",
    "đây là buổi diễn tập",
    "đây là tin thử nghiệm",
    "đây là thử nghiệm",
    "this is a drill",
    "this is only a drill",
    "this is only a test",
];

/// The word itself. An announcement may tell of somebody's drill; a warning, which rings, may not speak of one.
const OF_DRILLS: [&str; 1] = ["diễn tập"];

/// Adds every text whose words contradict the status. What calls back or corrects something real may well say that it was a drill.
pub(super) fn check_claims<'a>(
    status: Option<Status>,
    (kind, follows): (Option<Kind>, Option<Follows>),
    told: impl Iterator<Item = (&'static str, &'a BTreeMap<Language, Text>)>,
    broken: &mut Vec<Violation>,
) {
    let Some(status) = status else { return };
    for (field, texts) in told {
        let is_own = field == "texts" && follows.is_none();
        for (language, text) in texts {
            let parts = [
                ("headline", Some(&text.headline)),
                ("body", Some(&text.body)),
                ("instruction", text.instruction.as_ref()),
            ];
            for (part, words) in parts.into_iter().filter_map(|(part, words)| Some((part, words?)))
            {
                let at = || format!("{field}.{}.{part}", language.as_str());
                match status {
                    Status::Exercise => {
                        broken.extend(calls_itself_real(words).then(|| claims_to_be_real(at())));
                    }
                    Status::Actual if is_own => {
                        let found = calls_itself_a_drill(words, kind == Some(Kind::Warning))
                            || (part == "headline" && is_marked(words));
                        broken.extend(found.then(|| claims_to_be_a_drill(at())));
                    }
                    Status::Actual => {}
                }
            }
        }
    }
}

fn calls_itself_real(words: &str) -> bool {
    // *Thất* (lost, failed) is not *thật* (real): only the tone tells.
    let words = words.nfc().collect::<String>().to_lowercase().replace("thất", " ");
    let words = squeezed(&words);
    REAL.iter().any(|claim| words.contains(claim))
}

fn calls_itself_a_drill(words: &str, is_warning: bool) -> bool {
    let spaced = spaced(words);
    let any = |claims: &[&str]| claims.iter().any(|claim| spaced.contains(claim));
    // Where nothing has accents these two words have none either; a full stop between them still parts them.
    let bare = spaced.is_ascii() && words.to_lowercase().contains("dien tap");
    let speaks_of_one = bare || any(&OF_DRILLS) || spaced.split(' ').any(|word| word == "drill");
    any(&DRILL) || (is_warning && speaks_of_one)
}

/// Does it begin as the renderer begins a drill's? News of one may begin with the word; not in capitals, and not as a label.
fn is_marked(headline: &str) -> bool {
    let headline: String = headline.trim_start().nfc().collect();
    let marks = ["vi", "en"].into_iter().filter_map(|tag| Status::Exercise.mark(tag));
    marks.into_iter().any(|mark| {
        let rest = headline.to_lowercase().strip_prefix(&mark.to_lowercase()).map(str::to_owned);
        let is_label = |rest: String| {
            rest.trim_start().chars().next().is_none_or(|next| !next.is_alphanumeric())
        };
        headline.starts_with(mark) || rest.is_some_and(is_label)
    })
}

/// Letters and digits only, small, without accents.
fn squeezed(words: &str) -> String {
    let bare = words.nfd().filter(|c| !is_combining_mark(*c));
    let small = bare.flat_map(char::to_lowercase).map(|c| if c == 'đ' { 'd' } else { c });
    small.filter(|c| c.is_alphanumeric()).collect()
}

/// Small letters, one space between words, nothing that cannot be seen.
fn spaced(words: &str) -> String {
    let seen = words
        .nfc()
        .flat_map(char::to_lowercase)
        .filter(|c| !matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{ad}'));
    let words: String = seen.map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn claims_to_be_real(field: String) -> Violation {
    Violation::new(
        field,
        "drill_claims_to_be_real",
        "Tin diễn tập không được nói là thật (như “đây không phải diễn tập”). Hãy bỏ câu đó; nếu là thật, ghi status: actual.",
        "A drill must not call itself real (as in \"this is not a drill\"). Take that out; if it is real, say status: actual.",
    )
}

fn claims_to_be_a_drill(field: String) -> Violation {
    Violation::new(
        field,
        "actual_claims_to_be_a_drill",
        "Tin này sẽ gửi thật đến toàn dân nhưng lại nói là diễn tập. Nếu là diễn tập, ghi status: exercise; thông báo về một cuộc diễn tập thì gửi dưới loại announcement và không viết “đây là diễn tập”.",
        "This would really go to everybody, yet it speaks of a drill. If it is one, say status: exercise; news about a drill is an announcement, and does not say \"this is a drill\".",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_that_calls_itself_real_is_found_however_it_is_written() {
        for claim in [
            "Đây không phải diễn tập!",
            "ĐÂY KHÔNG PHẢI LÀ DIỄN TẬP",
            "day khong phai dien tap",
            "Đây  KHÔNG\nphải… diễn-tập",
            "k h ô n g p h ả i d i ễ n t ậ p",
            "không phải cuộc diễn tập",
            "kho\u{302}ng pha\u{309}i die\u{303}n ta\u{323}p",
            "không ph\u{200b}ải diễn tập",
            "This is NOT a drill.",
            "this isn't a drill",
            "THIS-IS-REAL",
        ] {
            assert!(calls_itself_real(claim), "{claim}");
        }
        for honest in [
            "Diễn tập sơ tán. Lên cao ngay.",
            "This is a drill.",
            "Lũ quét từ thượng nguồn.",
            "Diễn tập: tình huống thất lạc trẻ em",
            "Điều đáng sợ ở đây là thất bại",
        ] {
            assert!(!calls_itself_real(honest), "{honest}");
        }
    }

    #[test]
    fn a_warning_that_calls_itself_a_drill_is_found_and_an_outage_is_none() {
        assert!(calls_itself_a_drill("DIỄN TẬP sơ tán", true));
        assert!(calls_itself_a_drill("DIEN TAP SO TAN", true), "without accents");
        assert!(calls_itself_a_drill("DRILL: flash flood", true));
        assert!(!calls_itself_a_drill("MAT DIEN. TAP TRUNG TAI TRUONG", true));
        assert!(!calls_itself_a_drill("Drilling rig adrift", true));
        assert!(calls_itself_a_drill("THIS is a\u{a0}drill", false));
        assert!(
            !calls_itself_a_drill("Bộ Chỉ huy quân sự tỉnh diễn tập ngày 25/11", false),
            "an announcement tells of one"
        );
        assert!(!calls_itself_a_drill("Mất điện. Tập trung tại trường học.", true));
    }

    #[test]
    fn nothing_that_is_meant_looks_as_a_drill_is_rendered() {
        for marked in ["DIỄN TẬP: sơ tán", " DIỄN TẬP sơ tán", "Diễn tập – sơ tán", "drill: flood"]
        {
            assert!(is_marked(marked), "{marked}");
        }
        for news in ["Diễn tập chữa cháy ngày 25/11", "Sắp diễn tập: 25/11", "Drilling begins"]
        {
            assert!(!is_marked(news), "{news}");
        }
    }
}
