//! What cannot be worked on is set aside with its reason, the rest goes on, and it can be sent back.

use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use loa::domain::broadcast::Lane;
use loa::domain::device::Provider;
use loa::domain::id::{BroadcastId, NoticeBatchId};
use loa::queue::dead::{self, Filter, Replayed};
use loa::queue::{Delivery, Exchange, Publication, Publisher, Queue, Settle, Subscription, Task};

use crate::support::broker::{Vhost, consume, within};

fn by_content(delivery: &Delivery) -> Settle {
    match Task::parse(&delivery.body) {
        Ok(_) => Settle::Ack,
        Err(error) => Settle::Dead(error.to_string()),
    }
}

fn notice(body: &[u8], id: &str) -> Publication {
    Publication::new(Exchange::Work, "notice", body.to_vec(), id, None)
}

#[tokio::test]
async fn malformed_and_foreign_messages_become_dead_letters_and_the_consumer_goes_on() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let good = Task::NoticesV1 { batch: NoticeBatchId::new() };
    let page = vec![
        notice(b"\xff\xfe not JSON", "malformed"),
        notice(br#"{"kind":"notice_v9","notice":1}"#, "foreign"),
        notice(br#"{"kind":"notices_v1"}"#, "incomplete"),
        Publication::task(good, Lane::Personal, None),
    ];
    assert!(within(publisher.publish_all(page)).await.iter().all(Result::is_ok));

    let (consumer, mut seen) =
        consume(&incoming, &publisher, Subscription::new(Queue::Notice, 1), by_content);
    let mut last = None;
    for _ in 0..4 {
        last = seen.recv().await;
    }
    assert_eq!(Task::parse(&last.expect("delivered").body), Ok(good));
    within(consumer.drain(Duration::from_secs(5))).await;

    let letters = within(dead::list(&incoming, 10)).await.expect("listed");
    let reasons: Vec<_> = letters
        .iter()
        .map(|letter| (letter.message_id.as_deref(), letter.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (Some("malformed"), "not a task: not JSON, line 1 column 1"),
            (Some("foreign"), "unknown kind of task \"notice_v9\": written by a newer release?"),
            (Some("incomplete"), "not a task: a field is missing or has the wrong type"),
        ]
    );
    for letter in &letters {
        assert_eq!(letter.queue.as_deref(), Some("notice"));
        assert_eq!(letter.origin, Some(("loa.work".into(), "notice".into())));
    }
    // Looking takes nothing away; the broker puts back what was looked at a moment after the channel is closed.
    within(async {
        while dead::list(&incoming, 10).await.expect("listed") != letters {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_that_comes_back_too_often_is_set_aside_by_the_broker() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let task =
        Task::PushV1 { broadcast: BroadcastId::new(), provider: Provider::WebPush, first: 1 };
    within(publisher.publish(Publication::task(task, Lane::Bulk, None))).await.expect("confirmed");

    // The queue of the dead is consumed as well: the arrival there is the event this test waits for.
    let watch = Subscription::new(Queue::Dead, 1);
    let (_watching, mut letters) = consume(&incoming, &publisher, watch, |_| Settle::Ack);
    let subscription = Subscription {
        requeue_pause: Duration::ZERO,
        ..Subscription::new(Queue::Bulk(Provider::WebPush), 1)
    };
    let (_consumer, mut seen) = consume(&incoming, &publisher, subscription, |_| Settle::Requeue);

    let letter = within(letters.recv()).await.expect("set aside");
    assert_eq!(Task::parse(&letter.body), Ok(task));
    let mut deliveries = 0;
    while seen.try_recv().is_ok() {
        deliveries += 1;
    }
    assert_eq!(deliveries, 21, "once, and twenty times again");
}

#[tokio::test]
async fn dead_letters_go_back_to_where_they_came_from_when_somebody_says_so() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let (consumer, mut seen) =
        consume(&incoming, &publisher, Subscription::new(Queue::Notice, 1), |delivery| {
            Settle::Dead(format!(
                "no template for {}",
                delivery.message_id.as_deref().unwrap_or_default()
            ))
        });
    for id in ["a", "b", "c"] {
        within(publisher.publish(notice(b"{}", id))).await.expect("confirmed");
        within(seen.recv()).await.expect("delivered");
    }
    within(consumer.drain(Duration::from_secs(5))).await;

    let only_b = Filter { reason: Some("for b".into()), ..Filter::default() };
    let replayed =
        within(dead::replay(&incoming, &publisher, &only_b, 10)).await.expect("replayed");
    assert_eq!(replayed, Replayed { moved: 1, left: 2, stuck: 0 });

    let (consumer, mut seen) =
        consume(&incoming, &publisher, Subscription::new(Queue::Notice, 1), |_| Settle::Ack);
    let back = within(seen.recv()).await.expect("delivered again");
    assert_eq!((back.message_id.as_deref(), back.body.as_slice()), (Some("b"), &b"{}"[..]));
    let limited =
        within(dead::replay(&incoming, &publisher, &Filter::default(), 1)).await.expect("replayed");
    assert_eq!(limited.moved, 1);
    assert_eq!(
        within(seen.recv()).await.expect("delivered again").message_id.as_deref(),
        Some("a")
    );
    within(consumer.drain(Duration::from_secs(5))).await;
    let left: Vec<_> = within(dead::list(&incoming, 10)).await.expect("listed");
    assert_eq!(
        left.iter().map(|letter| letter.message_id.as_deref()).collect::<Vec<_>>(),
        [Some("c")]
    );
}

#[tokio::test]
async fn whom_the_broker_vouched_for_survives_the_dead_letters_and_cannot_be_forged() {
    let vhost = Vhost::create().await;
    let agency = format!("agency-{}", vhost.name());
    vhost.create_user(&agency, "secret").await;
    vhost.allow(&agency, r"^alerts\.requests$", "^$").await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);

    let theirs = within(Connection::connect(
        &vhost.url_of(&agency, "secret"),
        ConnectionProperties::default(),
    ))
    .await
    .expect("the agency connects");
    let channel = theirs.create_channel().await.expect("a channel");
    let send = async |properties: BasicProperties| {
        let options = BasicPublishOptions::default();
        channel
            .basic_publish("alerts.requests".into(), "create".into(), options, b"{}", properties)
            .await
            .expect("sent");
    };
    let properties =
        BasicProperties::default().with_message_id("1".into()).with_reply_to("answers".into());
    send(properties.clone().with_user_id(agency.as_str().into())).await;
    let mut forged = lapin::types::FieldTable::default();
    forged.insert("loa-user-id".into(), lapin::types::AMQPValue::LongString("the-ministry".into()));
    send(properties.clone().with_message_id("2".into()).with_headers(forged)).await;

    let subscription = Subscription::new(Queue::AlertRequests, 1);
    let (consumer, mut seen) =
        consume(&incoming, &publisher, subscription, |_| Settle::Dead("not today".into()));
    let (first, second) = (
        within(seen.recv()).await.expect("delivered"),
        within(seen.recv()).await.expect("delivered"),
    );
    assert_eq!(
        (first.user_id.as_ref(), first.reply_to.as_deref()),
        (Some(&agency), Some("answers"))
    );
    assert_eq!(second.user_id, None, "a header of the sender's own says nothing");
    within(consumer.drain(Duration::from_secs(5))).await;

    within(dead::replay(&incoming, &publisher, &Filter::default(), 10)).await.expect("replayed");
    let (_consumer, mut seen) = consume(&incoming, &publisher, subscription, |_| Settle::Ack);
    for expected in [first, second] {
        let again = within(seen.recv()).await.expect("delivered again");
        assert_eq!(again.message_id, expected.message_id);
        assert_eq!(again.reply_to.as_deref(), Some("answers"));
        // The forged header was carried along by us, but only the broker's word for the sender counts.
        assert_eq!(again.user_id, expected.user_id, "message {:?}", again.message_id);
    }
    vhost.forget_user(&agency).await;
}
