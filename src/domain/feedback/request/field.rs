//! Single fields: identifiers, texts, times.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::{EventRequest, Reader, filled};
use crate::domain::text;
use crate::domain::violation::Violation;

/// Longest identifier, bytes.
const WORD_MAX: usize = 200;
/// Longest text that a person reads, user-perceived characters.
const TEXT_MAX: usize = 2000;

impl Reader<'_> {
    /// An identifier: short, printable, without direction marks.
    pub(super) fn word(
        &mut self,
        field: &'static str,
        take: impl FnOnce(&mut EventRequest) -> Option<String>,
    ) -> Option<String> {
        let Some(raw) = filled(take(&mut self.request)) else {
            return self.breaks(Violation::missing(field));
        };
        if raw.len() <= WORD_MAX && text::is_normal(&raw) && !raw.contains('\n') {
            return Some(raw);
        }
        self.breaks(Violation::new(
            field,
            "not_a_word",
            format!("Tối đa {WORD_MAX} byte, không xuống dòng, không có ký tự điều khiển hoặc ẩn."),
            format!(
                "At most {WORD_MAX} bytes, on one line, without control or invisible characters."
            ),
        ))
    }

    pub(super) fn text(
        &mut self,
        field: &'static str,
        take: impl FnOnce(&mut EventRequest) -> Option<String>,
    ) -> Option<String> {
        self.bounded(field, TEXT_MAX, take)
    }

    /// What a person reads: as it is, normalised, leading nowhere that the province has not named.
    pub(super) fn bounded(
        &mut self,
        field: &'static str,
        most: usize,
        take: impl FnOnce(&mut EventRequest) -> Option<String>,
    ) -> Option<String> {
        let told = text::normalise(&take(&mut self.request).unwrap_or_default());
        if told.is_empty() {
            return self.breaks(Violation::missing(field));
        }
        if text::length(&told) > most {
            return self.breaks(Violation::new(
                field,
                "too_long",
                format!("Tối đa {most} ký tự."),
                format!("At most {most} characters."),
            ));
        }
        if let Some(stranger) = self.rules.hosts.stranger(&told) {
            let stranger: String = stranger.chars().take(60).collect();
            return self.breaks(Violation::new(
                field,
                "link_not_allowed",
                format!("“{stranger}” dẫn ra ngoài các máy chủ được phép."),
                format!("“{stranger}” leads outside of the allowed hosts."),
            ));
        }
        Some(told)
    }

    pub(super) fn moment(
        &mut self,
        field: &'static str,
        take: impl FnOnce(&mut EventRequest) -> Option<String>,
    ) -> Option<OffsetDateTime> {
        let Some(raw) = filled(take(&mut self.request)) else {
            return self.breaks(Violation::missing(field));
        };
        OffsetDateTime::parse(&raw, &Rfc3339).ok().or_else(|| {
            self.breaks(Violation::new(
                field,
                "not_a_time",
                "Phải là thời điểm theo RFC 3339, ví dụ 2026-11-24T09:00:00+07:00.",
                "Must be a time by RFC 3339, for example 2026-11-24T09:00:00+07:00.",
            ))
        })
    }

    pub(super) fn day(&mut self, field: &'static str) -> Option<Date> {
        let Some(raw) = filled(self.request.due_on.take()) else {
            return self.breaks(Violation::missing(field));
        };
        Date::parse(&raw, format_description!("[year]-[month]-[day]")).ok().or_else(|| {
            self.breaks(Violation::new(
                field,
                "not_a_date",
                "Phải là ngày, ví dụ 2026-12-01.",
                "Must be a date, for example 2026-12-01.",
            ))
        })
    }
}
