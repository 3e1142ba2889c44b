//! What stays of a template that was used: at the phones, in the database, and for whoever asks years later.

use loa::domain::account::Role;
use loa::store::template::unreviewed_seconds;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::audit_record::{checkpoints, configurations};
use crate::support::app::{Answer, FOCAL, id, send};
use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup};
use crate::support::machine::Machine;
use crate::support::passkey::{Authenticator, Safe};
use crate::template_use::{Office, approve_in, filling, template};

/// A template, and what the third approver made of it.
async fn used(office: &Office) -> (Value, Value) {
    let template = office.ready().await;
    let filled = office.fill(2, &template, &filling(&office.app)).await.expect(201);
    (template, json!({"id": filled["alert"]}))
}

async fn sent(office: &Office) -> (Value, Value) {
    let (template, alert) = used(office).await;
    office.approve(2, &alert).await.expect(200);
    (template, alert)
}

#[sqlx::test]
async fn what_became_of_a_template_reaches_everybody_and_is_called_back(pool: PgPool) {
    let vhost = Vhost::create().await;
    let url = vhost.config().url.expose().clone();
    let setup = Setup { devices: 2_000, batch_size: 200, pace: 0, amqp_url: url };
    let mut fleet = Fleet::start(pool, &setup).await;
    let other = fleet.app.person(FOCAL, "skhcn.duyet02", Role::Approver).await;
    let [one, two] = ["one", "two"].map(Authenticator::new);
    let mut safe = Safe::new();
    safe.certify(fleet.approver.id, &one);
    safe.certify(other.id, &two);
    let file = fleet.write("approvers.json", &safe.file());
    fleet.set("LOA__SEAL__APPROVERS_FILE", file);
    fleet.set("LOA__SEAL__APPROVERS_ROOT", safe.public());
    fleet.set("LOA__SEAL__EMERGENCY_APPROVERS", "2");
    fleet.serve().await;
    fleet.dispatch().await;

    let kept = fleet.app.submitted_as(&fleet.writer, &template(&fleet.app)).await;
    approve_in(&fleet.app, &fleet.approver, &one, &kept).await.expect(202);
    approve_in(&fleet.app, &other, &two, &kept).await.expect(200);
    let path = format!("/v1/review/templates/{}/fill", id(&kept));
    let filled = json!({"filling": filling(&fleet.app)});
    let filled = fleet.app.post(&other, &path, &filled).await.expect(201);
    let alert = json!({"id": filled["alert"]});
    let approved = approve_in(&fleet.app, &other, &two, &alert).await.expect(200);
    let on_air = fleet.on_air(&alert, &approved).await;
    assert_eq!(fleet.completed(&on_air).await.parked_reason, None, "{}", fleet.logs());
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");

    let path = format!("/v1/review/alerts/{}/recall", id(&alert));
    let recalled = fleet.app.post(&fleet.approver, &path, &Value::Null).await.expect(200);
    let recall = fleet.on_air(&alert, &recalled).await;
    assert_eq!(fleet.completed(&recall).await.parked_reason, None, "{}", fleet.logs());
}

#[sqlx::test]
async fn years_later_anyone_can_prove_what_was_approved_in_advance_and_what_became_of_it(
    pool: PgPool,
) {
    let office = Office::open(pool).await;
    let (_, alert) = sent(&office).await;
    let path = format!("/v1/review/alerts/{}", id(&alert));
    let app = &office.app;
    app.post(&office.people[0], &format!("{path}/recall"), &Value::Null).await.expect(200);
    let finding = json!({"finding": "Dùng mẫu đúng."});
    app.post(&office.people[0], &format!("{path}/after-review"), &finding).await.expect(200);
    checkpoints(app).make().await.expect("it holds").expect("something was done");

    let machine = Machine::new();
    let approvers = machine.write("approvers.json", office.safe.file());
    let believed = format!(
        "approvers_file = \"{approvers}\"\napprovers_root = \"{}\"\nemergency_approvers = 2\n",
        office.safe.public()
    );
    let (serving, auditing) = configurations(&machine, app);
    let [serving, auditing] = [serving, auditing].map(|it| format!("{it}{believed}"));
    let file = machine.write("x", "").replace('x', "trail.jsonl");
    let exported = machine.loa(&serving, &["audit", "export", &file]).await;
    assert_eq!(exported.code, 0, "{}{}", exported.out, exported.err);
    let offline = machine.loa(&auditing, &["verify", "--export", &file]).await;
    assert_eq!(offline.code, 0, "{}{}", offline.out, offline.err);
    assert!(offline.out.contains("seals: 3 of 3 hold"), "{}", offline.out);

    let whole = std::fs::read_to_string(&file).unwrap();
    assert!(whole.contains("template.use_reviewed") && whole.contains("template.filled"));

    let folder = std::path::Path::new(&file).parent().unwrap().display().to_string();
    let made = machine.loa(&serving, &["dossier", id(&alert), "--out", &folder]).await;
    assert_eq!(made.code, 0, "{}{}", made.out, made.err);
    let dossier = made.out.lines().next().expect("a file");
    let held = machine.loa(&auditing, &["verify", "--dossier", dossier]).await;
    assert_eq!(held.code, 0, "{}{}", held.out, held.err);
    let told: Value = serde_json::from_slice(&std::fs::read(dossier).unwrap()).unwrap();
    let of = &told["dossier"]["template"];
    assert_eq!(
        (&of["name"], &of["review"]["finding"]),
        (&json!("Lũ quét, sơ tán ngay"), &json!("Dùng mẫu đúng."))
    );
    assert_eq!(of["decisions"].as_array().map(Vec::len), Some(2), "{of:#}");
    assert_eq!(told["dossier"]["revisions"][0]["content"]["filled"]["filling"]["level"], 4);
}

#[sqlx::test]
async fn the_database_keeps_who_used_a_template_and_lets_another_approver_review_it_once(
    pool: PgPool,
) {
    let office = Office::open(pool).await;
    let (_, alert) = used(&office).await;
    let change = async |sql: &str| {
        let changed = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&office.app.pool).await;
        changed.map(|done| done.rows_affected()).map_err(|error| error.to_string())
    };
    let review = |who: loa::domain::id::OfficerId| {
        format!(
            "update template_use set reviewed_by = '{}', reviewed_at = now(), finding = 'x'",
            who.0
        )
    };
    let refused = async |sql: &str, why: &str| {
        let error = change(sql).await.expect_err(sql);
        assert!(error.contains(why), "{sql}: {error}");
    };
    let [one, other, own] = [0, 1, 2].map(|at| office.people[at].id);
    refused(&review(one), "only what was published is reviewed").await;
    let mut conn = office.app.pool.acquire().await.unwrap();
    assert!(unreviewed_seconds(&mut conn).await.unwrap() <= 0.0, "not published");
    office.approve(2, &alert).await.expect(200);
    assert!(unreviewed_seconds(&mut conn).await.unwrap() > 0.0);
    let twin = office.app.twin("skhcn.duyet04", "skhcn.duyet03").await;
    for who in [own, twin.id, office.writer.id] {
        refused(&review(who), "another approver reviews it").await;
    }
    for set in ["filled_by = reviewed_by", "filled_at = now()", "finding = null"] {
        let sql = format!("update template_use set {set}");
        refused(&sql, "reviewed once, and not changed").await;
    }
    refused("delete from template_use", "is append-only").await;
    refused("truncate template_use", "is append-only").await;
    assert_eq!(change(&review(one)).await, Ok(1));
    assert!(unreviewed_seconds(&mut conn).await.unwrap() <= 0.0);
    refused(&review(other), "reviewed once, and not changed").await;
}

#[sqlx::test]
async fn asking_again_by_the_same_key_fills_in_and_reviews_once(pool: PgPool) {
    let office = Office::open(pool).await;
    let template = office.ready().await;
    let by_key = async |who: usize, path: &str, body: &Value| -> Answer {
        let request = office.app.request(Method::POST, &office.people[who], path);
        send(request.header("Idempotency-Key", "k1").json(body)).await
    };
    let path = format!("/v1/review/templates/{}/fill", id(&template));
    let body = json!({"filling": filling(&office.app)});
    let first = by_key(2, &path, &body).await.expect(201);
    assert_eq!(by_key(2, &path, &body).await.expect(201), first);
    let mut other = body.clone();
    other["filling"]["level"] = json!(5);
    assert_eq!(by_key(2, &path, &other).await.problem(), "idempotency-key-reused");
    assert_eq!(office.app.count("select count(*) from template_use").await, 1);

    let alert = json!({"id": first["alert"]});
    office.approve(2, &alert).await.expect(200);
    let path = format!("/v1/review/alerts/{}/after-review", id(&alert));
    let finding = json!({"finding": "Dùng mẫu đúng."});
    let first = by_key(0, &path, &finding).await.expect(200);
    assert_eq!(by_key(0, &path, &finding).await.expect(200), first);
    let trail = "select count(*) from audit where action = 'template.use_reviewed'";
    assert_eq!(office.app.count(trail).await, 1);
}
