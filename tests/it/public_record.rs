//! The public record: what is in it, what never is, and how soon.

use std::time::Duration;

use loa::domain::alert::AlertRequest;
use loa::domain::id::AlertId;
use loa::publication::Publication;
use loa::shutdown::Shutdown;
use serde_json::Value;
use sqlx::PgPool;
use time::format_description::well_known::Rfc3339;

use crate::public_world::{NOW, World};

fn listed(publication: &Publication) -> Vec<Value> {
    let snapshot = publication.snapshot().expect("the record was read");
    let list: Value = serde_json::from_slice(&snapshot.list.json.bytes).unwrap();
    list["alerts"].as_array().unwrap().clone()
}

fn ids(publication: &Publication) -> Vec<String> {
    let id = |alert: &Value| alert["id"].as_str().unwrap().to_owned();
    listed(publication).iter().map(id).collect()
}

fn is_public(publication: &Publication, id: AlertId) -> bool {
    publication.snapshot().is_some_and(|s| s.alert(id).is_some())
}

/// Waits, for at most a second, until the record says so.
async fn within_a_second(publication: &Publication, so: impl Fn(&Publication) -> bool) {
    let mut generations = publication.generations();
    let waiting = async {
        while !so(publication) {
            generations.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(1), waiting)
        .await
        .expect("the record shows it within a second");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_approved_alert_is_public_on_every_process_within_a_second(pool: PgPool) {
    let world = World::new(pool).await;
    let shutdown = Shutdown::new();
    let processes = [world.publication(), world.publication()];
    for process in &processes {
        tokio::spawn(process.clone().keep_true(shutdown.clone()));
        within_a_second(process, |p| p.snapshot().is_some()).await;
        assert_eq!(listed(process), Vec::<Value>::new());
    }

    let alert = world.live("01-lu-quet-sat-lo-dat").await;

    for process in &processes {
        within_a_second(process, |p| is_public(p, alert.id)).await;
    }
    shutdown.request();
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn without_any_nudge_the_poll_still_shows_it_within_a_second(pool: PgPool) {
    let world = World::new(pool).await;
    sqlx::query("drop trigger alert_public_nudge on alert").execute(&world.pool).await.unwrap();
    let shutdown = Shutdown::new();
    let process = world.publication();
    tokio::spawn(process.clone().keep_true(shutdown.clone()));
    within_a_second(&process, |p| p.snapshot().is_some()).await;

    let alert = world.live("01-lu-quet-sat-lo-dat").await;

    within_a_second(&process, |p| is_public(p, alert.id)).await;
    shutdown.request();
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn invariant_1_nothing_unsealed_forged_or_moved_is_public(pool: PgPool) {
    let world = World::new(pool).await;
    let honest = world.live("01-lu-quet-sat-lo-dat").await;
    let waiting = world.submitted("02-mua-lon-hoan-luu-bao", |_| {}).await;

    let forged = world.submitted("03-ret-dam-ret-hai-suong-muoi", |_| {}).await;
    let signature = world.key.seal(&forged.sealable.alert);
    let mut bytes = forged.sealable.alert.clone();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    world.approve_with(&forged, &bytes, &signature).await;

    let moved = world.submitted("12-benh-dai", |_| {}).await;
    let signature = world.key.seal(&honest.sealable.alert);
    world.approve_with(&moved, &honest.sealable.alert, &signature).await;

    let unsealed = world.submitted("13-ngay-bau-cu", |_| {}).await;
    sqlx::query("update alert set state = 'live', published_at = now() where id = $1")
        .bind(unsealed.id.0)
        .execute(&world.pool)
        .await
        .unwrap();

    let publication = world.publication();
    publication.look().await.unwrap();

    assert_eq!(ids(&publication), [honest.id.to_string()]);
    for hidden in [&waiting, &forged, &moved, &unsealed] {
        assert!(!is_public(&publication, hidden.id));
    }
    assert_eq!(publication.health().withheld, 3, "each of them is an alarm");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_seal_by_a_key_that_is_no_longer_trusted_takes_the_alert_off_the_page(pool: PgPool) {
    let mut world = World::new(pool).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    let pkcs8 = loa::domain::seal::SealingKey::generate().unwrap();
    world.key = loa::domain::seal::SealingKey::from_pkcs8("test-2", &pkcs8).unwrap();

    let publication = world.publication();
    publication.look().await.unwrap();

    assert!(!is_public(&publication, alert.id));
    assert_eq!(publication.health().withheld, 1);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn nothing_is_public_before_its_sealed_time_whatever_its_row_says(pool: PgPool) {
    let world = World::new(pool).await;
    let send_at = (NOW + time::Duration::hours(1)).format(&Rfc3339).unwrap();
    let timed = |request: &mut AlertRequest| request.send_at = Some(send_at);
    let news = world.submitted("13-ngay-bau-cu", timed).await;
    world.approve(&news).await;
    let publication = world.publication();
    publication.look().await.unwrap();
    assert_eq!(ids(&publication), Vec::<String>::new());
    assert!(!is_public(&publication, news.id));
    assert_eq!(publication.health().live, 0);

    world.clock.advance(std::time::Duration::from_hours(1));
    publication.look().await.unwrap();
    assert_eq!(ids(&publication), [news.id.to_string()], "by the clock alone");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_gravest_comes_first_and_the_ended_last(pool: PgPool) {
    let world = World::new(pool).await;
    let news = world.live("13-ngay-bau-cu").await;
    let flood = world.live("01-lu-quet-sat-lo-dat").await;
    let ended = world.live("02-mua-lon-hoan-luu-bao").await;
    sqlx::query("update alert set state = 'superseded', ended_at = $2 where id = $1")
        .bind(ended.id.0)
        .bind(NOW)
        .execute(&world.pool)
        .await
        .unwrap();

    let publication = world.publication();
    publication.look().await.unwrap();

    let expected = [flood.id, news.id, ended.id].map(|id| id.to_string());
    assert_eq!(ids(&publication), expected);
    let alerts = listed(&publication);
    assert_eq!(alerts[2]["status"], "superseded");
    assert_eq!(publication.health().live, 2);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_recall_and_its_original_name_each_other(pool: PgPool) {
    let world = World::new(pool).await;
    let original = world.live("01-lu-quet-sat-lo-dat").await;
    let recall = world.recall(&original).await;

    let publication = world.publication();
    publication.look().await.unwrap();

    let alerts = listed(&publication);
    assert_eq!(alerts[0]["id"], recall.to_string());
    assert_eq!(alerts[0]["purpose"], "recall");
    assert_eq!(alerts[0]["status"], "live");
    assert_eq!(alerts[0]["references"][0]["id"], original.id.to_string());
    assert_eq!(alerts[1]["status"], "recalled");
    assert_eq!(alerts[1]["recalled_by"], recall.to_string());
    let snapshot = publication.snapshot().unwrap();
    let page =
        |id| String::from_utf8(snapshot.alert(id).unwrap().html["vi"].bytes.to_vec()).unwrap();
    assert!(page(original.id).contains(&format!("/public/alerts/{recall}")));
    assert!(page(original.id).contains("đã bị thu hồi"));
    assert!(page(recall).contains(&format!("/public/alerts/{}", original.id)));
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_took_an_alerts_place_is_named_and_only_its_seal_is_believed(pool: PgPool) {
    let app = crate::support::app::TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let first = app.live(&writer, &approver).await;
    let second = app.live_as(&writer, &approver, &app.correction_of(&first)).await;
    let third = app.live_as(&writer, &approver, &app.correction_of(&second)).await;
    let other = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
    let path = format!("/v1/review/alerts/{}/all-clear", other["id"].as_str().unwrap());
    let cleared = app.post(&approver, &path, &Value::Null).await.expect(200);
    let publication = Publication::new(app.pool.clone(), app.clock.clone(), app.trusted());
    let of = |publication: &Publication, alert: &Value| -> Value {
        let id: AlertId = alert.as_str().unwrap().parse().unwrap();
        let snapshot = publication.snapshot().unwrap();
        serde_json::from_slice(&snapshot.alert(id).unwrap().json.bytes).unwrap()
    };
    let page = |publication: &Publication, alert: &Value| {
        let id: AlertId = alert.as_str().unwrap().parse().unwrap();
        let snapshot = publication.snapshot().unwrap();
        String::from_utf8(snapshot.alert(id).unwrap().html["vi"].bytes.to_vec()).unwrap()
    };
    for rows_lie in [false, true] {
        if rows_lie {
            sqlx::query("drop index alert_one_live").execute(&app.pool).await.unwrap();
            sqlx::query("drop trigger alert_ended_for_good on alert")
                .execute(&app.pool)
                .await
                .unwrap();
            sqlx::query("update alert set state = 'live', ended_at = null")
                .execute(&app.pool)
                .await
                .unwrap();
        }
        publication.look().await.unwrap();

        for replaced in [&first, &second] {
            let shown = of(&publication, &replaced["id"]);
            assert_eq!(
                (&shown["status"], &shown["superseded_by"]),
                (&"superseded".into(), &third["id"])
            );
            let newest = format!("/public/alerts/{}", third["id"].as_str().unwrap());
            assert!(page(&publication, &replaced["id"]).contains(&newest));
        }
        let shown = of(&publication, &third["id"]);
        assert_eq!((&shown["status"], &shown["purpose"]), (&"live".into(), &"correction".into()));
        assert_eq!(shown["references"].as_array().unwrap().len(), 2);
        assert!(page(&publication, &third["id"]).contains("ĐÍNH CHÍNH: "));
        assert_eq!(of(&publication, &other["id"])["superseded_by"], cleared["all_clear"]);
        assert!(page(&publication, &other["id"]).contains("Nguy hiểm đã qua"));
        assert!(page(&publication, &cleared["all_clear"]).contains("BÁO YÊN: "));
        let listed = ids(&publication);
        assert_eq!(listed[0], third["id"], "what threatens comes first");
        assert_eq!(listed[1], cleared["all_clear"], "then what is over");
        assert_eq!(publication.health().live, 1, "an all-clear threatens nobody");
        let list = publication.snapshot().unwrap().list.html["vi"].bytes.clone();
        assert!(String::from_utf8_lossy(&list).contains("band safe"));
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_recalled_original_stays_recalled_even_if_its_row_claims_to_live(pool: PgPool) {
    let world = World::new(pool).await;
    let original = world.live("01-lu-quet-sat-lo-dat").await;
    world.recall(&original).await;
    // Whoever writes into the database can take this line of defence away, too.
    sqlx::query("drop index alert_one_live").execute(&world.pool).await.unwrap();
    sqlx::query("drop trigger alert_ended_for_good on alert").execute(&world.pool).await.unwrap();
    sqlx::query("update alert set state = 'live', ended_at = null where id = $1")
        .bind(original.id.0)
        .execute(&world.pool)
        .await
        .unwrap();

    let publication = world.publication();
    publication.look().await.unwrap();

    assert_eq!(listed(&publication)[1]["status"], "recalled");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn while_the_database_is_away_the_record_stays_and_alerts_still_expire(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    let publication = world.publication();
    publication.look().await.unwrap();
    assert_eq!(publication.health().age, Some(Duration::ZERO));

    world.pool.close().await;
    world.clock.advance(Duration::from_secs(90));
    let shutdown = Shutdown::new();
    tokio::spawn(publication.clone().keep_true(shutdown.clone()));

    assert_eq!(ids(&publication), [alert.id.to_string()]);
    assert_eq!(publication.health().age, Some(Duration::from_secs(90)));

    let left = alert.expires() - NOW;
    world.clock.advance(left.unsigned_abs());
    within_a_second(&publication, |p| listed(p)[0]["status"] == "expired").await;

    world.clock.advance(Duration::from_hours(48));
    within_a_second(&publication, |p| listed(p).is_empty()).await;
    assert!(is_public(&publication, alert.id), "its own page stays");

    world.clock.advance(Duration::from_hours(28 * 24));
    within_a_second(&publication, |p| !is_public(p, alert.id)).await;
    shutdown.request();
}
