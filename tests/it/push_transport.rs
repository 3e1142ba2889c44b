//! What the transport promises whatever the peer does: nothing sent twice that may have been processed, nothing kept waiting
//! that could go out elsewhere, an emergency never behind bulk.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::task::JoinHandle;

use loa::push::transport::{Answer, Host, Manner, Post, TrafficClass, TransportError};

use crate::push_peer::{Certificate, Peer, Session, authority};

/// Generous where a test only waits for what must come; tests about waiting set their own.
fn manner(connections: usize) -> Manner {
    Manner { connections, timeout: Duration::from_secs(20), ..Manner::default() }
}

fn host(peer: &Peer, manner: Manner) -> Host {
    Host::new(authority(peer.port), &peer.certificate.trust(), manner).expect("a host")
}

type Outcome = Result<Answer, TransportError>;

fn post(host: &Host, class: TrafficClass) -> JoinHandle<Outcome> {
    let host = host.clone();
    tokio::spawn(async move {
        let uri = host.authority().uri("/push").expect("a URI");
        let make = || Post {
            uri: uri.clone(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{}").into(),
        };
        host.post(&make, &class.into()).await
    })
}

fn urgent(host: &Host) -> JoinHandle<Outcome> {
    post(host, TrafficClass::Urgent)
}

async fn status(request: JoinHandle<Outcome>) -> u16 {
    request.await.expect("no panic").expect("an answer").status.as_u16()
}

async fn failure(request: JoinHandle<Outcome>) -> TransportError {
    request.await.expect("no panic").expect_err("no answer")
}

/// Lets everything that can happen without another event happen. All parties run on this one thread, so that between an echo and
/// the next one every task that can go on has gone on; and what a client had to say on a connection comes before its echo.
async fn settle<const N: usize>(mut sessions: [&mut Session; N]) {
    for _ in 0..5 {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        for session in &mut sessions {
            session.echo().await;
        }
    }
}

#[tokio::test]
async fn streams_above_a_goaways_last_are_sent_again_and_the_others_are_not() {
    let mut peer = Peer::start(100).await;
    let host = host(&peer, manner(1));
    let requests: Vec<_> = (0..10).map(|_| urgent(&host)).collect();

    let mut first = peer.session().await;
    let streams = first.requests(10).await;
    first.go_away(streams[2]).await;
    let mut second = peer.session().await;
    for stream in second.requests(7).await {
        second.answer(stream).await;
    }
    for stream in &streams[..3] {
        first.answer(*stream).await;
    }

    for request in requests {
        assert_eq!(status(request).await, 200);
    }
    settle([&mut second]).await;
    assert!(!second.has_request(), "what the first connection accepted came only once");
}

#[tokio::test]
async fn a_refused_stream_is_sent_once_more_and_then_reported_as_not_sent() {
    let mut peer = Peer::start(100).await;
    let host = host(&peer, manner(1));

    let once = urgent(&host);
    let mut session = peer.session().await;
    let stream = session.requests(1).await[0];
    session.refuse(stream).await;
    let stream = session.requests(1).await[0];
    session.answer(stream).await;
    assert_eq!(status(once).await, 200);

    let twice = urgent(&host);
    for _ in 0..2 {
        let stream = session.requests(1).await[0];
        session.refuse(stream).await;
    }
    assert!(matches!(failure(twice).await, TransportError::NotSent(_)));
    settle([&mut session]).await;
    assert!(!session.has_request());
}

#[tokio::test]
async fn a_lowered_allowance_is_obeyed_and_a_raised_one_used_at_once() {
    let mut peer = Peer::start(1).await;
    let host = host(&peer, manner(1));
    let requests: Vec<_> = (0..8).map(|_| urgent(&host)).collect();

    // like APNs: one stream until it knows us
    let mut session = peer.session().await;
    let first = session.requests(1).await[0];
    settle([&mut session]).await;
    assert!(!session.has_request());
    session.allow(4).await;
    let mut open = session.requests(3).await;
    open.push(first);

    session.allow(2).await;
    settle([&mut session]).await;
    for stream in open.drain(..2) {
        session.answer(stream).await;
    }
    settle([&mut session]).await;
    assert!(!session.has_request(), "two are still open, and two are allowed");
    for stream in open {
        session.answer(stream).await;
    }
    for _ in 0..2 {
        let pair = session.requests(2).await;
        settle([&mut session]).await;
        assert!(!session.has_request(), "two at a time");
        for stream in pair {
            session.answer(stream).await;
        }
    }
    for request in requests {
        assert_eq!(status(request).await, 200);
    }
}

#[tokio::test]
async fn a_connection_that_dies_leaves_its_requests_ambiguous() {
    let mut peer = Peer::start(100).await;
    let host = host(&peer, manner(1));
    let lost = urgent(&host);
    let mut session = peer.session().await;
    session.requests(1).await;
    session.cut().await;
    assert!(matches!(failure(lost).await, TransportError::Ambiguous(_)));

    let next = urgent(&host);
    let mut session = peer.session().await;
    let stream = session.requests(1).await[0];
    session.answer(stream).await;
    assert_eq!(status(next).await, 200, "and the next one finds a new connection");
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dead_although_the_socket_is_open() {
    let mut peer = Peer::start(100).await;
    let manner = Manner { ping_every: Duration::from_millis(50), ..manner(1) };
    let host = host(&peer, manner);
    let lost = urgent(&host);
    let mut session = peer.session().await;
    session.requests(1).await;
    session.play_dead();
    assert!(matches!(failure(lost).await, TransportError::Ambiguous(_)));
    peer.session().await;
}

#[tokio::test]
async fn a_slow_answer_is_ambiguous_and_costs_no_connection() {
    let mut peer = Peer::start(100).await;
    let manner = Manner { timeout: Duration::from_millis(300), ..manner(1) };
    let host = host(&peer, manner);
    let slow = urgent(&host);
    let mut session = peer.session().await;
    session.requests(1).await;
    assert!(matches!(failure(slow).await, TransportError::Ambiguous(_)));

    let next = urgent(&host);
    let stream = session.requests(1).await[0];
    session.answer(stream).await;
    assert_eq!(status(next).await, 200);
    assert!(!peer.has_session());
}

#[tokio::test]
async fn whoever_finds_no_free_stream_in_time_was_not_sent() {
    let mut peer = Peer::start(1).await;
    let manner = Manner { timeout: Duration::from_millis(600), ..manner(1) };
    let host = host(&peer, manner);
    let first = urgent(&host);
    let mut session = peer.session().await;
    session.requests(1).await;
    session.allow(0).await;
    settle([&mut session]).await;
    let second = urgent(&host);
    assert!(matches!(failure(first).await, TransportError::Ambiguous(_)));
    assert!(matches!(failure(second).await, TransportError::NotSent(_)));
    assert!(!session.has_request());
}

#[tokio::test]
async fn bulk_never_takes_the_first_connection_and_an_emergency_may_take_any() {
    let mut peer = Peer::start(100).await;
    let host = host(&peer, Manner { streams: 2, ..manner(2) });
    host.warm_up().await.expect("connected");
    let (mut one, mut other) = (peer.session().await, peer.session().await);
    assert_eq!(host.streams(TrafficClass::Urgent), 4);
    assert_eq!(host.streams(TrafficClass::Bulk), 2);

    let bulk: Vec<_> = (0..5).map(|_| post(&host, TrafficClass::Bulk)).collect();
    settle([&mut one, &mut other]).await;
    // which of the two came first is the dialler's secret
    let (reserved, shared) =
        if other.has_request() { (&mut one, &mut other) } else { (&mut other, &mut one) };
    let held = shared.requests(2).await;
    assert!(
        !shared.has_request() && !reserved.has_request(),
        "three wait although streams are free"
    );

    let emergency = urgent(&host);
    let stream = reserved.requests(1).await[0];
    reserved.answer(stream).await;
    assert_eq!(status(emergency).await, 200);

    // and where both wait for a freed stream, the emergency gets it
    let emergencies: Vec<_> = (0..3).map(|_| urgent(&host)).collect();
    let reserved_held = reserved.requests(2).await;
    settle([reserved, shared]).await;
    shared.answer(held[0]).await;
    let stream = shared.requests(1).await[0];
    reserved.answer(reserved_held[0]).await;
    reserved.answer(reserved_held[1]).await;
    shared.answer(stream).await;
    for emergency in emergencies {
        assert_eq!(status(emergency).await, 200);
    }
    shared.answer(held[1]).await;
    for _ in 0..3 {
        let stream = shared.requests(1).await[0];
        shared.answer(stream).await;
    }
    for request in bulk {
        assert_eq!(status(request).await, 200);
    }
}

#[tokio::test]
async fn an_unreachable_host_is_not_sent_to_and_found_again_when_it_is_back() {
    let listener = tokio::net::TcpListener::bind(("localhost", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let certificate = Certificate::new();
    let host = Host::new(authority(port), &certificate.trust(), manner(2)).expect("a host");
    let error = failure(urgent(&host)).await;
    assert!(
        matches!(&error, TransportError::NotSent(why) if why.contains("cannot connect")),
        "{error}"
    );

    let listener =
        tokio::net::TcpListener::bind(("localhost", port)).await.expect("the port again");
    let mut peer = Peer::on(listener, certificate, 100);
    let back = tokio::spawn({
        let host = host.clone();
        async move { while host.warm_up().await.is_err() {} }
    });
    let _sessions = (peer.session().await, peer.session().await);
    back.await.expect("both classes can be used");
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let peer = Peer::start(100).await;
    let host =
        Host::new(authority(peer.port), &Certificate::new().trust(), manner(1)).expect("a host");
    let error = failure(urgent(&host)).await;
    assert!(matches!(&error, TransportError::NotSent(why) if why.contains("TLS")), "{error}");
    assert!(!peer.has_session());
}

#[tokio::test]
async fn long_answers_are_cut_and_close_no_window() {
    let mut peer = Peer::start(100).await;
    let host = host(&peer, manner(1));
    // 3 MB in all, where the connection's window holds 1 MB
    let mut session = None;
    for round in 0..100 {
        let request = urgent(&host);
        let session = match &mut session {
            Some(session) => session,
            none => none.insert(peer.session().await),
        };
        let stream = session.requests(1).await[0];
        session.answer_with_body(stream, &vec![b'x'; 30_000]).await;
        let answer = request.await.expect("no panic").expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.body.len()), (400, 16 * 1024), "round {round}");
    }
}

#[tokio::test]
async fn a_retired_connection_stays_in_use_until_its_replacement_is_there() {
    let mut peer = Peer::start(100).await;
    let host = host(&peer, manner(1));
    let request = urgent(&host);
    let mut old = peer.session().await;
    let stream = old.requests(1).await[0];
    old.answer(stream).await;
    let connection = request.await.expect("no panic").expect("an answer").connection;

    let under_way = urgent(&host);
    let stream = old.requests(1).await[0];
    host.retire(connection);
    let mut new = peer.session().await;
    settle([&mut new]).await;
    let next = urgent(&host);
    let new_stream = new.requests(1).await[0];
    new.answer(new_stream).await;
    assert_eq!(status(next).await, 200);
    old.answer(stream).await;
    assert_eq!(status(under_way).await, 200, "its streams finish");
    assert_eq!(old.request().await, None, "and then it closes");
}

#[tokio::test]
async fn an_acceptance_whose_body_is_torn_off_still_is_one() {
    let mut peer = Peer::start(100).await;
    let host = host(&peer, manner(1));
    let request = urgent(&host);
    let mut session = peer.session().await;
    let stream = session.requests(1).await[0];
    session.begin_answer(stream).await;
    settle([&mut session]).await;
    session.cut().await;
    assert_eq!(status(request).await, 200);
}

#[tokio::test]
async fn an_acceptance_whose_body_never_comes_still_is_one() {
    let mut peer = Peer::start(100).await;
    let manner = Manner { timeout: Duration::from_secs(1), ..manner(1) };
    let host = host(&peer, manner);
    let request = urgent(&host);
    let mut session = peer.session().await;
    let stream = session.requests(1).await[0];
    session.begin_answer(stream).await;
    assert_eq!(status(request).await, 200, "nothing is repeated that was accepted");
}

#[tokio::test]
async fn late_answers_to_given_up_requests_do_not_end_the_connection() {
    let mut peer = Peer::start(2000).await;
    let manner = Manner { streams: 2000, timeout: Duration::from_millis(500), ..manner(1) };
    let host = host(&peer, manner);
    host.warm_up().await.expect("connected");
    let mut session = peer.session().await;
    let given_up: Vec<_> = (0..1500).map(|_| urgent(&host)).collect();
    let streams = session.requests(1500).await;
    for request in given_up {
        assert!(matches!(failure(request).await, TransportError::Ambiguous(_)));
    }
    for stream in streams {
        session.answer(stream).await;
    }
    let next = urgent(&host);
    let stream = session.requests(1).await[0];
    session.answer(stream).await;
    assert_eq!(status(next).await, 200);
    assert!(!peer.has_session());
}

#[tokio::test]
async fn a_worn_connection_is_replaced_before_its_stream_numbers_run_out() {
    let mut peer = Peer::start(100).await;
    let host = host(&peer, Manner { replace_after: 3, ..manner(1) });
    let mut session = None;
    for _ in 0..3 {
        let request = urgent(&host);
        let session = match &mut session {
            Some(session) => session,
            none => none.insert(peer.session().await),
        };
        let stream = session.requests(1).await[0];
        session.answer(stream).await;
        assert_eq!(status(request).await, 200);
    }
    let mut fresh = peer.session().await;
    settle([&mut fresh]).await;
    let request = urgent(&host);
    let stream = fresh.requests(1).await[0];
    fresh.answer(stream).await;
    assert_eq!(status(request).await, 200);
    let mut worn = session.expect("there was one");
    assert_eq!(worn.request().await, None, "the worn one closes when nothing is under way");
}
