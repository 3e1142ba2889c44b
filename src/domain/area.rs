//! The communes (*xã, phường*) of the province, by the codes of the General Statistics Office, as they are since 1 July 2025
//! (NQ 1657/NQ-UBTVQH15).
//!
//! They say in an alert's text where it matters. They are never its audience: every alert goes to every device (QC-CB 12.1).
//! The list beside this file is PyPI `vietnam-provinces` 2025.10.1, province 4, Cao Bằng; another province has another list.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::violation::Violation;

/// A commune, as an alert names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Commune {
    /// Five digits.
    #[schema(example = "01273")]
    pub code: String,
    /// With what it is: *Phường Thục Phán*, *Xã Bảo Lâm*.
    #[schema(example = "Phường Thục Phán")]
    pub name: String,
}

/// Every commune of the province, by name as people look for it: urban wards first.
pub static COMMUNES: LazyLock<Vec<Commune>> = LazyLock::new(|| {
    let lines = include_str!("communes.tsv").lines().filter_map(|line| line.split_once('\t'));
    lines.map(|(code, name)| Commune { code: code.to_owned(), name: name.to_owned() }).collect()
});

/// The communes with these codes, in the list's order, each once.
pub fn parse(codes: &[String], broken: &mut Vec<Violation>) -> Vec<Commune> {
    let unknown = codes.iter().find(|code| !COMMUNES.iter().any(|known| known.code == **code));
    if let Some(code) = unknown {
        let code: String = code.chars().take(20).collect();
        broken.push(Violation::new(
            "communes",
            "unknown_commune",
            format!("Tỉnh không có xã, phường nào mang mã {code}. Dùng mã 5 chữ số sau sắp xếp năm 2025."),
            format!("The province has no commune with the code {code}. Use the five digits in force since 2025."),
        ));
    }
    let named = |commune: &&Commune| codes.contains(&commune.code);
    COMMUNES.iter().filter(named).cloned().collect()
}

/// *Xã A, Xã B, Phường C*.
pub fn names(communes: &[Commune]) -> String {
    communes.iter().map(|commune| commune.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text;

    #[test]
    fn the_list_has_every_commune_once_with_a_code_and_a_normal_name() {
        assert_eq!(COMMUNES.len(), 56, "since 1 July 2025: 3 wards and 53 communes");
        let wards = COMMUNES.iter().filter(|commune| commune.name.starts_with("Phường "));
        assert_eq!(wards.count(), 3);
        for (at, commune) in COMMUNES.iter().enumerate() {
            assert!(commune.code.len() == 5 && commune.code.bytes().all(|b| b.is_ascii_digit()));
            assert!(text::is_normal(&commune.name), "{}", commune.name);
            assert!(!COMMUNES[..at].iter().any(|other| other.code == commune.code));
        }
    }

    #[test]
    fn codes_become_names_once_each_and_an_unknown_one_is_named() {
        let first = COMMUNES[0].code.clone();
        let mut broken = Vec::new();
        let named = parse(&[COMMUNES[1].code.clone(), first.clone(), first], &mut broken);
        assert_eq!((named.len(), broken.len()), (2, 0));
        assert_eq!(names(&named), format!("{}, {}", COMMUNES[0].name, COMMUNES[1].name));
        parse(&["99999".to_owned()], &mut broken);
        assert!(broken[0].vi.contains("99999"), "{broken:?}");
    }
}
