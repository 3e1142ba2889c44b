//! Who may work on a batch, and whose word about it counts.

use std::time::Duration;

use loa::broadcast::control;
use loa::clock::{Clock as _, SystemClock};
use loa::delivery::gate::SILENCE;
use loa::domain::broadcast::{Lane, Tally};
use loa::domain::device::Provider;
use loa::domain::error_kind::ErrorCounts;
use loa::domain::id::{AlertId, BroadcastId};
use loa::domain::timing::Begins;
use loa::store::batch::{self, BatchKey, Claim, Claimed, Next, PlannedRange, Settled};
use loa::store::broadcast::{self, NewBroadcast, Steering};
use loa::store::liveness::{self, Announcement, Liveness};
use sqlx::PgPool;

use crate::support::seed;

const ALL_ACCEPTED: Tally = Tally {
    accepted: 3,
    gone: 0,
    refused: 0,
    failed: 0,
    expired: 0,
    stopped: 0,
    withdrawn: 0,
    unknown: 0,
    pending: 0,
};

async fn dispatcher(pool: &PgPool) -> Liveness {
    let announcement =
        Announcement { host: "test".into(), release: "0".into(), trusted_keys: vec!["k".into()] };
    Liveness::open(&seed::url_of(pool), &announcement).await.expect("the lock")
}

/// A broadcast with one batch of three devices.
async fn one_batch(pool: &PgPool) -> BatchKey {
    let alert = seed::live_alert(pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let id = new_broadcast(&mut conn, alert).await;
    let range = PlannedRange { first: 1, last: 5, planned: 3 };
    batch::insert(&mut conn, id, Provider::Fcm, &[range]).await.unwrap();
    BatchKey { broadcast: id, provider: Provider::Fcm, first: 1 }
}

async fn new_broadcast(conn: &mut sqlx::PgConnection, alert: AlertId) -> BroadcastId {
    let new = NewBroadcast {
        alert,
        lane: Lane::Emergency,
        expires: SystemClock.now() + time::Duration::hours(1),
        after_epoch: None,
        begins: Begins::Now,
        counts_for_day: false,
    };
    broadcast::create(conn, new, None).await.expect("a broadcast")
}

async fn claim(pool: &PgPool, by: &Liveness, key: BatchKey) -> Option<Claimed> {
    match batch::claim(pool, by.lock_key(), key).await.unwrap() {
        Claim::Taken(claimed) => Some(claimed),
        Claim::NotNow => None,
    }
}

async fn settle(pool: &PgPool, key: BatchKey, claim: i32, next: Next) -> bool {
    let settled = Settled {
        attempts: 1,
        ledger: Some(&[2, 0, 2, 0, 2]),
        errors: ErrorCounts::default(),
        tally: &ALL_ACCEPTED,
        next: &next,
    };
    batch::settle(pool, key, claim, &settled).await.unwrap()
}

#[sqlx::test]
async fn a_batch_belongs_to_its_dispatcher_while_it_lives_and_to_the_next_when_it_dies(
    pool: PgPool,
) {
    let key = one_batch(&pool).await;
    let (first, second) = (dispatcher(&pool).await, dispatcher(&pool).await);
    let held = claim(&pool, &first, key).await.expect("nobody has it");
    assert!(claim(&pool, &second, key).await.is_none(), "its holder lives");

    first.close().await.unwrap();
    let taken = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            // The server frees the lock when it has noticed the end of the connection.
            if let Some(taken) = claim(&pool, &second, key).await {
                return taken;
            }
        }
    });
    let taken = taken.await.expect("its holder is dead");
    assert!(taken.claim > held.claim);
    assert!(
        !settle(&pool, key, held.claim, Next::Final).await,
        "the dead one's word counts no more"
    );
    assert!(settle(&pool, key, taken.claim, Next::Final).await);
}

#[sqlx::test]
async fn a_final_batch_is_never_claimed_again(pool: PgPool) {
    let key = one_batch(&pool).await;
    let dispatcher = dispatcher(&pool).await;
    let claimed = claim(&pool, &dispatcher, key).await.unwrap();
    assert!(settle(&pool, key, claimed.claim, Next::Final).await);
    assert!(claim(&pool, &dispatcher, key).await.is_none());
    assert!(!settle(&pool, key, claimed.claim, Next::Final).await, "nor settled twice");
}

#[sqlx::test]
async fn a_batch_that_waits_is_left_alone_until_its_time(pool: PgPool) {
    let key = one_batch(&pool).await;
    let dispatcher = dispatcher(&pool).await;
    let claimed = claim(&pool, &dispatcher, key).await.unwrap();
    assert!(settle(&pool, key, claimed.claim, Next::DueIn(Duration::from_hours(1))).await);
    assert!(claim(&pool, &dispatcher, key).await.is_none());
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(batch::take_due(&mut conn, 10).await.unwrap(), []);
    broadcast::request_stop(&mut conn, key.broadcast).await.unwrap().expect("it was open");
    let due = batch::take_due(&mut conn, 10).await.unwrap();
    assert_eq!(due, [(key, "emergency".to_owned())], "a stop brings it back at once, to be closed");
}

#[sqlx::test]
async fn invariant_3_an_alert_has_exactly_one_broadcast(pool: PgPool) {
    let alert = seed::live_alert(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    new_broadcast(&mut conn, alert).await;
    let twice = NewBroadcast {
        alert,
        lane: Lane::Emergency,
        expires: SystemClock.now(),
        after_epoch: None,
        begins: Begins::Now,
        counts_for_day: false,
    };
    assert!(broadcast::create(&mut conn, twice, None).await.is_err());
}

#[sqlx::test]
async fn invariant_4_the_database_refuses_a_sum_that_is_not_the_plan(pool: PgPool) {
    let key = one_batch(&pool).await;
    let dispatcher = dispatcher(&pool).await;
    let claimed = claim(&pool, &dispatcher, key).await.unwrap();
    let short = Tally { accepted: 2, ..Tally::default() };
    let next = Next::Final;
    let settled = Settled {
        attempts: 1,
        ledger: None,
        errors: ErrorCounts::default(),
        tally: &short,
        next: &next,
    };
    let refused = batch::settle(&pool, key, claimed.claim, &settled).await.unwrap_err();
    assert_eq!(refused.broken_constraint(), Some("batch_adds_up"));
}

#[sqlx::test]
async fn a_dispatcher_is_alive_exactly_while_it_holds_its_lock(pool: PgPool) {
    let dispatcher = dispatcher(&pool).await;
    let live = liveness::live_dispatchers(&pool).await.unwrap();
    assert_eq!(live.iter().map(|live| live.id).collect::<Vec<_>>(), [dispatcher.id()]);
    assert_eq!(live[0].trusted_keys, ["k"]);
    // As if the process were killed: the connection goes without a word.
    drop(dispatcher);
    until_nobody_lives(&pool).await;
}

async fn until_nobody_lives(pool: &PgPool) {
    let gone = async {
        while !liveness::live_dispatchers(pool).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the server frees the lock");
}

/// What a scan lets go, were a lost dispatcher to go on for `silence`.
async fn release(conn: &mut sqlx::PgConnection, silence: Duration) -> usize {
    let (patience, hold) = (Duration::from_hours(1), time::Duration::hours(6));
    broadcast::release(conn, silence, patience, hold).await.unwrap()
}

#[sqlx::test]
async fn a_recall_waits_until_every_dispatcher_has_obeyed_the_stop(pool: PgPool) {
    let (original, recall) = (seed::live_alert(&pool).await, seed::live_alert(&pool).await);
    let mut dispatcher = dispatcher(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let stopped = new_broadcast(&mut conn, original).await;
    let epoch = broadcast::request_stop(&mut conn, stopped).await.unwrap().expect("it was open");
    let new = NewBroadcast {
        alert: recall,
        lane: Lane::Emergency,
        expires: SystemClock.now() + time::Duration::hours(1),
        after_epoch: Some(epoch),
        begins: Begins::Now,
        counts_for_day: false,
    };
    broadcast::create(&mut conn, new, None).await.unwrap();
    assert_eq!(release(&mut conn, SILENCE).await, 0, "not yet obeyed");
    dispatcher.acknowledge(epoch, Some(epoch), 0, &serde_json::json!({})).await.unwrap();
    assert_eq!(release(&mut conn, SILENCE).await, 1);
}

#[sqlx::test]
async fn invariant_5_a_dispatcher_that_lost_its_connection_has_not_obeyed_until_it_must_have_noticed(
    pool: PgPool,
) {
    let (original, recall) = (seed::live_alert(&pool).await, seed::live_alert(&pool).await);
    let lost = dispatcher(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let stopped = new_broadcast(&mut conn, original).await;
    let epoch = broadcast::request_stop(&mut conn, stopped).await.unwrap().expect("it was open");
    let new = NewBroadcast {
        alert: recall,
        lane: Lane::Emergency,
        expires: SystemClock.now() + time::Duration::hours(1),
        after_epoch: Some(epoch),
        begins: Begins::Now,
        counts_for_day: false,
    };
    broadcast::create(&mut conn, new, None).await.unwrap();
    // The connection goes; the process may still be pushing.
    let id = lost.id().to_string();
    drop(lost);
    until_nobody_lives(&pool).await;
    let long = Duration::from_hours(1);
    assert_eq!(
        liveness::unaware_dispatchers(&mut conn, long).await.unwrap(),
        [format!("test {id}")]
    );
    assert_eq!(release(&mut conn, long).await, 0, "nobody has noted since when");
    liveness::note_lost(&mut conn).await.unwrap();
    assert_eq!(release(&mut conn, long).await, 0, "it may not have noticed yet");
    assert_eq!(release(&mut conn, Duration::ZERO).await, 1, "it must have");
    let unaware = liveness::unaware_dispatchers(&mut conn, Duration::ZERO).await.unwrap();
    assert_eq!(unaware, Vec::<String>::new());
}

#[sqlx::test]
async fn a_stop_is_confirmed_when_a_lost_dispatcher_must_have_noticed_and_not_before(pool: PgPool) {
    let alert = seed::live_alert(&pool).await;
    let lost = dispatcher(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let on_air = new_broadcast(&mut conn, alert).await;
    drop(lost);
    until_nobody_lives(&pool).await;
    let epoch = broadcast::request_stop(&mut conn, on_air).await.unwrap().expect("it was open");
    let asked_at: time::OffsetDateTime =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut *conn).await.unwrap();
    let told = control::confirm(&pool, &SystemClock, on_air, epoch).await.unwrap();
    assert!(told.confirmed, "{told:?}");
    let silence: bool = sqlx::query_scalar(
        "select clock_timestamp() >= $1 + make_interval(secs => $2) - interval '1 millisecond'",
    )
    .bind(asked_at)
    .bind(SILENCE.as_secs_f64())
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert!(silence, "within the second it may still have pushed");
}

#[sqlx::test]
async fn two_claims_on_what_a_dead_dispatcher_held_do_not_refuse_each_other(pool: PgPool) {
    let key = one_batch(&pool).await;
    let (dead, next) = (dispatcher(&pool).await, dispatcher(&pool).await);
    claim(&pool, &dead, key).await.expect("nobody has it");
    let of_the_dead = dead.lock_key();
    dead.close().await.unwrap();
    // As a claim on another of its batches does, for the length of its transaction.
    let mut other = pool.begin().await.unwrap();
    let tried = "select pg_try_advisory_xact_lock_shared($1)";
    let free = async {
        while !sqlx::query_scalar::<_, bool>(tried)
            .bind(of_the_dead)
            .fetch_one(&mut *other)
            .await
            .unwrap()
        {}
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.expect("the server frees the lock");
    assert!(claim(&pool, &next, key).await.is_some());
    other.rollback().await.unwrap();
}

#[sqlx::test]
async fn what_a_dead_dispatcher_held_goes_out_once_more_however_full_the_queue(pool: PgPool) {
    let key = one_batch(&pool).await;
    let (dead, other) = (dispatcher(&pool).await, dispatcher(&pool).await);
    claim(&pool, &dead, key).await.expect("nobody has it");
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(batch::take_orphaned(&mut conn, 10).await.unwrap(), [], "its holder lives");
    // Its task came to another while the lock was still held: refused, and acknowledged.
    assert!(claim(&pool, &other, key).await.is_none());
    drop(dead);
    let orphaned = async {
        loop {
            liveness::note_lost(&mut conn).await.unwrap();
            let orphaned = batch::take_orphaned(&mut conn, 10).await.unwrap();
            if !orphaned.is_empty() {
                return orphaned;
            }
        }
    };
    let orphaned = tokio::time::timeout(Duration::from_secs(10), orphaned).await.expect("in time");
    assert_eq!(orphaned, [(key, "emergency".to_owned())]);
    assert_eq!(batch::take_orphaned(&mut conn, 10).await.unwrap(), [], "each once");
    assert!(claim(&pool, &other, key).await.is_some());
}

#[sqlx::test]
async fn a_person_lets_a_broadcast_with_a_doubtful_seal_go_on(pool: PgPool) {
    let key = one_batch(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    broadcast::park(&mut conn, key.broadcast, "no such key").await.unwrap();
    let before = broadcast::steered(&mut conn).await.unwrap();
    assert_eq!(before, [(key.broadcast, Steering::Held)]);
    let epoch = broadcast::set_paused(&mut conn, key.broadcast, false).await.unwrap();
    assert!(epoch.is_some(), "the fleet is told");
    assert_eq!(broadcast::steered(&mut conn).await.unwrap(), []);
    assert_eq!(broadcast::set_paused(&mut conn, key.broadcast, false).await.unwrap(), None);
}

#[sqlx::test]
async fn new_bulk_is_held_while_an_emergency_is_live(pool: PgPool) {
    let (emergency, news) = (seed::live_alert(&pool).await, seed::live_alert(&pool).await);
    let mut conn = pool.acquire().await.unwrap();
    new_broadcast(&mut conn, emergency).await;
    let bulk = NewBroadcast {
        alert: news,
        lane: Lane::Bulk,
        expires: SystemClock.now() + time::Duration::hours(1),
        after_epoch: None,
        begins: Begins::Now,
        counts_for_day: false,
    };
    broadcast::create(&mut conn, bulk, None).await.unwrap();
    assert_eq!(release(&mut conn, SILENCE).await, 0);
    seed::end(&pool, emergency).await;
    assert_eq!(release(&mut conn, SILENCE).await, 1);
}

#[sqlx::test]
async fn a_successor_waits_until_nothing_more_starts_and_what_did_is_answered_or_never_will_be(
    pool: PgPool,
) {
    let mut sending = dispatcher(&pool).await;
    let alert = seed::live_alert(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let epoch = sending.ping(Duration::from_secs(1)).await.unwrap().epoch + 1;
    let new = NewBroadcast {
        alert,
        lane: Lane::Emergency,
        expires: SystemClock.now() + time::Duration::hours(1),
        after_epoch: Some(epoch),
        begins: Begins::Now,
        counts_for_day: false,
    };
    let id = broadcast::create(&mut conn, new, None).await.expect("a broadcast");
    let minute = Duration::from_mins(1);
    let let_go = async || {
        let mut conn = pool.acquire().await.unwrap();
        broadcast::release(&mut conn, minute, minute, time::Duration::hours(6)).await.unwrap()
    };
    assert_eq!(let_go().await, 0, "a request of its original could still start");
    // Seven have started and were not answered: an older message that comes last would stand on the phone.
    let parked = serde_json::json!({});
    sending.acknowledge(epoch, None, 7, &parked).await.unwrap();
    assert_eq!(let_go().await, 0);
    sending.acknowledge(epoch, Some(epoch - 1), 3, &parked).await.unwrap();
    assert_eq!(let_go().await, 0, "another stop's");
    sending.acknowledge(epoch, Some(epoch), 0, &parked).await.unwrap();
    assert_eq!(let_go().await, 1);
    let found = broadcast::find(&mut conn, id).await.unwrap().expect("it is there");
    assert_eq!(found.state, broadcast::BroadcastState::Planning);

    // Its provider answers nobody: the correction is sent all the same, and the phone goes by the version (docs/app.md, 4).
    let new =
        NewBroadcast { alert: seed::live_alert(&pool).await, after_epoch: Some(epoch + 1), ..new };
    let id = broadcast::create(&mut conn, new, None).await.expect("a broadcast");
    sending.acknowledge(epoch + 1, None, 7, &parked).await.unwrap();
    assert_eq!(let_go().await, 0);
    let later = "update broadcast set created_at = created_at - interval '3 seconds' where id = $1";
    sqlx::query(later).bind(id.0).execute(&mut *conn).await.unwrap();
    assert_eq!(let_go().await, 1);
}
