//! The form as its page shows it: what was typed, beside each field what is wrong with it, and what there is to choose from.

use std::collections::{BTreeMap, BTreeSet};

use super::labels;
use crate::domain::alert::{
    BODY_MAX, Category, Certainty, HEADLINE_MAX, INSTRUCTION_MAX, Kind, Severity, Typed, Urgency,
};
use crate::domain::area::COMMUNES;
use crate::domain::violation::Violation;
use crate::domain::wording::{self, Tongue};

/// Languages that an officer may add, the most spoken first.
const LANGUAGES: [&str; 6] = ["en", "tyz", "nut", "hmn", "ium", "jiy"];

/// A word to choose: what is sent, what is read, and whether it is chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub words: String,
    /// Is it chosen?
    pub is_chosen: bool,
}

/// The fields of one language's text.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its tag.
    pub tag: String,
    /// Its name in itself.
    pub name: String,
    /// `texts.vi`, to which a part's name is added.
    pub path: String,
}

impl Told {
    fn of(path: &str, tag: &str) -> Self {
        let name = wording::language_name(tag).to_owned();
        Self { tag: tag.to_owned(), name, path: format!("{path}.{tag}") }
    }

    /// The name of a part's field.
    pub fn at(&self, part: &str) -> String {
        format!("{}.{part}", self.path)
    }
}

/// The form.
#[derive(Debug)]
pub struct Form {
    t: Tongue,
    typed: Typed,
    wrong: BTreeMap<String, String>,
}

impl Form {
    /// What was typed, and what is wrong with it.
    pub fn of(typed: Typed, broken: &[Violation], t: Tongue) -> Self {
        let mut wrong = BTreeMap::<String, String>::new();
        for one in broken {
            let words = t.pick(&one.vi, &one.en);
            let said = wrong.entry(field_of(&one.field)).or_default();
            if !said.is_empty() {
                said.push(' ');
            }
            said.push_str(words);
        }
        Self { t, typed, wrong }
    }

    /// What stands in a field.
    pub fn v(&self, name: &(impl AsRef<str> + ?Sized)) -> &str {
        self.typed.get(name.as_ref())
    }

    /// What is wrong with it.
    pub fn wrong(&self, name: &(impl AsRef<str> + ?Sized)) -> Option<&String> {
        self.wrong.get(name.as_ref())
    }

    /// What it is called.
    pub fn label(&self, name: &(impl AsRef<str> + ?Sized)) -> String {
        labels::label(name.as_ref(), self.t)
    }

    /// Is the box ticked?
    pub fn is_ticked(&self, name: &str) -> bool {
        self.typed.get(name) == "yes"
    }

    /// Every field that is wrong: its name, what it is called, and what is wrong.
    pub fn all_wrong(&self) -> Vec<(String, String, String)> {
        let named = self.wrong.iter();
        let named = named.map(|(name, words)| (name.clone(), self.label(name), words.clone()));
        let mut named: Vec<_> = named.collect();
        named.sort_by_key(|(name, ..)| place_of(name));
        named
    }

    /// How long a text may be, for its field's hint.
    pub fn most(&self, name: &(impl AsRef<str> + ?Sized)) -> String {
        let most = match name.as_ref().rsplit('.').next() {
            Some("headline") => HEADLINE_MAX,
            Some("instruction") => INSTRUCTION_MAX,
            _ => BODY_MAX,
        };
        let most = wording::number(i64::try_from(most).unwrap_or_default(), self.t);
        format!(
            "{} {most} {}",
            self.t.pick("tối đa", "at most"),
            self.t.pick("ký tự", "characters")
        )
    }

    /// Anything of these fields written or wrong: then what folds them away stands open.
    pub fn is_open(&self, path: &str) -> bool {
        let under = |name: &String| name == path || name.starts_with(&format!("{path}."));
        let written =
            self.typed.fields().iter().any(|(name, value)| under(name) && !value.is_empty());
        written || self.wrong.keys().any(under)
    }

    /// The words of a closed list.
    pub fn choices(&self, name: &str) -> Vec<Choice> {
        let t = self.t;
        let words: Vec<(&str, String)> = match name {
            "kind" => {
                Kind::ALL.iter().map(|it| (it.as_str(), wording::kind(*it, t).to_owned())).collect()
            }
            "category" => Category::ALL
                .iter()
                .map(|it| (it.as_str(), wording::category(*it, t).to_owned()))
                .collect(),
            "severity" => Severity::ALL
                .iter()
                .map(|it| (it.as_str(), wording::severity(*it, t).to_owned()))
                .collect(),
            "urgency" => Urgency::ALL
                .iter()
                .map(|it| (it.as_str(), wording::urgency(*it, t).to_owned()))
                .collect(),
            "certainty" => Certainty::ALL
                .iter()
                .map(|it| (it.as_str(), wording::certainty(*it, t).to_owned()))
                .collect(),
            _ => (1..=5u8)
                .zip(["1", "2", "3", "4", "5"])
                .map(|(level, digit)| {
                    (digit, format!("{digit} · {}", wording::risk_name(level, t)))
                })
                .collect(),
        };
        let chosen = self.typed.get(name);
        let choice = |(value, words): (&str, String)| Choice {
            value: value.to_owned(),
            words,
            is_chosen: value == chosen,
        };
        words.into_iter().map(choice).collect()
    }

    /// The communes of the province.
    pub fn communes(&self) -> Vec<Choice> {
        let chosen: BTreeSet<&str> = self.typed.get("communes").split_whitespace().collect();
        let choice = |commune: &crate::domain::area::Commune| Choice {
            is_chosen: chosen.contains(commune.code.as_str()),
            value: commune.code.clone(),
            words: commune.name.clone(),
        };
        COMMUNES.iter().map(choice).collect()
    }

    /// How many of them are chosen.
    pub fn communes_chosen(&self) -> usize {
        self.communes().iter().filter(|commune| commune.is_chosen).count()
    }

    /// The languages it has fields for beside Vietnamese.
    pub fn others(&self, path: &str) -> Vec<Told> {
        self.typed.languages().iter().skip(1).map(|tag| Told::of(path, tag)).collect()
    }

    /// Vietnamese.
    pub fn vi(path: &str) -> Told {
        Told::of(path, "vi")
    }

    /// To be sent along, so that a language whose text is not written yet keeps its fields.
    pub fn languages(&self) -> String {
        self.typed.languages()[1..].join(",")
    }

    /// Languages that can be added.
    pub fn addable(&self) -> Vec<(&'static str, String)> {
        let here = self.typed.languages();
        let rest = LANGUAGES.into_iter().filter(|tag| !here.iter().any(|known| known == tag));
        rest.map(|tag| (tag, wording::language_name(tag).to_owned())).collect()
    }
}

/// Where the form has a field, from its top.
fn place_of(name: &str) -> usize {
    const ORDER: [&str; 20] = [
        "draft",
        "kind",
        "category",
        "texts.vi.headline",
        "texts.vi.body",
        "communes",
        "risk_level",
        "severity",
        "urgency",
        "certainty",
        "texts.vi.instruction",
        "expires",
        "effective",
        "send_at",
        "recall.texts.vi",
        "all_clear.texts.vi",
        "texts.",
        "recall.",
        "all_clear.",
        "template",
    ];
    ORDER.iter().position(|start| name.starts_with(start)).unwrap_or(ORDER.len())
}

/// The field of the form that a rule is about: what is missing as a whole is missing at its first field.
fn field_of(path: &str) -> String {
    match path {
        "recall" | "recall.texts.vi" => "recall.texts.vi.headline".to_owned(),
        "all_clear" | "all_clear.texts.vi" => "all_clear.texts.vi.headline".to_owned(),
        "texts.vi" => "texts.vi.headline".to_owned(),
        "template" | "template.blanks" => "template.name".to_owned(),
        "template.blanks.level" => "template.blanks.level.min".to_owned(),
        place if place.starts_with("template.blanks.place.options") => {
            "template.blanks.place.options".to_owned()
        }
        other => other.to_owned(),
    }
}
