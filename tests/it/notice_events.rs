//! What happens to a case, told in whatever order, alone or with hundreds of others: once each, in the right inbox, and a phone rings for news only.

use std::sync::Arc;

use loa::clock::SystemClock;
use loa::config::Config;
use loa::domain::id::NoticeId;
use loa::notice::{Arrival, Desk, EventError, Reception, Teller};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{Person, TestApp};
use crate::support::notice::{
    LOCK, Recorder, batch_of, event, feedback_system, ledger, notices, phones, result,
};

const ROAD: &str = "/v1/feedback-events";

fn proof() -> Value {
    json!({"attachment": {"name": "bien-ban.pdf"}})
}

/// Whether each event's person was told: 0 no, 1 in the inbox, 2 by push, too; by place in the case.
async fn ways(app: &TestApp) -> Vec<i16> {
    sqlx::query_scalar("select told from feedback_event order by case_id, sequence")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

async fn owed(app: &TestApp) -> (Option<String>, Option<String>, bool) {
    sqlx::query_as("select duty, unit, for_office from feedback_case")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

async fn system(pool: PgPool) -> (TestApp, Person) {
    let app = TestApp::start(pool).await;
    let system = feedback_system(&app).await;
    (app, system)
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_comes_late_is_read_in_the_app_and_undoes_nothing(pool: PgPool) {
    let (app, system) = system(pool).await;
    let due = json!({"unit": "SXD", "due_at": "2026-12-04T17:00:00+07:00"});
    let forwarded = event("forwarded", ("pa-1", 3), "citizen-1", &due);
    let tell = async |event: &Value| app.post(&system, ROAD, event).await.expect(202);
    tell(&event("received", ("pa-1", 2), "citizen-1", &json!({}))).await;
    assert_eq!(owed(&app).await.0.as_deref(), Some("forwarding"));
    tell(&event("result", ("pa-1", 4), "citizen-1", &proof())).await;
    tell(&forwarded).await;
    tell(&event("submitted", ("pa-1", 1), "citizen-1", &json!({}))).await;

    assert_eq!(ways(&app).await, [0, 2, 1, 2], "the person's own doing; news; late; news");
    let unit = Some("SXD".to_owned());
    assert_eq!(owed(&app).await, (None, unit, false), "it is answered, and stays so");
    let clarify = event("clarification_requested", ("pa-1", 5), "citizen-1", &json!({}));
    tell(&clarify).await;
    assert_eq!(owed(&app).await.0.as_deref(), Some("clarification"));
    let rating = json!({"rating": "dissatisfied", "repeats": 5});
    tell(&event("rated", ("pa-1", 6), "citizen-1", &rating)).await;
    assert!(owed(&app).await.2, "the fifth time it is the Office's business (QC-CB 14.3.a)");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_case_stays_one_persons_and_each_place_in_it_one_events(pool: PgPool) {
    let (app, system) = system(pool).await;
    app.post(&system, ROAD, &event("received", ("pa-1", 1), "citizen-1", &json!({})))
        .await
        .expect(202);
    let mut of_another_kind = event("received", ("pa-1", 2), "citizen-1", &json!({}));
    of_another_kind["case"]["kind"] = json!("procedure");
    for (refused, field) in [
        (event("result", ("pa-1", 1), "citizen-1", &proof()), "case.sequence"),
        (event("result", ("pa-1", 2), "citizen-2", &proof()), "person.subject"),
        (of_another_kind, "case.kind"),
    ] {
        let answer = app.post(&system, ROAD, &refused).await;
        let named = &answer.body["violations"][0]["field"];
        assert_eq!((answer.problem(), named), ("invalid", &json!(field)));
    }
    assert_eq!(ways(&app).await.len(), 1);
    // Another neighbour may call a case of its own the same.
    let portal =
        app.person("TTPVHCC", "cong-dich-vu-cong", loa::domain::account::Role::System).await;
    app.post(&portal, ROAD, &event("received", ("pa-1", 1), "citizen-2", &json!({})))
        .await
        .expect(202);
    assert_eq!(app.count("select count(*) from feedback_case").await, 2);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn events_told_at_once_are_judged_each_by_itself_and_delivered_together(pool: PgPool) {
    let (app, system) = system(pool).await;
    phones(&app.pool).await;
    loa::notice::templates::seal_built_in(&app.pool, &app.key, "https://loa.example.vn")
        .await
        .unwrap();
    let mut unproven = result();
    unproven.as_object_mut().unwrap().remove("attachment");
    unproven["id"] = json!("unproven");
    let events = json!({"events": [
        event("result", ("pa-1", 2), "citizen-1", &proof()), unproven,
        event("received", ("pa-1", 1), "citizen-1", &json!({})),
        event("refused", ("pa-2", 1), "citizen-2", &json!({"reason": "Trùng với phản ánh đã gửi."})),
    ]});
    let path = format!("{ROAD}/batch");
    let told = app.post(&system, &path, &events).await.expect(200);
    let results = told["results"].as_array().expect("one each");
    assert_eq!(results.len(), 4);
    assert_eq!(results[1]["problem"]["violations"][0]["field"], "attachment");
    assert!([0, 2, 3].iter().all(|n| results[*n]["repeated"] == false), "{told:#}");
    let again = app.post(&system, &path, &events).await.expect(200);
    assert!([0, 2, 3].iter().all(|n| again["results"][*n]["repeated"] == true), "{again:#}");
    assert!([0, 2, 3].iter().all(|n| again["results"][*n]["notice"] == results[*n]["notice"]));

    // Together: both of the first case are news, because the earlier was judged first.
    assert_eq!(ways(&app).await, [2, 2, 2]);
    let provider = Recorder::default();
    notices(&app, LOCK).deliver(batch_of(&app).await, &provider).await;
    let rung = ["android-1", "android-1", "android-2", "apple-1", "apple-1"];
    assert_eq!(provider.addresses(), rung);
    let titles: Vec<String> =
        provider.sent.lock().unwrap().iter().map(|(_, message)| message.title.clone()).collect();
    assert!(
        titles.iter().any(|title| title == "Phản ánh, kiến nghị không được tiếp nhận"),
        "{titles:?}"
    );

    for (wrong, field) in [(json!({"events": []}), "events"), (json!({}), "events")] {
        let refused = app.post(&system, &path, &wrong).await;
        assert!(refused.body.to_string().contains(field), "{:#}", refused.body);
        assert_eq!(refused.status.as_u16(), 422);
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn whoever_has_no_device_is_counted_and_loses_nothing(pool: PgPool) {
    let (app, system) = system(pool).await;
    loa::notice::templates::seal_built_in(&app.pool, &app.key, "https://loa.example.vn")
        .await
        .unwrap();
    app.post(&system, ROAD, &event("result", ("pa-9", 1), "citizen-9", &proof())).await.expect(202);
    let provider = Recorder::default();
    notices(&app, LOCK).deliver(batch_of(&app).await, &provider).await;
    assert_eq!(provider.addresses(), Vec::<String>::new());
    assert_eq!(ledger(&app).await.outcomes().count(), 0);
    let counted = "select count(*) from notice_day where told = 1 and pushed = 1 and reached = 0 and no_device = 1";
    assert_eq!(app.count(counted).await, 1);
    assert_eq!(app.count("select count(*) from notice_batch where state = 2").await, 1);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_a_person_wants_no_push_for_waits_or_stays_in_the_app(pool: PgPool) {
    let (app, system) = system(pool).await;
    sqlx::query("insert into person (subject, muted, quiet) values ('muting', '{received}', null), ('sleeping', '{}', '00:00-19:59'), ('dozing', '{}', '12:00-07:59')")
        .execute(&app.pool)
        .await
        .unwrap();
    let tell = async |event: &Value| app.post(&system, ROAD, event).await.expect(202);
    tell(&event("received", ("a", 1), "muting", &json!({}))).await;
    tell(&event("result", ("a", 2), "muting", &proof())).await;
    assert_eq!(ways(&app).await, [1, 2]);
    // One of the two nights is now, whenever the test runs; from 12:00 on only one.
    for subject in ["sleeping", "dozing"] {
        tell(&event("result", (subject, 1), subject, &proof())).await;
        let mut urgent = event("received", (&format!("{subject}-urgent"), 1), subject, &json!({}));
        urgent["case"]["urgent"] = json!(true);
        tell(&urgent).await;
    }
    let waiting = "select count(*) from notice_batch where state = 1 and due_at > clock_timestamp() and expires_at = due_at + interval '3 days'";
    assert!((1..=2).contains(&app.count(waiting).await));
    let of_urgent = "select count(*) from notice_batch b, feedback_event e where b.state = 1 and e.notice = any(b.notices) and e.body ? 'urgent'";
    assert_eq!(app.count(of_urgent).await, 0, "what is urgent does not wait");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn hundreds_at_once_are_a_few_transactions_and_one_that_cannot_be_stored_keeps_back_no_other(
    pool: PgPool,
) {
    let (app, system) = system(pool).await;
    loa::identity::accounts::set_broker_user(&app.pool, "test", "feedback", system.id)
        .await
        .unwrap();
    // As a defect of ours would have it.
    sqlx::query("alter table feedback_event add constraint never check (event_id not like 'bad%')")
        .execute(&app.pool)
        .await
        .unwrap();
    let reception = Reception::new(app.pool.clone(), Arc::new(SystemClock), &Config::for_testing());
    let desk = Desk::open(reception);
    let arrival = |event: Value| Arrival {
        teller: Teller::BrokerUser("feedback".to_owned()),
        request: Ok(serde_json::from_value(event).unwrap()),
        trace: None,
    };
    let mut arrivals: Vec<Arrival> = (0..900)
        .map(|n| {
            let case = format!("pa-{}", n / 3);
            arrival(event("result", (&case, n % 3 + 1), &format!("citizen-{}", n / 9), &proof()))
        })
        .collect();
    let mut bad = event("result", ("bad", 1), "citizen-1", &proof());
    bad["id"] = json!("bad-1");
    arrivals.push(arrival(bad));
    let told = desk.tell_all(arrivals).await;
    assert!(told[..900].iter().all(Result::is_ok), "{:?}", told.iter().find(|it| it.is_err()));
    assert!(matches!(told[900], Err(EventError::Store(_))), "{:?}", told[900]);
    // A case of `citizen-0` told as somebody else's: refused, for its sender to read.
    let anothers = event("result", ("pa-0", 9), "citizen-77", &proof());
    let refused = desk.tell(arrival(anothers)).await;
    assert!(matches!(refused, Err(EventError::Invalid(_))), "{refused:?}");
    let ids: std::collections::HashSet<NoticeId> =
        told.iter().flatten().map(|told| told.notice).collect();
    assert_eq!(ids.len(), 900);
    assert_eq!(app.count("select count(*) from feedback_event").await, 900);
    assert_eq!(app.count("select count(*) from feedback_case").await, 300);
    let planned = "select sum(cardinality(notices))::bigint from notice_batch";
    let pushed = "select count(*) from feedback_event where told = 2";
    assert_eq!(app.count(planned).await, app.count(pushed).await, "each in one batch");

    let rejects = app.get(&system, &format!("{ROAD}/rejects")).await.expect(200);
    let all = rejects["rejects"].as_array().expect("a list");
    assert_eq!(all.len(), 1, "{rejects:#}");
    assert_eq!(all[0]["id"], "pa-0:result:9");
    assert_eq!(all[0]["reason"]["violations"][0]["field"], "person.subject");
    assert!(!rejects.to_string().contains("citizen"), "nothing of the event");
    let other =
        app.person("TTPVHCC", "cong-dich-vu-cong", loa::domain::account::Role::System).await;
    let theirs = app.get(&other, &format!("{ROAD}/rejects")).await.expect(200);
    assert_eq!(theirs["rejects"], json!([]), "everybody reads their own");
}
