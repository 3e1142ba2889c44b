//! The broker goes and comes: nobody who was promised something is let down (invariant 10, the broker's half of it).

use std::collections::BTreeSet;
use std::time::Duration;

use loa::config::Secret;
use loa::domain::broadcast::Lane;
use loa::domain::device::Provider;
use loa::domain::id::BroadcastId;
use loa::queue::{
    Broker, BrokerState, Publication, PublishError, Publisher, Queue, Settle, Subscription, Task,
};

use crate::support::broker::{Vhost, consume, until_disconnected, within};

fn batch(first: i64) -> Publication {
    Publication::task(
        Task::PushV1 { broadcast: BroadcastId::new(), provider: Provider::Fcm, first },
        Lane::Bulk,
        None,
    )
}

/// A live publisher and a live consumer; the connections of both are cut again and again. Everything the publisher was told is
/// stored arrives, and both go on by themselves each time.
#[tokio::test]
async fn cut_connections_are_made_anew_and_nothing_confirmed_is_lost() {
    const CUTS: usize = 10;
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let (_consumer, mut seen) =
        consume(&incoming, &publisher, Subscription::new(Queue::Bulk(Provider::Fcm), 8), |_| {
            Settle::Ack
        });
    let mut arrived = BTreeSet::new();
    let mut next = 0;
    let mut confirmed = BTreeSet::new();

    for _ in 0..CUTS {
        // Some are on their way while the connections are cut.
        let page: Vec<i64> = (next..next + 200).collect();
        next += 200;
        let sending = publisher.publish_all(page.iter().map(|first| batch(*first)).collect());
        let (answers, cut) = tokio::join!(within(sending), vhost.cut_connections());
        assert!(cut > 0);
        for (first, answer) in page.into_iter().zip(answers) {
            // The publisher waits a reconnection out.
            assert_eq!(answer, Ok(()), "message {first}");
            confirmed.insert(first);
        }
        while !confirmed.is_subset(&arrived) {
            let delivery = within(seen.recv()).await.expect("the consumer lives");
            match Task::parse(&delivery.body) {
                Ok(Task::PushV1 { first, .. }) => arrived.insert(first),
                other => panic!("not what was sent: {other:?}"),
            };
        }
    }
    assert_eq!(arrived.len(), usize::try_from(next).expect("small"));
}

#[tokio::test]
async fn a_wiped_broker_is_whole_again_before_anyone_notices() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    let (_consumer, mut seen) =
        consume(&incoming, &publisher, Subscription::new(Queue::Bulk(Provider::Fcm), 8), |_| {
            Settle::Ack
        });
    within(publisher.publish(batch(1))).await.expect("confirmed");
    within(seen.recv()).await.expect("delivered");

    for round in 2..6 {
        vhost.wipe().await;
        // What lay in the queues is gone; PostgreSQL sends it again. What is sent from now on arrives.
        let arriving = async {
            loop {
                within(publisher.publish(batch(round))).await.expect("confirmed");
                // A message that reached the queue between two of its deletions is lost like the others: sent again by its owner.
                if tokio::time::timeout(Duration::from_secs(5), seen.recv()).await.is_ok() {
                    break;
                }
            }
        };
        within(arriving).await;
    }
    let queues = vhost.list("queues").await;
    let names: BTreeSet<&str> = queues.iter().filter_map(|queue| queue["name"].as_str()).collect();
    assert_eq!(names, Queue::all().iter().map(|queue| queue.name()).collect());
}

#[tokio::test]
async fn a_wiped_broker_is_made_whole_by_a_publisher_alone() {
    let vhost = Vhost::create().await;
    let broker = vhost.broker("out").await;
    let publisher = Publisher::new(&broker);
    within(publisher.publish(batch(1))).await.expect("confirmed");
    vhost.wipe().await;
    assert_eq!(within(publisher.publish(batch(2))).await, Ok(()));
}

#[tokio::test]
async fn a_handler_that_outlives_its_connection_settles_nothing_and_the_message_comes_again() {
    let vhost = Vhost::create().await;
    let (outgoing, incoming) = (vhost.broker("out").await, vhost.broker("in").await);
    let publisher = Publisher::new(&outgoing);
    within(publisher.publish(batch(1))).await.expect("confirmed");
    let (begun, mut beginnings) = tokio::sync::mpsc::unbounded_channel();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let opened = std::sync::Arc::clone(&gate);
    let clock = std::sync::Arc::new(loa::clock::SystemClock);
    let subscription = Subscription::new(Queue::Bulk(Provider::Fcm), 2);
    let _consumer =
        loa::queue::consume(&incoming, &publisher, clock, subscription, move |delivery| {
            let (begun, gate) = (begun.clone(), std::sync::Arc::clone(&gate));
            async move {
                begun.send(delivery.redelivered).expect("the test listens");
                drop(gate.acquire().await);
                Settle::Ack
            }
        });
    assert_eq!(within(beginnings.recv()).await, Some(false));

    // The management lists connections late: the consumer's may not be among the first that are cut.
    let again = within(async {
        loop {
            vhost.cut_connections().await;
            let beginning = beginnings.recv();
            if let Ok(begun) = tokio::time::timeout(Duration::from_secs(10), beginning).await {
                break begun;
            }
        }
    });
    assert_eq!(again.await, Some(true), "given out again while the first handler still runs");
    opened.add_permits(2);
    // The acknowledgement of the first went nowhere and closed nothing: the next message arrives on the same consumer.
    within(publisher.publish(batch(2))).await.expect("confirmed");
    assert_eq!(within(beginnings.recv()).await, Some(false));
}

#[tokio::test]
async fn a_broker_that_is_away_at_start_is_waited_for_and_said_to_be_away() {
    let vhost = Vhost::create().await;
    let mut config = vhost.config();
    // A port that was free a moment ago and that nobody serves yet.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound")
        .port();
    let mut url: url::Url = config.url.expose().parse().expect("a URL");
    let real = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5672));
    url.set_host(Some("127.0.0.1")).expect("a host");
    url.set_port(Some(port)).expect("a port");
    config.url = Secret::new(url.to_string());
    let password = url.password().expect("a password").to_owned();

    let broker = Broker::start(&config, "late");
    let publisher = Publisher::new(&broker).with_patience(Duration::from_millis(300));
    let error = within(publisher.publish(batch(1))).await.expect_err("nobody is there");
    assert!(matches!(error, PublishError::Disconnected(_)), "{error:?}");
    let trouble = broker.trouble().expect("it says so");
    assert!(trouble.contains("cannot connect") && !trouble.contains(&password), "{trouble}");

    // Now somebody serves the port: a pipe to the real broker.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("still free");
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::TcpStream::connect(&real).await.expect("the broker is there");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    assert!(within(broker.connected()).await);
    assert_eq!(broker.trouble(), None);
    let patient = publisher.with_patience(Duration::from_secs(30));
    assert_eq!(within(patient.publish(batch(2))).await, Ok(()));

    broker.close();
    until_disconnected(&broker).await;
    let error = within(patient.publish(batch(3))).await.expect_err("closed");
    assert!(matches!(error, PublishError::Disconnected(_)), "{error:?}");
}

/// The network swallows everything without a word: no end, no error. The heartbeat is what notices.
#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up() {
    let vhost = Vhost::create().await;
    let mut config = vhost.config();
    config.heartbeat = 1;
    let mut url: url::Url = config.url.expose().parse().expect("a URL");
    let real = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5672));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    url.set_port(Some(listener.local_addr().expect("bound").port())).expect("a port");
    config.url = Secret::new(url.to_string());
    let (silence, silenced) = tokio::sync::watch::channel(0_u32);
    tokio::spawn(async move {
        // Each connection carries until the silence begins that was not there when it was made.
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::TcpStream::connect(&real).await.expect("the broker is there");
            let mut silenced = silenced.clone();
            silenced.mark_unchanged();
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = silenced.changed() => std::future::pending().await,
                }
            });
        }
    });
    let broker = Broker::start(&config, "silent");
    let publisher = Publisher::new(&broker).with_patience(Duration::from_secs(40));
    assert_eq!(within(publisher.publish(batch(1))).await, Ok(()));

    silence.send_replace(1);

    assert_eq!(
        within(publisher.publish(batch(2))).await,
        Ok(()),
        "sent again over a new connection"
    );
}

/// Over TLS the broker must show a certificate of the authority we were told to believe. (lapin without a roots feature speaks
/// plaintext to amqps:// and says nothing: this test would notice.)
#[tokio::test]
async fn a_broker_over_tls_is_believed_only_with_the_right_authority() {
    let vhost = Vhost::create().await;
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key =
        rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a fitting pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server));
    let mut config = vhost.config();
    let mut url: url::Url = config.url.expose().parse().expect("a URL");
    let real = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5672));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    url.set_port(Some(listener.local_addr().expect("bound").port())).expect("a port");
    url.set_host(Some("localhost")).expect("a host");
    config.url = Secret::new(url.to_string().replacen("amqp://", "amqps://", 1));
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (acceptor, real) = (acceptor.clone(), real.clone());
            tokio::spawn(async move {
                let mut near = acceptor.accept(near).await?;
                let mut far = tokio::net::TcpStream::connect(&real).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });

    let authority = std::env::temp_dir().join(format!("{}.pem", vhost.name()));
    let stranger =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&authority, stranger.cert.pem()).expect("the temporary directory is writable");
    config.ca_file = Some(authority.clone());
    let broker = Broker::start(&config, "over TLS");
    let mut state = broker.watch();
    let refused = |state: &BrokerState| match state {
        BrokerState::Disconnected(reason) => reason.contains("certificate"),
        BrokerState::Connected(_) => panic!("a stranger was believed"),
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), state.wait_for(refused)).await.is_ok(),
        "another reason than the certificate: {:?}",
        broker.trouble()
    );

    std::fs::write(&authority, made.cert.pem()).expect("the temporary directory is writable");
    assert!(within(broker.connected()).await, "the right authority is read at the next attempt");
    std::fs::remove_file(&authority).expect("it was there");
}
