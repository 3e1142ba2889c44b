use super::*;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-21 07:00 UTC);

pub(crate) fn flood() -> AlertRequest {
    serde_json::from_value(serde_json::json!({
        "kind": "warning", "category": "natural_disaster", "risk_level": 3, "severity": "extreme",
        "urgency": "immediate", "certainty": "likely",
        "texts": {"vi": {"headline": "Cảnh báo lũ quét", "body": "Mưa rất to trên toàn tỉnh.",
            "instruction": "Rời khỏi ven suối ngay."}},
        "expires": "2026-11-21T20:00:00+07:00",
        "source": {"number": "01/CĐ-BCH", "date": "2026-11-21", "summary": "Công điện về ứng phó lũ quét"},
        "attestations": {"whole_province": true, "no_state_secret": true},
        "recall": {"texts": {"vi": {"headline": "Thu hồi cảnh báo lũ quét", "body": "Không còn nguy cơ."}}}
    }))
    .unwrap()
}

fn rules(request: &AlertRequest) -> Vec<String> {
    AlertContent::parse(request, NOW)
        .unwrap_err()
        .into_iter()
        .map(|violation| format!("{} {}", violation.field, violation.rule))
        .collect()
}

#[test]
fn a_flash_flood_takes_the_emergency_lane() {
    let alert = AlertContent::parse(&flood(), NOW).unwrap();
    assert_eq!(alert.lane(), Lane::Emergency);
}

#[test]
fn an_empty_request_is_told_every_rule_at_once() {
    assert_eq!(
        rules(&AlertRequest::default()),
        [
            "kind required",
            "category required",
            "severity required",
            "urgency required",
            "certainty required",
            "texts.vi required",
            "expires required",
            "source.number required",
            "source.summary required",
            "source.date required",
            "attestations.whole_province must_be_true",
            "attestations.no_state_secret must_be_true",
            "recall required",
        ]
    );
}

#[test]
fn one_street_is_not_the_province() {
    let mut request = flood();
    request.attestations.whole_province = false;
    assert_eq!(rules(&request), ["attestations.whole_province must_be_true"]);
}

#[test]
fn the_past_and_the_far_future_are_refused() {
    let mut request = flood();
    request.expires = Some("2026-11-21T14:04:59+07:00".into());
    assert_eq!(rules(&request), ["expires not_in_future"]);
    request.expires = Some("2026-12-20T14:00:00+07:00".into());
    assert_eq!(rules(&request), ["expires too_far"]);
    request.expires = Some("tomorrow".into());
    assert_eq!(rules(&request), ["expires not_a_time"]);
}

#[test]
fn a_warning_says_what_to_do_and_how_it_is_called_back() {
    let mut request = flood();
    request.recall = None;
    request.texts.get_mut("vi").unwrap().instruction = None;
    assert_eq!(rules(&request), ["texts.vi.instruction required", "recall required"]);
}

#[test]
fn an_announcement_too_is_submitted_with_the_words_that_call_it_back() {
    let mut request = flood();
    request.kind = Some("announcement".into());
    request.texts.get_mut("vi").unwrap().instruction = None;
    assert!(AlertContent::parse(&request, NOW).is_ok());
    request.recall = None;
    assert_eq!(rules(&request), ["recall required"]);
}

#[test]
fn only_whole_https_links() {
    for link in
        ["http://example.vn", "https://user:pw@example.vn", "javascript:alert(1)", "https://"]
    {
        let mut request = flood();
        request.link = Some(link.into());
        assert_eq!(rules(&request), ["link not_https"], "{link}");
    }
}

#[test]
fn text_is_stored_composed() {
    let mut request = flood();
    request.texts.get_mut("vi").unwrap().headline = "Cu\u{309}nh ba\u{301}o".into();
    let alert = AlertContent::parse(&request, NOW).unwrap();
    assert_eq!(alert.vietnamese().unwrap().headline, "Củnh báo");
}

#[test]
fn a_headline_is_counted_as_people_count() {
    let mut request = flood();
    request.texts.get_mut("vi").unwrap().headline = "ệ".repeat(HEADLINE_MAX);
    assert!(AlertContent::parse(&request, NOW).is_ok());
    request.texts.get_mut("vi").unwrap().headline = "ệ".repeat(HEADLINE_MAX + 1);
    assert_eq!(rules(&request), ["texts.vi.headline too_long"]);
}

#[test]
fn a_warning_may_come_with_its_all_clear_and_an_announcement_may_not() {
    let mut request = flood();
    request.all_clear = request.recall.clone();
    let content = AlertContent::parse(&request, NOW).unwrap();
    assert_eq!(content.all_clear, content.recall);
    request.kind = Some("announcement".into());
    assert_eq!(rules(&request), ["all_clear nothing_to_end"]);
    request.kind = Some("warning".into());
    request.all_clear = Some(PreparedRequest::default());
    assert_eq!(rules(&request), ["all_clear.texts.vi required"]);
}

#[test]
fn what_takes_anothers_place_says_whose_and_as_what() {
    let mut request = flood();
    let follows = |alert: &str, how: &str| FollowsRequest { alert: alert.into(), how: how.into() };
    request.follows = Some(follows("tin trước", "recall"));
    assert_eq!(rules(&request), ["follows.alert not_an_id", "follows.as unknown_word"]);
    let id = crate::domain::id::AlertId::new();
    request.follows = Some(follows(&id.to_string(), "all_clear"));
    let content = AlertContent::parse(&request, NOW).unwrap();
    assert_eq!(content.follows, Some(Follows { alert: id, how: FollowUp::AllClear }));
    request.all_clear = request.recall.clone();
    assert_eq!(rules(&request), ["all_clear nothing_to_end"]);
}
