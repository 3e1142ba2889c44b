//! What ends ends at once, also for a request that was let in before: held open by a slow body, or waiting for a lock.

use std::future::Future;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use loa::domain::account::{Officer, Role};
use loa::domain::id::OfficerId;
use loa::identity::accounts;
use loa::identity::authority::{Authority, AuthorityError};
use loa::store::account::officer_by_login;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::support::app::{FOCAL, TestApp, account, id};

/// Until so many transactions of this test wait for a lock.
pub async fn until_waiting(pool: &PgPool, wanted: i64) {
    let query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    for _ in 0..400 {
        let waiting: i64 = sqlx::query_scalar(query).fetch_one(pool).await.unwrap();
        if waiting >= wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("nothing waits for the account");
}

/// What becomes of a request that was let in when its account is closed before it writes.
async fn closed_meanwhile<T>(
    pool: &PgPool,
    officer: OfficerId,
    asked: impl Future<Output = T>,
) -> T {
    let mut closing = pool.begin().await.unwrap();
    sqlx::query("update officer set disabled_at = now() where id = $1")
        .bind(officer.0)
        .execute(&mut *closing)
        .await
        .unwrap();
    let close = async {
        until_waiting(pool, 1).await;
        closing.commit().await.unwrap();
    };
    tokio::join!(asked, close).0
}

#[sqlx::test]
async fn an_account_that_is_closed_while_its_request_is_under_way_decides_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
    let waiting = app.submitted(&writer).await;
    let (reason, nothing) = (json!({"reason": "sửa tiêu đề"}), Value::Null);
    let approval = app.approval_of(&approver, &waiting).await;
    for (what, alert, body) in [
        ("approve", &waiting, &approval),
        ("return", &waiting, &reason),
        ("reject", &waiting, &reason),
        ("recall", &live, &nothing),
        ("all-clear", &live, &nothing),
    ] {
        let path = format!("/v1/review/alerts/{}/{what}", id(alert));
        let asked = app.post(&approver, &path, body);
        let answer = closed_meanwhile(&app.pool, approver.id, asked).await;
        assert_eq!(answer.problem(), "forbidden", "{what}");
        let opened = sqlx::query("update officer set disabled_at = null where id = $1");
        opened.bind(approver.id.0).execute(&app.pool).await.unwrap();
    }
    assert_eq!(app.count("select count(*) from decision").await, 1);
    app.approve(&approver, &waiting).await.expect(200);
}

#[sqlx::test]
async fn the_database_takes_decisions_of_approvers_whose_account_is_open_only(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let alert = app.submitted(&writer).await;
    let closed = app.approver().await;
    accounts::disable_officer(&app.pool, "test", closed.id).await.unwrap();
    let operator = app.person(FOCAL, "skhcn.truc", Role::Operator).await;
    for officer in [closed.id, operator.id] {
        for verdict in ["endorse", "approve", "return", "reject", "recall", "all_clear"] {
            let forced = sqlx::query(
                "insert into decision (alert_id, revision, verdict, officer_id, digest, reason, attests_whole_province, attests_no_state_secret)
                 values ($1::text::uuid, 1, $2, $3, 'x', 'x', true, true)",
            )
            .bind(id(&alert))
            .bind(verdict)
            .bind(officer.0)
            .execute(&app.pool)
            .await
            .expect_err(verdict);
            let constraint = forced.as_database_error().and_then(|error| error.constraint());
            assert_eq!(constraint, Some("decided_by_an_open_approver"), "{verdict}: {forced}");
        }
    }
}

#[sqlx::test]
async fn an_administrator_who_is_closed_meanwhile_closes_nobody_else(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let agency = app.agency(FOCAL).await;
    for login in ["quantri1", "quantri2"] {
        let new = account(agency, login, Role::Administrator);
        accounts::create_officer(&app.pool, "test", new, false).await.unwrap();
    }
    let (first, second) = (officer(&app, "quantri1").await, officer(&app, "quantri2").await);
    let desk = Authority::new(app.pool.clone());
    let asked = desk.close(&first, second.id);
    let closed = closed_meanwhile(&app.pool, first.id, asked).await;
    assert!(matches!(closed, Err(AuthorityError::Forbidden(_))), "{closed:?}");
    assert_eq!(officer(&app, "quantri2").await.id, second.id, "still open");
}

async fn officer(app: &TestApp, login: &str) -> Officer {
    let mut conn = app.pool.acquire().await.unwrap();
    officer_by_login(&mut conn, login).await.unwrap().expect("an open account").0
}

#[sqlx::test]
async fn a_key_that_is_revoked_before_the_body_has_arrived_decides_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let alert = app.submitted(&writer).await;
    let approval = app.approval_of(&approver, &alert).await.to_string();
    let (pool, officer) = (app.pool.clone(), approver.id);
    // Nobody asks for the body before the key was looked at.
    let slow = futures_util::stream::once(async move {
        sqlx::query("update api_key set revoked_at = now() where officer_id = $1")
            .bind(officer.0)
            .execute(&pool)
            .await
            .map(|_| approval)
    });
    let request = Request::post(format!("/v1/review/alerts/{}/approve", id(&alert)))
        .header(header::AUTHORIZATION, format!("Bearer {}", approver.key))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from_stream(slow))
        .unwrap();
    let service = loa::http::service(&app.state, utoipa_axum::router::OpenApiRouter::new());
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(app.count("select count(*) from decision").await, 0);
    let revoked = app.count("select count(*) from api_key where revoked_at is not null").await;
    assert_eq!(revoked, 1, "while the body was on its way");
}
