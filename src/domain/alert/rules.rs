//! The rules an alert's content obeys. Each adds what it finds broken and goes on, so that one answer names everything.

use std::collections::BTreeMap;

use time::{Date, Duration, OffsetDateTime};

use super::claims::check_claims;
use super::{
    AlertRequest, Attestations, Kind, PreparedRequest, Source, SourceRequest, Status, Template,
    Text, TextRequest,
};
use crate::domain::device::Language;
use crate::domain::text;
use crate::domain::violation::Violation;

/// User-perceived characters a headline may have (CAP 1.2 allows 160; a lock screen shows fewer).
pub const HEADLINE_MAX: usize = 100;
/// User-perceived characters a body may have.
pub const BODY_MAX: usize = 2000;
/// User-perceived characters an instruction may have.
pub const INSTRUCTION_MAX: usize = 600;
/// An alert must live at least this long, or it could not reach everyone before it ends.
pub const SHORTEST_LIFE: Duration = Duration::minutes(5);
/// What is sent at a time of its own begins up to five minutes later, and must then live as long as anything else.
const LATEST_START: Duration = Duration::minutes(10);
/// Providers store nothing longer than four weeks (FCM `ttl`).
pub const LONGEST_LIFE: Duration = Duration::days(28);

pub fn word<T: Copy>(
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

pub fn parse_texts(
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

pub fn parse_link(raw: &str, broken: &mut Vec<Violation>) -> Option<String> {
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

pub fn parse_instant(
    field: &str,
    raw: &str,
    broken: &mut Vec<Violation>,
) -> Option<OffsetDateTime> {
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

pub fn parse_expires(
    raw: Option<&str>,
    effective: Option<OffsetDateTime>,
    latest: OffsetDateTime,
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
    } else if expires > latest {
        let days = (latest - now).whole_days();
        broken.push(Violation::new(
            "expires",
            "too_far",
            format!("Thời điểm hết hiệu lực không quá {days} ngày kể từ hiện tại."),
            format!("The expiry may be at most {days} days from now."),
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

/// Why something has no time of its own.
#[derive(Clone, Copy, Debug)]
pub enum AtOnce {
    Emergency,
    FollowUp,
}

pub fn parse_send_at(
    raw: &str,
    at_once: Option<AtOnce>,
    expires: Option<OffsetDateTime>,
    now: OffsetDateTime,
    broken: &mut Vec<Violation>,
) -> Option<OffsetDateTime> {
    let send_at = parse_instant("send_at", raw, broken)?;
    let (rule, vi, en) = match at_once {
        Some(AtOnce::Emergency) => (
            "emergency_goes_at_once",
            "Tin khẩn cấp được phát ngay khi duyệt, không hẹn giờ. Hãy bỏ trường này.",
            "An emergency goes out as soon as it is approved. Leave this out.",
        ),
        Some(AtOnce::FollowUp) => (
            "follow_up_goes_at_once",
            "Tin đính chính, báo yên được phát ngay khi duyệt, không hẹn giờ. Hãy bỏ trường này.",
            "A correction or an all-clear goes out as soon as it is approved. Leave this out.",
        ),
        None if send_at <= now => (
            "not_in_future",
            "Giờ hẹn phát phải ở tương lai. Muốn phát ngay khi duyệt thì bỏ trường này.",
            "The time to send must be in the future. Leave it out to send as soon as it is approved.",
        ),
        None if expires.is_some_and(|expires| send_at + LATEST_START > expires) => (
            "too_close_to_expiry",
            "Giờ hẹn phát phải trước khi hết hiệu lực ít nhất 10 phút, để kịp tới mọi người.",
            "The time to send must be at least 10 minutes before the expiry, to reach everybody.",
        ),
        None => return Some(send_at),
    };
    broken.push(Violation::new("send_at", rule, vi, en));
    None
}

/// A document that is older has its year mistyped.
const OLDEST_DOCUMENT: Duration = Duration::days(3653);

pub fn parse_source(
    raw: &SourceRequest,
    now: OffsetDateTime,
    broken: &mut Vec<Violation>,
) -> Source {
    let number = bounded("source.number".into(), &raw.number, 60, true, broken);
    let summary = bounded("source.summary".into(), &raw.summary, 400, true, broken);
    let format = time::macros::format_description!("[year]-[month]-[day]");
    match Date::parse(raw.date.trim(), format) {
        _ if raw.date.trim().is_empty() => broken.push(Violation::missing("source.date")),
        // A day of grace: the province is ahead of UTC.
        Ok(date) if date > now.date() + Duration::days(1) => broken.push(Violation::new(
            "source.date",
            "in_future",
            "Ngày văn bản không thể ở tương lai.",
            "The document's date cannot be in the future.",
        )),
        Ok(date) if date < now.date() - OLDEST_DOCUMENT => broken.push(Violation::new(
            "source.date",
            "too_old",
            "Ngày văn bản đã quá mười năm. Hãy xem lại năm.",
            "The document's date is more than ten years ago. Look at the year again.",
        )),
        Ok(_) => {}
        Err(_) => broken.push(Violation::new(
            "source.date",
            "not_a_date",
            "Ngày văn bản phải viết dạng NĂM-THÁNG-NGÀY, ví dụ 2026-11-21.",
            "The document's date is written YYYY-MM-DD, as in 2026-11-21.",
        )),
    }
    Source { number, date: raw.date.trim().to_owned(), summary }
}

pub fn check_risk_level(level: Option<u8>, broken: &mut Vec<Violation>) {
    if level.is_some_and(|level| !(1..=5).contains(&level)) {
        broken.push(Violation::new(
            "risk_level",
            "out_of_range",
            "Cấp độ rủi ro thiên tai phải từ 1 đến 5.",
            "The natural-disaster risk level is a number from 1 to 5.",
        ));
    }
}

pub fn parse_recall(
    raw: Option<&PreparedRequest>,
    broken: &mut Vec<Violation>,
) -> Option<BTreeMap<Language, Text>> {
    if raw.is_none() {
        broken.push(Violation::new(
            "recall",
            "required",
            "Phải kèm nội dung thu hồi soạn sẵn, để khi cần thu hồi ngay bằng một thao tác.",
            "The prepared recall text comes with it, so that it can be called back in one step.",
        ));
    }
    raw.map(|recall| parse_texts("recall.texts", &recall.texts, false, broken))
}

/// `pointless`: nothing threatens, or it is an all-clear itself.
pub fn parse_all_clear(
    raw: &PreparedRequest,
    pointless: bool,
    broken: &mut Vec<Violation>,
) -> Option<BTreeMap<Language, Text>> {
    if pointless {
        broken.push(Violation::new(
            "all_clear",
            "nothing_to_end",
            "Chỉ cảnh báo mới kèm tin báo yên soạn sẵn; thông tin tuyên truyền và tin báo yên thì không.",
            "Only a warning comes with a prepared all-clear; an announcement or an all-clear does not.",
        ));
        return None;
    }
    Some(parse_texts("all_clear.texts", &raw.texts, false, broken))
}

/// A template is told of a moment that nobody knows yet: it has no time of its own, and takes no other alert's place.
pub fn check_template(
    raw: &AlertRequest,
    template: &Template,
    (status, kind): (Option<Status>, Option<Kind>),
    told: &[(&'static str, &BTreeMap<Language, Text>)],
    broken: &mut Vec<Violation>,
) {
    for (field, is_given) in [
        ("effective", raw.effective.is_some()),
        ("send_at", raw.send_at.is_some()),
        ("follows", raw.follows.is_some()),
        ("risk_level", template.blanks.level.is_some() && raw.risk_level.is_some()),
    ] {
        if is_given {
            broken.push(Violation::new(
                field,
                "not_in_a_template",
                "Mẫu duyệt trước không có trường này; giá trị được điền khi dùng mẫu. Hãy bỏ trường này.",
                "A template has none; it is filled in when the template is used. Leave this out.",
            ));
        }
    }
    template.check_texts(told, broken);
    let mut places = Vec::new();
    if let Some(named) = template.places() {
        check_claims(status, (kind, None), [("texts", &named)].into_iter(), &mut places);
    }
    broken.extend(
        places.into_iter().map(|violation| Violation {
            field: "template.blanks.place.options".into(),
            ..violation
        }),
    );
}

pub fn check_attestations(attested: Attestations, broken: &mut Vec<Violation>) {
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
