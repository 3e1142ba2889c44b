//! Every page of the console once: what must hold on all of them, and files under `target/gallery` to be looked at in a browser.

use std::collections::BTreeMap;

use loa::approval::Keys;
use loa::console::assets;
use loa::domain::account::Role;
use loa::domain::alert::template::{Blanks, LevelBlank, PlaceBlank, Template, TimeBlank};
use loa::domain::seal::{Quorum, SealingKey, TrustedKeys};
use loa::identity::accounts;
use loa::store::audit;
use loa::upkeep::checkpoint::Checkpoints;
use sqlx::PgPool;
use time::format_description::well_known::Rfc3339;

use crate::console_desk::{Desk, PASSWORD, Page, devices};
use crate::one_time_codes::{HERE as CODES, enter, set_up, typed};
use crate::public_world::World;
use crate::support::app::{FOCAL, account};

/// A text that would do harm if a page took it for HTML.
const HARM: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>";

/// Every page, in every state that looks different.
async fn gallery(world: &World) -> BTreeMap<&'static str, Page> {
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    let mut pages = BTreeMap::new();
    let mut desk = Desk::empty(world, key).await;
    pages.insert("sign-in", desk.get("/console/sign-in").await);
    pages.insert("sign-in-wrong", desk.sign_in("duyet", "sai").await);
    desk.sign_in("duyet", crate::console_desk::PASSWORD).await;
    pages.insert("queue-empty", desk.get("/console").await);

    devices(world, [24_740, 12_370, 4_123]).await;
    let flood = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let news = world.submitted("07-tiem-vac-xin-soi", |_| {}).await;
    let fraud = world.submitted("06-lua-dao-gia-danh-cong-an", |_| {}).await;
    let cruel = |request: &mut loa::domain::alert::AlertRequest| {
        let text = request.texts.get_mut("vi").unwrap();
        text.headline = HARM.into();
        text.body = HARM.repeat(30);
        text.instruction = Some(HARM.into());
        request.source.summary = HARM.into();
    };
    let harmful = world.submitted("12-benh-dai", cruel).await;
    world.clock.advance(std::time::Duration::from_secs(192));
    pages.insert("queue", desk.get("/console").await);
    for (name, alert) in [
        ("decision", &flood),
        ("decision-news", &news),
        ("decision-fraud", &fraud),
        ("decision-harmful", &harmful),
    ] {
        pages.insert(name, desk.get(&format!("/console/alerts/{}", alert.id)).await);
    }
    let english = desk.get(&format!("/console/alerts/{}?lang=en", flood.id)).await;
    desk.get("/console?lang=vi").await;
    pages.insert("decision-en", english);

    let mut agency = desk.beside("truc").await;
    pages.insert("agency", agency.get("/console/alerts").await);
    let follow = format!("/console/alerts/{}/follow", flood.id);
    pages.insert("agency-follow", agency.get(&follow).await);

    writing(world, &desk, &mut pages).await;

    let storm = world.submitted("02-mua-lon-hoan-luu-bao", |_| {}).await;
    let beside = desk.get(&format!("/console/alerts/{}", storm.id)).await;
    pages.insert("decision-overlapping", beside);

    let page = &pages["decision"];
    let (csrf, digest) = (page.csrf(), page.field("digest"));
    let path = format!("/console/alerts/{}", flood.id);
    let fields = [("csrf", csrf.as_str()), ("digest", &digest)];
    pages.insert("decision-refused", desk.post(&format!("{path}/approve"), &fields).await);
    let stale = [("csrf", csrf.as_str()), ("digest", "0"), ("reason", "x")];
    pages.insert("conflict", desk.post(&format!("{path}/reject"), &stale).await);
    pages.insert("forbidden", desk.post(&format!("{path}/reject"), &stale[1..]).await);
    let fields = [
        ("csrf", csrf.as_str()),
        ("digest", &digest),
        ("whole_province", "y"),
        ("no_state_secret", "y"),
    ];
    let broadcast = desk.post(&format!("{path}/approve"), &fields).await.location;
    pages.insert("broadcast-waiting", desk.get(&broadcast).await);
    half_sent(world).await;
    pages.insert("broadcast", desk.get(&broadcast).await);
    crate::console_correction::gallery((&mut desk, &mut agency), &broadcast, &mut pages).await;
    pages.insert("stopped", desk.post(&format!("{broadcast}/stop"), &fields[..1]).await);
    let recall = desk.post(&format!("{path}/recall"), &fields[..1]).await.location;
    pages.insert("broadcast-recalled", desk.get(&broadcast).await);
    pages.insert("broadcast-recall", desk.get(&recall).await);
    pages.insert("decision-decided", desk.get(&path).await);
    pages.insert("not-found", desk.get("/console/alerts/none").await);
    crate::console_calendar::gallery(&mut desk, &mut pages).await;
    two_approvers(world, &mut pages).await;
    templates(world, &mut pages).await;
    crate::console_operate::gallery(world, &mut pages).await;
    codes(world, &mut pages).await;
    administration(world, &mut pages).await;
    overseeing(world, &mut pages).await;
    // Last: the past it makes up is written into the trail without its chain.
    crate::console_reports::gallery(world, &mut pages).await;
    pages
}

/// What was done, and how much: as an auditor reads it.
async fn overseeing(world: &World, pages: &mut BTreeMap<&'static str, Page>) {
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    let trusted = TrustedKeys::of([("test-1".to_owned(), key.public())]);
    let key = std::sync::Arc::new(key);
    let keys = Keys { sealing: Some(key.clone()), trusted: trusted.clone() };
    let mut desk = Desk::before(world, keys, true);
    desk.sign_in("giamsat", PASSWORD).await;
    pages.insert("devices-none", desk.get("/console/devices").await);
    crate::device_census::ninety_days(world).await;
    pages.insert("devices", desk.get("/console/devices?days=90").await);
    pages.insert("devices-en", desk.get("/console/devices?lang=en").await);
    pages.insert("audit-unsigned", desk.get("/console/audit?lang=vi").await);
    pages.insert("calendar-read", desk.get("/console/calendar?year=2026").await);
    Checkpoints::new(world.pool.clone(), key, trusted).make().await.expect("a checkpoint");
    let mut conn = world.pool.acquire().await.unwrap();
    audit::append(&mut conn, HARM, "harm", HARM, serde_json::json!({ "x": HARM })).await.unwrap();
    pages.insert("audit", desk.get("/console/audit").await);
    pages.insert("audit-wrong", desk.get("/console/audit?from=2026-02-30&to=x&actor=truc").await);
    pages.insert("audit-none", desk.get("/console/audit?subject=none").await);
    let swap = "alter table audit disable trigger user; update audit set actor = 'x' where action = 'harm'";
    sqlx::raw_sql(swap).execute(&mut *conn).await.unwrap();
    pages.insert("audit-broken", desk.get("/console/audit?lang=en").await);
}

/// Writing: what is begun, what is written, what is wrong with it, and what somebody else wrote meanwhile.
async fn writing(world: &World, desk: &Desk, pages: &mut BTreeMap<&'static str, Page>) {
    let agency = accounts::agency_by_code(&world.pool, "BCHPTDS").await.unwrap();
    for login in ["soan", "soan2"] {
        let new = account(agency, login, Role::Submitter);
        let officer = accounts::create_officer(&world.pool, "test", new, false).await.unwrap();
        accounts::set_password(&world.pool, "test", officer, PASSWORD).await.unwrap();
    }
    let (mut one, mut other) = (desk.beside("soan").await, desk.beside("soan2").await);
    pages.insert("write-none", one.get("/console/write").await);
    let csrf = pages["write-none"].csrf();
    let begin = [("csrf", csrf.as_str()), ("start", "water-release")];
    let path = one.post("/console/write", &begin).await.location;
    let blank = one.post("/console/write", &begin[..1]).await.location;
    pages.insert("write-blank", one.get(&blank).await);
    pages.insert("write-sample", one.get(&path).await);
    let typed = [
        ("csrf", csrf.as_str()),
        ("version", "1"),
        ("kind", "warning"),
        ("category", "natural_disaster"),
        ("risk_level", "3"),
        ("severity", "severe"),
        ("urgency", "immediate"),
        ("certainty", "likely"),
        ("texts.vi.headline", "Hồ thử nghiệm xả nước từ 14 giờ: rời khỏi lòng sông, bãi sông"),
        (
            "texts.vi.instruction",
            "Đưa người, gia súc, thuyền bè lên bờ cao trước 14 giờ. Không vớt củi, không đánh cá, không qua sông.",
        ),
        ("texts.vi.body", "Lưu lượng xả 400 m³/s; nước hạ lưu có thể lên 2 m."),
        ("texts.en.headline", "Reservoir release from 14:00: leave the river bed"),
        ("texts.en.instruction", "Take people and animals to high ground before 14:00."),
        ("texts.en.body", "400 m³/s; the river may rise by 2 m."),
        ("communes", "01321"),
        ("communes", "01290"),
        ("communes", "01294"),
        ("expires", "2026-11-20T09:00"),
        ("source.summary", HARM),
        ("do", "submit"),
    ];
    pages.insert("write-wrong", one.post(&path, &typed).await);
    pages.insert("write", one.get(&path).await);
    let csrf = other.get(&path).await.csrf();
    let theirs = [("csrf", csrf.as_str()), ("version", "1"), ("texts.vi.body", "Hồ xả 600 m³/s.")];
    pages.insert("write-meanwhile", other.post(&path, &theirs).await);
    pages.insert("write-list", other.get("/console/write").await);
    let ended = [("version", "1"), ("texts.vi.headline", "Rét hại"), ("do", "save")];
    let mut nobody = Desk::out_of(desk);
    pages.insert("write-ended", nobody.post(&path, &ended).await);
}

/// An emergency that waits for its second approver, and news that waits for its time.
async fn two_approvers(world: &World, pages: &mut BTreeMap<&'static str, Page>) {
    let agency = accounts::agency_by_code(&world.pool, FOCAL).await.unwrap();
    let new = account(agency, "duyet2", Role::Approver);
    let other = accounts::create_officer(&world.pool, "test", new, false).await.unwrap();
    accounts::set_password(&world.pool, "test", other, PASSWORD).await.unwrap();
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    let trusted = TrustedKeys::default().with_quorum(Quorum::of_an_emergency(2));
    let keys = Keys { sealing: Some(key.into()), trusted };
    let mut first = Desk::before(world, keys, true);
    first.sign_in("duyet", PASSWORD).await;
    let mut second = first.beside("duyet2").await;

    let emergency = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let path = format!("/console/alerts/{}", emergency.id);
    let after = approve(&mut first, &path).await.location;
    pages.insert("decision-endorsed-own", first.get(&after).await);
    pages.insert("decision-endorsed", second.get(&path).await);
    pages.insert("queue-endorsed", second.get("/console").await);

    let tomorrow = world.now + time::Duration::days(1);
    let at_a_time = |request: &mut loa::domain::alert::AlertRequest| {
        request.send_at = Some(tomorrow.format(&Rfc3339).unwrap());
        request.expires = Some((tomorrow + time::Duration::days(2)).format(&Rfc3339).unwrap());
    };
    let news = world.submitted("07-tiem-vac-xin-soi", at_a_time).await;
    let path = format!("/console/alerts/{}", news.id);
    pages.insert("decision-scheduled", first.get(&path).await);
    let broadcast = approve(&mut first, &path).await.location;
    pages.insert("broadcast-scheduled", first.get(&broadcast).await);
    pages.insert("decision-scheduled-decided", first.get(&path).await);
}

/// A template on its way: waiting, ready, filled in wrongly and rightly, sent, and to be reviewed.
async fn templates(world: &World, pages: &mut BTreeMap<&'static str, Page>) {
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    let trusted = TrustedKeys::of([("test-1".to_owned(), key.public())]);
    let mut first = Desk::before(world, Keys { sealing: Some(key.into()), trusted }, true);
    first.sign_in("duyet", PASSWORD).await;
    let mut second = first.beside("duyet2").await;
    let blanks = |request: &mut loa::domain::alert::AlertRequest| {
        for (tag, text) in &mut request.texts {
            let (headline, when) = match tag.as_str() {
                "vi" => ("Lũ quét tại {place}", "Từ {time}, cấp {level}."),
                _ => ("Flash flood in {place}", "From {time}, level {level}."),
            };
            headline.clone_into(&mut text.headline);
            text.body = format!("{when} {}", text.body);
        }
        request.risk_level = None;
        let options = ["xã Ngọc Chiến", "xã Mường Bú", "xã Chiềng Lao", "phường Tô Hiệu"];
        let place = PlaceBlank { options: options.map(str::to_owned).to_vec(), at_most: 2 };
        request.template = Some(Template {
            name: "Lũ quét, sơ tán ngay".into(),
            blanks: Blanks {
                place: Some(place),
                time: Some(TimeBlank { within_hours: 6 }),
                level: Some(LevelBlank { min: 3, max: 5 }),
            },
            life_minutes: 720,
        });
    };
    let template = world.submitted("01-lu-quet-sat-lo-dat", blanks).await;
    let path = format!("/console/alerts/{}", template.id);
    pages.insert("template-waiting", first.get(&path).await);
    approve(&mut first, &path).await;
    pages.insert("template-endorsed", second.get(&path).await);
    let kept = approve(&mut second, &path).await.location;
    pages.insert("template-ready", second.get(&kept).await);
    let form = format!("/console/templates/{}", template.id);
    pages.insert("template-form", first.get(&form).await);
    let csrf = pages["template-form"].csrf();
    let soon = loa::clock::Clock::now(&loa::clock::SystemClock) + time::Duration::hours(2);
    let soon = soon.to_offset(loa::domain::wording::PROVINCE);
    let minutes = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]");
    let time = soon.format(minutes).unwrap();
    let mut fields = vec![("csrf", csrf.as_str()), ("place_1", "xã Mường Bú"), ("level", "4")];
    pages.insert("template-form-wrong", first.post(&form, &fields).await);
    fields.push(("time", &time));
    let filled = first.post(&form, &fields).await.location;
    pages.insert("template-filled", first.get(&filled).await);
    approve(&mut first, &filled).await;
    pages.insert("queue-template", second.get("/console").await);
    let review = format!("{filled}/after-review");
    pages.insert("after-review", second.get(&review).await);
    let csrf = pages["after-review"].csrf();
    let finding = [("csrf", csrf.as_str()), ("finding", "Dùng mẫu đúng, điền đúng địa bàn.")];
    second.post(&review, &finding).await;
    pages.insert("after-review-done", second.get(&review).await);
}

async fn approve(desk: &mut Desk, path: &str) -> Page {
    let page = desk.get(path).await;
    let (csrf, digest) = (page.csrf(), page.field("digest"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("digest", &digest),
        ("whole_province", "y"),
        ("no_state_secret", "y"),
    ];
    desk.post(&format!("{path}/approve"), &fields).await
}

/// One-time codes: set up after an invitation, and entered.
async fn codes(world: &World, pages: &mut BTreeMap<&'static str, Page>) {
    let agency = accounts::agency_by_code(&world.pool, FOCAL).await.unwrap();
    let new = account(agency, "soanthao", Role::Auditor);
    let officer = accounts::create_officer(&world.pool, "test", new, false).await.unwrap();
    let (one, other) = accounts::invite(&world.pool, "test", officer).await.expect("founding");
    let mut desk = Desk::before(world, Keys::default(), false);
    pages.insert("invitation", desk.get("/console/invitation").await);
    let csrf = pages["invitation"].csrf();
    let (one, other) = (one.to_string(), other.to_string());
    let fields =
        [("csrf", csrf.as_str()), ("login", "soanthao"), ("first", &one), ("second", &other)];
    let within = desk.post("/console/invitation", &fields).await.location;
    pages.insert("passkeys-first", desk.get(&within).await);
    pages.insert("totp", desk.get(CODES).await);
    let csrf = pages["totp"].csrf();
    let begun = desk.post(&format!("{CODES}/begin"), &[("csrf", &csrf)]).await;
    let app = typed(&begun);
    pages.insert("totp-set-up", begun);
    pages.insert("totp-wrong", set_up(&mut desk, PASSWORD, &app.wrong(world)).await);
    set_up(&mut desk, PASSWORD, &app.code(world, 0)).await;
    let mut outside = Desk::before(world, Keys::default(), false);
    pages.insert("sign-in-code", outside.get("/console/sign-in").await);
    let wrong = enter(&mut outside, "soanthao", PASSWORD, &app.wrong(world)).await;
    pages.insert("sign-in-code-wrong", wrong);
    enter(&mut outside, "soanthao", PASSWORD, &app.code(world, 30)).await;
    pages.insert("totp-on", outside.get(CODES).await);
}

/// What two administrators and an auditor see.
async fn administration(world: &World, pages: &mut BTreeMap<&'static str, Page>) {
    let agency = accounts::agency_by_code(&world.pool, FOCAL).await.unwrap();
    for (login, role) in [
        ("quantri1", Role::Administrator),
        ("quantri2", Role::Administrator),
        ("giamsat", Role::Auditor),
    ] {
        let new = account(agency, login, role);
        let id = accounts::create_officer(&world.pool, "test", new, false).await.unwrap();
        accounts::set_password(&world.pool, "test", id, PASSWORD).await.unwrap();
    }
    let key = || SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    let mut first = Desk::of(world, key(), "quantri1").await;
    pages.insert("accounts-quiet", first.get("/console/accounts").await);
    let csrf = pages["accounts-quiet"].csrf();
    let agency = agency.to_string();
    for (name, login) in [("Lãnh đạo trực duyệt 03 (SKHCN)", "skhcn.duyet03"), (HARM, "harm")]
    {
        let fields = [
            ("csrf", csrf.as_str()),
            ("agency", &agency),
            ("name", name),
            ("login", login),
            ("person", "CB-0103"),
            ("role", "approver"),
        ];
        first.post("/console/accounts", &fields).await;
        if name == HARM {
            let wrong = [fields[0], fields[1], ("name", HARM), ("login", HARM), fields[5]];
            pages.insert("accounts-wrong", first.post("/console/accounts", &wrong).await);
        }
    }
    let author = format!("/console/accounts/{}/key", world.author);
    first.post(&author, &[("csrf", &csrf), ("label", "Hệ thống điều hành")]).await;
    pages.insert("accounts-own", first.get("/console/accounts").await);
    let mut second = Desk::of(world, key(), "quantri2").await;
    let page = second.get("/console/accounts").await;
    let csrf = page.csrf();
    let confirm = |at: usize| {
        let id = page.html.split("/console/changes/").nth(at).unwrap();
        format!("/console/changes/{}/confirm", id.split('/').next().unwrap())
    };
    pages.insert("key", second.post(&confirm(5), &[("csrf", &csrf)]).await);
    pages.insert("accounts-decided", second.post(&confirm(5), &[("csrf", &csrf)]).await);
    pages.insert("accounts-en", second.get("/console/accounts?lang=en").await);
    pages.insert("accounts", second.get("/console/accounts?lang=vi").await);
    let mut auditor = Desk::of(world, key(), "giamsat").await;
    for _ in 0..2 {
        auditor.beside("giamsat").await;
    }
    pages.insert("sessions", auditor.get("/console/sessions").await);
    pages.insert("accounts-read", auditor.get("/console/accounts").await);
}

/// The ledger as it stands half-way.
async fn half_sent(world: &World) {
    for (provider, planned, accepted, gone, refused, failed) in [
        (0i16, 24_740, 14_211, 903, 12, 0),
        (1, 12_370, 12_001, 361, 8, 0),
        (2, 4_123, 800, 211, 30, 44),
    ] {
        sqlx::query(
            "insert into batch (broadcast_id, provider, first, last, planned, accepted, gone, refused, failed, pending)
             select id, $1, 1, $2, $2, $3, $4, $5, $6, $2 - $3 - $4 - $5 - $6 from broadcast",
        )
        .bind(provider)
        .bind(planned)
        .bind(accepted)
        .bind(gone)
        .bind(refused)
        .bind(failed)
        .execute(&world.pool)
        .await
        .unwrap();
    }
    for sql in [
        "update batch set errors = '{\"address_gone\": 903, \"refused\": 12, \"throttled\": 1402, \"unanswered\": 7}' where provider = 0",
        "update batch set errors = '{\"unavailable\": 61, \"not_sent\": 4}' where provider = 2",
        "update broadcast set state = 'sending', planned_at = now(), forecast = '{21.2, 44.9, 46.3}'",
        "insert into sent_event (broadcast_id, name, at) select id, 'first_push', created_at + interval '1 second' from broadcast",
        "insert into reached (broadcast_id, percent, at, settled, accepted)
         select id, n, created_at + interval '1 second' + (n + n * n / 90.0) * interval '0.3 second', 41233 * n / 100, 41233 * n / 105 from broadcast, generate_series(0, 68, 2) n",
    ] {
        sqlx::query(sql).execute(&world.pool).await.unwrap();
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn every_page_keeps_the_rules_of_all_pages(pool: PgPool) {
    let world = World::today(pool).await;
    let pages = gallery(&world).await;
    let folder = format!("{}/target/gallery", env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(format!("{folder}/font")).unwrap();
    std::fs::write(format!("{folder}/console.css"), assets::STYLE).unwrap();
    for (name, file) in [("latin", "latin"), ("vi", "vietnamese")] {
        for weight in [400, 600] {
            let font =
                format!("templates/console/font/be-vietnam-pro-{file}-{weight}-normal.woff2");
            std::fs::copy(font, format!("{folder}/font/{name}-{weight}.woff2")).unwrap();
        }
    }
    for (name, page) in &pages {
        let html = &page.html;
        assert!(html.trim_end().ends_with("</html>"), "{name} is whole: {html}");
        for inline in ["<script>", " onclick", " onload", " style=", "javascript:", "<style"] {
            assert!(!html.contains(inline), "{inline} on {name}");
        }
        for form in page.forms() {
            assert!(
                form.contains("name=\"csrf\" value=\""),
                "a form of {name} has no token: {form}"
            );
        }
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "{name}");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("script-src 'self'") && !policy.contains("unsafe"),
            "{name}: {policy}"
        );
        assert_eq!(page.headers["cache-control"], "no-store", "{name}");
        let looked_at = html.replace(&assets::ASSETS.style(), "console.css");
        let looked_at = match looked_at.find("<iframe src=\"") {
            Some(at) => {
                let end = at + looked_at[at..].find('#').unwrap();
                format!(
                    "{}<iframe src=\"../../demo/documents/01.pdf{}",
                    &looked_at[..at],
                    &looked_at[end..]
                )
            }
            None => looked_at,
        };
        std::fs::write(format!("{folder}/console-{name}.html"), looked_at).unwrap();
    }
    pages["decision-harmful"].says("&#60;script&#62;alert(1)");
    pages["decision-harmful"].says("Bị cắt ở đây");
    pages["broadcast"].says("14.211");
    pages["accounts"].says("&#60;script&#62;alert(1)");
    pages["accounts-wrong"].says("Chưa thực hiện được");
    pages["key"].says("loa_");
    pages["conflict"].says("Nội dung đã thay đổi");
    pages["decision-overlapping"].says("Có tin khác về cùng loại sự việc");
    pages["queue-endorsed"].says("đã có một người duyệt, cần thêm một người");
    pages["totp-set-up"].says("<svg");
    for (name, words) in [
        ("template-ready", "<strong>duyet2</strong>"),
        ("template-form-wrong", "Thời điểm: Thiếu trường bắt buộc này."),
        ("queue-template", "href=\"#mau\""),
        ("broadcast-scheduled", "/cancel\""),
        ("totp-on", "Thiết lập lại với ứng dụng khác"),
        ("sign-in-code", "name=\"code\""),
    ] {
        pages[name].says(words);
    }
}

#[test]
fn text_on_every_risk_level_passes_4_5_to_1_in_both_themes() {
    let (light, dark) = assets::STYLE.split_once("prefers-color-scheme:dark").unwrap();
    for (theme, css) in [("light", light), ("dark", dark)] {
        let pairs = ["l1", "l2", "l3", "l4", "l5", "news", "void", "act", "danger"]
            .map(|name| (name.to_owned(), format!("{name}-ink")));
        let more = [
            ("paper", "ink"),
            ("soft", "ink"),
            ("paper", "quiet"),
            ("soft", "quiet"),
            ("paper", "link"),
            ("soft", "link"),
        ];
        let more = more.map(|(ground, ink)| (ground.to_owned(), ink.to_owned()));
        for (ground, ink) in pairs.into_iter().chain(more) {
            let ratio = contrast(luminance(css, &ground), luminance(css, &ink));
            assert!(ratio >= 4.5, "{ink} on {ground} in {theme}: {ratio:.2}");
        }
    }
}

/// Relative luminance of a custom property (WCAG 2.2).
fn luminance(css: &str, name: &str) -> f64 {
    let start = format!("--{name}:#");
    let at = css.find(&start).unwrap_or_else(|| panic!("no {name}")) + start.len();
    let hex: String = css[at..].chars().take_while(char::is_ascii_hexdigit).collect();
    let hex = if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex };
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}

fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}
