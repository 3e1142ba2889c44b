//! What was wrong with an input, where, and the way out, in both languages of the interface.

use serde::Serialize;
use utoipa::ToSchema;

/// One broken rule. A request answers with all of them at once, so that it is mended in one go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Violation {
    /// Path of the field, as in `texts.vi.headline`.
    pub field: String,
    /// Stable name of the rule, for programs: `too_long`, `not_in_future` …
    pub rule: &'static str,
    /// The rule and the way out, for Vietnamese readers.
    pub vi: String,
    /// The same in English.
    pub en: String,
}

impl Violation {
    /// Names the field, the rule, and says it in Vietnamese and English.
    pub fn new(
        field: impl Into<String>,
        rule: &'static str,
        vi: impl Into<String>,
        en: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), rule, vi: vi.into(), en: en.into() }
    }

    /// A field that must be there is not.
    pub fn missing(field: impl Into<String>) -> Self {
        Self::new(field, "required", "Thiếu trường bắt buộc này.", "This field is required.")
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.field, self.en, self.rule)
    }
}
