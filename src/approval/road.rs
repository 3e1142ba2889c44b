//! Whether the road to each provider is open, as the last probe of the operator's own devices found it.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::domain::canary::{Heard, Sight, Standing};
use crate::domain::device::Provider;
use crate::domain::wording::Tongue;
use crate::store::{StoreError, canary};

/// The last probe of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Road {
    /// Which.
    pub provider: Provider,
    /// How it looks.
    pub standing: Standing,
    /// When the last probe was begun.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub probed_at: Option<OffsetDateTime>,
    /// What it was answered; absent: its dispatcher died under way, or there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heard: Option<Heard>,
    /// How long that took, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub took_ms: Option<i32>,
    /// Lines of the canary group's file whose address is dead.
    pub dead_lines: Vec<i32>,
    /// The same in Vietnamese.
    pub vi: String,
    /// And in English.
    pub en: String,
}

impl Road {
    pub(super) async fn each(conn: &mut PgConnection) -> Result<Vec<Self>, StoreError> {
        Ok(canary::sights(conn).await?.iter().map(Self::from).collect())
    }

    /// In words.
    pub fn said(&self, t: Tongue) -> &str {
        t.pick(&self.vi, &self.en)
    }
}

impl From<&Sight> for Road {
    fn from(sight: &Sight) -> Self {
        let last = sight.last.as_ref();
        Self {
            provider: sight.provider,
            standing: sight.standing(),
            probed_at: last.map(|last| last.begun_at),
            heard: last.and_then(|last| last.heard.map(|(heard, _)| heard)),
            took_ms: last.and_then(|last| last.heard.map(|(_, took)| took)),
            dead_lines: last.map(|last| last.dead_lines.clone()).unwrap_or_default(),
            vi: sight.in_words(Tongue::Vi),
            en: sight.in_words(Tongue::En),
        }
    }
}
