//! The content of an alert, as an agency writes it: parsed once from a request, valid ever after.
//!
//! What the province's regulation asks of it stands beside each rule (`QC-CB` 12–13). What phones are shown is derived in
//! [`super::message`]; what is signed, in [`super::seal`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{Date, Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::broadcast::Lane;
use super::device::Language;
use super::text;
use super::violation::Violation;

/// User-perceived characters a headline may have (CAP 1.2 allows 160; a lock screen shows fewer).
pub const HEADLINE_MAX: usize = 100;
/// User-perceived characters a body may have.
pub const BODY_MAX: usize = 2000;
/// User-perceived characters an instruction may have.
pub const INSTRUCTION_MAX: usize = 600;
/// An alert must live at least this long, or it could not reach everyone before it ends.
pub const SHORTEST_LIFE: Duration = Duration::minutes(5);
/// Providers store nothing longer than four weeks (FCM `ttl`).
pub const LONGEST_LIFE: Duration = Duration::days(28);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal, $vi:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What people read.
            pub fn label_vi(self) -> &'static str {
                match self { $(Self::$variant => $vi),+ }
            }

            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
    };
}

words!(
    /// The two kinds of QC-CB 3.10.
    Kind {
        /// *Cảnh báo*.
        Warning = "warning", "Cảnh báo";
        /// *Thông tin tuyên truyền*.
        Announcement = "announcement", "Thông tin tuyên truyền";
    }
);
words!(
    /// Categories from QC-CB 9.2.c and common practice.
    Category {
        /// Natural disaster.
        NaturalDisaster = "natural_disaster", "Thiên tai";
        /// Epidemic, of people or animals.
        Epidemic = "epidemic", "Dịch bệnh";
        /// Accident.
        Accident = "accident", "Tai nạn";
        /// Fire and explosion.
        Fire = "fire", "Cháy nổ";
        /// Security and order.
        Security = "security", "An ninh trật tự";
        /// Traffic.
        Traffic = "traffic", "Giao thông";
        /// Environment.
        Environment = "environment", "Môi trường";
        /// Health.
        Health = "health", "Y tế";
        /// Infrastructure and utilities.
        Infrastructure = "infrastructure", "Hạ tầng";
        /// Fraud.
        Fraud = "fraud", "Lừa đảo";
        /// Anything else.
        Other = "other", "Khác";
    }
);
words!(
    /// CAP 1.2 severity.
    Severity {
        /// Extraordinary threat to life or property.
        Extreme = "extreme", "Đặc biệt nghiêm trọng";
        /// Significant threat.
        Severe = "severe", "Nghiêm trọng";
        /// Possible threat.
        Moderate = "moderate", "Trung bình";
        /// Minimal threat.
        Minor = "minor", "Nhẹ";
    }
);
words!(
    /// CAP 1.2 urgency.
    Urgency {
        /// Act now.
        Immediate = "immediate", "Hành động ngay";
        /// Act soon (within the next hour).
        Expected = "expected", "Hành động sớm";
        /// Act in the near future.
        Future = "future", "Sắp tới";
    }
);
words!(
    /// CAP 1.2 certainty.
    Certainty {
        /// Has occurred or is ongoing.
        Observed = "observed", "Đang xảy ra";
        /// More likely than not.
        Likely = "likely", "Nhiều khả năng";
        /// Possible, not likely.
        Possible = "possible", "Có thể";
        /// Not expected to occur.
        Unlikely = "unlikely", "Ít khả năng";
    }
);

/// What a client sends to create or revise an alert. Everything is optional here so that **every** broken rule is
/// named in one answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRequest {
    /// `warning` or `announcement`.
    #[schema(example = "warning")]
    pub kind: Option<String>,
    /// See [`Category`].
    #[schema(example = "natural_disaster")]
    pub category: Option<String>,
    /// Natural-disaster risk level 1–5 (QĐ 18/2021/QĐ-TTg), where one was declared.
    pub risk_level: Option<u8>,
    /// See [`Severity`].
    #[schema(example = "extreme")]
    pub severity: Option<String>,
    /// See [`Urgency`].
    #[schema(example = "immediate")]
    pub urgency: Option<String>,
    /// See [`Certainty`].
    #[schema(example = "likely")]
    pub certainty: Option<String>,
    /// Texts by language tag; `vi` must be among them.
    pub texts: BTreeMap<String, TextRequest>,
    /// Where to read more: an `https` address.
    pub link: Option<String>,
    /// When it begins to hold (RFC 3339); absent means at approval.
    pub effective: Option<String>,
    /// When it ends (RFC 3339).
    #[schema(example = "2026-11-21T20:00:00+07:00")]
    pub expires: Option<String>,
    /// The text behind it (*văn bản*).
    pub source: SourceRequest,
    /// What the submitter vouches for.
    pub attestations: Attestations,
    /// The recall prepared together with it; required for a warning.
    pub recall: Option<RecallRequest>,
}

/// One language's text, unparsed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextRequest {
    /// What happens, where: at most 100 characters.
    pub headline: String,
    /// The rest: at most 2,000 characters.
    pub body: String,
    /// What people must do: at most 600 characters; required for a warning.
    pub instruction: Option<String>,
}

/// The source document's data, unparsed (QC-CB 12.3).
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceRequest {
    /// *Số, ký hiệu*.
    pub number: String,
    /// *Ngày*, `YYYY-MM-DD`.
    pub date: String,
    /// *Trích yếu*.
    pub summary: String,
}

/// What submitter and approver each vouch for (QC-CB 12.3, 1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Attestations {
    /// It concerns the whole population of the province.
    pub whole_province: bool,
    /// It holds no state secret.
    pub no_state_secret: bool,
}

/// The prepared recall, unparsed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecallRequest {
    /// Texts by language tag; `vi` must be among them.
    pub texts: BTreeMap<String, TextRequest>,
}

/// One language's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Text {
    /// What happens, where.
    pub headline: String,
    /// The rest.
    pub body: String,
    /// What people must do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
}

/// The source document's data (*số, ký hiệu; ngày; trích yếu*).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// *Số, ký hiệu*.
    pub number: String,
    /// *Ngày*, `YYYY-MM-DD`.
    pub date: String,
    /// *Trích yếu*.
    pub summary: String,
}

/// The content of an alert. A value of this type obeys every rule of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertContent {
    /// Warning or announcement.
    pub kind: Kind,
    /// What it is about.
    pub category: Category,
    /// Natural-disaster risk level 1–5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<u8>,
    /// How bad.
    pub severity: Severity,
    /// How soon.
    pub urgency: Urgency,
    /// How sure.
    pub certainty: Certainty,
    /// By language, Vietnamese always among them.
    #[schema(value_type = BTreeMap<String, Text>)]
    pub texts: BTreeMap<Language, Text>,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// When it begins to hold; absent means at approval.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub effective: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// The text behind it.
    pub source: Source,
    /// What the submitter vouched for.
    pub attestations: Attestations,
    /// The prepared recall's texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Text>>)]
    pub recall: Option<BTreeMap<Language, Text>>,
}

impl AlertContent {
    /// The only way in. `now` decides what is in the future. Answers every broken rule at once.
    pub fn parse(raw: &AlertRequest, now: OffsetDateTime) -> Result<Self, Vec<Violation>> {
        let mut broken = Vec::new();
        let kind = word("kind", raw.kind.as_deref(), Kind::ALL, Kind::as_str, &mut broken);
        let category =
            word("category", raw.category.as_deref(), Category::ALL, Category::as_str, &mut broken);
        let severity =
            word("severity", raw.severity.as_deref(), Severity::ALL, Severity::as_str, &mut broken);
        let urgency =
            word("urgency", raw.urgency.as_deref(), Urgency::ALL, Urgency::as_str, &mut broken);
        let certainty = word(
            "certainty",
            raw.certainty.as_deref(),
            Certainty::ALL,
            Certainty::as_str,
            &mut broken,
        );
        check_risk_level(raw.risk_level, &mut broken);
        let is_warning = kind == Some(Kind::Warning);
        let texts = parse_texts("texts", &raw.texts, is_warning, &mut broken);
        let link = raw.link.as_deref().and_then(|link| parse_link(link, &mut broken));
        let effective =
            raw.effective.as_deref().and_then(|at| parse_instant("effective", at, &mut broken));
        let expires = parse_expires(raw.expires.as_deref(), effective, now, &mut broken);
        let source = parse_source(&raw.source, now, &mut broken);
        check_attestations(raw.attestations, &mut broken);
        let recall = parse_recall(raw.recall.as_ref(), is_warning, &mut broken);
        match (kind, category, severity, urgency, certainty, expires) {
            (
                Some(kind),
                Some(category),
                Some(severity),
                Some(urgency),
                Some(certainty),
                Some(expires),
            ) if broken.is_empty() => Ok(Self {
                kind,
                category,
                risk_level: raw.risk_level,
                severity,
                urgency,
                certainty,
                texts,
                link,
                effective,
                expires,
                source,
                attestations: raw.attestations,
                recall,
            }),
            _ => Err(broken),
        }
    }

    /// Which lane its broadcast takes: danger to life, now or soon, goes before everything.
    pub fn lane(&self) -> Lane {
        let soon = match self.urgency {
            Urgency::Immediate | Urgency::Expected => true,
            Urgency::Future => false,
        };
        let grave = match self.severity {
            Severity::Extreme | Severity::Severe => true,
            Severity::Moderate | Severity::Minor => false,
        };
        match self.kind {
            Kind::Warning if soon && grave => Lane::Emergency,
            Kind::Warning | Kind::Announcement => Lane::Bulk,
        }
    }

    /// The Vietnamese text, which every alert has.
    pub fn vietnamese(&self) -> Option<&Text> {
        self.texts.get(&Language::vietnamese())
    }
}

fn word<T: Copy>(
    field: &'static str,
    raw: Option<&str>,
    all: &'static [T],
    as_str: fn(T) -> &'static str,
    broken: &mut Vec<Violation>,
) -> Option<T> {
    let Some(raw) = raw else {
        broken.push(Violation::missing(field));
        return None;
    };
    let found = all.iter().copied().find(|value| as_str(*value) == raw);
    if found.is_none() {
        let words: Vec<&str> = all.iter().map(|value| as_str(*value)).collect();
        broken.push(Violation::new(
            field,
            "unknown_word",
            format!("Chỉ nhận một trong: {}.", words.join(", ")),
            format!("Must be one of: {}.", words.join(", ")),
        ));
    }
    found
}

fn parse_texts(
    field: &str,
    raw: &BTreeMap<String, TextRequest>,
    needs_instruction: bool,
    broken: &mut Vec<Violation>,
) -> BTreeMap<Language, Text> {
    let mut texts = BTreeMap::new();
    for (tag, request) in raw {
        let Ok(language) = Language::try_from(tag.clone()) else {
            broken.push(Violation::new(
                format!("{field}.{tag}"),
                "unknown_language",
                "Mã ngôn ngữ gồm 2 hoặc 3 chữ thường, ví dụ vi, en, tyz.",
                "A language tag is 2 or 3 lower-case letters, as in vi, en, tyz.",
            ));
            continue;
        };
        let at = |name: &str| format!("{field}.{tag}.{name}");
        let headline = bounded(at("headline"), &request.headline, HEADLINE_MAX, true, broken);
        if headline.contains('\n') {
            broken.push(Violation::new(
                at("headline"),
                "one_line",
                "Tiêu đề phải nằm trên một dòng.",
                "A headline is one line.",
            ));
        }
        let body = bounded(at("body"), &request.body, BODY_MAX, true, broken);
        if needs_instruction && request.instruction.is_none() {
            broken.push(Violation::new(
                at("instruction"),
                "required",
                "Cảnh báo phải nói rõ người dân cần làm gì.",
                "A warning says what people must do.",
            ));
        }
        let instruction = request
            .instruction
            .as_ref()
            .map(|raw| bounded(at("instruction"), raw, INSTRUCTION_MAX, true, broken));
        texts.insert(language, Text { headline, body, instruction });
    }
    if !texts.contains_key(&Language::vietnamese()) {
        broken.push(Violation::new(
            format!("{field}.vi"),
            "required",
            "Luôn phải có nội dung tiếng Việt.",
            "The Vietnamese text is always required.",
        ));
    }
    texts
}

fn bounded(
    field: String,
    raw: &str,
    max: usize,
    required: bool,
    broken: &mut Vec<Violation>,
) -> String {
    let text = text::normalise(raw);
    let length = text::length(&text);
    if required && length == 0 {
        broken.push(Violation::missing(field));
    } else if length > max {
        broken.push(Violation::new(
            field,
            "too_long",
            format!("Tối đa {max} ký tự, hiện có {length}. Hãy rút ngắn."),
            format!("At most {max} characters; this has {length}. Shorten it."),
        ));
    }
    text
}

fn parse_link(raw: &str, broken: &mut Vec<Violation>) -> Option<String> {
    match url::Url::parse(raw) {
        Ok(url)
            if url.scheme() == "https"
                && url.host().is_some()
                && url.username().is_empty()
                && url.password().is_none()
                && raw.len() <= 500 =>
        {
            Some(url.into())
        }
        _ => {
            broken.push(Violation::new(
                "link",
                "not_https",
                "Liên kết phải là địa chỉ https đầy đủ, dưới 500 ký tự.",
                "A link is a complete https address of at most 500 characters.",
            ));
            None
        }
    }
}

fn parse_instant(field: &str, raw: &str, broken: &mut Vec<Violation>) -> Option<OffsetDateTime> {
    let parsed = OffsetDateTime::parse(raw, &time::format_description::well_known::Rfc3339);
    if parsed.is_err() {
        broken.push(Violation::new(
            field,
            "not_a_time",
            "Thời điểm phải viết theo RFC 3339, ví dụ 2026-11-21T20:00:00+07:00.",
            "A time is written as in RFC 3339: 2026-11-21T20:00:00+07:00.",
        ));
    }
    // Whole seconds: providers and CAP know nothing finer, and the sealed bytes should not either.
    parsed.ok().and_then(|at| at.replace_nanosecond(0).ok())
}

fn parse_expires(
    raw: Option<&str>,
    effective: Option<OffsetDateTime>,
    now: OffsetDateTime,
    broken: &mut Vec<Violation>,
) -> Option<OffsetDateTime> {
    let Some(raw) = raw else {
        broken.push(Violation::missing("expires"));
        return None;
    };
    let expires = parse_instant("expires", raw, broken)?;
    if expires < now + SHORTEST_LIFE {
        broken.push(Violation::new(
            "expires",
            "not_in_future",
            "Thời điểm hết hiệu lực phải sau hiện tại ít nhất 5 phút.",
            "The expiry must be at least 5 minutes in the future.",
        ));
    } else if expires > now + LONGEST_LIFE {
        broken.push(Violation::new(
            "expires",
            "too_far",
            "Thời điểm hết hiệu lực không quá 28 ngày kể từ hiện tại.",
            "The expiry may be at most 28 days from now.",
        ));
    }
    if effective.is_some_and(|effective| effective >= expires) {
        broken.push(Violation::new(
            "effective",
            "after_expiry",
            "Thời điểm bắt đầu hiệu lực phải trước khi hết hiệu lực.",
            "The alert must begin to hold before it expires.",
        ));
    }
    Some(expires)
}

fn parse_source(raw: &SourceRequest, now: OffsetDateTime, broken: &mut Vec<Violation>) -> Source {
    let number = bounded("source.number".into(), &raw.number, 60, true, broken);
    let summary = bounded("source.summary".into(), &raw.summary, 400, true, broken);
    let format = time::macros::format_description!("[year]-[month]-[day]");
    match Date::parse(&raw.date, format) {
        // A day of grace: the province is ahead of UTC.
        Ok(date) if date > now.date() + Duration::days(1) => broken.push(Violation::new(
            "source.date",
            "in_future",
            "Ngày văn bản không thể ở tương lai.",
            "The document's date cannot be in the future.",
        )),
        Ok(_) => {}
        Err(_) => broken.push(Violation::new(
            "source.date",
            "not_a_date",
            "Ngày văn bản phải viết dạng NĂM-THÁNG-NGÀY, ví dụ 2026-11-21.",
            "The document's date is written YYYY-MM-DD, as in 2026-11-21.",
        )),
    }
    Source { number, date: raw.date.clone(), summary }
}

fn check_risk_level(level: Option<u8>, broken: &mut Vec<Violation>) {
    if level.is_some_and(|level| !(1..=5).contains(&level)) {
        broken.push(Violation::new(
            "risk_level",
            "out_of_range",
            "Cấp độ rủi ro thiên tai phải từ 1 đến 5.",
            "The natural-disaster risk level is a number from 1 to 5.",
        ));
    }
}

fn parse_recall(
    raw: Option<&RecallRequest>,
    is_warning: bool,
    broken: &mut Vec<Violation>,
) -> Option<BTreeMap<Language, Text>> {
    if raw.is_none() && is_warning {
        broken.push(Violation::new(
            "recall",
            "required",
            "Cảnh báo phải kèm nội dung thu hồi soạn sẵn, để khi cần thu hồi ngay bằng một thao tác.",
            "A warning carries its prepared recall text, so that it can be called back in one step.",
        ));
    }
    raw.map(|recall| parse_texts("recall.texts", &recall.texts, false, broken))
}

fn check_attestations(attested: Attestations, broken: &mut Vec<Violation>) {
    if !attested.whole_province {
        broken.push(Violation::new(
            "attestations.whole_province",
            "must_be_true",
            "Chỉ nhận thông tin có phạm vi ảnh hưởng đến toàn bộ người dân trong tỉnh (Điều 12). Việc của một tuyến đường, một khu phố xin gửi qua kênh của địa phương.",
            "Only what concerns the whole population of the province is accepted (Article 12). A matter of one road or one street belongs to the local channels.",
        ));
    }
    if !attested.no_state_secret {
        broken.push(Violation::new(
            "attestations.no_state_secret",
            "must_be_true",
            "Phải cam kết nội dung không chứa bí mật nhà nước.",
            "You must attest that the text holds no state secret.",
        ));
    }
}

#[cfg(test)]
mod tests;
