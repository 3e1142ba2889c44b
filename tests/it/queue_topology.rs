//! What the repository says about the broker is what the broker gets.

use loa::queue::{Publisher, Queue, topology};
use serde_json::Value;

use crate::support::broker::{Vhost, within};

#[tokio::test]
async fn the_definitions_rebuild_a_wiped_broker_and_the_service_finds_nothing_to_change() {
    let vhost = Vhost::create().await;
    let mut definitions = topology::definitions(vhost.name());
    // Permissions need their users, which the operator creates with passwords of their own.
    let users: Vec<String> = definitions["permissions"]
        .as_array_mut()
        .expect("a list")
        .iter_mut()
        .map(|permission| {
            let user = format!("{}-{}", permission["user"].as_str().expect("a name"), vhost.name());
            permission["user"] = user.clone().into();
            user
        })
        .collect();
    for user in &users {
        vhost.create_user(user, "secret").await;
    }

    let status = vhost.import(definitions).await;

    assert!(status.is_success(), "{status}");
    let by_name = |list: Vec<Value>| {
        let mut list: Vec<_> = list
            .into_iter()
            .filter(|item| {
                item["name"] != ""
                    && !item["name"].as_str().is_some_and(|name| name.starts_with("amq."))
            })
            .map(|item| {
                (item["name"].to_string(), item["type"].to_string(), item["arguments"].to_string())
            })
            .collect();
        list.sort();
        list
    };
    let imported = (by_name(vhost.list("queues").await), by_name(vhost.list("exchanges").await));
    assert_eq!(imported.0.len(), Queue::all().len());
    // Declaring over it would fail if a single flag differed; with the rights of the imported user, if one were missing.
    let mut config = vhost.config();
    config.url = loa::config::Secret::new(vhost.url_of(&users[0], "secret"));
    let broker = loa::queue::Broker::start(&config, "imported");
    assert!(within(broker.connected()).await, "{:?}", broker.trouble());
    let declared = (by_name(vhost.list("queues").await), by_name(vhost.list("exchanges").await));
    assert_eq!(imported, declared);
    let publisher = Publisher::new(&broker);
    let notice = loa::queue::Task::NoticesV1 { batch: loa::domain::id::NoticeBatchId::new() };
    let lane = loa::domain::broadcast::Lane::Personal;
    assert_eq!(
        within(publisher.publish(loa::queue::Publication::task(notice, lane, None))).await,
        Ok(())
    );
    for user in &users {
        vhost.forget_user(user).await;
    }
}
