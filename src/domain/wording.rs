//! How people here write: numbers, times, sizes, and the names of things, in the two languages of the interface.
//!
//! This is the language of *our* words on a page. The languages of an alert's own text are [`super::device::Language`].

use time::{Date, Duration, OffsetDateTime, UtcOffset};

use super::account::Role;
use super::alert::{Category, Certainty, Kind, Severity, Urgency};
use super::area::{self, Commune};
use super::lifecycle::AlertState;
use super::message::Purpose;
use super::timing::WaitsFor;

/// The language of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tongue {
    /// Vietnamese, unless somebody asks otherwise.
    Vi,
    /// English.
    En,
}

impl Tongue {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vi, Self::En];

    /// Its BCP 47 tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }

    /// The interface that suits a reader of the language `tag`; a minority language of the province reads Vietnamese around it.
    pub fn beside(tag: &str) -> Self {
        if tag == "en" { Self::En } else { Self::Vi }
    }

    /// Whichever of the two is this one's.
    pub fn pick<T>(self, vi: T, en: T) -> T {
        match self {
            Self::Vi => vi,
            Self::En => en,
        }
    }
}

/// Whole numbers: 412.331 in Vietnamese, 412,331 in English.
pub fn number(value: i64, tongue: Tongue) -> String {
    let digits = value.unsigned_abs().to_string();
    let separator = tongue.pick('.', ',');
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        out.push('−');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

/// 21/11/2026 14:05, in the province's time (Asia/Ho_Chi_Minh: UTC+7, without summer time since 1975).
pub fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(PROVINCE);
    format!("{} {:02}:{:02}", day(at.date()), at.hour(), at.minute())
}

/// 21/11/2026.
pub fn day(date: Date) -> String {
    format!("{:02}/{:02}/{}", date.day(), u8::from(date.month()), date.year())
}

/// A date as sealed (`2026-11-21`), as people write it. One that cannot be read is shown as it is.
pub fn written_day(iso: &str) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    Date::parse(iso, format).map_or_else(|_| iso.to_owned(), day)
}

/// RFC 3339 in the province's time, for `<time datetime>`.
pub fn machine_moment(at: OffsetDateTime) -> String {
    at.to_offset(PROVINCE)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

/// Asia/Ho_Chi_Minh: seven hours ahead of UTC, in summer and winter.
pub const PROVINCE: UtcOffset = time::macros::offset!(+7);

/// A length of time in words, coarse as people say it: `40 giây`, `3 phút`, `2 giờ 5 phút`, `4 ngày`.
pub fn span(length: Duration, tongue: Tongue) -> String {
    let seconds = length.whole_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let say = |n: i64, vi: &str, one: &str| match tongue {
        Tongue::Vi => format!("{n} {vi}"),
        Tongue::En if n == 1 => format!("1 {one}"),
        Tongue::En => format!("{n} {one}s"),
    };
    match () {
        () if seconds < 60 => say(seconds, "giây", "second"),
        () if minutes < 60 => say(minutes, "phút", "minute"),
        () if hours < 24 && minutes % 60 == 0 => say(hours, "giờ", "hour"),
        () if hours < 24 => {
            format!("{} {}", say(hours, "giờ", "hour"), say(minutes % 60, "phút", "minute"))
        }
        () => say(days, "ngày", "day"),
    }
}

/// A file's size: 812 KB, 2,4 MB.
pub fn size(bytes: u64, tongue: Tongue) -> String {
    const KILO: u64 = 1000;
    if bytes < KILO * KILO {
        return format!("{} KB", bytes.div_ceil(KILO).max(1));
    }
    let tenths = bytes / (KILO * KILO / 10);
    format!("{}{}{} MB", tenths / 10, tongue.pick(',', '.'), tenths % 10)
}

/// A media type of a source document as people name it.
pub fn file_kind(media_type: &str) -> &str {
    match media_type {
        "application/pdf" => "PDF",
        "image/jpeg" => "JPEG",
        "image/png" => "PNG",
        other => other,
    }
}

/// What a natural-disaster risk level is called (QĐ 18/2021/QĐ-TTg, Điều 4).
pub fn risk_name(level: u8, tongue: Tongue) -> &'static str {
    match level {
        1 => tongue.pick("rủi ro thấp", "low risk"),
        2 => tongue.pick("rủi ro trung bình", "moderate risk"),
        3 => tongue.pick("rủi ro lớn", "high risk"),
        4 => tongue.pick("rủi ro rất lớn", "very high risk"),
        _ => tongue.pick("rủi ro thảm họa", "catastrophic risk"),
    }
}

/// The name of a language in itself, as far as the province needs it; otherwise its tag.
pub fn language_name(tag: &str) -> &str {
    match tag {
        "vi" => "Tiếng Việt",
        "en" => "English",
        "tyz" => "Tày",
        "nut" => "Nùng",
        "hmn" | "mww" | "blu" => "Mông",
        "ium" => "Dao",
        "jiy" => "Lô Lô",
        other => other,
    }
}

/// The communes an alert concerns, as a sentence in the language `tag`; nothing where it names none.
pub fn concerned(communes: &[Commune], tag: &str) -> Option<String> {
    let before = if tag == "en" { "Communes concerned" } else { "Xã, phường liên quan" };
    (!communes.is_empty()).then(|| format!("{before}: {}.", area::names(communes)))
}

/// What people read for a word of a closed list in the field `name`; nothing for any other field.
pub fn word(name: &str, value: &str, tongue: Tongue) -> Option<&'static str> {
    match name {
        "kind" => Kind::from_word(value).map(|it| kind(it, tongue)),
        "category" => Category::from_word(value).map(|it| category(it, tongue)),
        "severity" => Severity::from_word(value).map(|it| severity(it, tongue)),
        "urgency" => Urgency::from_word(value).map(|it| urgency(it, tongue)),
        "certainty" => Certainty::from_word(value).map(|it| certainty(it, tongue)),
        _ => None,
    }
}

/// Warning or announcement.
pub fn kind(value: Kind, tongue: Tongue) -> &'static str {
    let en = match value {
        Kind::Warning => "Warning",
        Kind::Announcement => "Announcement",
    };
    tongue.pick(value.label_vi(), en)
}

/// What an alert is about.
pub fn category(value: Category, tongue: Tongue) -> &'static str {
    let en = match value {
        Category::NaturalDisaster => "Natural disaster",
        Category::Epidemic => "Epidemic",
        Category::Accident => "Accident",
        Category::Fire => "Fire and explosion",
        Category::Security => "Security and order",
        Category::Traffic => "Traffic",
        Category::Environment => "Environment",
        Category::Health => "Health",
        Category::Infrastructure => "Infrastructure",
        Category::Fraud => "Fraud",
        Category::Other => "Other",
    };
    tongue.pick(value.label_vi(), en)
}

/// How bad.
pub fn severity(value: Severity, tongue: Tongue) -> &'static str {
    let en = match value {
        Severity::Extreme => "Extreme",
        Severity::Severe => "Severe",
        Severity::Moderate => "Moderate",
        Severity::Minor => "Minor",
    };
    tongue.pick(value.label_vi(), en)
}

/// How soon.
pub fn urgency(value: Urgency, tongue: Tongue) -> &'static str {
    let en = match value {
        Urgency::Immediate => "Act now",
        Urgency::Expected => "Act soon",
        Urgency::Future => "Coming up",
    };
    tongue.pick(value.label_vi(), en)
}

/// How sure.
pub fn certainty(value: Certainty, tongue: Tongue) -> &'static str {
    let en = match value {
        Certainty::Observed => "Happening",
        Certainty::Likely => "Likely",
        Certainty::Possible => "Possible",
        Certainty::Unlikely => "Unlikely",
    };
    tongue.pick(value.label_vi(), en)
}

/// Where an alert stands, on the chip people see.
pub fn state(value: AlertState, tongue: Tongue) -> &'static str {
    let en = match value {
        AlertState::Draft => "Draft",
        AlertState::Submitted => "Waiting",
        AlertState::Returned => "Returned",
        AlertState::Rejected => "Rejected",
        AlertState::Scheduled => "Scheduled",
        AlertState::Ready => "Template, ready",
        AlertState::Cancelled => "Cancelled before it began",
        AlertState::Live => "Live",
        AlertState::Expired => "Expired",
        AlertState::Superseded => "Superseded",
        AlertState::Recalled => "Recalled",
    };
    tongue.pick(value.label_vi(), en)
}

/// What something that is sent is.
pub fn purpose(value: Purpose, tongue: Tongue) -> &'static str {
    match value {
        Purpose::Alert => tongue.pick("Tin", "Alert"),
        Purpose::Recall => tongue.pick("Tin thu hồi", "Recall"),
        Purpose::Correction => tongue.pick("Tin đính chính", "Correction"),
        Purpose::AllClear => tongue.pick("Tin báo yên", "All-clear"),
    }
}

/// For what something that was approved waits.
pub fn waits_for(value: WaitsFor, tongue: Tongue) -> &'static str {
    match value {
        WaitsFor::SendAt => tongue.pick("giờ hẹn", "the time asked for"),
        WaitsFor::QuietHours => tongue.pick("hết giờ yên tĩnh", "the end of quiet hours"),
        WaitsFor::NextDay => tongue.pick(
            "ngày sau, vì hôm nay đã đủ số tin tuyên truyền",
            "the next day, as this one has had its announcements",
        ),
    }
}

/// What an account is for (regulation §5).
pub fn role(value: Role, tongue: Tongue) -> &'static str {
    match value {
        Role::Submitter => tongue.pick("Cán bộ soạn thảo, gửi", "Submitter"),
        Role::Approver => tongue.pick("Người duyệt", "Approver"),
        Role::Operator => tongue.pick("Người vận hành", "Operator"),
        Role::Auditor => tongue.pick("Người giám sát", "Auditor"),
        Role::Administrator => tongue.pick("Người quản trị", "Administrator"),
        Role::System => tongue.pick("Hệ thống", "System"),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_people_here_write_them() {
        assert_eq!(number(412_331, Tongue::Vi), "412.331");
        assert_eq!(number(412_331, Tongue::En), "412,331");
        assert_eq!(number(999, Tongue::Vi), "999");
        assert_eq!(number(-1_000_000, Tongue::Vi), "−1.000.000");
        assert_eq!(moment(datetime!(2026-11-21 07:05:59 UTC)), "21/11/2026 14:05");
        assert_eq!(
            moment(datetime!(2026-12-31 18:00 UTC)),
            "01/01/2027 01:00",
            "the day is the province's"
        );
        assert_eq!(written_day("2026-07-18"), "18/07/2026");
        assert_eq!(written_day("hôm qua"), "hôm qua");
    }

    #[test]
    fn lengths_of_time_are_words() {
        let vi = |seconds| span(Duration::seconds(seconds), Tongue::Vi);
        assert_eq!(vi(40), "40 giây");
        assert_eq!(vi(125), "2 phút");
        assert_eq!(vi(7200), "2 giờ");
        assert_eq!(vi(7500), "2 giờ 5 phút");
        assert_eq!(vi(200_000), "2 ngày");
        assert_eq!(vi(-5), "0 giây");
        assert_eq!(span(Duration::seconds(1), Tongue::En), "1 second");
    }

    #[test]
    fn sizes_round_up_to_what_a_person_expects() {
        assert_eq!(size(1, Tongue::Vi), "1 KB");
        assert_eq!(size(812_001, Tongue::Vi), "813 KB");
        assert_eq!(size(2_450_000, Tongue::Vi), "2,4 MB");
        assert_eq!(size(2_450_000, Tongue::En), "2.4 MB");
    }
}
