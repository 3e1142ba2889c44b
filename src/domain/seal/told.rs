//! What a phone is told of a sealed alert, and how loudly: read from the sealed members, never from a column.

use uuid::Uuid;

use super::SealedAlert;
use crate::domain::alert::{Status, lane_of};
use crate::domain::broadcast::Lane;
use crate::domain::device::{Language, Provider};
use crate::domain::message::{CollapseId, Purpose, PushMessage, Style};

/// At most so many predecessors are named in a payload; the public record has all of them.
const REPLACED_NAMED: usize = 3;

impl SealedAlert {
    /// What a phone of this provider and language is told. A language the alert does not have falls back to Vietnamese.
    ///
    /// `None` only if the sealed document has no Vietnamese, which parsing never lets through.
    pub fn message(
        &self,
        provider: Provider,
        language: &Language,
        live: &[(Uuid, u32)],
    ) -> Option<PushMessage> {
        let screens =
            self.screens.get(language).or_else(|| self.screens.get(&Language::vietnamese()))?;
        let screen = screens.of(provider);
        let style = self.style();
        let kind = match (self.purpose, style) {
            (Purpose::Recall, _) => "recall",
            (Purpose::AllClear, _) => "all_clear",
            // The app never takes it for anything that is meant, whatever else it reads.
            (Purpose::Alert | Purpose::Correction, _) if self.status == Status::Exercise => "drill",
            (Purpose::Alert | Purpose::Correction, Style::Emergency) => "emergency",
            (
                Purpose::Alert | Purpose::Correction,
                Style::Calm | Style::Warning { .. } | Style::Announcement | Style::Personal { .. },
            ) => self.kind.as_str(),
        };
        let thread = match style {
            Style::Announcement => "news".to_owned(),
            Style::Emergency | Style::Calm | Style::Warning { .. } | Style::Personal { .. } => {
                self.incident.to_string()
            }
        };
        let replaced = self.references.iter().take(REPLACED_NAMED);
        Some(PushMessage {
            id: self.id.0,
            version: self.version,
            collapse: CollapseId::of(self.incident),
            thread,
            style,
            kind,
            severity: self.severity.as_str(),
            title: screen.title.clone(),
            body: screen.body.clone(),
            url: Some(self.url.clone()),
            expires: self.expires,
            live: live.to_vec(),
            replaces: replaced.map(|earlier| (earlier.id.0, earlier.version)).collect(),
        })
    }

    /// How loud. The lane says how soon it goes; what takes an emergency's place goes as soon, but rings like one only if it is one.
    fn style(&self) -> Style {
        let threatens = match self.purpose {
            Purpose::Alert | Purpose::Correction | Purpose::Recall => true,
            Purpose::AllClear => false,
        };
        let words = lane_of(self.kind, self.severity, self.urgency);
        // A drill rings as what it exercises.
        let lane = if self.lane == Lane::Drill { words } else { self.lane };
        match (lane, words) {
            (Lane::Emergency, Lane::Emergency) if threatens => Style::Emergency,
            (Lane::Emergency, _) => Style::Calm,
            (Lane::Personal | Lane::Bulk | Lane::Drill, _) => {
                match Style::of(self.kind, lane, self.severity, self.risk_level) {
                    Style::Warning { time_sensitive } => {
                        Style::Warning { time_sensitive: time_sensitive && threatens }
                    }
                    other @ (Style::Emergency
                    | Style::Calm
                    | Style::Announcement
                    | Style::Personal { .. }) => other,
                }
            }
        }
    }
}
