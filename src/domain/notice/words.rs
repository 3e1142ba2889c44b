//! The words of this release: for each kind of event that a person is told of, what a locked screen shows. Nothing of the event is in them.

use time::Duration;

use super::{SCHEMA, Template, TemplateKind, TemplateText};
use crate::domain::device::Language;
use crate::domain::feedback::EventKind;

/// Of one kind of event.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The template's name.
    pub name: &'static str,
    /// Its version: raised whenever a word changes.
    pub version: i32,
    /// Must the person do something now?
    action_needed: bool,
    /// Title and body.
    vi: (&'static str, &'static str),
    en: (&'static str, &'static str),
}

impl Words {
    /// How long after the event it may be delivered (`providers.md` §4 c).
    pub const TTL: Duration = Duration::days(3);

    /// Of this kind; nothing where the person need not be told.
    #[rustfmt::skip]
    pub fn of(kind: EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::Refused => Self::say(
                "feedback_refused",
                ("Phản ánh, kiến nghị không được tiếp nhận", "Phản ánh, kiến nghị của bạn không được tiếp nhận. Mở ứng dụng để xem lý do."),
                ("Feedback not accepted", "Your feedback was not accepted. Open the app to read why."),
            ),
            EventKind::InformationNeeded => Self::ask(
                "feedback_information_needed",
                ("Cần bổ sung thông tin", "Phản ánh, kiến nghị của bạn cần thêm thông tin. Mở ứng dụng để bổ sung."),
                ("More information needed", "Your feedback needs more information. Open the app to add it."),
            ),
            EventKind::Received => Self::say(
                "feedback_received",
                ("Đã tiếp nhận phản ánh, kiến nghị", "Phản ánh, kiến nghị của bạn đã được tiếp nhận. Mở ứng dụng để theo dõi."),
                ("Feedback received", "Your feedback was received. Open the app to follow it."),
            ),
            EventKind::Forwarded => Self::say(
                "feedback_forwarded",
                ("Đã chuyển phản ánh, kiến nghị", "Phản ánh, kiến nghị của bạn đã được chuyển tới đơn vị xử lý. Mở ứng dụng để xem đơn vị và thời hạn."),
                ("Feedback passed on", "Your feedback was passed to the unit that handles it. Open the app to see which, and by when."),
            ),
            EventKind::Returned => Self::say(
                "feedback_returned",
                ("Phản ánh, kiến nghị được chuyển lại", "Đơn vị đã chuyển lại phản ánh, kiến nghị của bạn cho cơ quan đầu mối. Mở ứng dụng để theo dõi."),
                ("Feedback given back", "The unit gave your feedback back to the focal office. Open the app to follow it."),
            ),
            EventKind::Result => Self::say(
                "feedback_result",
                ("Kết quả phản ánh, kiến nghị", "Phản ánh, kiến nghị của bạn đã có kết quả xử lý. Mở ứng dụng để xem."),
                ("Result of your feedback", "Your feedback has been answered. Open the app to read it."),
            ),
            EventKind::ClarificationAnswered => Self::say(
                "feedback_clarification_answered",
                ("Đã trả lời yêu cầu làm rõ", "Yêu cầu làm rõ của bạn đã được trả lời. Mở ứng dụng để xem."),
                ("Your question was answered", "What you asked about the result was answered. Open the app to read it."),
            ),
            EventKind::FileReceived => Self::say(
                "file_received",
                ("Đã tiếp nhận hồ sơ", "Hồ sơ của bạn đã được tiếp nhận. Mở ứng dụng để xem ngày hẹn trả kết quả."),
                ("File received", "Your file was received. Open the app to see when its result is due."),
            ),
            EventKind::FileIncomplete => Self::ask(
                "file_incomplete",
                ("Cần bổ sung hồ sơ", "Hồ sơ của bạn cần bổ sung. Mở ứng dụng để xem còn thiếu gì."),
                ("File to be completed", "Something is missing from your file. Open the app to see what."),
            ),
            EventKind::FileRefused => Self::say(
                "file_refused",
                ("Hồ sơ không được tiếp nhận", "Hồ sơ của bạn không được tiếp nhận. Mở ứng dụng để xem lý do."),
                ("File not accepted", "Your file was not accepted. Open the app to read why."),
            ),
            EventKind::FileOverdue => Self::say(
                "file_overdue",
                ("Xin lỗi: hồ sơ trễ hẹn", "Hồ sơ của bạn bị trễ hẹn, chúng tôi xin lỗi. Mở ứng dụng để xem ngày hẹn mới."),
                ("We apologise: your file is late", "Your file is late, and we are sorry. Open the app to see the new date."),
            ),
            EventKind::FileReady => Self::say(
                "file_ready",
                ("Đã có kết quả hồ sơ", "Kết quả hồ sơ của bạn đã có trước hẹn. Mở ứng dụng để xem cách nhận."),
                ("Your file's result is ready", "The result of your file is ready early. Open the app to see how to get it."),
            ),
            EventKind::Submitted
            | EventKind::ClarificationRequested
            | EventKind::Rated
            | EventKind::Incident
            | EventKind::Maintenance => return None,
        })
    }

    fn say(
        name: &'static str,
        vi: (&'static str, &'static str),
        en: (&'static str, &'static str),
    ) -> Self {
        Self { name, version: 1, action_needed: false, vi, en }
    }

    fn ask(
        name: &'static str,
        vi: (&'static str, &'static str),
        en: (&'static str, &'static str),
    ) -> Self {
        Self { action_needed: true, ..Self::say(name, vi, en) }
    }

    /// Title and body in this language, or in Vietnamese.
    pub fn said(self, language: &Language) -> (&'static str, &'static str) {
        if language.as_str() == "en" { self.en } else { self.vi }
    }

    /// As it is sealed.
    pub(super) fn template(self, url_prefix: String) -> Template {
        let text =
            |(title, body): (&str, &str)| TemplateText { title: title.into(), body: body.into() };
        let english = Language::of_locale("en").unwrap_or_else(Language::vietnamese);
        // Vietnamese last: should English be unknown, its place is taken.
        let texts = [(english, text(self.en)), (Language::vietnamese(), text(self.vi))];
        Template {
            schema: SCHEMA,
            name: self.name.into(),
            version: self.version,
            kind: TemplateKind::Personal,
            texts: texts.into(),
            url_prefix,
            ttl_seconds: Self::TTL.whole_seconds(),
            action_needed: self.action_needed,
        }
    }
}
