//! What takes a published alert's place: its prepared all-clear, a correction, an all-clear of its own, a recall of all of it.

use loa::domain::account::Role;
use loa::domain::id::AlertId;
use loa::domain::seal::SealedAlert;
use loa::store::seal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{Answer, FOCAL, Person, TestApp, id};

async fn end(app: &TestApp, who: &Person, alert: &Value, how: &str) -> Answer {
    app.post(who, &format!("/v1/review/alerts/{}/{how}", id(alert)), &Value::Null).await
}

async fn view(app: &TestApp, who: &Person, alert: &str) -> Value {
    app.get(who, &format!("/v1/alerts/{alert}")).await.expect(200)
}

/// What dispatchers would verify and read.
async fn sealed(app: &TestApp, alert: &str) -> SealedAlert {
    let alert: AlertId = alert.parse().unwrap();
    let mut conn = app.pool.acquire().await.unwrap();
    let stored = seal::of_alert(&mut conn, alert).await.unwrap().expect("a seal");
    app.trusted().open_alert(alert, &stored.key_id, &stored.sealed, &stored.signature).unwrap()
}

/// Broadcasts that wait for the stop of exactly what is still being sent.
async fn waits_for_the_stop(app: &TestApp, alert: &str) -> bool {
    sqlx::query_scalar(
        "select b.state = 'waiting' and b.after_epoch = (select max(stop_epoch) from broadcast) from broadcast b where alert_id = $1::uuid",
    )
    .bind(alert)
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

#[sqlx::test]
async fn one_approver_gives_the_all_clear_that_was_sealed_with_the_alert(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;

    let (one, other) = tokio::join!(
        end(&app, &approver, &live, "all-clear"),
        end(&app, &approver, &live, "all-clear")
    );
    let cleared = end(&app, &approver, &live, "all-clear").await.expect(200);

    for key in ["original", "all_clear", "broadcast"] {
        assert_eq!((&one.body[key], &other.body[key]), (&cleared[key], &cleared[key]), "once");
    }
    assert_eq!(app.count("select count(*) from broadcast").await, 2);
    let original = view(&app, &writer, id(&live)).await;
    assert_eq!(
        (&original["state"], &original["superseded_by"]),
        (&json!("superseded"), &cleared["all_clear"])
    );
    assert_eq!(original["decisions"][1]["verdict"], "all_clear");
    let over = view(&app, &writer, cleared["all_clear"].as_str().unwrap()).await;
    assert_eq!((&over["state"], &over["purpose"]), (&json!("live"), &json!("all_clear")));
    assert_eq!((&over["refers_to"], &over["incident"]), (&live["id"], &live["incident"]));
    assert_eq!(
        (&over["version"], &over["lane"]),
        (&json!(2), &json!("emergency")),
        "it inherits the lane"
    );
    assert!(waits_for_the_stop(&app, id(&over)).await);
    assert_eq!(sealed(&app, id(&over)).await.references[0].id.to_string(), id(&live));
}

#[sqlx::test]
async fn an_alert_without_an_all_clear_is_followed_by_one_that_is_approved_like_any_alert(
    pool: PgPool,
) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    assert_eq!(end(&app, &approver, &live, "all-clear").await.problem(), "no-prepared-all-clear");

    let mut request = app.flood();
    request["follows"] = json!({"alert": id(&live), "as": "all_clear"});
    let waiting = app.submitted_as(&writer, &request).await;
    assert_eq!(
        view(&app, &writer, id(&live)).await["state"],
        "live",
        "nothing ends before its approval"
    );
    let sheet =
        app.get(&approver, &format!("/v1/review/alerts/{}", id(&waiting))).await.expect(200);
    assert_eq!(
        (&sheet["sealed"]["purpose"], &sheet["replaces"]["id"]),
        (&json!("all_clear"), &live["id"])
    );
    app.approve(&approver, &waiting).await.expect(200);

    let original = view(&app, &writer, id(&live)).await;
    assert_eq!(
        (&original["state"], &original["superseded_by"]),
        (&json!("superseded"), &waiting["id"])
    );
    assert_eq!(sealed(&app, id(&waiting)).await.version, 2);
    assert!(waits_for_the_stop(&app, id(&waiting)).await);
}

#[sqlx::test]
async fn a_correction_takes_its_originals_place_in_one_transaction(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;

    let corrected = app.live_as(&writer, &approver, &app.correction_of(&live)).await;

    assert_eq!(
        (&corrected["state"], &corrected["purpose"]),
        (&json!("live"), &json!("correction"))
    );
    assert_eq!(
        (&corrected["refers_to"], &corrected["incident"], &corrected["version"]),
        (&live["id"], &live["incident"], &json!(2))
    );
    assert_eq!((&corrected["lane"], corrected.get("superseded_by")), (&json!("emergency"), None));
    let original = view(&app, &writer, id(&live)).await;
    assert_eq!(
        (&original["state"], &original["superseded_by"]),
        (&json!("superseded"), &corrected["id"])
    );
    assert!(waits_for_the_stop(&app, id(&corrected)).await);
    let list = app.get(&approver, "/v1/alerts").await.expect(200);
    assert_eq!(list["items"][0]["lane"], "emergency");
}

#[sqlx::test]
async fn a_correction_of_a_correction_is_called_back_whole_whichever_is_named(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let first = app.live(&writer, &approver).await;
    let second = app.live_as(&writer, &approver, &app.correction_of(&first)).await;
    let third = app.live_as(&writer, &approver, &app.correction_of(&second)).await;
    assert_eq!(third["version"], 3);
    let named: Vec<u32> =
        sealed(&app, id(&third)).await.references.iter().map(|earlier| earlier.version).collect();
    assert_eq!(named, [2, 1], "every predecessor, the newest first");

    let recalled = end(&app, &approver, &first, "recall").await.expect(200);

    assert_eq!(recalled["original"], third["id"], "phones show the newest");
    let recall = sealed(&app, recalled["recall"].as_str().unwrap()).await;
    assert_eq!((recall.version, recall.references.len()), (4, 3));
    for alert in [&first, &second, &third] {
        assert_eq!(view(&app, &writer, id(alert)).await["state"], "recalled");
    }
    for named in [&first, &second, &third] {
        let again = end(&app, &approver, named, "recall").await.expect(200);
        assert_eq!(
            again["recall"], recalled["recall"],
            "calling back twice has the effect of once"
        );
    }
    assert!(waits_for_the_stop(&app, recalled["recall"].as_str().unwrap()).await);
    assert_eq!(app.count("select count(*) from broadcast where stopped_at is null").await, 1);
}

#[sqlx::test]
async fn a_false_alert_is_called_back_after_its_all_clear_too(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
    let cleared = end(&app, &approver, &live, "all-clear").await.expect(200);

    let recalled = end(&app, &approver, &live, "recall").await.expect(200);

    assert_eq!(
        (&recalled["original"], recalled["broadcast"] == cleared["broadcast"]),
        (&live["id"], false)
    );
    let recall = view(&app, &writer, recalled["recall"].as_str().unwrap()).await;
    assert_eq!((&recall["state"], &recall["version"]), (&json!("live"), &json!(3)));
    assert_eq!(view(&app, &writer, id(&live)).await["state"], "recalled");
    let over = view(&app, &writer, cleared["all_clear"].as_str().unwrap()).await;
    assert_eq!(over["state"], "superseded", "nobody is told two things at once");
}

#[sqlx::test]
async fn a_mistaken_recall_or_all_clear_is_corrected_like_any_alert(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    for how in ["recall", "all-clear"] {
        let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
        let done = end(&app, &approver, &live, how).await.expect(200);
        let ended = json!({"id": done[how.replace('-', "_")]});

        let corrected = app.live_as(&writer, &approver, &app.correction_of(&ended)).await;

        let version = if how == "recall" { 4 } else { 3 };
        assert_eq!(corrected["version"], version, "{how}");
        assert_eq!(view(&app, &writer, id(&ended)).await["state"], "superseded");
        assert_eq!(sealed(&app, id(&corrected)).await.references.len(), 2);
    }
}

#[sqlx::test]
async fn what_has_expired_may_still_stand_on_a_screen_and_is_corrected_or_ended(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let (one, other) = (
        app.live_as(&writer, &approver, &app.foreseen_flood()).await,
        app.live(&writer, &approver).await,
    );
    sqlx::query("update alert set state = 'expired', ended_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    end(&app, &approver, &one, "all-clear").await.expect(200);
    app.live_as(&writer, &approver, &app.correction_of(&other)).await;
}

#[sqlx::test]
async fn of_two_corrections_at_once_the_second_learns_of_the_first(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let focal = app.person(FOCAL, "skhcn.soanthao", Role::Submitter).await;
    let live = app.live(&writer, &approver).await;
    let ours = app.submitted_as(&writer, &app.correction_of(&live)).await;
    let theirs = app.submitted_as(&focal, &app.correction_of(&live)).await;

    let (one, other) = tokio::join!(app.approve(&approver, &ours), app.approve(&approver, &theirs));

    let (won, lost) = if one.status == 200 { (&ours, other) } else { (&theirs, one) };
    assert_eq!((lost.status.as_u16(), lost.problem()), (409, "overtaken"));
    assert!(lost.body["detail"].as_str().unwrap().contains(id(won)), "{:#}", lost.body);
    assert_eq!(app.count("select count(*) from alert where state = 'live'").await, 1);
    assert_eq!(app.count("select count(*) from broadcast").await, 2);
}

#[sqlx::test]
async fn a_correction_that_came_too_late_follows_the_newer_one_after_its_revision(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let late = app.submitted_as(&writer, &app.correction_of(&live)).await;
    let newer = app.live_as(&writer, &approver, &app.correction_of(&live)).await;
    let review = format!("/v1/review/alerts/{}", id(&late));
    let sheet = app.get(&approver, &review).await.expect(200);
    assert_eq!(sheet["superseded_by"], newer["id"], "the approver sees it before deciding");
    app.post(&approver, &format!("{review}/return"), &json!({"reason": "Đã có bản mới"}))
        .await
        .expect(200);

    let path = format!("/v1/alerts/{}", id(&late));
    let stale = app.put(&writer, &path, &app.correction_of(&live)).await;
    assert_eq!(stale.problem(), "overtaken");
    let mended = app.put(&writer, &path, &app.correction_of(&newer)).await.expect(200);
    assert_eq!((&mended["refers_to"], &mended["version"]), (&newer["id"], &json!(3)));
    app.post(&writer, &format!("{path}/submit"), &Value::Null).await.expect(200);
    app.approve(&approver, &late).await.expect(200);

    let sealed = sealed(&app, id(&late)).await;
    assert_eq!((sealed.version, sealed.references.len()), (3, 2));
}

#[sqlx::test]
async fn a_correction_that_is_revised_without_a_word_about_it_still_corrects_the_same(
    pool: PgPool,
) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let draft = app.post(&writer, "/v1/alerts", &app.correction_of(&live)).await.expect(201);
    let path = format!("/v1/alerts/{}", id(&draft));
    // It is read as what it is: it goes at once, and may say that what it corrects was a drill.
    let mut later = app.flood();
    (later["severity"], later["send_at"]) = (json!("minor"), later["expires"].clone());
    let refused = app.put(&writer, &path, &later).await.expect(422);
    assert_eq!(refused["violations"][0]["rule"], "follow_up_goes_at_once", "{refused:#}");
    let mut text = app.flood();
    text["texts"]["vi"]["body"] = json!("Tin trước đã nói nhầm: đây là diễn tập.");
    let revised = app.put(&writer, &path, &text).await.expect(200);
    assert_eq!((&revised["refers_to"], &revised["purpose"]), (&live["id"], &json!("correction")));
    app.attach(&writer, &draft, crate::support::app::pdf()).await.expect(200);
    app.post(&writer, &format!("{path}/submit"), &Value::Null).await.expect(200);
    app.approve(&approver, &draft).await.expect(200);
    assert_eq!(sealed(&app, id(&draft)).await.references[0].id.to_string(), id(&live));
}

#[sqlx::test]
async fn a_correction_of_bulk_is_not_held_while_an_emergency_is_live_and_other_bulk_is(
    pool: PgPool,
) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let mut news = app.flood();
    news["severity"] = json!("minor");
    let cold = app.live_as(&writer, &approver, &news).await;
    sqlx::query("update broadcast set state = 'completed', completed_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    let flood = app.live(&writer, &approver).await;
    let mut mended = news.clone();
    mended["follows"] = json!({"alert": id(&cold), "as": "correction"});
    let mended = app.live_as(&writer, &approver, &mended).await;
    assert_eq!(
        (&mended["lane"], &mended["broadcast"]["state"]),
        (&json!("bulk"), &json!("planning"))
    );

    // And a corrected emergency still holds what is new.
    app.live_as(&writer, &approver, &app.correction_of(&flood)).await;
    let other = app.live_as(&writer, &approver, &news).await;
    assert_eq!(other["broadcast"]["state"], "waiting");
}
