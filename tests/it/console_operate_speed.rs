//! How long the operator's pages take where there is much: measured, not guessed.
//!
//! `cargo test --locked --release --features sim --test it -- --ignored --nocapture operate_with_ten_thousand`

use std::time::Duration;

use loa::clock::{Clock as _, SystemClock};
use loa::domain::account::Role;
use loa::queue::Publisher;
use sqlx::PgPool;

use crate::console_desk::{Desk, PASSWORD, devices};
use crate::console_operate::{HERE, person};
use crate::console_operate_letters as letters;
use crate::console_pages::key;
use crate::public_world::World;
use crate::support::broker::Vhost;

/// What the console's pages may take.
const LIMIT: Duration = Duration::from_millis(50);

/// Ten thousand alerts, each sent to half a million devices, three of them under way; seventy thousand entries of the trail; probes of a week.
const FILL: [&str; 6] = [
    "create temporary table made as
     select n, gen_random_uuid() as id, gen_random_uuid() as broadcast, now() - (10000 - n) * interval '52 minutes' as at from generate_series(1, 10000) n",
    "insert into alert (id, incident_id, agency_id, state, created_by, submitted_by, submitted_at, published_at, expires_at)
     select m.id, gen_random_uuid(), o.agency_id, 'expired', o.id, o.id, at, at, at + interval '1 day' from made m, officer o where o.login = 'truc'",
    "insert into broadcast (id, alert_id, lane, state, expires_at, created_at, planned_at, completed_at)
     select broadcast, id, case when n % 3 = 0 then 'emergency' else 'bulk' end, case when n > 9997 then 'sending' else 'completed' end,
            at + interval '1 day', at, at, case when n <= 9997 then at + interval '5 minutes' end from made",
    "insert into batch (broadcast_id, provider, first, last, planned, accepted, gone, pending, state)
     select broadcast, b % 3, b * 4000 + 1, b * 4000 + 4000, 4000, 3700, 300, 0, 2 from made, generate_series(0, 124) b",
    "insert into audit (seq, at, actor, action, subject, detail, previous, hash)
     select 1000 + row_number() over (order by at), at, 'x', 'alert.submitted', id::text, '{}', decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex') from made, generate_series(1, 7)",
    "insert into canary_probe (id, provider, begun_at, every_seconds, host, devices, accepted, outcome, took_ms)
     select gen_random_uuid(), p, clock_timestamp() - n * interval '5 minutes', 300, 'h', 1, 1, 'accepted', 80 from generate_series(0, 2015) n, generate_series(0, 2) p",
];

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
#[ignore = "fills a database with a million devices and 1.25 million batches; run it by hand after a change of these pages"]
async fn operate_with_ten_thousand_alerts_and_a_million_devices_answers_within_the_limit(
    pool: PgPool,
) {
    let world = World::today(pool).await;
    devices(&world, [600_000, 300_000, 100_000]).await;
    let mut conn = world.pool.acquire().await.unwrap();
    for statement in FILL {
        sqlx::query(statement).execute(&mut *conn).await.expect(statement);
    }
    drop(conn);
    sqlx::query("vacuum analyze").execute(&world.pool).await.unwrap();
    person(&world, "vanhanh", Role::Operator).await;
    let vhost = Vhost::create().await;
    let broker = vhost.broker("console").await;
    for _ in 0..15 {
        letters::lay(&broker).await;
    }
    let queues = (broker.clone(), Publisher::new(&broker));
    let mut desk = Desk::before_queues(&world, key(), queues);
    desk.sign_in("vanhanh", PASSWORD).await;
    for path in [HERE, letters::HERE, "/console"] {
        let mut took = Vec::new();
        for _ in 0..40 {
            let begun = SystemClock.instant();
            let page = desk.get(path).await;
            took.push(SystemClock.instant() - begun);
            assert!(page.status.is_success(), "{path}: {}", page.html);
        }
        took.sort();
        let (median, worst) = (took[20], took[39]);
        println!("{path}: median {median:?}, worst of 40 {worst:?}");
        assert!(median <= LIMIT, "{path}: {median:?}");
    }
}
