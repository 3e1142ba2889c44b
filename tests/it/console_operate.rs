//! The operator's overview: the first line for everything that can stand in an alert's way, what is under way, and who may look.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::StreamExt as _;
use loa::domain::account::Role;
use loa::domain::broadcast::Lane;
use loa::domain::device::Provider;
use loa::identity::accounts;
use loa::queue::depth::{Depth, depths};
use loa::queue::{Broker, Consumer, Publisher, Queue, Settle, Subscription};
use loa::store::liveness::{Announcement, Liveness};
use serde_json::json;
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::console_desk::{Desk, PASSWORD, Page, hears};
use crate::console_pages::key;
use crate::public_world::World;
use crate::support::app::{FOCAL, account};
use crate::support::broker::{Vhost, consume, within};
use crate::support::seed;

pub const HERE: &str = "/console/operate";

/// Somebody of the focal unit in this role, with a password.
pub async fn person(world: &World, login: &str, role: Role) {
    let agency = accounts::agency_by_code(&world.pool, FOCAL).await.unwrap();
    let new = account(agency, login, role);
    let officer = accounts::create_officer(&world.pool, "test", new, false).await.unwrap();
    accounts::set_password(&world.pool, "test", officer, PASSWORD).await.unwrap();
}

/// A province with a broker, an operator at the desk and a dispatcher that is alive.
struct Room {
    world: World,
    vhost: Vhost,
    desk: Desk,
    dispatcher: Liveness,
    takers: Vec<Consumer>,
}

impl Room {
    async fn open(pool: PgPool) -> Self {
        let world = World::today(pool).await;
        let vhost = Vhost::create().await;
        let broker = vhost.broker("console").await;
        let queues = (broker.clone(), Publisher::new(&broker));
        person(&world, "vanhanh", Role::Operator).await;
        let mut desk = Desk::before_queues(&world, key(), queues);
        desk.sign_in("vanhanh", PASSWORD).await;
        let dispatcher = dispatcher(&world.pool).await;
        let takers = takers(&broker).await;
        Self { world, vhost, desk, dispatcher, takers }
    }

    async fn look(&mut self) -> Page {
        let page = self.desk.get(HERE).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.html);
        page
    }

    async fn sql(&self, text: &'static str) {
        sqlx::query(text).execute(&self.world.pool).await.expect(text);
    }
}

async fn dispatcher(pool: &PgPool) -> Liveness {
    let announcement = Announcement {
        host: "may-gui-01".into(),
        release: "1.2.3".into(),
        // It probes Android.
        trusted_keys: vec!["k".into(), "canary:1.0.0".into()],
    };
    Liveness::open(&seed::url_of(pool), &announcement).await.expect("the lock")
}

/// Whoever takes what is to be sent, as a dispatcher does.
async fn takers(broker: &Broker) -> Vec<Consumer> {
    let publisher = Publisher::new(broker);
    let lanes = [Lane::Emergency, Lane::Bulk];
    let of_lane = |lane| Provider::ALL.map(|provider| Queue::of_lane(lane, provider));
    let queues: Vec<Queue> =
        [Queue::Plan].into_iter().chain(lanes.into_iter().flat_map(of_lane)).collect();
    let take = |queue| consume(broker, &publisher, Subscription::new(queue, 1), |_| Settle::Ack).0;
    let takers = queues.iter().map(|queue| take(*queue)).collect();
    within(async {
        let is_untaken = |depth: &Depth| depth.consumers == 0 && queues.contains(&depth.queue);
        while depths(broker).await.expect("the broker answers").iter().any(is_untaken) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    takers
}

/// A probe of Android that ended `ago` seconds ago.
async fn probed(pool: &PgPool, ago: f64, outcome: &str) {
    sqlx::query(
        "insert into canary_probe (id, provider, begun_at, every_seconds, host, devices, accepted, outcome, took_ms)
         values (gen_random_uuid(), 0, clock_timestamp() - make_interval(secs => $1), 300, 'h', 1, ($2 = 'accepted')::int, $2, 85)",
    )
    .bind(ago)
    .bind(outcome)
    .execute(pool)
    .await
    .unwrap();
}

/// What the box with the answer says, without what is below it.
fn answer(page: &Page) -> &str {
    let at = page.html.find("class=\"box in answer").expect("an answer");
    page.html[at..].split("</section>").next().unwrap()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn with_nothing_in_the_way_the_first_line_says_yes_and_shows_who_and_what_is_there(
    pool: PgPool,
) {
    let mut room = Room::open(pool).await;
    probed(&room.world.pool, 400.0, "refused").await;
    probed(&room.world.pool, 60.0, "accepted").await;
    let page = room.look().await;
    assert!(answer(&page).contains("answer yes") && answer(&page).contains("Có"), "{}", page.html);
    assert!(!answer(&page).contains("<li>"), "{}", answer(&page));
    for words in ["may-gui-01", "1.2.3", "push.emergency.fcm", "plan", "100/giây", "50/giây"] {
        page.says(words);
    }
    page.says("Thư không xử lý được: <strong class=\"num\">0</strong>");
    page.says("Android: 2 lần thử gần nhất, 1 lần được nhận, chậm nhất 85 ms");
    page.says("nhà cung cấp từ chối");
    page.says("Thử lần cuối: FCM nhận lúc");
    page.lacks("push.drill.fcm");
    page.says("data-events=\"/console/operate/events\"");
    page.says("<noscript><meta http-equiv=\"refresh\"");
    room.desk.get("/console/operate?lang=en").await.says("Could an alert be sent right now?");
    room.dispatcher.close().await.unwrap();
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn without_a_dispatcher_the_first_line_says_no(pool: PgPool) {
    let mut room = Room::open(pool).await;
    assert!(answer(&room.look().await).contains("answer yes"));
    let Room { dispatcher, mut desk, .. } = room;
    dispatcher.close().await.unwrap();
    let page = desk.get(HERE).await;
    assert!(answer(&page).contains("answer no"), "{}", answer(&page));
    assert!(answer(&page).contains("Không có tiến trình loa dispatch nào đang chạy"));
    page.says("docs/runbooks/dispatcher-silent.md");
    page.says("Không có máy gửi");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_dispatcher_that_takes_nothing_from_the_queues_is_a_no(pool: PgPool) {
    let mut room = Room::open(pool).await;
    assert!(answer(&room.look().await).contains("answer yes"));
    room.takers.clear();
    let deaf = within(async {
        loop {
            let page = room.look().await;
            if answer(&page).contains("answer no") {
                return page;
            }
        }
    });
    let page = deaf.await;
    assert!(answer(&page).contains("Không máy gửi nào nhận việc từ hàng đợi"), "{}", answer(&page));
    assert!(answer(&page).contains("push.emergency.fcm"), "{}", answer(&page));
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_parked_provider_is_a_no_and_one_that_asks_for_less_is_shown_with_its_rate(pool: PgPool) {
    let mut room = Room::open(pool).await;
    let parked = json!({"apns": "credentials refused: InvalidProviderToken", "drill fcm": "x"});
    room.dispatcher.acknowledge(0, None, 7, &parked).await.unwrap();
    room.sql("insert into permit (name, share, share_at, closed_until) values ('fcm', 0.25, now(), now() + interval '90 seconds'), ('webpush:https://push.example', 0.5, now(), '-infinity'), ('drill:apns', 0.1, now(), '-infinity')").await;
    let page = room.look().await;
    assert!(answer(&page).contains("answer no"), "{}", answer(&page));
    assert!(answer(&page).contains("APNs (iOS)") && answer(&page).contains("InvalidProviderToken"));
    assert!(answer(&page).contains("diễn tập: fcm"), "a drill's trouble is a note");
    page.says("docs/runbooks/provider-parked.md");
    page.says("may-gui-01: credentials refused: InvalidProviderToken");
    page.says("fcm: bảo chờ 1 phút");
    page.says(" % của 100/giây");
    page.says("1 dịch vụ giảm tốc, thấp nhất 5");
    page.says("<td>7</td>");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_probe_that_was_not_taken_is_a_yes_with_something_to_look_at(pool: PgPool) {
    let mut room = Room::open(pool).await;
    probed(&room.world.pool, 60.0, "refused").await;
    let page = room.look().await;
    assert!(answer(&page).contains("answer but"), "{}", answer(&page));
    assert!(answer(&page).contains("Có, nhưng") && answer(&page).contains("KHÔNG nhận"));
    page.says("docs/runbooks/canary-fails.md");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_broker_that_is_away_is_a_no_and_the_rest_of_the_page_stays(pool: PgPool) {
    let mut room = Room::open(pool).await;
    let mut other = Desk::of(&room.world, key(), "duyet").await.beside("vanhanh").await;
    let page = other.get(HERE).await;
    assert!(answer(&page).contains("answer no"), "{}", answer(&page));
    assert!(answer(&page).contains("RabbitMQ không sẵn sàng"));
    page.says("RabbitMQ không cho biết hàng đợi dài bao nhiêu");
    page.says("may-gui-01");
    assert!(answer(&room.look().await).contains("answer yes"), "with the broker it is not");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_is_overdue_is_told_the_operator_too(pool: PgPool) {
    let mut room = Room::open(pool).await;
    room.sql("insert into audit (seq, at, actor, action, subject, detail, previous, hash)
        select coalesce(max(seq), 0) + 1, now() - interval '1 hour', 'test', 'test', 'test', '{}', decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex') from audit").await;
    // The oldest entry that nobody has signed for is one of the test's own; those before it are signed for.
    room.sql("insert into audit_checkpoint (serial, seq, hash, at, previous, key_id, signature)
        select 1, seq, hash, now() - interval '1 hour', repeat('0', 64), 'k', '\\x00' from audit order by seq desc offset 1 limit 1").await;
    let page = room.look().await;
    assert!(answer(&page).contains("answer but"), "{}", answer(&page));
    assert!(answer(&page).contains("Nhật ký đã 1 giờ không được ký mốc"), "{}", answer(&page));
    page.says("<dd class=\"num\">mốc 1 ký ");
    page.says(" trước; 1 mục từ đó");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn batches_in_hand_what_is_behind_and_the_last_hour_are_counted(pool: PgPool) {
    let mut room = Room::open(pool).await;
    let alert = room.world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    room.world.approve(&alert).await;
    sqlx::query("insert into broadcast (id, alert_id, lane, state, expires_at) values (gen_random_uuid(), $1, 'emergency', 'sending', now() + interval '1 hour')")
        .bind(alert.id.0)
        .execute(&room.world.pool)
        .await
        .unwrap();
    sqlx::query("insert into batch (broadcast_id, provider, first, last, planned, accepted, gone, refused, failed, unknown, pending, holder)
        select b.id, 0, n * 1000, n * 1000 + 999, 1000, 700, 30, 8, 4, 2, 256, $1 from broadcast b, generate_series(1, 3) n")
        .bind(room.dispatcher.lock_key())
        .execute(&room.world.pool)
        .await
        .unwrap();
    room.sql("update control set epoch = 5").await;
    let page = room.look().await;
    page.says("<td>3</td>");
    page.says("chưa kịp 5");
    page.says("đã nhận <b>2.100</b>");
    page.says("bị từ chối, hỏng <b>36</b>");
    page.says("không rõ <b>6</b>");
    room.sql("update broadcast set state = 'completed', completed_at = now() - interval '2 hours'")
        .await;
    room.look().await.lacks("<b>2.100</b>");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_page_redraws_itself_when_something_changes_and_ends_with_the_session(pool: PgPool) {
    let mut room = Room::open(pool).await;
    let csrf = room.desk.get("/console/sessions").await.csrf();
    let request =
        room.desk.request(Request::get("/console/operate/events")).body(Body::empty()).unwrap();
    let open = room.desk.router.clone().oneshot(request).await.unwrap();
    assert_eq!(open.status(), StatusCode::OK);
    let mut events = open.into_body().into_data_stream();
    let first = hears(&mut events, "answer yes").await;
    assert!(first.contains("data-answer=\"Có\""), "{first}");
    assert!(first.contains("event: progress") && first.contains("may-gui-01"), "{first}");
    assert!(!first.contains("csrf"), "something to read, and nothing to press");
    room.dispatcher.acknowledge(0, None, 0, &json!({"fcm": "away"})).await.unwrap();
    hears(&mut events, "answer no").await;
    room.desk.post("/console/sign-out", &[("csrf", &csrf)]).await;
    let end = async { while events.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), end).await.expect("the stream ends");
    drop(room.vhost);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn operators_auditors_and_administrators_look_and_nobody_else(pool: PgPool) {
    let world = World::today(pool).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    for (login, role) in [
        ("vanhanh", Role::Operator),
        ("giamsat", Role::Auditor),
        ("quantri", Role::Administrator),
        ("hethong", Role::System),
    ] {
        person(&world, login, role).await;
    }
    for (login, may) in [
        ("duyet", false),
        ("truc", false),
        ("hethong", false),
        ("vanhanh", true),
        ("giamsat", true),
        ("quantri", true),
    ] {
        let mut desk = desk.beside(login).await;
        for path in [HERE, "/console/operate/events"] {
            let request = desk.request(Request::get(path)).body(Body::empty()).unwrap();
            let status = desk.router.clone().oneshot(request).await.unwrap().status();
            assert_eq!(status == StatusCode::OK, may, "{login} at {path}: {status}");
            assert!(may || status == StatusCode::FORBIDDEN, "{login} at {path}: {status}");
        }
        let letters = desk.get("/console/operate/dead-letters").await;
        assert_eq!(letters.status == StatusCode::FORBIDDEN, !may, "{login}: {}", letters.status);
        let link = "<a class=\"small\" href=\"/console/operate\">";
        assert_eq!(desk.get("/console/sessions").await.html.contains(link), may, "{login}");
    }
    desk = Desk::out_of(&desk);
    assert_eq!(desk.get(HERE).await.location, "/console/sign-in?next=%2Fconsole%2Foperate");
}

/// What the gallery shows of operation: a quiet night, trouble, dead letters, and a broker that is away.
pub async fn gallery(world: &World, pages: &mut BTreeMap<&'static str, Page>) {
    person(world, "vanhanh", Role::Operator).await;
    let vhost = Vhost::create().await;
    let broker = vhost.broker("console").await;
    let queues = (broker.clone(), Publisher::new(&broker));
    let key = key();
    let mut desk = Desk::before_queues(world, key, queues);
    desk.sign_in("vanhanh", PASSWORD).await;
    pages.insert("operate-nobody", desk.get(HERE).await);
    let taking = takers(&broker).await;
    let mut first = dispatcher(&world.pool).await;
    let _second = dispatcher(&world.pool).await;
    sqlx::query(
        "insert into canary_probe (id, provider, begun_at, every_seconds, host, devices, accepted, outcome, took_ms)
         select gen_random_uuid(), p, clock_timestamp() - make_interval(secs => 20 + 300 * n), 300, 'may-gui-01', 2,
                (n % 17 <> 5)::int, case when n % 17 <> 5 then 'accepted' else 'later' end, 70 + p * 40 + (n * 37) % 90 + case when n % 23 = 7 then 400 else 0 end
         from generate_series(0, 90) n, generate_series(0, 1) p",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    pages.insert("operate", desk.get(HERE).await);
    pages.insert("dead-letters-none", desk.get(crate::console_operate_letters::HERE).await);
    // What is laid there passes through a queue that they would take it from.
    for taker in &taking {
        taker.drain(Duration::from_secs(5)).await;
    }
    crate::console_operate_letters::lay(&broker).await;
    let taking = takers(&broker).await;
    let parked = json!({"apns": "credentials refused: 403 InvalidProviderToken"});
    first.acknowledge(0, None, 412, &parked).await.unwrap();
    sqlx::query("insert into permit (name, share, share_at) values ('fcm', 0.25, now())")
        .execute(&world.pool)
        .await
        .unwrap();
    pages.insert("operate-trouble", desk.get(HERE).await);
    pages.insert("operate-en", desk.get("/console/operate?lang=en").await);
    desk.get("/console/operate?lang=vi").await;
    pages.insert("dead-letters", desk.get(crate::console_operate_letters::HERE).await);
    drop(taking);
    broker.close();
    crate::support::broker::until_disconnected(&broker).await;
    pages.insert("operate-broker-away", desk.get(HERE).await);
    pages.insert("dead-letters-away", desk.get(crate::console_operate_letters::HERE).await);
}
