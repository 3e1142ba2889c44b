//! Which language a reader wants: `?lang=` first, then `Accept-Language` (RFC 9110 §12.5.4), then Vietnamese.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

use crate::domain::wording::Tongue;

/// The language tags a reader accepts, best first, primary subtags only (`en-GB` counts as `en`).
pub fn wanted(query: Option<&str>, headers: &HeaderMap) -> Vec<String> {
    let mut tags: Vec<String> = asked_for(query).into_iter().collect();
    tags.extend(accepted(headers));
    tags
}

/// The language of the interface for this reader.
pub fn tongue(query: Option<&str>, headers: &HeaderMap) -> Tongue {
    wanted(query, headers)
        .iter()
        .find_map(|tag| Tongue::ALL.into_iter().find(|tongue| tongue.tag() == tag))
        .unwrap_or(Tongue::Vi)
}

/// The tag of `?lang=`, if the query has a plausible one.
pub fn asked_for(query: Option<&str>) -> Option<String> {
    url::form_urlencoded::parse(query?.as_bytes())
        .find(|(name, _)| name == "lang")
        .and_then(|(_, value)| primary(&value))
}

fn accepted(headers: &HeaderMap) -> Vec<String> {
    let raw = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let mut ranges: Vec<(u16, String)> = raw
        .flat_map(|value| value.split(','))
        .filter_map(|range| {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = weight(parameters);
            Some((weight, primary(tag.trim())?)).filter(|_| weight > 0)
        })
        .collect();
    // Stable: of equal weights the first named wins.
    ranges.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    ranges.into_iter().map(|(_, tag)| tag).collect()
}

/// `q=0.8` in thousandths; absent is 1.
pub(super) fn weight(parameters: &str) -> u16 {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())?
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=1000"
    )]
    q.map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16)
}

fn primary(tag: &str) -> Option<String> {
    let primary = tag.split(['-', '_']).next()?.to_ascii_lowercase();
    let plausible =
        (2..=3).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_lowercase());
    plausible.then_some(primary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept_language: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !accept_language.is_empty() {
            headers.insert(ACCEPT_LANGUAGE, accept_language.parse().expect("ASCII"));
        }
        headers
    }

    #[test]
    fn vietnamese_unless_somebody_asks_otherwise() {
        assert_eq!(tongue(None, &headers("")), Tongue::Vi);
        assert_eq!(tongue(None, &headers("fr, de;q=0.5, *;q=0.1")), Tongue::Vi);
        assert_eq!(tongue(None, &headers("en-GB,vi;q=0.8")), Tongue::En);
        assert_eq!(tongue(None, &headers("en;q=0.4, vi-VN;q=0.9")), Tongue::Vi);
        assert_eq!(tongue(None, &headers("en;q=0")), Tongue::Vi);
        assert_eq!(tongue(Some("lang=en"), &headers("vi")), Tongue::En);
        assert_eq!(tongue(Some("lang=%00"), &headers("")), Tongue::Vi);
    }

    #[test]
    fn the_best_language_comes_first() {
        assert_eq!(
            wanted(Some("x=1&lang=tyz"), &headers("en;q=0.7, nut, vi;q=0.9")),
            ["tyz", "nut", "vi", "en"]
        );
    }
}
