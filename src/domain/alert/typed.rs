//! An alert as it stands in a form: one flat map of what was typed, under the paths that [`Violation`] names, so that every broken rule
//! finds its field. Nothing is lost by being wrong: what cannot be read is kept as it was typed, and refused by the rules.

use std::collections::{BTreeMap, BTreeSet};

use time::{OffsetDateTime, PrimitiveDateTime};

use super::template::{Blanks, LevelBlank, PlaceBlank, TimeBlank};
use super::{
    AlertContent, AlertRequest, Attestations, FollowsRequest, PreparedRequest, SourceRequest,
    Template, Text, TextRequest,
};
use crate::domain::device::Language;
use crate::domain::violation::Violation;
use crate::domain::wording::PROVINCE;

/// Bytes that one field may have. The rules say how long a text may be; this only keeps a page from becoming a store of files.
const FIELD_MAX: usize = 20_000;
/// Bytes that all fields may have together.
const WHOLE_MAX: usize = 200_000;
/// Languages that one alert may have in a form.
const LANGUAGES_MAX: usize = 8;

/// As a browser's field for a moment has it, in the province's time.
const MOMENT: &[time::format_description::FormatItem<'static>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]");

/// Fields that stand once.
const SINGLE: [&str; 28] = [
    "status",
    "kind",
    "category",
    "risk_level",
    "severity",
    "urgency",
    "certainty",
    "communes",
    "link",
    "effective",
    "send_at",
    "expires",
    "source.number",
    "source.date",
    "source.summary",
    "attestations.whole_province",
    "attestations.no_state_secret",
    "follows.alert",
    "follows.as",
    "languages",
    "template",
    "template.name",
    "template.life_minutes",
    "template.blanks.place.options",
    "template.blanks.place.at_most",
    "template.blanks.time.within_hours",
    "template.blanks.level.min",
    "template.blanks.level.max",
];

/// Fields that stand once for each language.
const TOLD: [&str; 3] = ["texts", "recall.texts", "all_clear.texts"];
const PARTS: [&str; 3] = ["headline", "body", "instruction"];

/// The fields of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed(BTreeMap<String, String>);

impl Typed {
    /// What a form sent. Fields that no alert has are left out: a form also carries its token and its buttons.
    /// What is larger than any form of ours is cut, to be shown again and not to be stored, and every such field is named.
    pub fn of(fields: impl IntoIterator<Item = (String, String)>) -> (Self, Vec<Violation>) {
        let mut kept = BTreeMap::new();
        let mut broken = Vec::new();
        let mut room = WHOLE_MAX;
        for (name, mut value) in fields {
            if !is_known(&name) {
                continue;
            }
            room = room.saturating_sub(name.len());
            if value.len() > FIELD_MAX.min(room) {
                value.truncate(value.floor_char_boundary(FIELD_MAX.min(room)));
                broken.push(too_large(&name));
            }
            room -= value.len();
            // A browser sends line ends as two characters; the length that people count has one. PostgreSQL's JSON holds no NUL.
            let value = value.replace("\r\n", "\n").replace('\0', "");
            // Several boxes of one name, ticked, are a list.
            kept.entry(name)
                .and_modify(|list: &mut String| {
                    list.push(' ');
                    list.push_str(&value);
                })
                .or_insert(value);
        }
        (Self(kept), broken)
    }

    /// As it was stored.
    pub fn stored(fields: BTreeMap<String, String>) -> Self {
        Self(fields)
    }

    /// To be stored.
    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// What stands in a field, as typed.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Writes a field.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The same with what another one says wherever it says something.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// Does the form have text in it?
    pub fn is_blank(&self) -> bool {
        self.0.iter().all(|(name, value)| {
            value.trim().is_empty() || !TOLD.iter().any(|told| name.starts_with(told))
        })
    }

    /// The languages it has fields for, Vietnamese first: those chosen and those with text.
    pub fn languages(&self) -> Vec<String> {
        let chosen = self.get("languages").split([',', ' ']).map(str::to_owned);
        let written = self.0.iter().filter(|(_, value)| !value.trim().is_empty());
        let written = written.filter_map(|(name, _)| language_of(name)).map(str::to_owned);
        let others: BTreeSet<String> = chosen
            .chain(written)
            .filter(|tag| tag != "vi" && Language::try_from(tag.clone()).is_ok())
            .collect();
        std::iter::once("vi".to_owned()).chain(others).take(LANGUAGES_MAX).collect()
    }

    /// The names of fields that say something else in `other`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |name: &&String| self.get(name).trim() != other.get(name).trim();
        names.into_iter().filter(differs).cloned().collect()
    }

    /// The request that these fields make. What a rule of the form itself forbids is named beside it; the rules of an alert are
    /// [`AlertContent::parse`]'s.
    pub fn request(&self) -> (AlertRequest, Vec<Violation>) {
        let mut broken = self.unfilled();
        let request = AlertRequest {
            status: self.word("status"),
            kind: self.word("kind"),
            category: self.word("category"),
            risk_level: self.number("risk_level", &mut broken),
            severity: self.word("severity"),
            urgency: self.word("urgency"),
            certainty: self.word("certainty"),
            texts: self.texts("texts"),
            communes: self.get("communes").split_whitespace().map(str::to_owned).collect(),
            link: self.word("link"),
            effective: self.moment("effective"),
            send_at: self.moment("send_at"),
            expires: self.moment("expires"),
            source: SourceRequest {
                number: self.get("source.number").to_owned(),
                date: self.get("source.date").to_owned(),
                summary: self.get("source.summary").to_owned(),
            },
            attestations: Attestations {
                whole_province: self.is_ticked("attestations.whole_province"),
                no_state_secret: self.is_ticked("attestations.no_state_secret"),
            },
            recall: self.prepared("recall.texts"),
            all_clear: self.prepared("all_clear.texts"),
            follows: self
                .word("follows.alert")
                .map(|alert| FollowsRequest { alert, how: self.get("follows.as").to_owned() }),
            template: self.is_ticked("template").then(|| self.template(&mut broken)),
        };
        (request, broken)
    }

    /// The content it makes at `now`, or every broken rule, each under the name of its field.
    ///
    /// # Errors
    /// Names every broken rule.
    pub fn content(&self, now: OffsetDateTime) -> Result<AlertContent, Vec<Violation>> {
        let (request, mut broken) = self.request();
        match AlertContent::parse(&request, now) {
            Ok(content) if broken.is_empty() => Ok(content),
            Ok(_) => Err(broken),
            Err(rules) => {
                broken.extend(rules);
                Err(broken)
            }
        }
    }

    /// The form of an alert that was written before: another one's revision, or this one's own.
    pub fn of_content(content: &AlertContent) -> Self {
        let mut typed = Self::default();
        let mut set = |name: &str, value: String| {
            typed.0.insert(name.to_owned(), value);
        };
        set("status", content.status.as_str().to_owned());
        set("kind", content.kind.as_str().to_owned());
        set("category", content.category.as_str().to_owned());
        set("risk_level", content.risk_level.map(|level| level.to_string()).unwrap_or_default());
        set("severity", content.severity.as_str().to_owned());
        set("urgency", content.urgency.as_str().to_owned());
        set("certainty", content.certainty.as_str().to_owned());
        let codes: Vec<&str> = content.communes.iter().map(|it| it.code.as_str()).collect();
        set("communes", codes.join(" "));
        set("link", content.link.clone().unwrap_or_default());
        for (name, at) in [
            ("effective", content.effective),
            ("send_at", content.send_at),
            ("expires", Some(content.expires)),
        ] {
            set(name, at.map(field_of).unwrap_or_default());
        }
        set("source.number", content.source.number.clone());
        set("source.date", content.source.date.clone());
        set("source.summary", content.source.summary.clone());
        if let Some(follows) = content.follows {
            set("follows.alert", follows.alert.to_string());
            set("follows.as", follows.how.purpose().as_str().to_owned());
        }
        for (path, texts) in [
            ("texts", Some(&content.texts)),
            ("recall.texts", content.recall.as_ref()),
            ("all_clear.texts", content.all_clear.as_ref()),
        ] {
            for (language, text) in texts.into_iter().flatten() {
                typed.write(path, language.as_str(), text);
            }
        }
        if let Some(template) = &content.template {
            typed.write_template(template);
        }
        typed
    }

    fn write(&mut self, path: &str, tag: &str, text: &Text) {
        self.set(format!("{path}.{tag}.headline"), text.headline.as_str());
        self.set(format!("{path}.{tag}.body"), text.body.as_str());
        let instruction = text.instruction.clone().unwrap_or_default();
        self.set(format!("{path}.{tag}.instruction"), instruction);
    }

    fn write_template(&mut self, template: &Template) {
        self.set("template", "yes");
        self.set("template.name", template.name.as_str());
        self.set("template.life_minutes", template.life_minutes.to_string());
        if let Some(place) = &template.blanks.place {
            self.set("template.blanks.place.options", place.options.join("\n"));
            self.set("template.blanks.place.at_most", place.at_most.to_string());
        }
        if let Some(time) = template.blanks.time {
            self.set("template.blanks.time.within_hours", time.within_hours.to_string());
        }
        if let Some(level) = template.blanks.level {
            self.set("template.blanks.level.min", level.min.to_string());
            self.set("template.blanks.level.max", level.max.to_string());
        }
    }

    fn template(&self, broken: &mut Vec<Violation>) -> Template {
        let at = |name: &str| format!("template.blanks.{name}");
        let options = self.get(&at("place.options")).lines().map(str::trim);
        let options: Vec<String> =
            options.filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let at_most = self.number(&at("place.at_most"), broken);
        let place = (!options.is_empty() || at_most.is_some())
            .then(|| PlaceBlank { options, at_most: at_most.unwrap_or(1) });
        let within_hours = self.number(&at("time.within_hours"), broken);
        let (min, max) =
            (self.number(&at("level.min"), broken), self.number(&at("level.max"), broken));
        let level = (min.is_some() || max.is_some())
            .then(|| LevelBlank { min: min.unwrap_or_default(), max: max.unwrap_or_default() });
        Template {
            name: self.get("template.name").to_owned(),
            blanks: Blanks {
                place,
                time: within_hours.map(|within_hours| TimeBlank { within_hours }),
                level,
            },
            life_minutes: self.number("template.life_minutes", broken).unwrap_or_default(),
        }
    }

    fn word(&self, name: &str) -> Option<String> {
        let word = self.get(name).trim();
        (!word.is_empty()).then(|| word.to_owned())
    }

    fn is_ticked(&self, name: &str) -> bool {
        self.get(name) == "yes"
    }

    fn number<T: std::str::FromStr>(&self, name: &str, broken: &mut Vec<Violation>) -> Option<T> {
        let word = self.word(name)?;
        let number = word.parse().ok();
        if number.is_none() {
            broken.push(Violation::new(
                name,
                "not_a_number",
                "Chỗ này ghi một số nguyên, không quá lớn.",
                "This takes a whole number, and not too large a one.",
            ));
        }
        number
    }

    /// What a browser sends is the province's time; anything else is left for the rules to refuse.
    fn moment(&self, name: &str) -> Option<String> {
        let word = self.word(name)?;
        let moment = PrimitiveDateTime::parse(&word, MOMENT).map(|at| at.assume_offset(PROVINCE));
        let written = moment
            .ok()
            .and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok());
        Some(written.unwrap_or(word))
    }

    /// Vietnamese always, so that the rules say what it lacks; another language once something is written in it.
    fn texts(&self, path: &str) -> BTreeMap<String, TextRequest> {
        let written = self.languages().into_iter().filter_map(|tag| {
            let part = |name: &str| self.get(&format!("{path}.{tag}.{name}")).to_owned();
            let (headline, body, instruction) =
                (part("headline"), part("body"), part("instruction"));
            let is_blank = [&headline, &body, &instruction].iter().all(|it| it.trim().is_empty());
            let instruction = (!instruction.trim().is_empty()).then_some(instruction);
            (!is_blank || tag == "vi").then_some((tag, TextRequest { headline, body, instruction }))
        });
        written.collect()
    }

    /// What nobody has begun to write is not there; the rules say where it must be.
    fn prepared(&self, path: &str) -> Option<PreparedRequest> {
        let texts = self.texts(path);
        let is_blank = |text: &TextRequest| {
            text.headline.trim().is_empty()
                && text.body.trim().is_empty()
                && text.instruction.is_none()
        };
        (!texts.values().all(is_blank)).then_some(PreparedRequest { texts })
    }

    /// A sample's gaps, as *[tên sông]*, must be filled before half a million people read them.
    fn unfilled(&self) -> Vec<Violation> {
        let told = self.0.iter().filter(|(name, _)| language_of(name).is_some());
        let gaps = told.filter_map(|(name, value)| gap(value).map(|gap| (name, gap)));
        let broken = gaps.map(|(name, gap)| {
            Violation::new(
                name.as_str(),
                "gap",
                format!("Còn chỗ chưa điền: {gap}. Hãy điền, hoặc bỏ dấu ngoặc vuông."),
                format!("There is a gap left: {gap}. Fill it in, or take out the square brackets."),
            )
        });
        broken.collect()
    }
}

/// The first gap of a sample's text.
fn gap(text: &str) -> Option<&str> {
    let start = text.find('[')?;
    let length = text[start..].find(']')? + 1;
    let gap = &text[start..start + length];
    (!gap.contains('\n')).then_some(gap)
}

/// As a browser's field for a moment shows it.
fn field_of(at: OffsetDateTime) -> String {
    at.to_offset(PROVINCE).format(MOMENT).unwrap_or_default()
}

/// The language of a field that stands once for each.
fn language_of(name: &str) -> Option<&str> {
    TOLD.iter().find_map(|told| {
        let (tag, part) = name.strip_prefix(told)?.strip_prefix('.')?.split_once('.')?;
        (PARTS.contains(&part) && Language::try_from(tag.to_owned()).is_ok()).then_some(tag)
    })
}

fn is_known(name: &str) -> bool {
    SINGLE.contains(&name) || language_of(name).is_some()
}

fn too_large(name: &str) -> Violation {
    Violation::new(
        name,
        "too_large",
        "Quá dài: không phải nội dung của một tin. Chưa lưu gì, và ở đây chỉ còn phần đầu; hãy rút ngắn rồi lưu lại.",
        "Far too long for an alert. Nothing was saved, and only its beginning is left here; shorten it and save again.",
    )
}

#[cfg(test)]
mod tests;
