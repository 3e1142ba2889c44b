//! A province that leaves a provider out (no Apple account, no web app) is well, until somebody has a phone of that kind.

use loa::broadcast::{control, progress::Progress};
use loa::clock::SystemClock;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup, providers_toml};
use crate::support::machine::Machine;
use crate::support::seed::url_of;

/// The simulators' configuration without all but Android.
fn android_only(site: &Value) -> String {
    let mut all: toml::Table = providers_toml(site).parse().expect("TOML");
    all.retain(|section, _| section == "fcm");
    all.to_string()
}

fn parts(page: &Value) -> Vec<&str> {
    let reasons = page["reasons"].as_array().expect("reasons").iter();
    reasons.map(|reason| reason["part"].as_str().expect("a part")).collect()
}

#[sqlx::test]
async fn a_provider_that_is_left_out_is_missed_only_while_it_has_devices(pool: PgPool) {
    let (mut machine, vhost) = (Machine::new(), Vhost::create().await);
    let (file, trusted) = machine.sealing_key("seal.key", "2026-a");
    let common = format!(
        "mode = \"demo\"\n[database]\nurl = \"{}\"\n[broker]\nurl = \"{}\"\n",
        url_of(&pool),
        vhost.config().url.expose()
    );
    let serving = format!(
        "{common}[seal]\nsigning_key_file = \"{file}\"\nkey_id = \"2026-a\"\ntrusted_keys = [{trusted}]\n"
    );
    let site = machine.simulators();
    let dispatching =
        format!("{common}[seal]\ntrusted_keys = [{trusted}]\n{}", android_only(&site));
    let dispatcher = machine.start(&dispatching, "dispatch");
    let server = machine.start(&serving, "serve");

    let page = server.shows(|page| page["can_broadcast"] == json!(true)).await;
    assert_eq!(parts(&page), [""; 0]);
    for configuration in [&serving, &dispatching] {
        let said = machine.loa(configuration, &["doctor"]).await;
        assert_eq!((said.code, said.wrong().len()), (0, 0), "{}{}", said.out, said.err);
    }

    let iphone = "insert into device (installation, provider, number, kind, address, address_hash)
                  values (gen_random_uuid(), 1, 1, 2, 'an-iPhone', sha256('an-iPhone'))";
    sqlx::query(iphone).execute(&pool).await.expect("the first iPhone");
    let page = server.shows(|page| page["can_broadcast"] == json!(false)).await;
    assert_eq!(parts(&page), ["apns"]);
    let page = dispatcher.shows(|page| parts(page) == ["apns"]).await;
    assert_eq!(page["ready"], json!(true), "the others go on");
    let said = machine.loa(&dispatching, &["doctor"]).await;
    let wrong = said.wrong();
    assert_eq!((said.code, wrong.len()), (1, 2), "{}{}", said.out, said.err);
    assert!(wrong[0].starts_with("WRONG apns") && wrong[0].contains("not reached"), "{wrong:?}");
    assert!(wrong[1].contains("has parked apns"), "{wrong:?}");

    sqlx::query("update device set state = 2").execute(&pool).await.expect("it leaves");
    server.shows(|page| page["can_broadcast"] == json!(true)).await;
}

#[sqlx::test]
async fn work_of_a_provider_that_is_left_out_is_left_to_others_and_ends_with_its_broadcast(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let setup = Setup {
        devices: 3_000,
        batch_size: 200,
        pace: 0,
        amqp_url: vhost.config().url.expose().clone(),
    };
    let mut fleet = Fleet::start(pool, &setup).await;
    fleet.set("LOA__APNS__KEY_FILE", "");
    fleet.dispatch().await;
    let (fcm, apns, webpush) = (0, 1, 2);
    let others = |progress: &Progress| {
        progress.planned_at.is_some()
            && progress.providers[fcm].tally.pending == 0
            && progress.providers[webpush].tally.pending == 0
    };

    let stopped = fleet.approve().await;
    let waiting = fleet.until(&stopped, others).await;
    let iphones = waiting.providers[apns].tally.pending;
    assert!(iphones > 500, "{waiting:#?}");
    let asked = control::stop(&fleet.app.pool, &SystemClock, fleet.approver.id, stopped.broadcast);
    assert!(asked.await.expect("it was on air").confirmed);
    assert_eq!(fleet.completed(&stopped).await.tally.stopped, iphones);

    let helped = fleet.approve().await;
    fleet.until(&helped, others).await;
    fleet.set("LOA__APNS__KEY_FILE", apns_key(&fleet.site));
    fleet.dispatch().await;
    let told = fleet.completed(&helped).await;
    assert_eq!(told.providers[apns].tally.pending + told.providers[apns].tally.failed, 0);
    assert_eq!(fleet.report(&helped).await["lost"], json!(0), "{}", fleet.logs());
}

fn apns_key(site: &Value) -> String {
    let all: toml::Table = providers_toml(site).parse().expect("TOML");
    all["apns"]["key_file"].as_str().expect("a file").to_owned()
}
