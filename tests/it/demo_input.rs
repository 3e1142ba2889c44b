//! The demo's input is what a province writes, and the service takes it exactly as far as the regulation allows.
//!
//! Reads the files under `demo/`; needs no server.

use std::fs;
use std::path::{Path, PathBuf};

use loa::domain::alert::{AlertContent, AlertRequest, Category, Kind};
use loa::domain::broadcast::Lane;
use loa::domain::device::Provider;
use loa::domain::message::{Purpose, render};
use loa::domain::text;
use loa::domain::violation::Violation;
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

/// After the date of every document in the demo.
const NOW: OffsetDateTime = datetime!(2026-12-01 08:00 +7);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoAlert {
    agency: String,
    document: PathBuf,
    expires_in_minutes: i64,
    expect: Expected,
    request: AlertRequest,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
enum Expected {
    Accepted,
    Refused,
}

impl DemoAlert {
    fn parse(&self) -> Result<AlertContent, Vec<Violation>> {
        let mut request = self.request.clone();
        let expires = NOW + Duration::minutes(self.expires_in_minutes);
        request.expires = Some(expires.format(&Rfc3339).unwrap());
        AlertContent::parse(&request, NOW)
    }
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

fn alerts() -> Vec<(String, DemoAlert)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(demo().join("alerts")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let alert = serde_json::from_slice(&fs::read(path).unwrap());
        (name.clone(), alert.unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    files.iter().map(read).collect()
}

#[test]
fn every_alert_of_the_demo_is_taken_or_refused_as_it_says() {
    let mut taken = 0;
    for (name, alert) in alerts() {
        let answer = alert.parse();
        let got = if answer.is_ok() { Expected::Accepted } else { Expected::Refused };
        assert_eq!(got, alert.expect, "{name}: {answer:?}");
        taken += usize::from(got == Expected::Accepted);
    }
    assert!(taken >= 12, "a province has more to say than {taken} alerts");
}

#[test]
fn one_street_and_one_road_are_refused_for_their_scope_and_nothing_else() {
    let refused: Vec<Vec<String>> = alerts()
        .iter()
        .filter_map(|(_, alert)| alert.parse().err())
        .map(|broken| broken.into_iter().map(|violation| violation.field).collect())
        .collect();
    assert_eq!(refused, vec![vec!["attestations.whole_province".to_owned()]; 2]);
}

#[test]
fn the_demo_knows_every_category_and_both_kinds() {
    let contents: Vec<AlertContent> =
        alerts().iter().filter_map(|(_, alert)| alert.parse().ok()).collect();
    for category in Category::ALL {
        assert!(contents.iter().any(|content| content.category == *category), "{category:?}");
    }
    for kind in Kind::ALL {
        assert!(contents.iter().any(|content| content.kind == *kind), "{kind:?}");
    }
}

#[test]
fn an_emergency_of_the_demo_can_be_read_to_its_end_without_a_network() {
    let emergencies: Vec<(String, AlertContent)> = alerts()
        .into_iter()
        .filter_map(|(name, alert)| Some((name, alert.parse().ok()?)))
        .filter(|(_, content)| content.lane() == Lane::Emergency)
        .collect();
    assert!(!emergencies.is_empty());
    for (name, content) in emergencies {
        for (language, screens) in
            render(content.status, Purpose::Alert, content.lane(), &content.texts, &[])
        {
            for provider in Provider::ALL {
                let body = &screens.of(provider).body;
                assert!(
                    !body.ends_with(text::ELLIPSIS),
                    "{name} in {language:?} is cut on {provider}"
                );
            }
        }
    }
}

#[test]
fn what_people_must_do_now_stands_first_on_the_phone() {
    for (name, alert) in alerts() {
        let Ok(content) = alert.parse() else { continue };
        let instruction = content.vietnamese().unwrap().instruction.clone().unwrap();
        let screens = &render(content.status, Purpose::Alert, content.lane(), &content.texts, &[])
            [&loa::domain::device::Language::vietnamese()];
        let first = instruction.lines().next().unwrap();
        for provider in Provider::ALL {
            assert!(screens.of(provider).body.starts_with(first), "{name} on {provider}");
        }
    }
}

#[test]
fn every_alert_of_the_demo_has_its_agency_and_its_document() {
    #[derive(Deserialize)]
    struct File {
        agencies: Vec<Agency>,
    }
    #[derive(Deserialize)]
    struct Agency {
        code: String,
        officers: Vec<Officer>,
    }
    #[derive(Deserialize)]
    struct Officer {
        role: String,
    }
    let file: File =
        serde_json::from_slice(&fs::read(demo().join("agencies.json")).unwrap()).unwrap();
    for (name, alert) in alerts() {
        let agency = file.agencies.iter().find(|agency| agency.code == alert.agency);
        let agency = agency.unwrap_or_else(|| panic!("{name}: no agency {}", alert.agency));
        assert!(agency.officers.iter().any(|officer| officer.role == "submitter"), "{name}");
        let document = fs::read(demo().join(&alert.document)).unwrap();
        assert!(document.starts_with(b"%PDF-"), "{name}");
    }
}
