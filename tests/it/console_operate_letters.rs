//! Dead letters at the console: seen by those who watch, sent back by operators, once, and written down.

use std::time::Duration;

use axum::http::StatusCode;
use loa::domain::account::Role;
use loa::domain::broadcast::Lane;
use loa::domain::id::{BroadcastId, NoticeBatchId};
use loa::queue::{
    Broker, Exchange, Publication, Publisher, Queue, Settle, Subscription, Task, depth,
};
use sqlx::PgPool;

use crate::console_desk::{Desk, PASSWORD};
use crate::console_operate::person;
use crate::console_pages::key;
use crate::public_world::World;
use crate::support::broker::{Vhost, consume, within};

pub const HERE: &str = "/console/operate/dead-letters";
const REPLAY: &str = "/console/operate/dead-letters/replay";

/// What a stranger wrote: it must be on no page.
const PRIVATE: &str = "Nguyễn Thị Bí Mật 0912345678";

struct Post {
    world: World,
    _vhost: Vhost,
    broker: Broker,
    publisher: Publisher,
    broadcast: BroadcastId,
}

impl Post {
    /// Two notices, a batch and somebody else's event that nobody could work on.
    async fn with_letters(pool: PgPool) -> Self {
        let world = World::today(pool).await;
        for (login, role) in [("vanhanh", Role::Operator), ("giamsat", Role::Auditor)] {
            person(&world, login, role).await;
        }
        let vhost = Vhost::create().await;
        let broker = vhost.broker("console").await;
        let broadcast = lay(&broker).await;
        let publisher = Publisher::new(&broker);
        Self { world, _vhost: vhost, publisher, broker, broadcast }
    }

    async fn desk(&self, login: &str) -> Desk {
        let queues = (self.broker.clone(), self.publisher.clone());
        let mut desk = Desk::before_queues(&self.world, key(), queues);
        desk.sign_in(login, PASSWORD).await;
        desk
    }

    /// How much waits there now; letters that were looked at a moment ago come back to their queue by and by.
    async fn comes_to(&self, queue: Queue, count: u32) {
        let waiting = async {
            while self.broker.waiting(queue).await != Ok(count) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(10);
        let name = queue.name();
        tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| panic!("{count} in {name}"));
    }

    async fn written_down(&self) -> Vec<(String, serde_json::Value)> {
        sqlx::query_as("select o.login, a.detail from audit a join officer o on o.id::text = a.actor where a.action = 'dead_letters.replayed' order by a.seq")
            .fetch_all(&self.world.pool)
            .await
            .unwrap()
    }
}

/// Lays two notices, a plan and somebody else's event where dead letters lie. Says of which broadcast the plan is.
pub async fn lay(broker: &Broker) -> BroadcastId {
    let broadcast = BroadcastId::new();
    let words = || PRIVATE.as_bytes().to_vec();
    let strange = Publication::new(Exchange::Work, "notice", words(), "thu-1", None);
    let known = Task::NoticesV1 { batch: NoticeBatchId::new() };
    let plan = Publication::task(Task::PlanV1 { broadcast }, Lane::Emergency, None);
    let event = Publication::new(Exchange::FeedbackEvents, "x", words(), "su-kien-9", None);
    dies(broker, Queue::Notice, strange, "mẫu 7 chưa được ký").await;
    let known = Publication::task(known, Lane::Personal, None);
    dies(broker, Queue::Notice, known, "mẫu 7 chưa được ký").await;
    dies(broker, Queue::Plan, plan, "không đọc được hàng").await;
    dies(broker, Queue::FeedbackEvents, event, "no validated user-id").await;
    broadcast
}

async fn dies(broker: &Broker, queue: Queue, message: Publication, reason: &'static str) {
    let publisher = Publisher::new(broker);
    within(publisher.publish(message)).await.expect("confirmed");
    let verdict = move |_: &_| Settle::Dead(reason.to_owned());
    let subscription = Subscription::new(queue, 1);
    let (consumer, mut seen) = consume(broker, &publisher, subscription, verdict);
    within(seen.recv()).await.expect("delivered");
    within(consumer.drain(Duration::from_secs(5))).await;
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_dead_letter_says_what_it_is_since_when_and_why_and_nothing_of_anybodys_words(
    pool: PgPool,
) {
    let post = Post::with_letters(pool).await;
    let mut desk = post.desk("vanhanh").await;
    desk.get("/console/operate")
        .await
        .says("Thư không xử lý được: <strong class=\"num\">4</strong>");
    post.comes_to(Queue::Dead, 4).await;
    let page = desk.get(HERE).await;
    assert_eq!(page.status, StatusCode::OK);
    page.says("<span class=\"num\">(4)</span>");
    page.says("mẫu 7 chưa được ký");
    page.says("Hệ thống phản ánh gửi tới");
    page.says(&format!("plan_v1:{}", post.broadcast));
    page.says(&format!("/console/broadcasts/{}", post.broadcast));
    page.says("1 KB, không hiện nội dung");
    let today = loa::domain::wording::moment(post.world.now);
    page.says(today.split(' ').next().unwrap());
    for private in ["Bí Mật", "0912345678"] {
        page.lacks(private);
    }
    post.comes_to(Queue::Dead, 4).await;
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn one_kind_goes_back_once_and_again_does_no_harm_and_both_are_written_down(pool: PgPool) {
    let post = Post::with_letters(pool).await;
    let mut desk = post.desk("vanhanh").await;
    let csrf = desk.get(HERE).await.csrf();
    post.comes_to(Queue::Dead, 4).await;

    let fields = [("csrf", csrf.as_str()), ("queue", "notice")];
    let sent = desk.post(REPLAY, &fields).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.html);
    post.comes_to(Queue::Notice, 2).await;
    post.comes_to(Queue::Dead, 2).await;
    desk.get(&sent.location).await.says("Đã gửi lại 2 thư.");
    post.comes_to(Queue::Dead, 2).await;

    let again = desk.post(REPLAY, &fields).await;
    assert_eq!(again.location, "/console/operate/dead-letters?sent=0&stuck=0");
    post.comes_to(Queue::Notice, 2).await;
    post.comes_to(Queue::Dead, 2).await;

    let one = [("csrf", csrf.as_str()), ("message_id", "su-kien-9")];
    assert!(desk.post(REPLAY, &one).await.location.contains("sent=1"));
    post.comes_to(Queue::FeedbackEvents, 1).await;
    post.comes_to(Queue::Dead, 1).await;
    assert!(desk.post(REPLAY, &[("csrf", csrf.as_str())]).await.location.contains("sent=1"));
    post.comes_to(Queue::Plan, 1).await;
    desk.get(HERE).await.says("Không có thư nào");

    let written = post.written_down().await;
    assert_eq!(written.len(), 4);
    assert!(written.iter().all(|(login, _)| login == "vanhanh"));
    assert_eq!(written[0].1["queue"], "notice");
    assert_eq!(written[2].1["message_id"], "su-kien-9");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn who_may_only_look_and_a_form_from_elsewhere_send_nothing_back(pool: PgPool) {
    let post = Post::with_letters(pool).await;
    let mut auditor = post.desk("giamsat").await;
    let page = auditor.get(HERE).await;
    page.says("mẫu 7 chưa được ký");
    page.lacks(REPLAY);
    let csrf = page.csrf();
    post.comes_to(Queue::Dead, 4).await;
    let refused = auditor.post(REPLAY, &[("csrf", &csrf)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    refused.says("Chưa gửi lại gì");

    let mut operator = post.desk("vanhanh").await;
    let csrf = operator.get("/console/sessions").await.csrf();
    let without = operator.post(REPLAY, &[("queue", "notice")]).await;
    assert_eq!(without.status, StatusCode::FORBIDDEN);
    let elsewhere = operator.post_from("cross-site", REPLAY, &[("csrf", &csrf)]).await;
    assert_eq!(elsewhere.status, StatusCode::FORBIDDEN);

    post.comes_to(Queue::Dead, 4).await;
    assert!(post.written_down().await.is_empty());
    let nothing = operator.post(REPLAY, &[("csrf", &csrf), ("queue", "'; drop table")]).await;
    assert!(nothing.location.contains("sent=0"), "a queue that is none of ours has no letters");
    post.comes_to(Queue::Dead, 4).await;
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn with_the_broker_away_nothing_is_done_nor_written_down(pool: PgPool) {
    let post = Post::with_letters(pool).await;
    let mut desk = post.desk("vanhanh").await;
    let csrf = desk.get("/console/sessions").await.csrf();
    post.broker.close();
    crate::support::broker::until_disconnected(&post.broker).await;
    let page = desk.get(HERE).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    page.says("RabbitMQ không trả lời");
    let sent = desk.post(REPLAY, &[("csrf", &csrf)]).await;
    assert_eq!(sent.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(post.written_down().await.is_empty());
    desk.get("/console/operate").await.says("answer no");
}

#[tokio::test]
async fn every_queue_is_asked_at_once_how_much_waits_and_who_takes_it() {
    let vhost = Vhost::create().await;
    let broker = vhost.broker("depths").await;
    let publisher = Publisher::new(&broker);
    let task = Task::PlanV1 { broadcast: BroadcastId::new() };
    within(publisher.publish(Publication::task(task, Lane::Bulk, None))).await.expect("confirmed");
    let (_consumer, _seen) =
        consume(&broker, &publisher, Subscription::new(Queue::Notice, 1), |_| Settle::Ack);
    let found = async {
        loop {
            let depths = depth::depths(&broker).await.expect("depths");
            let of = |queue| depths.iter().find(|depth| depth.queue == queue).expect("every queue");
            if (of(Queue::Plan).waiting, of(Queue::Notice).consumers) == (1, 1) {
                return depths;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let depths = within(found).await;
    let queues: Vec<Queue> = depths.iter().map(|depth| depth.queue).collect();
    assert_eq!(queues, Queue::all(), "in their order, none mistaken for another");
    vhost.wipe().await;
    assert!(depth::depths(&broker).await.is_err(), "a queue that is gone is said to be");
}
