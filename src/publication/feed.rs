//! The public record as an Atom feed (RFC 4287), for whoever passes alerts on: newsrooms, communes, other programs.

use askama::Template;

use super::page;
use super::record::Entry;
use crate::domain::wording::{self, Tongue};

/// What an empty record was last changed.
const NEVER: time::OffsetDateTime = time::OffsetDateTime::UNIX_EPOCH;

#[derive(Template)]
#[template(path = "public/feed.xml", escape = "html")]
struct Feed<'a> {
    t: Tongue,
    here: String,
    page: String,
    updated: String,
    entries: Vec<Item<'a>>,
}

struct Item<'a> {
    id: String,
    title: String,
    updated: String,
    published: String,
    agency: &'a str,
    category: &'static str,
    category_name: &'static str,
    url: &'a str,
    lang: String,
    summary: String,
}

/// The feed in the language of `t`, as it would be found below `base`.
pub fn feed(entries: &[Entry<'_>], base: &str, t: Tongue) -> String {
    let last = entries.iter().map(changed).max().unwrap_or(NEVER);
    let address = |name: &str| match t {
        Tongue::Vi => format!("{base}/public/{name}"),
        Tongue::En => format!("{base}/public/{name}?lang=en"),
    };
    let feed = Feed {
        t,
        here: address("alerts.atom"),
        page: address("alerts"),
        updated: wording::machine_moment(last),
        entries: entries.iter().map(|entry| item(entry, t)).collect(),
    };
    // Unwrap safety: our templates only format strings and numbers; writing to a String does not fail.
    feed.render().expect("the feed renders")
}

/// When what is said of it last changed.
fn changed(entry: &Entry<'_>) -> time::OffsetDateTime {
    entry.standing.ended().unwrap_or(entry.alert.published_at)
}

fn item<'a>(entry: &Entry<'a>, t: Tongue) -> Item<'a> {
    let sealed = &entry.alert.sealed;
    let (language, text) = page::text_in(entry, t.tag());
    let title = page::headline(entry, language.as_str(), text, t);
    let whole = [text.instruction.as_deref(), Some(text.body.as_str())];
    let communes = wording::concerned(&sealed.communes, language.as_str());
    let summary: Vec<&str> = whole.into_iter().chain([communes.as_deref()]).flatten().collect();
    Item {
        id: sealed.id.to_string(),
        title,
        updated: wording::machine_moment(changed(entry)),
        published: wording::machine_moment(entry.alert.published_at),
        agency: &sealed.agency.name,
        category: sealed.category.as_str(),
        category_name: wording::category(sealed.category, t),
        url: &sealed.url,
        lang: language.as_str().to_owned(),
        summary: summary.join("\n"),
    }
}
