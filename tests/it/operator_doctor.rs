//! `loa doctor` on real machines: silent about what is well, and for each thing that is not, its name and how to mend it.

use sqlx::PgPool;

use crate::support::broker::Vhost;
use crate::support::fleet::{free_address, providers_toml};
use crate::support::machine::{Machine, Said};
use crate::support::seed::url_of;

/// A machine's configuration, in parts that a test may spoil one by one.
struct Setting {
    database: String,
    broker: String,
    seal: String,
    providers: String,
}

impl Setting {
    /// A province with a key of its own: the sealing key's file is `seal.key`.
    fn of(machine: &Machine, pool: &PgPool, vhost: &Vhost) -> Self {
        let (file, line) = machine.sealing_key("seal.key", "2026-a");
        Self {
            database: url_of(pool),
            broker: vhost.config().url.expose().clone(),
            seal: format!(
                "signing_key_file = \"{file}\"\nkey_id = \"2026-a\"\ntrusted_keys = [{line}]\n"
            ),
            providers: String::new(),
        }
    }

    fn toml(&self) -> String {
        let Self { database, broker, seal, providers } = self;
        format!(
            "mode = \"demo\"\n[database]\nurl = \"{database}\"\n[broker]\nurl = \"{broker}\"\n[seal]\n{seal}\n{providers}"
        )
    }

    async fn doctor(&self, machine: &Machine) -> Said {
        machine.loa(&self.toml(), &["doctor"]).await
    }
}

/// Exactly this is wrong besides the dispatcher that nobody started: the part, words of what, words of the remedy.
#[track_caller]
fn only(said: &Said, part: &str, what: &str, remedy: &str) {
    let lines: Vec<&str> = said.out.lines().collect();
    let wrong: Vec<(&str, &str)> = lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("WRONG") && !pair[0].contains("none is alive"))
        .map(|pair| (pair[0], pair[1]))
        .collect();
    assert_eq!((said.code, wrong.len()), (1, 1), "{}{}", said.out, said.err);
    let (line, below) = wrong[0];
    assert_eq!(line.split_whitespace().nth(1), Some(part), "{line}");
    assert!(line.contains(what), "{line}");
    assert!(below.contains(remedy), "{below}");
}

#[sqlx::test]
async fn the_doctor_is_content_with_both_halves_of_a_healthy_installation(pool: PgPool) {
    let (mut machine, vhost) = (Machine::new(), Vhost::create().await);
    let serving = Setting::of(&machine, &pool, &vhost);
    let site = machine.simulators();
    let (_, trusted) = serving.seal.rsplit_once("trusted_keys").expect("a line");
    let dispatching = Setting {
        seal: format!("trusted_keys{trusted}"),
        providers: providers_toml(&site),
        database: serving.database.clone(),
        broker: serving.broker.clone(),
    };

    let idle = serving.doctor(&machine).await;
    assert_eq!((idle.code, idle.wrong().len()), (1, 1), "{}", idle.out);
    assert!(idle.wrong()[0].contains("none is alive"), "{}", idle.out);

    let mut dispatcher = machine.start(&dispatching.toml(), "dispatch");
    dispatcher.is_ready(&[]).await;
    for (setting, note) in
        [(&serving, "this machine cannot dispatch"), (&dispatching, "this machine cannot approve")]
    {
        let said = setting.doctor(&machine).await;
        assert_eq!((said.code, said.wrong().len()), (0, 0), "{}{}", said.out, said.err);
        let notes: Vec<&str> = said.out.lines().filter(|line| line.starts_with("note")).collect();
        // Nobody has written down which days are worked: the other thing to note.
        assert_eq!(notes.len(), 2, "{}", said.out);
        assert!(notes[0].contains(note), "{}", said.out);
        assert!(notes[1].contains("calendar"), "{}", said.out);
    }
}

#[sqlx::test]
async fn a_shared_configuration_that_names_the_dispatchers_keys_is_well_where_only_serve_runs(
    pool: PgPool,
) {
    let (mut machine, vhost) = (Machine::new(), Vhost::create().await);
    let named = "[webpush]\nsubject = \"mailto:a@example.vn\"\ncurrent_key = \"2026\"\nvapid_keys = [{ id = \"2026\", private_key_file = \"/nowhere/vapid.pem\" }]\n";
    let serving = Setting { providers: named.to_owned(), ..Setting::of(&machine, &pool, &vhost) };
    let said = serving.doctor(&machine).await;
    assert_eq!(said.wrong().len(), 1, "{}", said.out);
    assert!(said.wrong()[0].contains("none is alive"), "{}", said.out);
    assert!(said.out.contains("note  providers"), "{}", said.out);

    let site = machine.simulators();
    let all = providers_toml(&site);
    let (before, rest) = all.split_once("service_account_file = \"").expect("a key");
    let lost = format!("{before}service_account_file = \"/nowhere{rest}");
    let dispatching = Setting { providers: lost, ..Setting::of(&machine, &pool, &vhost) };
    only(&dispatching.doctor(&machine).await, "providers", "fcm.service_account_file", "the file");
}

#[sqlx::test]
async fn the_doctor_names_a_server_that_is_away_and_its_key(pool: PgPool) {
    let (machine, vhost) = (Machine::new(), Vhost::create().await);
    let well = Setting::of(&machine, &pool, &vhost);

    let nowhere = format!("postgres://loa:secret@{}/loa", free_address());
    let away = Setting { database: nowhere, ..Setting::of(&machine, &pool, &vhost) };
    only(&away.doctor(&machine).await, "database", "refused", "database.url");

    let mut stranger: url::Url = well.database.parse().expect("a URL");
    stranger.set_password(Some("not-the-password")).expect("it may have one");
    let refused = Setting { database: stranger.into(), ..Setting::of(&machine, &pool, &vhost) };
    let said = refused.doctor(&machine).await;
    only(&said, "database", "password authentication failed", "database.url");
    assert!(!said.out.contains("not-the-password"), "no secret is shown: {}", said.out);

    let nowhere = format!("amqp://loa:secret@{}/loa", free_address());
    let away = Setting { broker: nowhere, ..Setting::of(&machine, &pool, &vhost) };
    only(&away.doctor(&machine).await, "broker", "refused", "broker.url");

    let stranger = vhost.url_of("loa", "not-the-password");
    let refused = Setting { broker: stranger, ..Setting::of(&machine, &pool, &vhost) };
    let said = refused.doctor(&machine).await;
    only(&said, "broker", "ACCESS", "broker.url");
    assert!(!said.out.contains("not-the-password"), "no secret is shown: {}", said.out);
}

#[sqlx::test(migrations = false)]
async fn the_doctor_asks_for_the_migration_that_is_missing(pool: PgPool) {
    let (machine, vhost) = (Machine::new(), Vhost::create().await);
    let setting = Setting::of(&machine, &pool, &vhost);

    only(&setting.doctor(&machine).await, "schema", "the schema lacks migrations", "loa migrate");

    let migrated = machine.loa(&setting.toml(), &["migrate"]).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let said = setting.doctor(&machine).await;
    assert!(said.out.contains("ok    schema"), "{}", said.out);
}

#[sqlx::test]
async fn the_doctor_names_a_key_that_cannot_be_used(pool: PgPool) {
    let (machine, vhost) = (Machine::new(), Vhost::create().await);
    let of = || Setting::of(&machine, &pool, &vhost);

    let setting = of();
    machine.write("seal.key", "no key at all");
    only(&setting.doctor(&machine).await, "seal", "seal.signing_key_file", "loa keygen seal");

    let gone = Setting { seal: of().seal.replace("seal.key", "gone.key"), ..of() };
    only(&gone.doctor(&machine).await, "seal", "gone.key cannot be read", "loa keygen seal");

    let account = machine.write("account.json", "{\"type\": \"service_account\"}");
    let garbage = format!("[fcm]\nservice_account_file = \"{account}\"\n");
    let garbage = Setting { providers: garbage, ..of() };
    only(&garbage.doctor(&machine).await, "providers", "fcm.service_account_file", "the file");

    let half = machine.write("AuthKey.p8", "-----BEGIN PRIVATE KEY-----\n");
    let garbage = format!(
        "[apns]\nkey_file = \"{half}\"\nkey_id = \"ABCDE12345\"\nteam_id = \"ABCDE12345\"\ntopic = \"vn.example\"\n"
    );
    let garbage = Setting { providers: garbage, ..of() };
    only(&garbage.doctor(&machine).await, "providers", "apns.key_file", "the file");
}

#[sqlx::test]
async fn the_doctor_names_a_sealing_key_that_somebody_does_not_trust(pool: PgPool) {
    let (mut machine, vhost) = (Machine::new(), Vhost::create().await);
    let setting = Setting::of(&machine, &pool, &vhost);

    let unlisted = Setting {
        seal: setting.seal.replace("key_id = \"2026-a\"", "key_id = \"2026-b\""),
        ..Setting::of(&machine, &pool, &vhost)
    };
    let said = unlisted.doctor(&machine).await;
    only(&said, "configuration", "seal.key_id: \"2026-b\" is not among seal.trusted_keys", "");

    let (_, other) = machine.sealing_key("other.key", "2026-a");
    let (head, _) = setting.seal.rsplit_once("trusted_keys").expect("a line");
    let swapped = Setting {
        seal: format!("{head}trusted_keys = [{other}]\n"),
        ..Setting::of(&machine, &pool, &vhost)
    };
    let said = swapped.doctor(&machine).await;
    only(&said, "seal", "\"2026-a\" is not the trusted key of that name", "loa keygen seal");

    let site = machine.simulators();
    let (_, old) = machine.sealing_key("old.key", "2025-a");
    let dispatching = Setting {
        seal: format!("trusted_keys = [{old}]\n"),
        providers: providers_toml(&site),
        ..Setting::of(&machine, &pool, &vhost)
    };
    let mut dispatcher = machine.start(&dispatching.toml(), "dispatch");
    dispatcher.is_ready(&[]).await;
    let said = Setting::of(&machine, &pool, &vhost).doctor(&machine).await;
    only(&said, "dispatchers", "does not trust \"2026-a\"", "seal.trusted_keys");
}

#[sqlx::test]
async fn the_doctor_compares_this_clock_with_the_databases(pool: PgPool) {
    let (machine, vhost) = (Machine::new(), Vhost::create().await);
    let setting = Setting::of(&machine, &pool, &vhost);
    // A database whose clock is a quarter of an hour ahead: its own function stands before PostgreSQL's.
    for statement in [
        "create schema ahead",
        "create function ahead.clock_timestamp() returns timestamptz language sql
         as 'select pg_catalog.clock_timestamp() + interval ''15 minutes'''",
    ] {
        sqlx::query(statement).execute(&pool).await.expect("a schema of our own");
    }
    let name = pool.connect_options().get_database().expect("a test has a database").to_owned();
    let order =
        format!("alter database \"{name}\" set search_path = ahead, \"$user\", public, pg_catalog");
    sqlx::query(sqlx::AssertSqlSafe(order)).execute(&pool).await.expect("our own database");

    let said = setting.doctor(&machine).await;

    only(&said, "clocks", "this machine and the database are ", "NTP");
    let apart = said.wrong()[0].split(" are ").nth(1).and_then(|words| words.split(' ').next());
    let apart: i64 = apart.expect("a number").parse().expect("of seconds");
    assert!((890..=900).contains(&apart), "{}", said.out);
}
