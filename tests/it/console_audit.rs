//! The audit trail at the console: what is looked for is found, page by page; and what does not fit is said.

use std::sync::Arc;

use axum::http::StatusCode;
use loa::approval::Keys;
use loa::domain::account::Role;
use loa::domain::seal::{SealingKey, TrustedKeys};
use loa::identity::accounts;
use loa::store::audit;
use loa::upkeep::checkpoint::Checkpoints;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, raw_sql};

use crate::console_desk::{Desk, PASSWORD, Page};
use crate::public_world::World;
use crate::support::app::{FOCAL, account};

/// A console that believes one key, an auditor at it, and what signs with that key.
async fn overseen(pool: PgPool) -> (World, Desk, Checkpoints) {
    let world = World::today(pool).await;
    let agency = accounts::agency_by_code(&world.pool, FOCAL).await.unwrap();
    for role in
        [Role::Auditor, Role::Operator, Role::Administrator, Role::Approver, Role::Submitter]
    {
        let new = account(agency, &format!("xem.{}", role.as_str()), role);
        let id = accounts::create_officer(&world.pool, "test", new, false).await.unwrap();
        accounts::set_password(&world.pool, "test", id, PASSWORD).await.unwrap();
    }
    let key = Arc::new(SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap());
    let trusted = TrustedKeys::of([("test-1".to_owned(), key.public())]);
    let keys = Keys { sealing: Some(key.clone()), trusted: trusted.clone() };
    let mut desk = Desk::before(&world, keys, true);
    desk.sign_in("xem.auditor", PASSWORD).await;
    let checkpoints = Checkpoints::new(world.pool.clone(), key, trusted);
    (world, desk, checkpoints)
}

async fn write(pool: &PgPool, actor: &str, action: &str, subject: &str, count: usize) {
    for at in 0..count {
        let mut tx = pool.begin().await.unwrap();
        audit::append(&mut tx, actor, action, subject, json!({ "at": at })).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// As the owner of the database, who stops at nothing.
async fn force(pool: &PgPool, sql: &str) {
    let sql = format!(
        "alter table audit disable trigger user; alter table audit_checkpoint disable trigger user; {sql}"
    );
    raw_sql(AssertSqlSafe(sql)).execute(pool).await.expect("the owner may");
}

fn entries(page: &Page) -> usize {
    page.html.matches("<li><p class=\"facts\">").count()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn every_question_finds_what_answers_it_and_nothing_else(pool: PgPool) {
    let (world, mut desk, _) = overseen(pool).await;
    let pool = &world.pool;
    let who = accounts::officer_by_login(pool, "xem.operator").await.unwrap().to_string();
    write(pool, &who, "broadcast.pause", "dot-1", 2).await;
    write(pool, "system", "broadcast.pause", "dot-2", 1).await;
    write(pool, "system", "alert.begun", "dot-2", 3).await;
    force(pool, "update audit set at = '2026-03-05 16:59:59.9+00' where subject = 'dot-1'; update audit set at = '2026-03-05 17:00+00' where action = 'alert.begun'").await;
    for (query, found) in [
        ("actor=xem.operator&action=broadcast.pause", 2),
        ("actor=XEM.Operator&subject=dot-1", 2),
        (&format!("actor={who}&subject=dot-1"), 2),
        ("actor=system", 4),
        ("action=broadcast.pause", 3),
        ("subject=dot-2", 4),
        ("subject=+dot-2+&action=alert.begun", 3),
        ("from=2026-03-05&to=2026-03-05", 2),
        ("from=2026-03-06&to=2026-03-06", 3),
        ("from=2026-03-05&to=2026-03-06&actor=system", 3),
        ("actor=nobody", 0),
        ("subject=%25", 0),
    ] {
        let page = desk.get(&format!("/console/audit?{query}")).await;
        assert_eq!((page.status, entries(&page)), (StatusCode::OK, found), "{query}");
    }
    let page = desk.get("/console/audit?subject=dot-1").await;
    for words in [
        "Tạm dừng phát",
        "broadcast.pause",
        &who,
        "<span class=\"quiet\">at</span> 1</dd>",
        "05/03/2026 23:59",
    ] {
        page.says(words);
    }
    desk.get("/console/audit?subject=dot-1&lang=en").await.says("Broadcast paused");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn pages_follow_one_another_without_a_gap_while_the_trail_grows(pool: PgPool) {
    let (world, mut desk, _) = overseen(pool).await;
    write(&world.pool, "máy & người", "alert.begun", "tin", 120).await;
    let mut path = "/console/audit?actor=m%C3%A1y+%26+ng%C6%B0%E1%BB%9Di".to_owned();
    let mut seen = Vec::new();
    for expected in [50, 50, 20] {
        let page = desk.get(&path).await;
        assert_eq!(entries(&page), expected, "{path}");
        let ats = page.html.split("<span class=\"quiet\">at</span> ").skip(1);
        seen.extend(ats.map(|rest| rest.split('<').next().unwrap().parse::<usize>().unwrap()));
        write(&world.pool, "máy & người", "alert.begun", "sau", 1).await;
        let next = page.html.split("class=\"button wide\" href=\"").nth(1);
        path = next
            .map_or_else(String::new, |rest| rest.split('"').next().unwrap().replace("&#38;", "&"));
    }
    assert_eq!(seen, (0..120).rev().collect::<Vec<_>>());
    assert!(path.is_empty(), "the last page leads nowhere: {path}");
    let odd = desk.get("/console/audit?before=nonsense").await;
    assert_eq!((odd.status, entries(&odd)), (StatusCode::OK, 50), "the first page");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_was_asked_wrongly_is_said_beside_its_field(pool: PgPool) {
    let (_world, mut desk, _) = overseen(pool).await;
    for (query, field) in [
        ("from=2026-11-21&to=2026-11-20", "to"),
        ("from=2026-02-30", "from"),
        ("to=%00", "to"),
        ("actor=a%00b", "actor"),
        ("action=a%0Ab", "action"),
        (&format!("subject={}", "x".repeat(201)), "subject"),
    ] {
        let page = desk.get(&format!("/console/audit?{query}")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        page.says(&format!("id=\"{field}-wrong\""));
        assert_eq!(entries(&page), 0, "{query}");
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_end_of_the_trail_is_checked_and_tampering_is_said(pool: PgPool) {
    let (world, mut desk, mut checkpoints) = overseen(pool).await;
    let pool = &world.pool;
    desk.get("/console/audit").await.says("Chưa có điểm ký nào");
    let signed = checkpoints.make().await.expect("signs").expect("something new").checkpoint;
    write(pool, "system", "alert.begun", "tin", 3).await;
    let page = desk.get("/console/audit").await;
    for words in [
        "<span class=\"fits\">Khớp</span>",
        &format!("đến mục {}", signed.seq),
        "Số mục ghi từ đó: 3; đã kiểm tra 3",
    ] {
        page.says(words);
    }

    force(pool, &format!("update audit set actor = 'x' where seq = {}", signed.seq + 2)).await;
    let page = desk.get("/console/audit").await;
    page.says("Không khớp");
    page.says(&format!("Mục {}: bị mất, bị sửa", signed.seq + 2));
    assert!(entries(&page) > 0, "it can still be read");
    desk.get("/console/audit?lang=en").await.says("It does not fit");
    desk.get("/console/audit?lang=vi").await.says("Không khớp");

    force(
        pool,
        &format!(
            "delete from audit where seq > {}; update audit set hash = sha256('x') where seq = {0}",
            signed.seq
        ),
    )
    .await;
    desk.get("/console/audit").await.says("không còn là mục đã được ký ở điểm ký số 1");
    force(pool, "update audit_checkpoint set signature = sha256('x') || sha256('y')").await;
    desk.get("/console/audit").await.says("chữ ký không đúng");
    force(pool, "update audit_checkpoint set key_id = 'other'").await;
    desk.get("/console/audit").await.says("không biết khóa đã ký, other");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_long_tail_is_not_walked_to_its_end_on_a_page(pool: PgPool) {
    let (world, mut desk, mut checkpoints) = overseen(pool).await;
    checkpoints.make().await.expect("signs");
    write(&world.pool, "system", "alert.begun", "tin", 1_005).await;
    desk.get("/console/audit").await.says("Số mục ghi từ đó: 1.005; đã kiểm tra 1.000");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn overseers_and_nobody_else_find_the_pages_and_their_links(pool: PgPool) {
    let (_world, desk, _) = overseen(pool).await;
    for (login, may) in [
        ("xem.auditor", true),
        ("xem.operator", true),
        ("xem.administrator", true),
        ("xem.approver", false),
        ("xem.submitter", false),
    ] {
        let mut desk = desk.beside(login).await;
        for path in ["/console/audit", "/console/devices"] {
            let page = desk.get(path).await;
            let status = if may { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(page.status, status, "{login} {path}");
            assert_eq!(page.html.contains("href=\"/console/audit\""), may, "{login} {path}");
        }
    }
}
