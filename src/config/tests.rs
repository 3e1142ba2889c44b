//! What an operator is told about a configuration that is wrong, and what wins over what.

use std::io::Write as _;

use super::layers::Environment;
use super::*;

const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let mut file = tempfile(toml);
    file.flush().expect("a temporary file can be written");
    Config::from_layers(Some(&file.path), &variables.iter().copied().collect::<Environment>())
}

fn complaints(toml: &str, variables: &[(&str, &str)]) -> String {
    match load(toml, variables) {
        Err(problems) => problems.to_string(),
        Ok(config) => config.check().to_string(),
    }
}

struct TempFile {
    path: std::path::PathBuf,
    file: std::fs::File,
}

impl TempFile {
    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // A file left behind in the temporary directory harms nobody.
        drop(std::fs::remove_file(&self.path));
    }
}

fn tempfile(content: &str) -> TempFile {
    let path = std::env::temp_dir().join(format!("loa-config-{}.toml", uuid::Uuid::new_v4()));
    let mut file = std::fs::File::create(&path).expect("the temporary directory is writable");
    file.write_all(content.as_bytes()).expect("a temporary file can be written");
    TempFile { path, file }
}

fn production() -> String {
    format!(
        r#"
        [database]
        url = "postgres://loa:correct-horse@db/loa"
        [broker]
        url = "amqps://loa:battery-staple@mq/loa"
        [http]
        public_url = "https://canhbao.example.vn"
        [seal]
        trusted_keys = [{{ id = "2026-a", public_key = "{KEY}" }}]
        "#
    )
}

#[test]
fn a_complete_production_configuration_has_nothing_to_complain_about() {
    assert_eq!(complaints(&production(), &[]), "");
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let said = complaints("[pacing]\nfcm_per_secnd = 5\n[pacings]\nx = 1", &[]);
    assert!(said.contains("pacing.fcm_per_secnd: unknown key"), "{said}");
    assert!(said.contains("fcm_per_second"), "the message lists what is known: {said}");
    assert!(said.contains("pacings: unknown key"), "{said}");
    assert_eq!(said.lines().count(), 2, "one line each: {said}");
}

#[test]
fn an_unknown_variable_is_refused_by_name() {
    let said = complaints("", &[("LOA__PACING__FCM", "5")]);
    assert!(said.starts_with("LOA__PACING__FCM: names no key"), "{said}");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_key() {
    let said = complaints("[dispatch.batches_in_flight.bulk]\nfcm = \"many\"", &[]);
    assert!(said.starts_with("dispatch.batches_in_flight.bulk.fcm: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    let said = complaints("", &[("LOA__PACING__BURST_MS", "quick")]);
    assert_eq!(said, "LOA__PACING__BURST_MS: cannot be read as a whole number; mend the variable");
}

#[test]
fn a_line_that_is_not_toml_is_found() {
    let said = complaints("mode = \"demo\"\n[http\n", &[]);
    assert!(said.contains(":2: not TOML"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_environment_wins_over_the_file_and_the_shorthands_over_both() {
    let variables = [
        ("LOA__HTTP__LISTEN", "0.0.0.0:9000"),
        ("LOA__DATABASE__URL", "postgres://a:b@second/loa"),
        ("DATABASE_URL", "postgres://a:b@third/loa"),
        ("LOA__DISPATCH__BATCHES_IN_FLIGHT__EMERGENCY__FCM", "20"),
        ("LOA__SEAL__TRUSTED_KEYS", &format!(r#"[{{ id = "x", public_key = "{KEY}" }}]"#)),
    ];
    let file = "[http]\nlisten = \"127.0.0.1:1\"\ntrusted_proxies = 2\n[database]\nurl = \"postgres://a:b@first/loa\"";
    let config = load(file, &variables).expect("all of it is lawful");

    assert_eq!(config.http.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.http.trusted_proxies, 2);
    assert_eq!(config.database.url.expose(), "postgres://a:b@third/loa");
    assert_eq!(config.dispatch.batches_in_flight.emergency.fcm, 20);
    assert_eq!(config.dispatch.batches_in_flight.emergency.apns, 3);
    assert_eq!(config.seal.trusted_keys[0].id, "x");
}

#[test]
fn a_url_may_come_from_a_mounted_secret() {
    let secret = tempfile("postgres://loa:from-a-file@db/loa\n");
    let config = load(&format!("[database]\nurl_file = {:?}", secret.path), &[])
        .expect("the file is readable");
    assert_eq!(config.database.url.expose(), "postgres://loa:from-a-file@db/loa");

    let said = complaints("[broker]\nurl_file = \"/nowhere/amqp\"", &[]);
    assert!(said.starts_with("broker.url_file: the file /nowhere/amqp cannot be read"), "{said}");
}

#[test]
fn production_refuses_what_a_demo_leaves_behind_all_at_once() {
    let toml = production()
        .replace("correct-horse", "loa")
        .replace("https://canhbao", "http://canhbao")
        .replace("2026-a", "demo-1");
    let said = complaints(&toml, &[]);
    for key in ["database.url", "http.public_url", "seal.trusted_keys"] {
        assert!(said.contains(&format!("{key}: ")), "{key} is missing from: {said}");
    }
    assert_eq!(said.lines().count(), 3, "{said}");

    assert_eq!(
        complaints(&format!("mode = \"demo\"\n{toml}"), &[]),
        "",
        "a demo may have all of that"
    );
}

#[test]
fn a_sealing_key_that_nobody_trusts_is_refused() {
    let toml = production()
        .replace("[seal]", "[seal]\nsigning_key_file = \"/run/secrets/seal\"\nkey_id = \"2026-b\"");
    let said = complaints(&toml, &[]);
    assert!(said.starts_with("seal.key_id: \"2026-b\" is not among seal.trusted_keys"), "{said}");
}

#[test]
fn a_public_key_of_the_wrong_length_is_refused() {
    let said = complaints(&production().replace(KEY, "AAAA"), &[]);
    assert!(said.contains("seal.trusted_keys") && said.contains("32 bytes"), "{said}");
}

#[test]
fn quiet_hours_are_a_stretch_of_the_day_or_none() {
    let with = |hours: &str| {
        let toml = format!("{}\n[announcements]\nquiet_hours = {hours:?}", production());
        complaints(&toml, &[])
    };
    assert_eq!(with("22:00-05:45"), "");
    assert_eq!(with(""), "");
    for wrong in ["22-5", "06:30-06:30"] {
        let said = with(wrong);
        assert!(said.starts_with("announcements.quiet_hours: "), "{wrong}: {said}");
    }
    let shipped = load(&production(), &[]).expect("lawful").announcements.rules();
    assert!(shipped.quiet.is_some() && shipped.per_day.is_some());
}

#[test]
fn no_secret_is_shown_by_debug_or_by_a_complaint() {
    let config = load(&production(), &[]).expect("lawful");
    let shown = format!("{config:?}");
    assert!(!shown.contains("correct-horse") && !shown.contains("battery-staple"), "{shown}");

    let said =
        complaints("", &[("DATABASE_URL", "mysql://loa:hunter2@db/loa"), ("AMQP_URL", "hunter3")]);
    assert!(said.contains("database.url") && said.contains("broker.url"), "{said}");
    assert!(!said.contains("hunter"), "{said}");
}

#[test]
fn every_key_of_the_defaults_is_explained() {
    let (mut explained, mut alike) = (false, false);
    for line in DEFAULTS.lines().map(str::trim) {
        if line.starts_with('[') {
            // The paragraph above explains all keys of these sections at once.
            alike = line.starts_with("[dispatch.batches_in_flight.")
                || matches!(line, "[apns.connection]" | "[webpush.connection]");
        } else if line.is_empty() || line.starts_with('#') {
            explained = line.starts_with('#');
        } else {
            assert!(explained || alike, "nothing above explains: {line}");
            explained = false;
        }
    }
}

#[test]
fn browsers_are_offered_the_current_key_only_where_its_public_half_is_given() {
    let point = format!("B{}", "A".repeat(86));
    let with = |public: &str| {
        format!(
            "[webpush]\nsubject = \"mailto:truc@tinh.gov.vn\"\ncurrent_key = \"b\"\nvapid_keys = [{{ id = \"a\", private_key_file = \"a.pem\", public_key = \"{point}\" }}, {{ id = \"b\", private_key_file = \"b.pem\"{public} }}]"
        )
    };
    let load = |public: &str| load(&with(public), &[]).expect("it reads").webpush;

    assert_eq!(load("").browser_key(), None, "the current key's is not given");
    let given = load(&format!(", public_key = \"{point}\"")).browser_key().expect("given");
    assert_eq!((given.id.as_str(), given.public_key), ("b", point.clone()));
    let short = complaints(&with(", public_key = \"BAAA\""), &[]);
    assert!(short.contains("webpush.vapid_keys: the public_key of \"b\" is none"), "{short}");
}
