use super::*;
use crate::domain::alert::tests::flood;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-21 03:00 UTC);

fn content() -> AlertContent {
    let mut request = flood();
    request.communes = vec!["01273".to_owned()];
    AlertContent::parse(&request, NOW).expect("the sample obeys every rule")
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn what_was_written_comes_back_from_its_form_as_it_was() {
    let content = content();
    let mut typed = Typed::of_content(&content);
    assert!(typed.content(NOW).is_err(), "what is vouched for is vouched for anew");
    typed.set("attestations.whole_province", "yes");
    typed.set("attestations.no_state_secret", "yes");
    assert_eq!(typed.content(NOW), Ok(content));
}

#[test]
fn a_moment_is_the_provinces_time() {
    let typed = Typed::of([field("expires", "2026-11-21T20:00")]).0;
    assert_eq!(typed.request().0.expires.as_deref(), Some("2026-11-21T20:00:00+07:00"));
    let typed = Typed::of([field("expires", "tối nay")]).0;
    assert_eq!(
        typed.request().0.expires.as_deref(),
        Some("tối nay"),
        "kept, for the rules to refuse"
    );
}

#[test]
fn every_broken_rule_names_a_field_of_the_form() {
    let mut typed = Typed::of_content(&content());
    typed.set("texts.vi.headline", "");
    typed.set("risk_level", "mười");
    typed.set("expires", "tối nay");
    typed.set("texts.vi.body", "Nước sông [tên sông] đang lên.");
    let broken = typed.content(NOW).unwrap_err();
    let names: Vec<&str> = broken.iter().map(|one| one.field.as_str()).collect();
    for name in ["texts.vi.headline", "risk_level", "expires", "texts.vi.body"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert!(broken.iter().any(|one| one.vi.contains("[tên sông]")), "{broken:?}");
}

#[test]
fn a_language_is_there_once_something_is_written_in_it() {
    let mut typed = Typed::of_content(&content());
    typed.set("languages", "tyz,en,Not-A-Tag");
    assert_eq!(typed.languages(), ["vi", "en", "tyz"]);
    assert!(!typed.request().0.texts.contains_key("tyz"));
    typed.set("texts.tyz.headline", "x");
    assert!(typed.request().0.texts.contains_key("tyz"));
}

#[test]
fn what_nobody_began_to_prepare_is_not_there() {
    let mut typed = Typed::of_content(&content());
    for name in typed.clone().fields().keys() {
        if name.starts_with("recall.") || name.starts_with("all_clear.") {
            typed.set(name.as_str(), " ");
        }
    }
    let (request, _) = typed.request();
    assert!(request.recall.is_none() && request.all_clear.is_none());
}

#[test]
fn a_form_carries_only_what_an_alert_has_and_no_file_in_a_field() {
    let typed = Typed::of([field("csrf", "secret"), field("texts.vi.body", "a\r\nb\0")]).0;
    assert_eq!((typed.fields().len(), typed.get("texts.vi.body")), (1, "a\nb"));
    let long = "ệ".repeat(FIELD_MAX);
    let (cut, broken) = Typed::of([
        field("texts.vi.headline", "Lũ"),
        field("texts.vi.body", &long),
        field("source.summary", &long),
    ]);
    let named: Vec<&str> = broken.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(named, ["texts.vi.body", "source.summary"]);
    assert!(broken.iter().all(|one| one.rule == "too_large"));
    assert_eq!(cut.get("texts.vi.headline"), "Lũ", "what fits stays");
    assert!(
        long.starts_with(cut.get("texts.vi.body"))
            && cut.get("texts.vi.body").len() > FIELD_MAX - 3
    );
    let many = (0..20)
        .map(|at| field(&format!("texts.a{}.body", char::from(b'a' + at)), &"x".repeat(FIELD_MAX)));
    let (cut, broken) = Typed::of(many);
    assert!(!broken.is_empty());
    assert!(cut.fields().values().map(String::len).sum::<usize>() <= WHOLE_MAX);
}

#[test]
fn boxes_of_one_name_are_a_list() {
    let typed = Typed::of([field("communes", "01273"), field("communes", "01279")]).0;
    assert_eq!(typed.request().0.communes, ["01273", "01279"]);
}

#[test]
fn two_forms_tell_which_fields_differ() {
    let (one, mut other) = (Typed::of_content(&content()), Typed::of_content(&content()));
    other.set("texts.vi.body", "Khác.");
    other.set("link", " ");
    assert_eq!(one.differences(&other), ["texts.vi.body"]);
}

#[test]
fn a_template_comes_back_from_its_form() {
    let mut typed = Typed::of_content(&content());
    typed.set("template", "yes");
    typed.set("template.name", "Lũ quét, sơ tán ngay");
    typed.set("template.life_minutes", "360");
    typed.set("template.blanks.place.options", "Bảo Lạc\n\nHạ Lang ");
    typed.set("template.blanks.place.at_most", "2");
    typed.set("template.blanks.level.min", "2");
    typed.set("template.blanks.level.max", "4");
    let (request, broken) = typed.request();
    let template = request.template.expect("it is one");
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(template.blanks.place.as_ref().unwrap().options, ["Bảo Lạc", "Hạ Lang"]);
    let mut again = Typed::default();
    again.write_template(&template);
    assert_eq!(again.request().0.template, Some(template));
}
