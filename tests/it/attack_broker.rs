//! An attacker at the broker: forged, foreign, repeated and monstrous messages make nobody's phone ring, and the real alert beside them
//! reaches everybody once.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use loa::domain::broadcast::Lane;
use loa::domain::device::Provider;
use loa::domain::id::{BroadcastId, NoticeBatchId};
use loa::queue::{Exchange, Publication, Publisher, Queue, Task, dead, topology};
use serde_json::json;
use sqlx::PgPool;

use crate::support::broker::{Vhost, within};
use crate::support::fleet::{Fleet, Setup};

/// A message as an attacker writes it, straight into a queue of ours.
fn raw(queue: Queue, body: Vec<u8>, name: &str) -> Publication {
    Publication::new(Exchange::Work, queue.bound_to().1, body, name, None)
}

#[sqlx::test]
async fn forged_tasks_send_nothing_and_do_not_keep_the_real_alert_from_anybody(pool: PgPool) {
    let vhost = Vhost::create().await;
    let amqp_url = vhost.config().url.expose().clone();
    let setup = Setup { devices: 1_000, batch_size: 100, pace: 0, amqp_url };
    let mut fleet = Fleet::start(pool, &setup).await;
    let dispatcher = fleet.dispatch().await;
    let broker = vhost.broker("attacker").await;
    let publisher = Publisher::new(&broker);
    let unknown = BroadcastId::new();
    let urgent = Queue::of_lane(Lane::Emergency, Provider::Fcm);

    let push = |broadcast, first| Task::PushV1 { broadcast, provider: Provider::Fcm, first };
    let stranger = NoticeBatchId::new();
    let mut forged = vec![
        Publication::task(Task::PlanV1 { broadcast: unknown }, Lane::Emergency, None),
        Publication::task(push(unknown, 1), Lane::Emergency, None),
        Publication::task(push(unknown, i64::MIN), Lane::Bulk, None),
        Publication::task(Task::NoticesV1 { batch: stranger }, Lane::Personal, None),
        raw(urgent, Task::NoticesV1 { batch: stranger }.to_body(), "a notice among pushes"),
        raw(Queue::Notice, push(unknown, 1).to_body(), "a push among notices"),
        raw(urgent, b"\xff\xfe\x00".to_vec(), "garbage"),
        raw(urgent, b"[]".to_vec(), "no object"),
        raw(urgent, vec![b'['; 2 << 20], "deep"),
        raw(urgent, json!({"kind": "push_v1", "x": "y".repeat(8 << 20)}).to_string().into(), "huge"),
        raw(urgent, json!({"kind": "push_v2", "broadcast": unknown}).to_string().into(), "another version"),
        raw(urgent, json!({"kind": "push_v1", "broadcast": unknown, "provider": "sms", "first": 1}).to_string().into(), "another provider"),
        raw(urgent, json!({"kind": "push_v1", "broadcast": "1' or '1'='1", "provider": "fcm", "first": 1}).to_string().into(), "no id"),
        raw(urgent, json!({"kind": "push_v1", "broadcast": unknown, "provider": "fcm", "first": 1, "text": "Nắng đẹp", "tokens": ["x"]}).to_string().into(), "a text and a list"),
        raw(Queue::Plan, json!({"kind": "plan_v1", "broadcast": unknown, "audience": [1]}).to_string().into(), "an audience"),
    ];
    let count = forged.len();
    forged.reverse();
    assert!(within(publisher.publish_all(forged)).await.iter().all(Result::is_ok));
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    assert_eq!(told.tally.outcomes(), 1_000, "{told:#?}");

    // What is done is asked for again, and what belongs to it: batches that are settled, that never were, in the wrong lane, a second plan.
    let again = [
        Publication::task(push(on_air.broadcast, 1), Lane::Emergency, None),
        Publication::task(push(on_air.broadcast, 2), Lane::Emergency, None),
        Publication::task(push(on_air.broadcast, -5), Lane::Emergency, None),
        Publication::task(push(on_air.broadcast, 1), Lane::Bulk, None),
        Publication::task(Task::PlanV1 { broadcast: on_air.broadcast }, Lane::Emergency, None),
    ];
    let repeated = again.len();
    assert!(within(publisher.publish_all(again.into())).await.iter().all(Result::is_ok));
    let taken = async {
        while fleet.counted(dispatcher, "loa_messages_settled_total").await < 15.0 + 5.0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        for queue in Queue::all().into_iter().filter(|queue| *queue != Queue::Dead) {
            while !matches!(broker.waiting(queue).await, Ok(0) | Err(_)) {}
        }
    };
    within(taken).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    let other = fleet.app.count("select count(*) from broadcast").await;
    assert_eq!(other, 1, "no message makes a broadcast");
    let letters = within(dead::list(&broker, count + repeated)).await.expect("listed");
    assert!(letters.len() >= 11, "{} are kept with their reason", letters.len());
    for letter in letters {
        assert!(letter.reason.len() < 500 && !letter.reason.contains("yyyy"), "{}", letter.reason);
        assert!(!letter.reason.contains("Nắng đẹp"), "a reason never repeats the body");
    }
}

/// With the permissions of `queues/definitions.json`: whoever may tell events may not give tasks.
#[tokio::test]
async fn who_may_report_or_request_may_not_publish_tasks_nor_read_them() {
    let vhost = Vhost::create().await;
    let mut definitions = topology::definitions(vhost.name());
    let feedback = format!("feedback-{}", vhost.name());
    let agency = format!("agency-{}", vhost.name());
    let permissions = definitions["permissions"].as_array_mut().expect("a list");
    permissions.retain(|permission| permission["user"] == "feedback");
    permissions[0]["user"] = feedback.clone().into();
    for user in [&feedback, &agency] {
        vhost.create_user(user, "secret").await;
    }
    assert!(vhost.import(definitions).await.is_success());
    // As the handbook grants it to an agency's system.
    vhost.allow(&agency, r"^alerts\.requests$", "^$").await;

    let task = Task::PlanV1 { broadcast: BroadcastId::new() }.to_body();
    for (user, own) in [(&feedback, "feedback.events"), (&agency, "alerts.requests")] {
        let url = vhost.url_of(user, "secret");
        for exchange in ["loa.work", "loa.control", "loa.dead", "loa.events", ""] {
            let key = if exchange.is_empty() { "push.emergency.fcm" } else { "plan" };
            assert!(!publishes(&url, user, exchange, key, &task).await, "{user} to {exchange:?}");
        }
        assert!(publishes(&url, user, own, "told", b"{}").await, "{user} to {own}");
        assert!(!publishes(&url, "loa", own, "told", b"{}").await, "{user} in another's name");
        for queue in ["plan", "push.emergency.fcm", "notice", "dead", "alerts.requests"] {
            assert!(!reads(&url, queue).await, "{user} reads {queue}");
        }
    }
    for user in [&feedback, &agency] {
        vhost.forget_user(user).await;
    }
}

/// On a channel of its own, because a refusal closes it.
async fn publishes(url: &str, name: &str, exchange: &str, key: &str, body: &[u8]) -> bool {
    let connection =
        Connection::connect(url, ConnectionProperties::default()).await.expect("a user");
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let properties = BasicProperties::default().with_user_id(name.into());
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await;
    let confirmed = match sent {
        Ok(confirm) => within(confirm).await.is_ok_and(|confirmation| confirmation.is_ack()),
        Err(_) => false,
    };
    drop(connection.close(200, "".into()).await);
    confirmed
}

async fn reads(url: &str, queue: &str) -> bool {
    let connection =
        Connection::connect(url, ConnectionProperties::default()).await.expect("a user");
    let channel = connection.create_channel().await.expect("a channel");
    let got = channel.basic_get(queue.into(), lapin::options::BasicGetOptions::default()).await;
    drop(connection.close(200, "".into()).await);
    got.is_ok()
}
