use proptest::prelude::*;
use proptest::sample::Index;
use time::Duration;
use time::macros::datetime;

use super::case::{Case, PlaceTaken};
use super::limit::Duty;
use super::links::AllowedHosts;
use super::request::{AttachmentRequest, CaseRequest, EventRequest, PersonRequest, Rules};
use super::*;
use crate::domain::calendar::Calendar;
use crate::domain::calendar::office_hours::OfficeHours;

const NOW: OffsetDateTime = datetime!(2026-11-25 10:00 +7);

fn rules() -> Rules {
    let hosts = ["caobang.gov.vn", "*.caobang.gov.vn"].map(str::to_owned);
    Rules { hosts: AllowedHosts::new(hosts), now: NOW }
}

fn request(kind: &str) -> EventRequest {
    EventRequest {
        version: Some(2),
        id: Some("pa-1:1".into()),
        kind: Some(kind.into()),
        at: Some("2026-11-25T09:00:00+07:00".into()),
        case: Some(CaseRequest {
            id: Some("pa-1".into()),
            kind: Some("feedback".into()),
            sequence: Some(1),
            ..CaseRequest::default()
        }),
        person: Some(PersonRequest { subject: Some("cd-1".into()), ..PersonRequest::default() }),
        ..EventRequest::default()
    }
}

fn result() -> EventRequest {
    let attachment = AttachmentRequest { name: Some("bien-ban.pdf".into()), url: None };
    EventRequest { attachment: Some(attachment), ..request("result") }
}

fn broken(request: EventRequest) -> Vec<String> {
    let violations = FeedbackEvent::parse(request, &rules()).expect_err("a rule is broken");
    violations.iter().map(|v| format!("{} {}", v.field, v.rule)).collect()
}

#[test]
fn what_is_whole_is_read() {
    let event = FeedbackEvent::parse(result(), &rules()).unwrap();
    assert_eq!((event.id.as_str(), event.kind()), ("pa-1:1", EventKind::Result));
    assert_eq!(event.at, datetime!(2026-11-25 09:00 +7));
    let What::OfCase { case, person, .. } = event.what else { panic!("of a case") };
    assert_eq!((case.id.as_str(), case.kind, case.sequence), ("pa-1", CaseKind::Feedback, 1));
    assert!(!case.is_public, "what the person has not allowed is not public (QC-CB 8.3)");
    assert_eq!(person.language, None, "what is not said does not take the place of what is known");
}

/// The same examples are judged by a validator that knows nothing of us (`tests/peers/by_jsonschema.py`).
#[test]
fn the_examples_of_the_schema_are_taken_and_refused_as_it_says() {
    #[derive(serde::Deserialize)]
    struct Example {
        event: serde_json::Value,
        wrong: Option<String>,
    }
    let examples = include_str!("../../../queues/schemas/feedback-event.v2.examples.ndjson");
    for line in examples.lines() {
        let Example { event, wrong } = serde_json::from_str(line).unwrap();
        let judged = FeedbackEvent::parse(serde_json::from_value(event).unwrap(), &rules());
        let fields: Vec<String> =
            judged.err().into_iter().flatten().map(|violation| violation.field).collect();
        let is_as_said = wrong.as_ref().map_or(fields.is_empty(), |wrong| fields.contains(wrong));
        assert!(is_as_said, "{fields:?}: {line}");
    }
}

#[test]
fn every_broken_rule_is_named_at_once() {
    assert_eq!(
        broken(EventRequest::default()),
        ["version required", "id required", "at required", "kind required"]
    );
    let bare = EventRequest { case: None, person: None, ..request("forwarded") };
    assert_eq!(
        broken(bare),
        ["case required", "person required", "unit required", "due_at required"]
    );
    assert_eq!(broken(request("solved")), ["kind unknown"]);
}

#[test]
fn versions_that_are_not_read_are_refused_by_name() {
    let of = |version| broken(EventRequest { version, ..request("received") });
    assert_eq!(of(Some(1)), ["version too_old"]);
    assert_eq!(of(Some(3)), ["version too_new"]);
    assert_eq!(of(None), ["version required"]);
}

#[test]
fn a_refusal_says_why_and_a_result_proves_itself() {
    assert_eq!(broken(request("refused")), ["reason required"], "QC-CB 9.1.a");
    assert_eq!(broken(request("result")), ["attachment required"], "QC-CB 9.1.d");
    assert_eq!(broken(request("information_needed")), ["needed required"]);
    assert_eq!(broken(request("rated")), ["rating required", "repeats required"]);
    let invisible = EventRequest { reason: Some("\u{200b} \u{202e}".into()), ..request("refused") };
    assert_eq!(broken(invisible), ["reason required"]);
}

#[test]
fn what_a_kind_has_no_use_for_is_refused_rather_than_dropped() {
    let rated = EventRequest { rating: Some("neutral".into()), unit: Some("x".into()), ..result() };
    assert_eq!(broken(rated), ["unit not_for_this_kind", "rating not_for_this_kind"]);
}

#[test]
fn files_and_feedback_do_not_mix() {
    let mut file = request("file_ready");
    assert_eq!(broken(file.clone()), ["kind not_for_this_case"]);
    file.case.as_mut().unwrap().kind = Some("file".into());
    assert!(FeedbackEvent::parse(file, &rules()).is_ok());
    let mut result = result();
    result.case.as_mut().unwrap().kind = Some("file".into());
    assert_eq!(broken(result), ["kind not_for_this_case"]);
}

#[test]
fn clocks_that_are_wrong_and_history_are_refused() {
    let of = |at: &str| broken(EventRequest { at: Some(at.into()), ..request("received") });
    assert_eq!(of("2026-11-25T10:06:00+07:00"), ["at in_future"]);
    assert_eq!(of("2025-11-20T10:00:00+07:00"), ["at too_long_ago"]);
    assert_eq!(of("2026-11-25 10:00"), ["at not_a_time"]);
    let near = EventRequest { at: Some("2026-11-25T10:04:00+07:00".into()), ..request("received") };
    assert!(FeedbackEvent::parse(near, &rules()).is_ok(), "clocks differ a little");
}

#[test]
fn identifiers_are_plain() {
    let of = |id: String| broken(EventRequest { id: Some(id), ..request("received") });
    for id in ["a\nb".to_owned(), "a\u{200b}b".to_owned(), " a".to_owned(), "x".repeat(201)] {
        assert_eq!(of(id), ["id not_a_word"]);
    }
}

#[test]
fn people_are_reached_where_they_can_be() {
    let with = |email: &str, phone: &str| {
        let mut request = request("received");
        let person = request.person.as_mut().unwrap();
        (person.email, person.phone) = (Some(email.into()), Some(phone.into()));
        FeedbackEvent::parse(request, &rules())
    };
    let Ok(FeedbackEvent { what: What::OfCase { person, .. }, .. }) =
        with("a@b.vn", "0912 345.678")
    else {
        panic!("both are addresses")
    };
    assert_eq!(person.phone.as_deref(), Some("+84912345678"));
    assert_eq!(format!("{person:?}"), "Person(…)", "nobody reaches a log");
    for email in ["a", "a@b", "@b.vn", "a@b@c.vn", "a@b..vn", "a\r\nBcc:x@b.vn", "<a@b.vn>"] {
        assert!(with(email, "0912345678").is_err(), "{email}");
    }
    for phone in ["091234567", "+1912345678", "0012345678", "09123456789", "113"] {
        assert!(with("a@b.vn", phone).is_err(), "{phone}");
    }
}

#[test]
fn a_text_leads_nowhere_the_province_has_not_named() {
    let hosts = rules().hosts;
    for home in [
        "Xem https://dichvucong.caobang.gov.vn/hs?id=1.",
        "Xem (caobang.gov.vn).",
        "Gặp cán bộ ở UBND xã Q.Ba, TP.HCM trước 10.30 ngày 1.12.",
    ] {
        assert_eq!(hosts.stranger(home), None, "{home}");
    }
    for (abroad, word) in [
        ("Bấm https://evil.example/a để nhận", "https://evil.example/a"),
        ("Bấm bit.ly/abc!", "bit.ly/abc"),
        ("Bấm caobang.gov.vn.evil.example", "caobang.gov.vn.evil.example"),
        ("Bấm http://caobang.gov.vn", "http://caobang.gov.vn"),
        ("Bấm https://caobang.gov.vn@evil.example/", "https://caobang.gov.vn@evil.example/"),
        ("JAVASCRIPT:alert(1)", "JAVASCRIPT:alert(1"),
        ("WWW.EVIL.EXAMPLE", "WWW.EVIL.EXAMPLE"),
    ] {
        assert_eq!(hosts.stranger(abroad), Some(word), "{abroad}");
    }
    let linked = EventRequest { reason: Some("Xem bit.ly/abc".into()), ..request("refused") };
    assert_eq!(broken(linked), ["reason link_not_allowed"]);
    let attachment =
        AttachmentRequest { url: Some("https://evil.example/a.pdf".into()), name: None };
    let away = EventRequest { attachment: Some(attachment), ..request("result") };
    assert_eq!(broken(away), ["attachment.url not_allowed"]);
}

#[test]
fn maintenance_is_told_ahead_and_concerns_no_case() {
    let plan = |from: &str, until: &str| EventRequest {
        case: None,
        person: None,
        service: Some("Cổng dịch vụ công".into()),
        from: Some(from.into()),
        until: Some(until.into()),
        audience: Some("everyone".into()),
        ..request("maintenance")
    };
    let (friday, saturday) = ("2026-11-27T18:00:00+07:00", "2026-11-28T06:00:00+07:00");
    assert!(FeedbackEvent::parse(plan(friday, saturday), &rules()).is_ok());
    assert_eq!(broken(plan(saturday, friday)), ["until before_from"]);
    assert_eq!(broken(plan("2026-11-25T08:00:00+07:00", friday)), ["from not_ahead"]);
    let of_somebody =
        EventRequest { person: Some(PersonRequest::default()), ..plan(friday, saturday) };
    assert_eq!(broken(of_somebody), ["person not_for_this_kind"]);
}

#[test]
fn every_kind_has_its_word() {
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_word(kind.as_str()), Some(kind));
    }
    for kind in CaseKind::ALL {
        assert_eq!(CaseKind::from_word(kind.as_str()), Some(kind));
    }
}

fn calendar() -> Calendar {
    Calendar::new(OfficeHours::parse("07:30-12:00,13:30-17:00").unwrap(), [])
}

fn place(sequence: u32, kind: CaseKind, is_urgent: bool) -> CaseRef {
    CaseRef { id: "pa-1".into(), kind, sequence, is_urgent, is_public: false }
}

fn forwarded(unit: &str) -> Step {
    Step::Forwarded { unit: unit.into(), due_at: datetime!(2026-12-04 17:00 +7) }
}

fn proven() -> Step {
    Step::Result { attachment: Attachment::Name("bien-ban.pdf".into()) }
}

/// What is owed after these steps, a working hour apart from Wednesday 08:00.
fn owed_after(kind: CaseKind, is_urgent: bool, steps: &[Step]) -> Option<(Duty, OffsetDateTime)> {
    let mut case = Case::new(kind);
    for (n, step) in (0..).zip(steps) {
        let at = datetime!(2026-11-25 08:00 +7) + Duration::hours(n.into());
        case.apply(&place(n + 1, kind, is_urgent), at, step).unwrap();
    }
    case.owed(&calendar()).map(|owed| (owed.duty, owed.until))
}

#[test]
fn each_step_of_feedback_has_its_limit() {
    let owed = |steps: &[Step]| owed_after(CaseKind::Feedback, false, steps);
    let begun = [Step::Submitted, Step::Received, forwarded("so-yte")];
    assert_eq!(owed(&begun[..1]), Some((Duty::Reception, datetime!(2026-11-26 08:00 +7))));
    assert_eq!(owed(&begun[..2]), Some((Duty::Forwarding, datetime!(2026-11-25 14:30 +7))));
    assert_eq!(owed(&begun), Some((Duty::Handling, datetime!(2026-12-04 17:00 +7))));
    let mut on = begun.to_vec();
    on.push(Step::Returned { unit: "so-yte".into() });
    assert_eq!(owed(&on), Some((Duty::Forwarding, datetime!(2026-11-25 16:30 +7))));
    let mut done = begun.to_vec();
    done.push(proven());
    assert_eq!(owed(&done), None);
    done.push(Step::ClarificationRequested);
    assert_eq!(owed(&done), Some((Duty::Clarification, datetime!(2026-12-04 17:00 +7))));
    done.push(Step::ClarificationAnswered);
    assert_eq!(owed(&done), None);
    assert_eq!(owed(&[Step::Submitted, Step::InformationNeeded { needed: "Ảnh".into() }]), None);
}

#[test]
fn what_is_urgent_is_handled_within_four_hours() {
    let steps = [Step::Submitted, Step::Received, forwarded("so-yte")];
    let urgent = owed_after(CaseKind::Feedback, true, &steps);
    assert_eq!(urgent, Some((Duty::Handling, datetime!(2026-11-25 15:30 +7))));
}

#[test]
fn feedback_outside_of_the_regulation_never_gets_its_limits() {
    let steps = [Step::Submitted, Step::Received, forwarded("so-tu-phap")];
    let procedure = |steps| owed_after(CaseKind::Procedure, true, steps);
    assert_eq!(procedure(&steps[..1]), None, "no limit to take it in");
    let ten_days = Some((Duty::Answer, datetime!(2026-12-09 17:00 +7)));
    assert_eq!(procedure(&steps[..2]), ten_days, "QC-TTHC 16.2");
    assert_eq!(procedure(&steps), ten_days, "since it was taken in, whoever has it");
    let online = owed_after(CaseKind::OnlineService, false, &steps);
    assert_eq!(online, Some((Duty::Answer, datetime!(2026-11-26 09:00 +7))), "QC-TN 18.2");
}

#[test]
fn the_fifth_report_that_ends_in_dissatisfaction_is_the_offices() {
    let rated = |rating, repeats| {
        let mut case = Case::new(CaseKind::Feedback);
        let rated = Step::Rated { rating, repeats };
        case.apply(&place(1, CaseKind::Feedback, false), NOW, &rated).unwrap();
        case.is_for_the_office()
    };
    assert!(rated(Rating::Dissatisfied, 5) && rated(Rating::Dissatisfied, 6));
    assert!(!rated(Rating::Dissatisfied, 4) && !rated(Rating::Neutral, 9));
}

#[test]
fn what_comes_late_changes_nothing_that_was_decided_after_it() {
    let mut case = Case::new(CaseKind::Feedback);
    let place = |sequence| place(sequence, CaseKind::Feedback, false);
    assert_eq!(case.apply(&place(3), NOW, &proven()), Ok(true));
    let late = Step::InformationNeeded { needed: "Ảnh".into() };
    assert_eq!(case.apply(&place(2), NOW, &late), Ok(false));
    assert_eq!(case.owed(&calendar()), None, "it is answered, and stays so");
}

#[test]
fn no_two_events_have_the_same_place_in_a_case() {
    let mut case = Case::new(CaseKind::Feedback);
    let place = place(2, CaseKind::Feedback, false);
    assert_eq!(case.apply(&place, NOW, &Step::Received), Ok(true));
    let before = case.clone();
    assert_eq!(case.apply(&place, NOW, &proven()), Err(PlaceTaken(2)));
    assert_eq!(case, before);
}

prop_compose! {
    /// A history of a case: steps with times of their own.
    fn a_history()(steps in prop::collection::vec((0..8_usize, 0..10_000_i64, any::<bool>()), 1..9)) -> Vec<(CaseRef, OffsetDateTime, Step)> {
        let all = [
            Step::Submitted, Step::Received, forwarded("a"), forwarded("b"), Step::Returned { unit: "a".into() }, proven(),
            Step::ClarificationRequested, Step::Rated { rating: Rating::Dissatisfied, repeats: 5 },
        ];
        (1..).zip(steps).map(|(n, (step, minutes, urgent))| {
            (place(n, CaseKind::Feedback, urgent), NOW + Duration::minutes(minutes), all[step].clone())
        }).collect()
    }
}

proptest! {
    #[test]
    fn a_case_is_the_same_whatever_order_its_events_come_in(
        history in a_history(), picks in prop::collection::vec(any::<Index>(), 9),
    ) {
        let of = |events: &[(CaseRef, OffsetDateTime, Step)]| {
            let mut case = Case::new(CaseKind::Feedback);
            for (place, at, step) in events {
                // A place that is taken is the same event, told again.
                case.apply(place, *at, step).ok();
            }
            case
        };
        let mut shuffled = history.clone();
        for (from, pick) in picks.iter().enumerate().take(history.len()) {
            shuffled.swap(from, pick.index(history.len()));
        }
        prop_assert_eq!(of(&shuffled), of(&history));
        // Told twice, it has one effect.
        let twice: Vec<_> = history.iter().chain(&shuffled).cloned().collect();
        prop_assert_eq!(of(&twice), of(&history));
    }
}
