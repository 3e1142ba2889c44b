//! A notice whose task is lost, whose holder is dead or whose time has come goes out again: the due-scan's part, on a real broker.

use loa::clock::{Clock as _, SystemClock};
use loa::domain::broadcast::{Lane, Outcome};
use loa::domain::id::NoticeBatchId;
use loa::queue::{Consumer, Delivery, Publication, Publisher, Queue, Settle, Subscription, Task};
use loa::store::liveness::{self, Announcement, Liveness};
use loa::upkeep::due::Due;
use sqlx::PgPool;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::app::TestApp;
use crate::support::broker::{LIMIT, Vhost, consume, within};
use crate::support::notice::{LOCK, Recorder, notices, phones, state, told};
use crate::support::seed;

/// The scan of one process, and whoever takes notices off the queue.
struct Scanner {
    due: Due,
    tasks: UnboundedReceiver<Delivery>,
    consumer: Consumer,
}

impl Scanner {
    async fn start(app: &TestApp, vhost: &Vhost) -> Self {
        let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
        let publisher = Publisher::new(&outgoing);
        let subscription = Subscription::new(Queue::Notice, 8);
        let (consumer, tasks) = consume(&incoming, &publisher, subscription, |_| Settle::Ack);
        let bulk_hold = time::Duration::hours(6);
        let due = Due { pool: app.pool.clone(), publisher, bulk_hold };
        within(consumer.until_consuming(true)).await;
        Self { due, tasks, consumer }
    }

    /// What one scan lets out.
    async fn scan(&mut self) -> Vec<NoticeBatchId> {
        self.due.scan().await.expect("a scan");
        // One queue keeps its order: what came before this mark is all there is.
        let mark = self.mark().await;
        let mut seen = Vec::new();
        loop {
            match self.next().await {
                notice if notice == mark => return seen,
                notice => seen.push(notice),
            }
        }
    }

    /// Puts the task of a notice that does not exist into the queue.
    async fn mark(&self) -> NoticeBatchId {
        let batch = NoticeBatchId::new();
        let task = Publication::task(Task::NoticesV1 { batch }, Lane::Personal, None);
        within(self.due.publisher.publish(task)).await.expect("confirmed");
        batch
    }

    async fn next(&mut self) -> NoticeBatchId {
        let delivery = within(self.tasks.recv()).await.expect("a task");
        match Task::parse(&delivery.body) {
            Ok(Task::NoticesV1 { batch }) => batch,
            other => panic!("only notices are here: {other:?}"),
        }
    }
}

/// As if it had been told a while ago, its task gone to the broker, and the broker wiped.
async fn told_and_lost(app: &TestApp) -> NoticeBatchId {
    phones(&app.pool).await;
    let id = told(app).await;
    for statement in [
        "delete from outbox",
        "update notice_batch set created_at = created_at - interval '3 seconds'",
    ] {
        sqlx::query(statement).execute(&app.pool).await.unwrap();
    }
    id
}

async fn dispatcher(pool: &PgPool) -> Liveness {
    let announcement =
        Announcement { host: "test".into(), release: "0".into(), trusted_keys: vec!["k".into()] };
    Liveness::open(&seed::url_of(pool), &announcement).await.expect("the lock")
}

#[sqlx::test]
async fn a_notice_whose_task_was_lost_goes_out_again_until_it_is_delivered(pool: PgPool) {
    let (app, vhost) = (TestApp::start(pool).await, Vhost::create().await);
    let id = told_and_lost(&app).await;
    let mut scanner = Scanner::start(&app, &vhost).await;

    assert_eq!(scanner.scan().await, [id]);
    let (first, second, provider) =
        (notices(&app, LOCK), notices(&app, LOCK + 1), Recorder::default());
    // Should the task have come twice, to two dispatchers.
    first.deliver(id, &provider).await;
    second.deliver(id, &provider).await;
    assert_eq!(provider.addresses(), ["android-1", "apple-1"], "each phone once");
    assert_eq!(scanner.scan().await, [], "and that was that");
}

#[sqlx::test]
async fn a_notice_that_is_still_in_the_outbox_is_not_lost(pool: PgPool) {
    let (app, vhost) = (TestApp::start(pool).await, Vhost::create().await);
    told(&app).await;
    sqlx::query("update notice_batch set created_at = created_at - interval '1 hour'")
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(Scanner::start(&app, &vhost).await.scan().await, []);
}

#[sqlx::test]
async fn a_claim_that_was_refused_is_made_good_when_its_holder_dies(pool: PgPool) {
    let (app, vhost) = (TestApp::start(pool).await, Vhost::create().await);
    let id = told_and_lost(&app).await;
    let mut scanner = Scanner::start(&app, &vhost).await;
    let victim = dispatcher(&app.pool).await;
    loa::store::notice::claim(&app.pool, victim.lock_key(), id).await.unwrap().expect("nobody's");

    // The task comes to another dispatcher while the holder lives: refused, acknowledged, and nothing to bring back.
    let (other, provider) = (notices(&app, LOCK), Recorder::default());
    assert_eq!(other.deliver(id, &provider).await, Settle::Ack);
    assert_eq!(provider.addresses(), Vec::<String>::new());
    assert_eq!(scanner.scan().await, [], "its holder lives");

    // As if the process were killed: the connection goes without a word.
    drop(victim);
    let gone = async {
        while !liveness::live_dispatchers(&app.pool).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    within(gone).await;
    // Two seconds for whoever only lost its connection.
    let taken = async {
        loop {
            let taken = scanner.scan().await;
            if !taken.is_empty() {
                return taken;
            }
        }
    };
    assert_eq!(within(taken).await, [id]);
    assert_eq!(other.deliver(id, &provider).await, Settle::Ack);
    assert_eq!(provider.addresses(), ["android-1", "apple-1"]);
}

/// The queue of a province is never empty, and the dead one's notices must not wait until it is.
#[sqlx::test]
async fn a_dead_dispatchers_notices_go_out_again_while_others_still_wait_in_the_queue(
    pool: PgPool,
) {
    let (app, vhost) = (TestApp::start(pool).await, Vhost::create().await);
    let id = told_and_lost(&app).await;
    let mut scanner = Scanner::start(&app, &vhost).await;
    // Its lock is nobody's.
    sqlx::query("update notice_batch set holder = 99, claim = 1").execute(&app.pool).await.unwrap();
    scanner.consumer.pause();
    within(scanner.consumer.until_consuming(false)).await;
    let waiting = scanner.mark().await;
    scanner.due.scan().await.unwrap();

    scanner.consumer.resume();
    assert_eq!([scanner.next().await, scanner.next().await], [waiting, id]);
}

#[sqlx::test]
async fn a_notice_whose_next_attempt_is_due_goes_out_once(pool: PgPool) {
    let (app, vhost) = (TestApp::start(pool).await, Vhost::create().await);
    let id = told_and_lost(&app).await;
    let mut scanner = Scanner::start(&app, &vhost).await;
    let provider = Recorder::answering("apple-1", &[Outcome::Due]);
    let dispatcher = notices(&app, LOCK);
    dispatcher.deliver(id, &provider).await;
    assert_eq!(scanner.scan().await, [], "before its time");

    sqlx::query("update notice_batch set due_at = clock_timestamp()")
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(scanner.scan().await, [id]);
    dispatcher.deliver(id, &provider).await;
    assert_eq!(provider.addresses(), ["android-1", "apple-1", "apple-1"]);
    assert_eq!(scanner.scan().await, []);
}

#[sqlx::test]
async fn a_notice_whose_time_is_over_is_brought_back_to_be_closed(pool: PgPool) {
    let (app, vhost) = (TestApp::start(pool).await, Vhost::create().await);
    let id = told_and_lost(&app).await;
    let mut scanner = Scanner::start(&app, &vhost).await;
    // Nothing can be sent, so it waits; the wait ends with its time.
    sqlx::query("delete from notice_template").execute(&app.pool).await.unwrap();
    sqlx::query("update notice_batch set expires_at = clock_timestamp() + interval '1 second'")
        .execute(&app.pool)
        .await
        .unwrap();
    let (dispatcher, provider) = (notices(&app, LOCK), Recorder::default());
    dispatcher.deliver(id, &provider).await;
    let begun = SystemClock.instant();
    while scanner.scan().await.first() != Some(&id) {
        assert!(SystemClock.instant() - begun < LIMIT, "it waits beyond its time");
    }
    // The gate of a test hears one beat and counts on from there.
    while state(&app).await != 2 {
        assert!(SystemClock.instant() - begun < LIMIT, "it is never closed");
        dispatcher.deliver(id, &provider).await;
        scanner.scan().await;
    }
    assert_eq!(provider.addresses(), Vec::<String>::new());
    assert_eq!(scanner.scan().await, []);
}
