//! How `loa serve` and `loa dispatch` begin: what they refuse, in one line that names the key; what they wait for, saying so.

use loa::domain::account::Role;
use loa::identity::accounts;
use reqwest::Method;
use sqlx::PgPool;

use crate::support::app::account;
use crate::support::broker::Vhost;
use crate::support::fleet::{free_address, providers_toml};
use crate::support::machine::{Away, Machine};
use crate::support::passkey::Safe;
use crate::support::seed::url_of;

/// A production's configuration with servers nobody asks, because it is refused before.
fn production(machine: &Machine) -> String {
    let (_, trusted) = machine.sealing_key("seal.key", "2026-a");
    format!(
        r#"mode = "production"
[database]
url = "postgres://loa:correct-horse@127.0.0.1:1/loa"
[broker]
url = "amqp://loa:battery-staple@127.0.0.1:1/loa"
[http]
public_url = "https://canhbao.example.vn"
[seal]
trusted_keys = [{trusted}]
"#
    )
}

/// The configuration of a demo on servers of this test.
fn demo(machine: &Machine, database: &str, broker: &str) -> String {
    let (file, trusted) = machine.sealing_key("seal.key", "2026-a");
    format!(
        "mode = \"demo\"\n[database]\nurl = \"{database}\"\n[broker]\nurl = \"{broker}\"\n[seal]\nsigning_key_file = \"{file}\"\nkey_id = \"2026-a\"\ntrusted_keys = [{trusted}]\n"
    )
}

#[tokio::test]
async fn a_wrong_configuration_is_one_line_that_names_the_key() {
    let machine = Machine::new();
    let whole = production(&machine);
    let without = |line: &str| {
        assert!(whole.contains(line), "{line}");
        whole.replace(line, "")
    };
    let cases = [
        (
            without("url = \"postgres://loa:correct-horse@127.0.0.1:1/loa\"\n"),
            "database.url: is not set",
        ),
        (
            without("url = \"amqp://loa:battery-staple@127.0.0.1:1/loa\"\n"),
            "broker.url: is not set",
        ),
        (without("public_url = \"https://canhbao.example.vn\"\n"), "http.public_url: is not set"),
        (whole.replace("postgres://", "mysql://"), "database.url: has the scheme \"mysql\""),
        (format!("{whole}[pacing]\nfcm_per_secnd = 5\n"), "pacing.fcm_per_secnd: unknown key"),
        (format!("{whole}[pacing]\nfcm_per_second = \"many\"\n"), "pacing.fcm_per_second: "),
        (format!("{whole}[pacing\n"), "not TOML"),
    ];
    for (configuration, named) in cases {
        for process in ["serve", "dispatch"] {
            let said = machine.loa(&configuration, &[process]).await;
            assert_eq!(said.code, 1, "{named}: {}", said.err);
            let complaint = said.complaint();
            assert!(complaint.starts_with("loa: ") && complaint.contains(named), "{complaint}");
            assert!(!complaint.contains("correct-horse"), "no secret is shown: {complaint}");
        }
    }
}

#[tokio::test]
async fn a_console_elsewhere_than_the_approvers_passkeys_does_not_start() {
    let machine = Machine::new();
    let safe = Safe::new();
    let file = machine.write("approvers.json", safe.file());
    let list =
        format!("[seal]\napprovers_file = \"{file}\"\napprovers_root = \"{}\"", safe.public());
    let configuration = production(&machine).replace("[seal]", &list);
    let said = machine.loa(&configuration, &["serve"]).await;
    let complaint = said.complaint();
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(
        complaint.contains("https://canhbao.example.vn is not an origin of seal.approvers_file"),
        "{complaint}"
    );
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_key() {
    let machine = Machine::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    for (process, key, section) in [
        ("serve", "http.listen", "[http]\nlisten"),
        ("dispatch", "dispatch.status_listen", "[dispatch]\nstatus_listen"),
    ] {
        let configuration =
            demo(&machine, "postgres://a:b@127.0.0.1:1/c", "amqp://a:b@127.0.0.1:1/c");
        let configuration = format!("{configuration}{section} = \"{address}\"\n");
        let said = machine.loa(&configuration, &[process]).await;
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(
            said.err.contains(&format!("loa: {key}: {address} cannot be used")),
            "{}",
            said.err
        );
    }
}

#[tokio::test]
async fn production_refuses_default_secrets_demo_keys_and_simulators_each_by_its_key() {
    let mut machine = Machine::new();
    let whole = production(&machine);
    let site = machine.simulators();
    let simulators = providers_toml(&site);
    let cases = [
        (whole.replace("correct-horse", "loa"), vec!["database.url"]),
        (whole.replace("battery-staple", "loa"), vec!["broker.url"]),
        (whole.replace("2026-a", "demo-1"), vec!["seal.trusted_keys"]),
        (whole.replace("https://canhbao", "http://canhbao"), vec!["http.public_url"]),
        (
            format!("{whole}{simulators}"),
            vec![
                "fcm.endpoint",
                "fcm.connection.ca_file",
                "apns.production_endpoint",
                "apns.sandbox_endpoint",
                "apns.connection.ca_file",
                "webpush.connection.ca_file",
                "webpush.allow_loopback",
            ],
        ),
    ];
    for (configuration, refused) in cases {
        for process in ["serve", "dispatch", "run"] {
            let said = machine.loa(&configuration, &[process]).await;
            assert_eq!(said.code, 1, "{refused:?}: {}", said.err);
            let lines = said.err.lines().map(|line| line.trim_start_matches("loa: "));
            let mut named: Vec<&str> = lines.filter_map(|line| line.split(": ").next()).collect();
            named.sort_unstable();
            let mut expected = refused.clone();
            expected.sort_unstable();
            assert_eq!(named, expected, "{}", said.err);
        }
    }
}

#[sqlx::test]
async fn production_refuses_a_database_with_the_demos_accounts(pool: PgPool) {
    let (machine, vhost) = (Machine::new(), Vhost::create().await);
    let agency = accounts::upsert_agency(&pool, "test", "SKHCN", "Sở KH&CN", true).await.unwrap();
    let approver = account(agency, "demo.duyet", Role::Approver);
    accounts::create_officer(&pool, "test", approver, true).await.unwrap();
    let configuration = production(&machine)
        .replace("postgres://loa:correct-horse@127.0.0.1:1/loa", &url_of(&pool))
        .replace("amqp://loa:battery-staple@127.0.0.1:1/loa", vhost.config().url.expose());

    for process in ["serve", "dispatch", "run"] {
        let (code, said) = machine.start(&configuration, process).ends().await;
        assert_eq!(code, 1, "{process}: {said}");
        assert!(
            said.contains("holds demo accounts or keys (account demo.duyet)"),
            "{process}: {said}"
        );
    }

    let said = machine.loa(&configuration, &["doctor"]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.wrong().iter().any(|line| line.contains("account demo.duyet")), "{}", said.out);
}

#[sqlx::test]
async fn a_database_that_is_away_at_start_is_waited_for_and_said(pool: PgPool) {
    let (mut machine, vhost) = (Machine::new(), Vhost::create().await);
    let site = machine.simulators();
    for process in ["serve", "dispatch"] {
        let (away, url) = Away::of(&url_of(&pool));
        let configuration = demo(&machine, &url, vhost.config().url.expose());
        let configuration = format!("{configuration}{}", providers_toml(&site));
        let mut running = machine.start(&configuration, process);
        running.says("waiting: the database does not answer").await;
        assert!(running.is_running(), "{process} waits");

        away.comes().await;
        running.is_ready(&["database"]).await;

        for (method, path, kind) in [
            (Method::GET, "/nothing", "not-found"),
            (Method::DELETE, "/healthz", "method-not-allowed"),
        ] {
            let (_, problem) = running.call(method, path).await;
            assert_eq!(problem["type"], format!("urn:loa:problem:{kind}"), "{process} {path}");
        }
    }
}

#[sqlx::test]
async fn a_broker_that_is_away_at_start_is_waited_for_and_said(pool: PgPool) {
    let (mut machine, vhost) = (Machine::new(), Vhost::create().await);
    let site = machine.simulators();
    for process in ["serve", "dispatch"] {
        let (away, url) = Away::of(vhost.config().url.expose());
        let configuration = demo(&machine, &url_of(&pool), &url);
        let configuration = format!("{configuration}{}", providers_toml(&site));
        let mut running = machine.start(&configuration, process);
        running.says("no broker: cannot connect").await;
        assert!(running.is_running(), "{process} waits");

        away.comes().await;
        running.is_ready(&["broker"]).await;
    }
}

#[sqlx::test(migrations = false)]
async fn a_schema_of_another_release_is_waited_for_and_the_remedy_said(pool: PgPool) {
    let (machine, vhost) = (Machine::new(), Vhost::create().await);
    let configuration = demo(&machine, &url_of(&pool), vhost.config().url.expose());
    let mut running = machine.start(&configuration, "serve");
    running.says("run `loa migrate`").await;
    assert!(running.is_running(), "it waits");

    let migrated = machine.loa(&configuration, &["migrate"]).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    running.is_ready(&["database"]).await;
}

#[sqlx::test(migrations = false)]
async fn the_schema_is_brought_up_before_anything_but_the_database_is_configured(pool: PgPool) {
    let machine = Machine::new();
    let mut url: url::Url = url_of(&pool).parse().expect("a URL");
    let database = |url: &url::Url| format!("[database]\nurl = \"{url}\"\n");

    let said = machine.loa(&database(&url), &["serve"]).await;
    assert!(said.err.contains("broker.url: is not set"), "production it is: {}", said.err);
    let said = machine.loa(&database(&url), &["migrate"]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "the schema is this release's\n"),
        "{}",
        said.err
    );

    let user = url.username().to_owned();
    url.set_password(Some(&user)).expect("it may have one");
    let said = machine.loa(&database(&url), &["migrate"]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.complaint().starts_with("loa: database.url: "), "{}", said.err);
    let said = machine.loa("[databse]\nurl = \"\"\n", &["migrate"]).await;
    assert!(said.complaint().contains("databse: unknown key"), "{}", said.err);
}

#[sqlx::test]
async fn the_handbooks_configuration_is_fit_for_production_on_a_machine_that_only_serves(
    pool: PgPool,
) {
    let (machine, vhost) = (Machine::new(), Vhost::create().await);
    let (_, trusted) = machine.sealing_key("seal.pk8", "2026-a");
    let database = machine.write("database-url", url_of(&pool));
    machine.write("broker-url", vhost.config().url.expose());
    let secrets = database.strip_suffix("/database-url").expect("a directory");
    let text = std::fs::read_to_string("docs/production.md").expect("the handbook");
    let sample = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let sample = sample
        .expect("the sample")
        .replace("/etc/loa/secrets", secrets)
        .replace("{ id = \"2026-a\", public_key = \"…\" }", &trusted);
    let listed = sample.lines().filter(|line| line.contains(secrets)).count();
    assert_eq!(listed, 5, "every secret is a file: {sample}");

    let said = machine.loa(&sample, &["doctor"]).await;

    assert_eq!(said.wrong().len(), 1, "{}{}", said.out, said.err);
    assert!(said.wrong()[0].contains("none is alive"), "{}", said.out);
    let notes: Vec<&str> = said.out.lines().filter(|line| line.starts_with("note")).collect();
    assert_eq!(
        notes.len(),
        3,
        "no sealing key, no provider's, no working days are here: {notes:?}"
    );
    assert!(notes[2].contains("calendar"), "{notes:?}");
}

#[tokio::test]
async fn a_command_does_not_wait_for_a_database_that_is_away() {
    let machine = Machine::new();
    let nowhere = format!("postgres://loa:hunter2@{}/loa", free_address());
    let configuration = demo(&machine, &nowhere, "amqp://a:b@127.0.0.1:1/c");
    let said = machine.loa(&configuration, &["migrate"]).await;
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(
        said.complaint().contains("the database (database.url) does not answer"),
        "{}",
        said.err
    );
    assert!(said.err.contains("refused") && !said.err.contains("hunter2"), "{}", said.err);
}
