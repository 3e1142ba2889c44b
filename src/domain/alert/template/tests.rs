use serde_json::{Value, json};
use time::macros::datetime;

use super::super::tests::flood;
use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-21 07:00 UTC);

fn blanks() -> Blanks {
    let options = ["xã Ngọc Chiến", "xã Mường Bú", "xã Tà Bú"].map(String::from).to_vec();
    Blanks {
        place: Some(PlaceBlank { options, at_most: 2 }),
        time: Some(TimeBlank { within_hours: 6 }),
        level: Some(LevelBlank { min: 3, max: 5 }),
    }
}

fn words(headline: &str, body: &str) -> Text {
    Text { headline: headline.into(), body: body.into(), instruction: Some("Lên cao.".into()) }
}

/// A flood with blanks in both languages, and in the recall one of them.
fn content() -> AlertContent {
    let mut request = flood();
    request.risk_level = None;
    let plain = AlertContent::parse(&request, NOW).unwrap();
    let vi = words("Lũ quét cấp {level}: {place}", "Trước {time} tại {place}.");
    let en = words("Flash flood level {level}: {place}", "Before {time}.");
    let texts = [(Language::vietnamese(), vi), (Language::of_locale("en").unwrap(), en)];
    let recall = words("Thu hồi", "Không còn nguy cơ tại {place}.");
    AlertContent {
        texts: texts.into(),
        recall: Some([(Language::vietnamese(), recall)].into()),
        expires: NOW + Duration::days(200),
        template: Some(Template { name: "Lũ quét".into(), blanks: blanks(), life_minutes: 360 }),
        ..plain
    }
}

fn filling() -> Filling {
    Filling {
        places: vec!["xã Tà Bú".into(), "xã Mường Bú".into()],
        time: Some(NOW + Duration::hours(2)),
        level: Some(4),
    }
}

fn fill_at(filling: Filling, at: OffsetDateTime) -> Result<AlertContent, Vec<String>> {
    let (template, digest) = (AlertId::new(), "00".repeat(32));
    content().fill(Filled { template, digest, filling, at }).map_err(|broken| named(&broken))
}

fn named(broken: &[Violation]) -> Vec<String> {
    broken.iter().map(|one| format!("{} {}", one.field, one.rule)).collect()
}

/// What is wrong with the template after a change to it.
fn intake(change: impl FnOnce(&mut Template)) -> Vec<String> {
    let mut template = content().template.unwrap();
    change(&mut template);
    let mut broken = Vec::new();
    let parsed = template.parse(&mut broken);
    assert_eq!(parsed.is_none(), !broken.is_empty(), "half a template");
    named(&broken)
}

/// What is wrong with a Vietnamese text of the warning under these blanks.
fn used(text: Text, blanks: Blanks) -> Vec<String> {
    let template = Template { blanks, ..content().template.unwrap() };
    let mut broken = Vec::new();
    let texts = BTreeMap::from([(Language::vietnamese(), text)]);
    template.check_texts(&[("texts", &texts)], &mut broken);
    named(&broken)
}

#[test]
fn what_is_filled_in_stands_in_every_text_of_every_language() {
    let told = fill_at(filling(), NOW).unwrap();
    let vi = &told.texts[&Language::vietnamese()];
    assert_eq!(vi.headline, "Lũ quét cấp 4: xã Tà Bú, xã Mường Bú", "in the order they were given");
    assert_eq!(vi.body, "Trước 16:00 ngày 21/11/2026 tại xã Tà Bú, xã Mường Bú.");
    let en = &told.texts[&Language::of_locale("en").unwrap()];
    assert_eq!(en.headline, "Flash flood level 4: xã Tà Bú, xã Mường Bú");
    assert_eq!(en.body, "Before 16:00 on 21 November 2026.");
    let recall = &told.recall.as_ref().unwrap()[&Language::vietnamese()];
    assert_eq!(recall.body, "Không còn nguy cơ tại xã Tà Bú, xã Mường Bú.");
    assert_eq!(told.risk_level, Some(4));
    assert_eq!(told.expires, NOW + Duration::minutes(360), "it lives from when it was filled in");
    assert_eq!((told.template, told.filled.unwrap().at), (None, NOW));
}

#[test]
fn a_time_is_the_provinces_in_whatever_zone_it_was_given() {
    let late = datetime!(2026-12-31 18:05 UTC);
    assert_eq!(moment(&Language::vietnamese(), late), "01:05 ngày 1/1/2027");
    assert_eq!(moment(&Language::of_locale("en-GB").unwrap(), late), "01:05 on 1 January 2027");
    let hmong = Language::of_locale("hmn").unwrap();
    assert_eq!(moment(&hmong, late), "01:05 ngày 1/1/2027", "as Vietnamese writes it");
}

#[test]
fn what_may_stand_in_a_blank_is_bounded() {
    let hours = |hours| Some(NOW + Duration::hours(hours));
    let places = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let half_a_minute = Some(NOW + Duration::seconds(90));
    for (filling, expected) in [
        (Filling { places: vec![], ..filling() }, "filling.places out_of_range"),
        (
            Filling { places: blanks().place.unwrap().options, ..filling() },
            "filling.places out_of_range",
        ),
        (
            Filling { places: places(&["xã Tà Bú", "xã Tà Bú"]), ..filling() },
            "filling.places.1 not_on_the_list",
        ),
        (
            Filling { places: places(&["xã Tà Bú "]), ..filling() },
            "filling.places.0 not_on_the_list",
        ),
        (Filling { time: Some(NOW), ..filling() }, "filling.time out_of_range"),
        (
            Filling { time: hours(6).map(|it| it + Duration::minutes(1)), ..filling() },
            "filling.time out_of_range",
        ),
        (Filling { time: half_a_minute, ..filling() }, "filling.time whole_minutes"),
        (Filling { time: None, ..filling() }, "filling.time required"),
        (Filling { level: Some(2), ..filling() }, "filling.level out_of_range"),
        (Filling { level: Some(6), ..filling() }, "filling.level out_of_range"),
        (Filling { level: None, ..filling() }, "filling.level required"),
    ] {
        assert_eq!(fill_at(filling.clone(), NOW).unwrap_err(), [expected], "{filling:?}");
    }
    for edge in [
        Filling { time: hours(6), level: Some(5), ..filling() },
        Filling { time: Some(NOW + Duration::minutes(1)), level: Some(3), ..filling() },
        Filling { places: places(&["xã Ngọc Chiến"]), ..filling() },
    ] {
        assert!(fill_at(edge.clone(), NOW).is_ok(), "{edge:?}");
    }
}

#[test]
fn a_blank_that_the_template_has_not_takes_nothing() {
    let template = Template { blanks: Blanks::default(), ..content().template.unwrap() };
    let content = AlertContent { template: Some(template), ..content() };
    let (template, digest) = (AlertId::new(), String::new());
    let filled = Filled { template, digest, filling: filling(), at: NOW };
    assert_eq!(
        named(&content.fill(filled).unwrap_err()),
        [
            "filling.places no_such_blank",
            "filling.time no_such_blank",
            "filling.level no_such_blank"
        ]
    );
}

#[test]
fn a_template_is_not_used_after_its_end_and_nothing_else_is_filled_in() {
    let end = content().expires;
    let last = end - Duration::minutes(1);
    let soon = |at: OffsetDateTime| Filling { time: Some(at + Duration::hours(1)), ..filling() };
    assert!(fill_at(soon(last), last).is_ok());
    assert_eq!(fill_at(soon(end), end).unwrap_err(), ["template too_old"]);
    let made = fill_at(filling(), NOW).unwrap();
    let again = made.filled.clone().unwrap();
    assert_eq!(named(&made.fill(again).unwrap_err()), ["template no_template"]);
}

#[test]
fn no_place_brings_words_or_blanks_of_its_own() {
    let place = |name: &str| {
        let name = name.to_owned();
        intake(|template| template.blanks.place.as_mut().unwrap().options[0] = name)
    };
    let refused = ["template.blanks.place.options.0 no_name"];
    for name in ["{time}", "xã {level}", "xã }", "xã A\nSơ tán ngay", &"x".repeat(NAME_MAX + 1)]
    {
        assert_eq!(place(name), refused, "{name:?}");
    }
    assert_eq!(place(" "), ["template.blanks.place.options.0 required"]);
    assert_eq!(place(" xã Mường Bú "), ["template.blanks.place.options.1 twice"]);
    assert_eq!(place(&"x".repeat(NAME_MAX)), Vec::<String>::new());
}

#[test]
fn a_template_names_its_blanks_and_their_bounds() {
    type Change = fn(&mut Template);
    let changes: [(Change, &[&str]); 13] = [
        (|it| it.name = " ".into(), &["template.name required"]),
        (|it| it.name = "x".repeat(NAME_MAX + 1), &["template.name no_name"]),
        (|it| it.blanks = Blanks::default(), &["template.blanks required"]),
        (|it| it.life_minutes = 9, &["template.life_minutes out_of_range"]),
        (|it| it.life_minutes = 72 * 60 + 1, &["template.life_minutes out_of_range"]),
        (|it| it.life_minutes = 359, &["template.life_minutes ends_before_its_time"]),
        (|it| it.blanks.time = Some(TimeBlank { within_hours: 0 }), &[TIME_RANGE]),
        (|it| it.blanks.time = Some(TimeBlank { within_hours: u16::MAX }), &[TIME_RANGE]),
        (|it| it.blanks.level = Some(LevelBlank { min: 0, max: 5 }), &[LEVEL_RANGE]),
        (|it| it.blanks.level = Some(LevelBlank { min: 3, max: 6 }), &[LEVEL_RANGE]),
        (|it| it.blanks.level = Some(LevelBlank { min: 4, max: 3 }), &[LEVEL_RANGE]),
        (
            |it| it.blanks.place = Some(PlaceBlank { options: vec![], at_most: 11 }),
            &[
                "template.blanks.place.options out_of_range",
                "template.blanks.place.at_most out_of_range",
            ],
        ),
        (
            |it| {
                let options = (0..=PLACES_MAX).map(|at| format!("xã {at}")).collect();
                it.blanks.place = Some(PlaceBlank { options, at_most: 1 });
            },
            &["template.blanks.place.options out_of_range"],
        ),
    ];
    for (at, (change, expected)) in changes.into_iter().enumerate() {
        assert_eq!(intake(change), expected, "change {at}");
    }
    assert_eq!(intake(|it| it.life_minutes = 360), Vec::<String>::new());
}

const TIME_RANGE: &str = "template.blanks.time.within_hours out_of_range";
const LEVEL_RANGE: &str = "template.blanks.level out_of_range";

#[test]
fn braces_hold_the_blanks_of_the_template_and_nothing_else() {
    let all = "{place} {time} {level}";
    assert_eq!(used(words("Lũ", all), blanks()), Vec::<String>::new());
    for strange in ["{nơi}", "{", "}", "{{place}}", "{Place}", "{ti{place}me}", "{lev{time}el}"] {
        let found = used(words("Lũ", &format!("{all} {strange}")), blanks());
        assert_eq!(found, ["texts.vi unknown_blank"], "{strange}");
    }
    let timeless = Blanks { time: None, ..blanks() };
    assert_eq!(used(words("Lũ", all), timeless), ["texts.vi unknown_blank"]);
    assert_eq!(used(words("Lũ", "{place} {time}"), blanks()), ["texts.vi blank_missing"]);
}

#[test]
fn what_is_prepared_may_do_without_a_blank() {
    let template = content().template.unwrap();
    let recall = BTreeMap::from([(Language::vietnamese(), words("Thu hồi", "Không còn."))]);
    let mut broken = Vec::new();
    template.check_texts(&[("recall.texts", &recall)], &mut broken);
    assert_eq!(named(&broken), Vec::<String>::new());
}

#[test]
fn a_text_that_passes_is_short_enough_however_it_is_filled_in() {
    let blanks = Blanks { time: None, level: None, ..blanks() };
    // "{place}" becomes "xã Ngọc Chiến, xã Mường Bú", and no two of the list are longer.
    let longest = text::length("xã Ngọc Chiến, xã Mường Bú");
    let room = |more: usize| words(&format!("{}{{place}}", "l".repeat(more)), "Lũ.");
    let fits = HEADLINE_MAX - longest;
    assert_eq!(used(room(fits), blanks.clone()), Vec::<String>::new());
    assert_eq!(used(room(fits + 1), blanks), ["texts.vi.headline too_long_when_filled"]);
}

#[test]
fn the_example_for_whoever_decides_may_be_filled_in() {
    let template = content().template.unwrap();
    for seconds in [0, 1, 59] {
        let at = NOW + Duration::seconds(seconds) + Duration::nanoseconds(7);
        let example = template.example(at);
        assert_eq!(example.places, ["xã Ngọc Chiến", "xã Mường Bú"]);
        assert!(fill_at(example, at).is_ok());
    }
}

#[test]
fn a_filling_names_its_fields_and_no_others() {
    let read = |value: Value| serde_json::from_value::<Filling>(value);
    assert_eq!(read(json!({})).unwrap(), Filling::default());
    assert!(read(json!({"places": [], "headline": "Sơ tán"})).is_err());
    assert!(read(json!({"time": "tonight"})).is_err());
    assert!(read(json!({"level": 400})).is_err());
}
