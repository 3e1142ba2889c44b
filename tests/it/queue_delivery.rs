//! A message that the broker took is handed out until it is settled, and only then.

use std::sync::Arc;
use std::time::Duration;

use loa::clock::SystemClock;
use loa::domain::broadcast::Lane;
use loa::domain::device::Provider;
use loa::domain::id::BroadcastId;
use loa::queue::{
    Exchange, Publication, PublishError, Publisher, Queue, Settle, Subscription, Task,
};
use loa::shutdown::Drained;
use loa::telemetry::TraceParent;
use tokio::sync::{Notify, mpsc};

use crate::support::broker::{Vhost, consume, within};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn batch(first: i64) -> Task {
    Task::PushV1 { broadcast: BroadcastId::new(), provider: Provider::Fcm, first }
}

#[tokio::test]
async fn a_task_arrives_as_it_was_sent_and_is_gone_once_acknowledged() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let task = batch(1);

    within(publisher.publish(Publication::task(task, Lane::Emergency, TraceParent::parse(TRACE))))
        .await
        .expect("confirmed");
    let subscription = Subscription::new(Queue::Emergency(Provider::Fcm), 4);
    let (consumer, mut seen) = consume(&incoming, &publisher, subscription, |_| Settle::Ack);
    let delivery = within(seen.recv()).await.expect("delivered");

    assert_eq!(Task::parse(&delivery.body), Ok(task));
    assert_eq!(delivery.message_id, Some(task.message_id()));
    assert_eq!(delivery.trace.expect("carried").as_str(), TRACE);
    assert_eq!(
        (delivery.exchange.as_str(), delivery.routing_key.as_str()),
        ("loa.work", "push.emergency.fcm")
    );
    assert_eq!((delivery.delivery_count, delivery.redelivered), (0, false));

    assert_eq!(within(consumer.drain(Duration::from_secs(5))).await, Drained::Completely);
    let (_again, mut seen) = consume(&incoming, &publisher, subscription, |_| Settle::Ack);
    let second = batch(2);
    within(publisher.publish(Publication::task(second, Lane::Emergency, None)))
        .await
        .expect("confirmed");
    let delivery = within(seen.recv()).await.expect("delivered");
    assert_eq!(
        Task::parse(&delivery.body),
        Ok(second),
        "the first was acknowledged, so only the second comes"
    );
}

#[tokio::test]
async fn a_thousand_messages_are_confirmed_together_and_each_arrives_once() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let page: Vec<_> =
        (0..2500).map(|first| Publication::task(batch(first), Lane::Bulk, None)).collect();

    let answers = within(publisher.publish_all(page)).await;

    assert!(
        answers.iter().all(Result::is_ok),
        "{:?}",
        answers.iter().find(|answer| answer.is_err())
    );
    let subscription =
        Subscription { prefetch: 200, ..Subscription::new(Queue::Bulk(Provider::Fcm), 50) };
    let (_consumer, mut seen) = consume(&incoming, &publisher, subscription, |_| Settle::Ack);
    let mut firsts = Vec::new();
    while firsts.len() < 2500 {
        match Task::parse(&within(seen.recv()).await.expect("delivered").body) {
            Ok(Task::PushV1 { first, .. }) => firsts.push(first),
            other => panic!("not what was sent: {other:?}"),
        }
    }
    firsts.sort_unstable();
    assert_eq!(firsts, (0..2500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_that_no_queue_takes_is_an_error_and_its_neighbours_are_not() {
    let vhost = Vhost::create().await;
    let broker = vhost.broker("out").await;
    let publisher = Publisher::new(&broker);
    let page = (0..300).map(|first| {
        let mut publication = Publication::task(batch(first), Lane::Bulk, None);
        if first % 3 == 0 {
            publication.routing_key = "push.bulk.pigeon".into();
        }
        publication
    });

    let answers = within(publisher.publish_all(page.collect())).await;

    for (first, answer) in answers.into_iter().enumerate() {
        let expected = if first % 3 == 0 {
            Err(PublishError::Unroutable {
                exchange: "loa.work",
                routing_key: "push.bulk.pigeon".into(),
            })
        } else {
            Ok(())
        };
        assert_eq!(answer, expected, "message {first}");
    }
    let nobody = Publication::answer("reply-queue-of-nobody", None, b"{}".to_vec(), "answer");
    let error = within(publisher.publish(nobody)).await.expect_err("nobody listens");
    assert_eq!(
        error,
        PublishError::Unroutable { exchange: "", routing_key: "reply-queue-of-nobody".into() }
    );
}

#[tokio::test]
async fn an_event_that_nobody_follows_is_no_error_but_a_name_too_long_is() {
    let vhost = Vhost::create().await;
    let publisher = Publisher::new(&vhost.broker("out").await);

    let event = Publication::new(Exchange::Events, "alert.live", b"{}".to_vec(), "event", None);
    assert_eq!(within(publisher.publish(event.clone())).await, Ok(()));

    let mut long = event;
    long.message_id = "x".repeat(256);
    assert_eq!(within(publisher.publish(long)).await, Err(PublishError::TooLong("message id")));
}

#[tokio::test]
async fn what_cannot_be_done_now_comes_again() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    within(publisher.publish(Publication::task(batch(1), Lane::Bulk, None)))
        .await
        .expect("confirmed");

    let subscription = Subscription {
        requeue_pause: Duration::from_millis(1),
        ..Subscription::new(Queue::Bulk(Provider::Fcm), 1)
    };
    let (_consumer, mut seen) =
        consume(&incoming, &publisher, subscription, |delivery| match delivery.delivery_count {
            0 | 1 => Settle::Requeue,
            _ => Settle::Ack,
        });

    for count in 0..3 {
        let delivery = within(seen.recv()).await.expect("delivered");
        assert_eq!((delivery.delivery_count, delivery.redelivered), (count, count > 0));
    }
}

#[tokio::test]
async fn a_handler_that_panics_loses_neither_the_message_nor_the_consumer() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    within(publisher.publish(Publication::task(batch(1), Lane::Bulk, None)))
        .await
        .expect("confirmed");

    let subscription = Subscription {
        requeue_pause: Duration::from_millis(1),
        ..Subscription::new(Queue::Bulk(Provider::Fcm), 1)
    };
    let (_consumer, mut seen) = consume(&incoming, &publisher, subscription, |delivery| {
        assert!(delivery.delivery_count > 0, "this panic is part of the test");
        Settle::Ack
    });

    assert_eq!(within(seen.recv()).await.expect("delivered").delivery_count, 1);
}

#[tokio::test]
async fn no_more_is_taken_than_can_be_worked_on() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let page = (0..10).map(|first| Publication::task(batch(first), Lane::Bulk, None)).collect();
    assert!(within(publisher.publish_all(page)).await.iter().all(Result::is_ok));

    let (begun, mut beginnings) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let gate = Arc::clone(&go_on);
    let subscription =
        Subscription { prefetch: 10, ..Subscription::new(Queue::Bulk(Provider::Fcm), 3) };
    let consumer = loa::queue::consume(
        &incoming,
        &publisher,
        Arc::new(SystemClock),
        subscription,
        move |_| {
            let (begun, gate) = (begun.clone(), Arc::clone(&gate));
            async move {
                begun.send(()).expect("the test listens");
                gate.notified().await;
                Settle::Ack
            }
        },
    );

    for _ in 0..3 {
        within(beginnings.recv()).await.expect("three begin");
    }
    assert!(beginnings.try_recv().is_err(), "a fourth waits for a permit");
    go_on.notify_one();
    within(beginnings.recv()).await.expect("one ended, one begins");
    assert!(beginnings.try_recv().is_err());

    // The drain waits for what runs and gives back what was only prefetched.
    let draining = tokio::spawn(async move { consumer.drain(Duration::from_secs(30)).await });
    let ending = async {
        while !draining.is_finished() {
            go_on.notify_waiters();
            tokio::task::yield_now().await;
        }
        draining.await.expect("no panic")
    };
    assert_eq!(within(ending).await, Drained::Completely);
    assert!(beginnings.try_recv().is_err(), "a draining consumer begins nothing");
    let (_next, mut seen) = consume(&incoming, &publisher, subscription, |_| Settle::Ack);
    for _ in 0..6 {
        within(seen.recv()).await.expect("six of ten were never begun or never settled");
    }
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_and_the_message_is_not_lost() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    within(publisher.publish(Publication::task(batch(1), Lane::Bulk, None)))
        .await
        .expect("confirmed");
    let (begun, mut beginnings) = mpsc::unbounded_channel();
    let subscription = Subscription::new(Queue::Bulk(Provider::Fcm), 1);
    let consumer = loa::queue::consume(
        &incoming,
        &publisher,
        Arc::new(SystemClock),
        subscription,
        move |_| {
            begun.send(()).expect("the test listens");
            std::future::pending()
        },
    );
    within(beginnings.recv()).await.expect("begins");

    assert_eq!(within(consumer.drain(Duration::from_millis(50))).await, Drained::LeftBehind(1));

    incoming.close();
    let another = vhost.broker("another").await;
    let (_consumer, mut seen) = consume(&another, &publisher, subscription, |_| Settle::Ack);
    assert!(within(seen.recv()).await.expect("delivered").redelivered);
}

#[tokio::test]
async fn a_parked_provider_takes_nothing_until_it_is_resumed() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let queue = Queue::Bulk(Provider::Apns);
    let (consumer, mut seen) =
        consume(&incoming, &publisher, Subscription::new(queue, 4), |_| Settle::Ack);
    within(consumer.until_consuming(true)).await;

    consumer.pause();
    within(consumer.until_consuming(false)).await;
    let task = Task::PushV1 { broadcast: BroadcastId::new(), provider: Provider::Apns, first: 1 };
    within(publisher.publish(Publication::task(task, Lane::Bulk, None))).await.expect("confirmed");
    // Another's consumer is what proves that the message was not held by the parked one.
    let (other, mut others) =
        consume(&incoming, &publisher, Subscription::new(queue, 4), |_| Settle::Ack);
    assert_eq!(within(others.recv()).await.expect("delivered").delivery_count, 0);
    assert!(seen.try_recv().is_err());
    within(other.drain(Duration::from_secs(5))).await;

    within(publisher.publish(Publication::task(task, Lane::Bulk, None))).await.expect("confirmed");
    consumer.resume();
    assert_eq!(Task::parse(&within(seen.recv()).await.expect("delivered").body), Ok(task));
}
