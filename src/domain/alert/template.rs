//! A warning that two people approve in advance, with blanks that one approver fills in when there is no time for more.
//!
//! What may stand in a blank is bounded by what was approved: one of the places on its list, a moment soon, a risk level of a range. So
//! whoever fills it in decides where and when, and never what people are told to do. [`AlertContent::fill`] makes the words of the warning;
//! `serve` and every dispatcher reckon them with it alike (`seal`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::rules::{BODY_MAX, HEADLINE_MAX, INSTRUCTION_MAX};
use super::{AlertContent, Text};
use crate::domain::device::Language;
use crate::domain::id::AlertId;
use crate::domain::text;
use crate::domain::violation::Violation;
use crate::domain::wording::PROVINCE;

/// How long a template may be used at most; then two people look at it again.
pub const LONGEST_USE: Duration = Duration::days(366);
/// User-perceived characters a template's name, or the name of a place, may have.
pub const NAME_MAX: usize = 60;
/// Places a template may offer.
pub const PLACES_MAX: usize = 200;
/// Places that one warning may name.
pub const PLACES_AT_ONCE: u8 = 10;
/// Hours ahead that a warning's time may be.
pub const HOURS_AHEAD: u16 = 72;
/// Minutes that a filled template may live.
pub const LIFE_MINUTES: std::ops::RangeInclusive<u16> = 10..=72 * 60;

/// What makes an alert a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Template {
    /// As approvers find it at night: *Lũ quét, sơ tán ngay*. At most 60 characters.
    #[schema(example = "Lũ quét, sơ tán ngay")]
    pub name: String,
    /// What is filled in; at least one.
    pub blanks: Blanks,
    /// Minutes a filled one lives: 10 to 4,320, and not less than the hours its time may be ahead.
    #[schema(example = 360)]
    pub life_minutes: u16,
}

/// The blanks of a template, and what may stand in each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Blanks {
    /// `{place}` in the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceBlank>,
    /// `{time}` in the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeBlank>,
    /// `{level}` in the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LevelBlank>,
}

/// Where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlaceBlank {
    /// The places to choose from: 1 to 200, of at most 60 characters each.
    pub options: Vec<String>,
    /// How many may be named at once: 1 to 10.
    pub at_most: u8,
}

/// When: a moment after the filling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeBlank {
    /// At most so many hours ahead: 1 to 72.
    pub within_hours: u16,
}

/// The natural-disaster risk level (QĐ 18/2021/QĐ-TTg): it becomes the warning's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LevelBlank {
    /// The least.
    pub min: u8,
    /// The most.
    pub max: u8,
}

/// What somebody fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filling {
    /// Places of the template's list, in the order they are to be named.
    pub places: Vec<String>,
    /// A moment in whole minutes.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub time: Option<OffsetDateTime>,
    /// The risk level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
}

impl Filling {
    /// With the places as a template's list has them.
    #[must_use]
    pub fn normal(&self) -> Self {
        let places = self.places.iter().map(|name| text::normalise(name)).collect();
        Self { places, ..self.clone() }
    }
}

/// Which template an alert was made of, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Filled {
    /// The template.
    pub template: AlertId,
    /// SHA-256 of the template's sealed bytes, hexadecimal.
    pub digest: String,
    /// What stands in the blanks.
    pub filling: Filling,
    /// When it was filled in.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// September is the longest month of those that are written out.
const LONGEST_TIME: OffsetDateTime = time::macros::datetime!(2026-09-30 23:59 +7);

const PLACE: &str = "{place}";
const TIME: &str = "{time}";
const LEVEL: &str = "{level}";

impl Template {
    /// The template in its normal form, if it obeys every rule.
    pub(super) fn parse(&self, broken: &mut Vec<Violation>) -> Option<Self> {
        let before = broken.len();
        let name = text::normalise(&self.name);
        check_name("template.name", &name, broken);
        let place = self.blanks.place.as_ref().map(|place| place.parse(broken));
        let blanks = Blanks { place, ..self.blanks.clone() };
        blanks.check(broken);
        let hours = blanks.time.map_or(0, |time| time.within_hours);
        if !LIFE_MINUTES.contains(&self.life_minutes) {
            broken.push(out_of_range("template.life_minutes", LIFE_MINUTES));
        } else if hours <= HOURS_AHEAD && self.life_minutes < hours * 60 {
            broken.push(Violation::new(
                "template.life_minutes",
                "ends_before_its_time",
                "Tin phải còn hiệu lực đến thời điểm xa nhất có thể điền (within_hours).",
                "What is filled in must live until the latest time that may be filled in (within_hours).",
            ));
        }
        let parsed = Self { name, blanks, life_minutes: self.life_minutes };
        (broken.len() == before).then_some(parsed)
    }

    /// The texts must have the blanks and no others, in every language; and the longest filling must still be short enough, so that nothing is
    /// refused at night.
    pub(super) fn check_texts(
        &self,
        parts: &[(&'static str, &BTreeMap<Language, Text>)],
        broken: &mut Vec<Violation>,
    ) {
        for (field, texts) in parts {
            for (language, text) in *texts {
                let at = format!("{field}.{}", language.as_str());
                self.blanks.check_used(&at, text, *field == "texts", broken);
                let longest = self.blanks.longest(language, text);
                check_length(format!("{at}.headline"), &longest.headline, HEADLINE_MAX, broken);
                check_length(format!("{at}.body"), &longest.body, BODY_MAX, broken);
                if let Some(instruction) = &longest.instruction {
                    check_length(format!("{at}.instruction"), instruction, INSTRUCTION_MAX, broken);
                }
            }
        }
    }

    /// Every place as words of a text, for whoever checks words.
    pub(super) fn places(&self) -> Option<BTreeMap<Language, Text>> {
        let body = self.blanks.place.as_ref()?.options.join(". ");
        let text = Text { headline: String::new(), body, instruction: None };
        Some(BTreeMap::from([(Language::vietnamese(), text)]))
    }

    /// The longest that can be filled in at `now`: for whoever decides about the template.
    pub fn example(&self, now: OffsetDateTime) -> Filling {
        let now = now.replace_second(0).and_then(|now| now.replace_nanosecond(0)).unwrap_or(now);
        Filling {
            places: self.blanks.place.as_ref().map_or_else(Vec::new, PlaceBlank::longest),
            time: self.blanks.time.map(|time| now + Duration::hours(time.within_hours.into())),
            level: self.blanks.level.map(|level| level.max),
        }
    }
}

impl PlaceBlank {
    fn parse(&self, broken: &mut Vec<Violation>) -> Self {
        let options: Vec<_> = self.options.iter().map(|name| text::normalise(name)).collect();
        for (at, name) in options.iter().enumerate() {
            let field = format!("template.blanks.place.options.{at}");
            check_name(&field, name, broken);
            if options[..at].contains(name) {
                broken.push(Violation::new(
                    field,
                    "twice",
                    "Địa danh này đã có trong danh sách.",
                    "This place is on the list already.",
                ));
            }
        }
        if options.is_empty() || options.len() > PLACES_MAX {
            broken.push(Violation::new(
                "template.blanks.place.options",
                "out_of_range",
                format!("Cần từ 1 đến {PLACES_MAX} địa danh."),
                format!("From 1 to {PLACES_MAX} places."),
            ));
        }
        if !(1..=PLACES_AT_ONCE).contains(&self.at_most) {
            broken.push(out_of_range("template.blanks.place.at_most", 1..=PLACES_AT_ONCE));
        }
        Self { options, at_most: self.at_most }
    }

    fn longest(&self) -> Vec<String> {
        let mut options = self.options.clone();
        options.sort_by_key(|name| std::cmp::Reverse(text::length(name)));
        options.truncate(self.at_most.into());
        options
    }
}

impl Blanks {
    fn check(&self, broken: &mut Vec<Violation>) {
        if self.place.is_none() && self.time.is_none() && self.level.is_none() {
            broken.push(Violation::new(
                "template.blanks",
                "required",
                "Mẫu cần ít nhất một chỗ trống: place, time hoặc level.",
                "A template has at least one blank: place, time or level.",
            ));
        }
        if self.time.is_some_and(|time| !(1..=HOURS_AHEAD).contains(&time.within_hours)) {
            broken.push(out_of_range("template.blanks.time.within_hours", 1..=HOURS_AHEAD));
        }
        if self.level.is_some_and(|it| it.min < 1 || it.max > 5 || it.min > it.max) {
            broken.push(Violation::new(
                "template.blanks.level",
                "out_of_range",
                "Cấp độ rủi ro thiên tai từ 1 đến 5, min không lớn hơn max.",
                "The natural-disaster risk level is from 1 to 5, and min is not above max.",
            ));
        }
    }

    fn markers(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let has = [self.place.is_some(), self.time.is_some(), self.level.is_some()];
        [PLACE, TIME, LEVEL].into_iter().zip(has)
    }

    /// `needs_all`: the warning itself uses each blank in each language; what is prepared with it may do without.
    fn check_used(&self, at: &str, words: &Text, needs_all: bool, broken: &mut Vec<Violation>) {
        let whole = [&words.headline, &words.body].into_iter().chain(&words.instruction);
        let whole = whole.map(String::as_str).collect::<Vec<_>>().join("\n");
        let mut rest = whole.clone();
        for (marker, is_blank) in self.markers() {
            if is_blank && needs_all && !whole.contains(marker) {
                broken.push(Violation::new(
                    at,
                    "blank_missing",
                    format!("Nội dung ngôn ngữ này chưa dùng chỗ trống {marker}."),
                    format!("This language's text does not use the blank {marker}."),
                ));
            }
            if is_blank {
                // By something, or `{ti{place}me}` would pass for two blanks.
                rest = rest.replace(marker, " ");
            }
        }
        if rest.contains(['{', '}']) {
            broken.push(Violation::new(
                at,
                "unknown_blank",
                "Chỉ dùng {place}, {time}, {level} đã khai trong blanks; không dùng dấu ngoặc nhọn vào việc khác.",
                "Only {place}, {time} and {level} that blanks names stand in braces, and nothing else does.",
            ));
        }
    }

    fn longest(&self, language: &Language, words: &Text) -> Text {
        let places = self.place.as_ref().map_or_else(Vec::new, PlaceBlank::longest);
        fill(language, words, &Filling { places, time: Some(LONGEST_TIME), level: Some(5) })
    }

    fn check_filling(&self, filling: &Filling, at: OffsetDateTime, broken: &mut Vec<Violation>) {
        match &self.place {
            Some(place) => place.check_filling(&filling.places, broken),
            None if !filling.places.is_empty() => broken.push(no_such_blank("filling.places")),
            None => {}
        }
        match (self.time, filling.time) {
            (Some(blank), Some(time)) => blank.check_filling(time, at, broken),
            (Some(_), None) => broken.push(Violation::missing("filling.time")),
            (None, Some(_)) => broken.push(no_such_blank("filling.time")),
            (None, None) => {}
        }
        match (self.level, filling.level) {
            (Some(blank), Some(level)) if !(blank.min..=blank.max).contains(&level) => {
                broken.push(out_of_range("filling.level", blank.min..=blank.max));
            }
            (Some(_), None) => broken.push(Violation::missing("filling.level")),
            (None, Some(_)) => broken.push(no_such_blank("filling.level")),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

impl PlaceBlank {
    fn check_filling(&self, places: &[String], broken: &mut Vec<Violation>) {
        if places.is_empty() || places.len() > self.at_most.into() {
            broken.push(out_of_range("filling.places", 1..=self.at_most));
        }
        for (at, name) in places.iter().enumerate() {
            if !self.options.contains(name) || places[..at].contains(name) {
                broken.push(Violation::new(
                    format!("filling.places.{at}"),
                    "not_on_the_list",
                    "Chỉ chọn địa danh có trong danh sách của mẫu, mỗi nơi một lần.",
                    "Only places of the template's list, each once.",
                ));
            }
        }
    }
}

impl TimeBlank {
    fn check_filling(self, time: OffsetDateTime, at: OffsetDateTime, broken: &mut Vec<Violation>) {
        let latest = at + Duration::hours(self.within_hours.into());
        if time <= at || time > latest {
            broken.push(Violation::new(
                "filling.time",
                "out_of_range",
                format!("Thời điểm phải ở tương lai, trong vòng {} giờ tới.", self.within_hours),
                format!("The time must be in the future, within {} hours.", self.within_hours),
            ));
        }
        if time.second() != 0 || time.nanosecond() != 0 {
            broken.push(Violation::new(
                "filling.time",
                "whole_minutes",
                "Thời điểm phải tròn phút.",
                "The time is in whole minutes.",
            ));
        }
    }
}

impl AlertContent {
    /// The words of the warning that this template becomes; a template is what [`AlertContent::template`] says it is.
    pub fn fill(&self, filled: Filled) -> Result<Self, Vec<Violation>> {
        let Some(template) = &self.template else {
            return Err(vec![Violation::new(
                "template",
                "no_template",
                "Tin này không phải mẫu duyệt trước.",
                "This is no template.",
            )]);
        };
        let mut broken = Vec::new();
        if filled.at >= self.expires {
            broken.push(Violation::new(
                "template",
                "too_old",
                "Mẫu đã hết hạn sử dụng. Hãy soạn tin mới, hoặc duyệt lại mẫu.",
                "The template may not be used any more. Write a warning, or have the template approved anew.",
            ));
        }
        template.blanks.check_filling(&filled.filling, filled.at, &mut broken);
        if !broken.is_empty() {
            return Err(broken);
        }
        let all = |texts: &BTreeMap<Language, Text>| {
            let filled_in = |(language, text): (&Language, &Text)| {
                (language.clone(), fill(language, text, &filled.filling))
            };
            texts.iter().map(filled_in).collect::<BTreeMap<_, _>>()
        };
        Ok(Self {
            texts: all(&self.texts),
            recall: self.recall.as_ref().map(all),
            all_clear: self.all_clear.as_ref().map(all),
            risk_level: filled.filling.level.or(self.risk_level),
            expires: filled.at + Duration::minutes(template.life_minutes.into()),
            template: None,
            filled: Some(filled),
            ..self.clone()
        })
    }
}

fn fill(language: &Language, words: &Text, filling: &Filling) -> Text {
    let place = filling.places.join(", ");
    let time = filling.time.map(|time| moment(language, time)).unwrap_or_default();
    let level = filling.level.map(|level| level.to_string()).unwrap_or_default();
    let fill =
        |words: &String| words.replace(PLACE, &place).replace(TIME, &time).replace(LEVEL, &level);
    Text {
        headline: fill(&words.headline),
        body: fill(&words.body),
        instruction: words.instruction.as_ref().map(fill),
    }
}

/// A moment in the province's time, as the language writes it; a language of a minority as Vietnamese does.
fn moment(language: &Language, at: OffsetDateTime) -> String {
    let at = at.to_offset(PROVINCE);
    let (hour, minute) = (at.hour(), at.minute());
    let (day, month, year) = (at.day(), at.month(), at.year());
    if language.as_str() == "en" {
        return format!("{hour:02}:{minute:02} on {day} {month} {year}");
    }
    format!("{hour:02}:{minute:02} ngày {day}/{}/{year}", u8::from(month))
}

fn check_name(field: &str, name: &str, broken: &mut Vec<Violation>) {
    let length = text::length(name);
    if length == 0 {
        broken.push(Violation::missing(field));
    } else if length > NAME_MAX || name.contains(['{', '}', '\n']) {
        broken.push(Violation::new(
            field,
            "no_name",
            format!("Tên tối đa {NAME_MAX} ký tự, một dòng, không có dấu ngoặc nhọn."),
            format!("A name has at most {NAME_MAX} characters, one line and no braces."),
        ));
    }
}

fn check_length(field: String, words: &str, max: usize, broken: &mut Vec<Violation>) {
    let length = text::length(words);
    if length > max {
        broken.push(Violation::new(
            field,
            "too_long_when_filled",
            format!("Khi điền chỗ trống dài nhất, nội dung có {length} ký tự, tối đa {max}. Hãy rút ngắn."),
            format!("With its blanks filled at their longest this has {length} characters, and {max} are the most. Shorten it."),
        ));
    }
}

fn no_such_blank(field: &'static str) -> Violation {
    Violation::new(
        field,
        "no_such_blank",
        "Mẫu không có chỗ trống này. Hãy bỏ trường này.",
        "The template has no such blank. Leave this out.",
    )
}

fn out_of_range<T: std::fmt::Display>(
    field: &'static str,
    range: std::ops::RangeInclusive<T>,
) -> Violation {
    let (min, max) = (range.start(), range.end());
    Violation::new(
        field,
        "out_of_range",
        format!("Phải từ {min} đến {max}."),
        format!("Must be from {min} to {max}."),
    )
}

#[cfg(test)]
mod tests;
