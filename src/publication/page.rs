//! The public pages: one list, one page per alert, readable in ten seconds.
//!
//! Plain HTML with its style inside: no cookie, nothing from a third party, and whole without a script. The one there is
//! ([`super::browser`]) offers to receive warnings. The text comes from sealed bytes and is escaped by the template engine. Times are absolute, because a cached page cannot know how old it is.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::browser;
use super::record::{Entry, Standing};
use crate::config::webpush::BrowserKey;
use crate::domain::alert::{Kind, Severity, Text};
use crate::domain::area;
use crate::domain::device::Language;
use crate::domain::message::Purpose;
use crate::domain::wording::{self, Tongue};

/// Bytes that the preview of a link shows at most.
const SUMMARY_BYTES: usize = 300;

/// The style inside every public page.
pub const STYLE: &str = concat!(
    include_str!("../../templates/style/tokens.css"),
    include_str!("../../templates/style/public.css")
);

/// The `Content-Security-Policy` of the public pages: this style, the icon inside the page, and what our own origin serves.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(digest)
    )
});

/// The list of alerts; with a key, it offers the browser to receive warnings.
pub fn list(entries: &[Entry<'_>], t: Tongue, key: Option<&BrowserKey>) -> String {
    let (holding, ended): (Vec<_>, Vec<_>) = entries
        .iter()
        .map(|entry| View::of(entry, t, t.tag()))
        .partition(|view| view.ended.is_none());
    let (over, live) = holding.into_iter().partition(|view| view.is_all_clear);
    let offer = key.map(|key| Offer { key, script: browser::script_address() });
    rendered(&ListPage { t, style: STYLE, live, over, ended, offer })
}

/// One alert, its text in the language `tag` or else in Vietnamese.
pub fn alert(entry: &Entry<'_>, tag: &str) -> String {
    let t = Tongue::beside(tag);
    rendered(&AlertPage { t, style: STYLE, a: View::of(entry, t, tag) })
}

/// What a reader sees whose link leads nowhere.
pub fn not_found(t: Tongue) -> String {
    rendered(&NoticePage {
        t,
        style: STYLE,
        title: t.pick("Không có tin này", "No such alert"),
        text: t.pick(
            "Địa chỉ không đúng, hoặc tin đã hết hiệu lực từ lâu và không còn đăng.",
            "The address is wrong, or the alert ended long ago and is no longer shown.",
        ),
    })
}

/// What a reader sees who sent something to an address that is only read, or the reverse.
pub fn not_done_here(t: Tongue) -> String {
    rendered(&NoticePage {
        t,
        style: STYLE,
        title: t.pick("Không thực hiện được", "This cannot be done here"),
        text: t.pick(
            "Địa chỉ này không nhận thao tác vừa gửi. Chưa có gì thay đổi.",
            "This address does not take what was sent. Nothing has changed.",
        ),
    })
}

/// What a reader sees before this process has read the record for the first time.
pub fn not_ready(t: Tongue) -> String {
    rendered(&NoticePage {
        t,
        style: STYLE,
        title: t.pick("Chưa đọc được dữ liệu", "Not readable just now"),
        text: t.pick(
            "Máy chủ vừa khởi động. Xin mở lại trang này sau ít giây. Trang này không có nghĩa là không có cảnh báo.",
            "The server has just started. Please open this page again in a few seconds. This does not mean that there are no alerts.",
        ),
    })
}

#[derive(Template)]
#[template(path = "public/list.html")]
struct ListPage<'a> {
    t: Tongue,
    style: &'static str,
    live: Vec<View<'a>>,
    /// All-clears: nothing that threatens, and what people look for first.
    over: Vec<View<'a>>,
    ended: Vec<View<'a>>,
    offer: Option<Offer<'a>>,
}

/// What the script needs to subscribe this browser.
struct Offer<'a> {
    key: &'a BrowserKey,
    script: String,
}

#[derive(Template)]
#[template(path = "public/alert.html")]
struct AlertPage<'a> {
    t: Tongue,
    style: &'static str,
    a: View<'a>,
}

#[derive(Template)]
#[template(path = "public/notice.html")]
struct NoticePage {
    t: Tongue,
    style: &'static str,
    title: &'static str,
    text: &'static str,
}

fn rendered(page: &impl Template) -> String {
    // Unwrap safety: our templates only format strings and numbers; writing to a String does not fail.
    page.render().expect("public templates render")
}

/// How bad, as a band: a number or a word, a name, and a shape; never the colour alone.
#[derive(Clone, Debug)]
pub struct Band {
    /// Class of the colour: `level-1` … `level-5`, `news`.
    pub class: &'static str,
    /// How many of five bars of the icon are filled; 0 for information.
    pub bars: u8,
    /// *Cấp 3 · rủi ro lớn*.
    pub name: String,
}

impl Band {
    /// The band of an alert: its declared risk level, or else its severity.
    pub fn of(kind: Kind, risk_level: Option<u8>, severity: Severity, t: Tongue) -> Self {
        let by_severity = match severity {
            Severity::Minor => 1,
            Severity::Moderate => 2,
            Severity::Severe => 3,
            Severity::Extreme => 4,
        };
        match (kind, risk_level) {
            (_, Some(level)) => Self {
                class: class_of(level),
                bars: level.min(5),
                name: format!(
                    "{} {level} · {}",
                    t.pick("Cấp", "Level"),
                    wording::risk_name(level, t)
                ),
            },
            (Kind::Warning, None) => Self {
                class: class_of(by_severity),
                bars: by_severity,
                name: format!(
                    "{} · {}",
                    wording::kind(kind, t),
                    wording::severity(severity, t).to_lowercase()
                ),
            },
            (Kind::Announcement, None) => {
                Self { class: "news", bars: 0, name: wording::kind(kind, t).to_owned() }
            }
        }
    }
}

fn class_of(level: u8) -> &'static str {
    match level {
        0 | 1 => "level-1",
        2 => "level-2",
        3 => "level-3",
        4 => "level-4",
        _ => "level-5",
    }
}

/// An alert as a page shows it.
struct View<'a> {
    id: String,
    url: &'a str,
    text: &'a Text,
    /// The language of `text`.
    lang: &'a str,
    band: Band,
    is_recall: bool,
    is_all_clear: bool,
    /// *DIỄN TẬP*, *THU HỒI*, *ĐÍNH CHÍNH*, *BÁO YÊN*, as phones have it before the headline.
    mark: Option<String>,
    /// Chip of an ended alert.
    ended: Option<Ended>,
    kind: &'static str,
    category: &'static str,
    severity: &'static str,
    urgency: &'static str,
    certainty: &'static str,
    agency: &'a str,
    /// The communes it names, as one text.
    communes: String,
    /// The first words, for those it is passed on to.
    summary: String,
    published: Moment,
    effective: Option<Moment>,
    expires: Moment,
    source_number: &'a str,
    source_date: String,
    source_summary: &'a str,
    file_kind: &'a str,
    file_size: String,
    link: Option<&'a str>,
    original: Option<String>,
    recalled_by: Option<String>,
    successor: Option<Successor>,
    languages: Vec<(&'a str, &'a str)>,
}

/// A time for people and for machines.
struct Moment {
    shown: String,
    machine: String,
}

/// What took an alert's place.
struct Successor {
    id: String,
    is_all_clear: bool,
}

/// How and when an alert ended.
struct Ended {
    word: &'static str,
    is_recalled: bool,
    at: Moment,
}

impl Moment {
    fn of(at: time::OffsetDateTime) -> Self {
        Self { shown: wording::moment(at), machine: wording::machine_moment(at) }
    }
}

impl<'a> View<'a> {
    fn of(entry: &Entry<'a>, t: Tongue, tag: &str) -> Self {
        let sealed = &entry.alert.sealed;
        let (language, text) = text_in(entry, tag);
        Self {
            id: sealed.id.to_string(),
            url: &sealed.url,
            text,
            lang: language.as_str(),
            band: band_of(entry, t),
            is_recall: sealed.purpose == Purpose::Recall,
            is_all_clear: entry.is_all_clear(),
            mark: mark_of(entry, language.as_str()),
            ended: Ended::of(entry.standing, t),
            kind: wording::kind(sealed.kind, t),
            category: wording::category(sealed.category, t),
            severity: wording::severity(sealed.severity, t),
            urgency: wording::urgency(sealed.urgency, t),
            certainty: wording::certainty(sealed.certainty, t),
            agency: &sealed.agency.name,
            communes: area::names(&sealed.communes),
            summary: summary(text),
            published: Moment::of(entry.alert.published_at),
            effective: sealed.effective.map(Moment::of),
            expires: Moment::of(sealed.expires),
            source_number: &sealed.source.number,
            source_date: wording::written_day(&sealed.source.date),
            source_summary: &sealed.source.summary,
            file_kind: wording::file_kind(&sealed.document.media_type),
            file_size: wording::size(sealed.document.size, t),
            link: sealed.link.as_deref(),
            original: sealed.references.first().map(|original| original.id.to_string()),
            recalled_by: entry.recalled_by.map(|recall| recall.to_string()),
            successor: entry.superseded_by.map(|successor| Successor {
                id: successor.sealed.id.to_string(),
                is_all_clear: successor.sealed.purpose == Purpose::AllClear,
            }),
            languages: sealed
                .texts
                .keys()
                .map(|language| (language.as_str(), wording::language_name(language.as_str())))
                .collect(),
        }
    }
}

/// The headline as it is passed on: with what it is, and what became of it.
pub(super) fn headline(entry: &Entry<'_>, tag: &str, text: &Text, t: Tongue) -> String {
    let ended = Ended::of(entry.standing, t).map(|ended| format!("[{}] ", ended.word));
    let mark = mark_of(entry, tag).map(|mark| format!("{mark}: "));
    format!("{}{}{}", ended.unwrap_or_default(), mark.unwrap_or_default(), text.headline)
}

/// What people must do, or else what happens, as far as a preview of a link shows it.
fn summary(text: &Text) -> String {
    let words = text.instruction.as_deref().unwrap_or(&text.body);
    crate::domain::text::cut(words, SUMMARY_BYTES)
}

/// A drill has no colour of danger.
fn band_of(entry: &Entry<'_>, t: Tongue) -> Band {
    let sealed = &entry.alert.sealed;
    if entry.is_drill() {
        let name = t.pick("Diễn tập, không có nguy hiểm", "A drill: there is no danger");
        return Band { class: "news", bars: 0, name: name.to_owned() };
    }
    Band::of(sealed.kind, sealed.risk_level, sealed.severity, t)
}

fn mark_of(entry: &Entry<'_>, tag: &str) -> Option<String> {
    let sealed = &entry.alert.sealed;
    let marks = [sealed.status.mark(tag), sealed.purpose.mark(tag)];
    let marks: Vec<&str> = marks.into_iter().flatten().collect();
    (!marks.is_empty()).then(|| marks.join(": "))
}

impl Ended {
    fn of(standing: Standing, t: Tongue) -> Option<Self> {
        let (word, is_recalled) = match standing {
            Standing::Live => return None,
            Standing::Superseded { .. } => (t.pick("Đã thay thế", "Superseded"), false),
            Standing::Recalled { .. } => (t.pick("Đã thu hồi", "Recalled"), true),
            Standing::Expired { .. } => (t.pick("Hết hiệu lực", "Expired"), false),
        };
        Some(Self { word, is_recalled, at: Moment::of(standing.ended()?) })
    }
}

/// The text in the language wanted, or in Vietnamese, or, for a document that somehow has neither, in whatever it has.
pub(super) fn text_in<'a>(entry: &Entry<'a>, tag: &str) -> (&'a Language, &'a Text) {
    let texts = &entry.alert.sealed.texts;
    texts
        .iter()
        .find(|(language, _)| language.as_str() == tag)
        .or_else(|| texts.get_key_value(&Language::vietnamese()))
        .or_else(|| texts.iter().next())
        // Unwrap safety: `Record::verify` lets no alert in that has no text.
        .expect("a sealed alert has a text")
}
