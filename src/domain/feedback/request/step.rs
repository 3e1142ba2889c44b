//! What happened to a case, with what must come with it.

use super::{AttachmentRequest, Reader, filled, one_of};
use crate::domain::feedback::{Attachment, EventKind, Rating, Step};
use crate::domain::violation::Violation;

/// Longest URL, bytes.
const URL_MAX: usize = 2000;

impl Reader<'_> {
    pub(super) fn step(&mut self, kind: EventKind) -> Option<Step> {
        Some(match kind {
            EventKind::Submitted => Step::Submitted,
            EventKind::Received => Step::Received,
            EventKind::ClarificationRequested => Step::ClarificationRequested,
            EventKind::ClarificationAnswered => Step::ClarificationAnswered,
            EventKind::FileReady => Step::FileReady,
            EventKind::Refused => {
                Step::Refused { reason: self.text("reason", |r| r.reason.take())? }
            }
            EventKind::FileRefused => {
                Step::FileRefused { reason: self.text("reason", |r| r.reason.take())? }
            }
            EventKind::InformationNeeded => {
                Step::InformationNeeded { needed: self.text("needed", |r| r.needed.take())? }
            }
            EventKind::FileIncomplete => {
                Step::FileIncomplete { needed: self.text("needed", |r| r.needed.take())? }
            }
            EventKind::Forwarded => {
                let unit = self.word("unit", |r| r.unit.take());
                let due_at = self.moment("due_at", |r| r.due_at.take());
                Step::Forwarded { unit: unit?, due_at: due_at? }
            }
            EventKind::Returned => Step::Returned { unit: self.word("unit", |r| r.unit.take())? },
            EventKind::Result => Step::Result { attachment: self.attachment()? },
            EventKind::Rated => {
                let rating = self.rating();
                let repeats = self.request.repeats.take();
                let repeats = repeats.or_else(|| self.breaks(Violation::missing("repeats")));
                Step::Rated { rating: rating?, repeats: repeats? }
            }
            EventKind::FileReceived => Step::FileReceived { due_on: self.day("due_on")? },
            EventKind::FileOverdue => {
                let reason = self.text("reason", |r| r.reason.take());
                let due_on = self.day("due_on");
                Step::FileOverdue { reason: reason?, due_on: due_on? }
            }
            EventKind::Incident | EventKind::Maintenance => return None,
        })
    }

    /// A result without proof is invalid (QC-CB 9.1.d).
    fn attachment(&mut self) -> Option<Attachment> {
        let AttachmentRequest { url, name } = self.request.attachment.take().unwrap_or_default();
        match (filled(url), filled(name)) {
            (None, None) => self.breaks(Violation::new(
                "attachment",
                "required",
                "Kết quả phải kèm ảnh hoặc tệp chứng minh (Điều 9.1.d): cho url hoặc name.",
                "A result must come with a photo or file that proves it (article 9.1.d): give url or name.",
            )),
            (Some(_), Some(_)) => self.breaks(Violation::new(
                "attachment",
                "ambiguous",
                "Chỉ cho một trong hai: url hoặc name.",
                "Give either url or name.",
            )),
            (Some(url), None) if url.len() <= URL_MAX && self.rules.hosts.allow_url(&url) => {
                Some(Attachment::Url(url))
            }
            (Some(_), None) => self.breaks(Violation::new(
                "attachment.url",
                "not_allowed",
                "Phải là địa chỉ https ở một máy chủ được phép.",
                "Must be an https address at an allowed host.",
            )),
            (None, Some(name)) => {
                self.word("attachment.name", |_| Some(name)).map(Attachment::Name)
            }
        }
    }

    fn rating(&mut self) -> Option<Rating> {
        match filled(self.request.rating.take()).as_deref() {
            Some("satisfied") => Some(Rating::Satisfied),
            Some("neutral") => Some(Rating::Neutral),
            Some("dissatisfied") => Some(Rating::Dissatisfied),
            Some(_) => self.breaks(one_of("rating", &["satisfied", "neutral", "dissatisfied"])),
            None => self.breaks(Violation::missing("rating")),
        }
    }
}
