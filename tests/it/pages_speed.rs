//! How long every page takes where there is much: 10,000 alerts and a million devices. Measured, not guessed.
//!
//! `cargo test --profile timed --locked --features sim --test it -- --ignored --nocapture every_page_answers`

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use loa::clock::{Clock as _, SystemClock};
use loa::domain::account::Role;
use loa::queue::Publisher;
use loa::upkeep::census::Census;
use loa::upkeep::figures::Figures;
use loa::web::public;
use sqlx::PgPool;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::console_desk::{Desk, PASSWORD, devices};
use crate::console_operate::person;
use crate::console_operate_letters as letters;
use crate::console_pages::key;
use crate::public_world::World;
use crate::reports_speed;
use crate::support::broker::Vhost;

/// What a page may take.
const LIMIT: Duration = Duration::from_millis(50);
/// Times each is asked for.
const TIMES: usize = 40;

/// Beside the alerts, half of which are the writer's agency's: probes of a week and a year of counted devices.
const FILL: [&str; 3] = [
    "update alert set agency_id = (select agency_id from officer where login = 'truc') where id::text ~ '[0-7]$'",
    "insert into canary_probe (id, provider, begun_at, every_seconds, host, devices, accepted, outcome, took_ms)
     select gen_random_uuid(), p, clock_timestamp() - n * interval '5 minutes', 300, 'h', 1, 1, 'accepted', 80 from generate_series(0, 2015) n, generate_series(0, 2) p",
    "insert into device_census (day, provider, app_version, language, count)
     select current_date - n, p, '1.' || v, l, 10000 from generate_series(1, 400) n, generate_series(0, 2) p, generate_series(1, 10) v, unnest(array['vi', 'en', 'tay', 'mong']) l",
];

/// One broadcast to all of the million, under way, in which things go wrong.
const UNDER_WAY: [&str; 4] = [
    "update broadcast set state = 'sending', planned_at = now(), forecast = '{20, 40, 60}' where id = $1",
    "insert into batch (broadcast_id, provider, first, last, planned, accepted, gone, pending, state, errors)
     select $1, 0, n * 500, n * 500 + 499, 500, 440, 20, 40, 1, '{\"address_gone\": 20, \"throttled\": 130, \"unanswered\": 2}' from generate_series(1, 2000) n",
    "insert into sent_event (broadcast_id, name) values ($1, 'first_push')",
    "insert into reached (broadcast_id, percent, at, settled, accepted) select $1, n, now() + n * interval '1 second', n * 10100, n * 10000 from generate_series(0, 90) n",
];

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
#[ignore = "fills a database with a million devices and 1.1 million batches: a measurement, of use in an optimised build only"]
async fn every_page_answers_within_the_limit_at_ten_thousand_alerts_and_a_million_devices(
    pool: PgPool,
) {
    let world = World::today(pool).await;
    devices(&world, [600_000, 300_000, 100_000]).await;
    reports_speed::fill(&world.pool, "truc").await;
    for statement in FILL {
        sqlx::query(statement).execute(&world.pool).await.expect(statement);
    }
    let mut waiting = Vec::new();
    for _ in 0..40 {
        waiting.push(world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await);
    }
    let (decided, approved) = (waiting.pop().expect("forty"), waiting.pop().expect("forty"));
    let live = world.live("02-mua-lon-hoan-luu-bao").await;
    for _ in 0..20 {
        world.live("01-lu-quet-sat-lo-dat").await;
    }
    // Before the emergency, which it would not disturb.
    let census = Census { pool: world.pool.clone(), clock: world.clock.clone() };
    assert!(census.reach().await.expect("counted"));
    let mut approver = Desk::of(&world, key(), "duyet").await;
    let at = approver.approve(approved.id).await;
    let broadcast: Uuid = at.rsplit('/').next().and_then(|id| id.parse().ok()).expect("one");
    let alert = approved.id;
    for statement in UNDER_WAY {
        sqlx::query(statement).bind(broadcast).execute(&world.pool).await.expect(statement);
    }
    Figures { pool: world.pool.clone() }.round().await.expect("gathered");
    sqlx::query("vacuum analyze").execute(&world.pool).await.unwrap();
    let vhost = Vhost::create().await;
    let broker = vhost.broker("console").await;
    for _ in 0..15 {
        letters::lay(&broker).await;
    }
    let queues = (broker.clone(), Publisher::new(&broker));
    for (login, role) in
        [("vanhanh", Role::Operator), ("giamsat", Role::Auditor), ("quantri", Role::Administrator)]
    {
        person(&world, login, role).await;
    }
    let mut operator = Desk::before_queues(&world, key(), queues);
    operator.sign_in("vanhanh", PASSWORD).await;
    let auditor = operator.beside("giamsat").await;
    let administrator = operator.beside("quantri").await;
    let writer = approver.beside("truc").await;
    let of = |path: &str| path.to_owned();
    let year = "from=2025-01-01&to=2025-12-31";
    let pages = [
        (
            writer,
            vec![
                of("/console/alerts"),
                of("/console/write"),
                format!("/console/alerts/{alert}/follow"),
                format!("/console/reports?{year}"),
            ],
        ),
        (
            approver,
            vec![
                of("/console"),
                format!("/console/alerts/{}", decided.id),
                format!("/console/broadcasts/{broadcast}"),
                of("/console/alerts"),
                format!("/console/alerts/{alert}/follow"),
                format!("/console/reports?{year}"),
                of("/console/passkeys"),
                of("/console/sessions"),
            ],
        ),
        (
            operator,
            vec![
                of("/console/operate"),
                of("/console/operate/dead-letters"),
                of("/console/devices"),
            ],
        ),
        (
            auditor,
            vec![
                of("/console/audit"),
                of("/console/audit?action=alert.approved"),
                format!("/console/audit?subject={alert}"),
                format!("/console/reports?{year}"),
            ],
        ),
        (administrator, vec![of("/console/accounts")]),
    ];
    let mut slow = Vec::new();
    for (mut desk, paths) in pages {
        for path in paths {
            let mut took = Vec::new();
            for _ in 0..TIMES {
                let begun = SystemClock.instant();
                let page = desk.get(&path).await;
                took.push(SystemClock.instant() - begun);
                assert!(page.status.is_success(), "{path}: {} {}", page.status, page.html);
            }
            slow.extend(told(&path, took));
        }
    }
    let publication = world.publication();
    publication.look().await.unwrap();
    let public = Router::from(public::routes(publication));
    for path in
        [of("/public/alerts"), format!("/public/alerts/{}", live.id), of("/public/alerts.atom")]
    {
        let mut took = Vec::new();
        for _ in 0..TIMES {
            let request = Request::get(&path).header(header::ACCEPT, "text/html");
            let begun = SystemClock.instant();
            let answer =
                public.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            took.push(SystemClock.instant() - begun);
        }
        slow.extend(told(&path, took));
    }
    assert!(slow.is_empty() || cfg!(debug_assertions), "slower than {LIMIT:?}: {slow:#?}");
}

/// Says how long it took; hands it back when that is too long.
fn told(path: &str, mut took: Vec<Duration>) -> Option<String> {
    took.sort();
    let (median, worst) = (took[TIMES / 2], took[TIMES - 1]);
    let said = format!("{path}: median {median:.1?}, worst of {TIMES} {worst:.1?}");
    println!("{said}");
    (median > LIMIT).then_some(said)
}
