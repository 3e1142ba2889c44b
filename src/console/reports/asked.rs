//! Which report somebody asks for, as the address says it; or what is wrong with that, beside its field.

use serde::Deserialize;
use time::Date;

use crate::domain::alert::Category;
use crate::domain::broadcast::Lane;
use crate::domain::id::AlertId;
use crate::domain::report::{Preset, Scope, Span, SpanError};
use crate::domain::wording::Tongue;
use crate::report::Agency;

/// The fields of the form. What is missing means: all of it, this year.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The first day, `YYYY-MM-DD`.
    pub from: Option<String>,
    /// The last day.
    pub to: Option<String>,
    /// An agency's code.
    pub agency: String,
    /// A category's word.
    pub category: String,
    /// A lane's word.
    pub lane: String,
    /// The cursor of the list.
    pub before: String,
    /// Which table a file of values has.
    pub table: String,
}

/// What is wrong, beside each field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    /// About the first day.
    pub from: Vec<&'static str>,
    /// About the last day.
    pub to: Vec<&'static str>,
    /// About the agency.
    pub agency: Option<&'static str>,
    /// About the category.
    pub category: Option<&'static str>,
    /// About the lane.
    pub lane: Option<&'static str>,
}

impl Wrong {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The lanes that can be asked for.
pub const LANES: [Lane; 3] = [Lane::Emergency, Lane::Bulk, Lane::Drill];

impl Asked {
    /// What is asked for.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn scope(&self, agencies: &[Agency], today: Date, t: Tongue) -> Result<Scope, Wrong> {
        let mut wrong = Wrong::default();
        let (from, to) = self.days(today);
        let span = Span::parse(&from, &to, today).map_err(|errors| wrong.about(&errors, t)).ok();
        let unknown = t.pick("Không có lựa chọn này.", "There is no such choice.");
        let agency = chosen(&self.agency, |code| {
            agencies.iter().find(|agency| agency.code == code).map(|agency| agency.id)
        });
        let agency = agency.map_err(|()| wrong.agency = Some(unknown)).ok();
        let category = chosen(&self.category, Category::from_word);
        let category = category.map_err(|()| wrong.category = Some(unknown)).ok();
        let lane = chosen(&self.lane, |word| LANES.into_iter().find(|lane| lane.as_str() == word));
        let lane = lane.map_err(|()| wrong.lane = Some(unknown)).ok();
        match (span, agency, category, lane) {
            (Some(span), Some(agency), Some(category), Some(lane)) if wrong.is_empty() => {
                Ok(Scope { span, agency, category, lane })
            }
            _ => Err(wrong),
        }
    }

    /// The days as they stand in the form: those that were asked for, this year's otherwise.
    pub fn days(&self, today: Date) -> (String, String) {
        let (first, last) = Preset::ThisYear.span(today).query();
        (self.from.clone().unwrap_or(first), self.to.clone().unwrap_or(last))
    }

    /// The cursor; one that cannot be read leads to the first page.
    pub fn before(&self) -> Option<AlertId> {
        self.before.parse().ok()
    }

    /// The address of the same filters over these days.
    pub fn query(&self, (from, to): (&str, &str)) -> String {
        let fields = [
            ("from", from),
            ("to", to),
            ("agency", &self.agency),
            ("category", &self.category),
            ("lane", &self.lane),
        ];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    }
}

impl Wrong {
    fn about(&mut self, errors: &[SpanError], t: Tongue) {
        for error in errors {
            let field = if error.is_about_from() { &mut self.from } else { &mut self.to };
            field.push(error.words(t));
        }
    }
}

/// Nothing chosen, or what was; an error when there is no such choice.
fn chosen<T>(word: &str, of: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ()> {
    if word.is_empty() { Ok(None) } else { of(word).map(Some).ok_or(()) }
}
