//! An officer writes an alert at the console: nothing typed is lost, nothing half is submitted, and no other agency sees it.

use axum::http::StatusCode;
use loa::clock::{Clock as _, SystemClock};
use loa::domain::account::Role;
use loa::domain::seal::SealingKey;
use serde_json::Value;
use sqlx::PgPool;

use crate::console_desk::{Desk, Page};
use crate::support::app::{TestApp, id, pdf};

async fn desk(app: &TestApp, login: &str) -> Desk {
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    Desk::of_app(app, key, login).await
}

/// Twenty hours from now, as a browser's field for a moment of the province has it.
fn tomorrow() -> String {
    let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]");
    let at = SystemClock.now() + time::Duration::hours(20);
    at.to_offset(time::macros::offset!(+7)).format(format).unwrap()
}

/// What an officer types.
fn typed() -> Vec<(&'static str, String)> {
    let tomorrow = tomorrow();
    let fields = [
        ("status", "actual"),
        ("kind", "warning"),
        ("category", "natural_disaster"),
        ("severity", "severe"),
        ("urgency", "immediate"),
        ("certainty", "likely"),
        ("communes", "01321"),
        ("communes", "01290"),
        ("texts.vi.headline", "Lũ quét ở Bảo Lạc"),
        ("texts.vi.body", "Nước sông Gâm đang lên nhanh."),
        ("texts.vi.instruction", "Lên chỗ cao ngay."),
        ("recall.texts.vi.headline", "Tin phát nhầm"),
        ("recall.texts.vi.body", "Không có lũ quét."),
        ("expires", tomorrow.as_str()),
        ("source.number", "15/CB-PCTT"),
        ("source.date", "2026-11-20"),
        ("source.summary", "Cảnh báo lũ quét"),
        ("attestations.whole_province", "yes"),
        ("attestations.no_state_secret", "yes"),
    ];
    fields.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// A form: its token and version, then what is typed, then the button.
struct Form {
    csrf: String,
    version: String,
    typed: Vec<(&'static str, String)>,
}

impl Form {
    fn of(page: &Page) -> Self {
        Self { csrf: page.csrf(), version: page.field("version"), typed: typed() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.typed.retain(|(known, _)| *known != name);
        self.typed.push((name, value.to_owned()));
        self
    }

    async fn press(&self, desk: &mut Desk, path: &str, button: &str, file: Option<&[u8]>) -> Page {
        let mut fields = vec![("csrf", self.csrf.as_str()), ("version", self.version.as_str())];
        fields.extend(self.typed.iter().map(|(name, value)| (*name, value.as_str())));
        fields.push(("do", button));
        desk.post_with_file(path, &fields, file).await
    }
}

/// A new working copy: its address.
async fn begin(desk: &mut Desk, start: &str) -> String {
    let csrf = desk.get("/console/write").await.csrf();
    let begun = desk.post("/console/write", &[("csrf", &csrf), ("start", start)]).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.html);
    begun.location
}

#[sqlx::test]
async fn an_officer_writes_an_alert_and_submits_it_in_one_step(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let mut desk = desk(&app, "bch.soanthao").await;
    let path = begin(&mut desk, "flash-flood").await;
    let page = desk.get(&path).await;
    page.says("Nguy cơ lũ quét, sạt lở tại [nơi]");
    page.says("Tin “Lũ quét, sạt lở” vừa phát không còn giá trị");

    // Nothing of it is an alert before it is submitted whole.
    let form = Form::of(&page).with("expires", "hôm nay").with("texts.vi.headline", "Lũ ở [nơi]");
    let refused = form.press(&mut desk, &path, "submit", None).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for words in ["Còn chỗ chưa điền: [nơi]", "Thời điểm phải viết theo", "Chưa đính kèm văn bản"]
    {
        refused.says(words);
    }
    refused.says("value=\"hôm nay\"");
    assert_eq!(app.count("select count(*) from alert").await, 0);

    let sent = Form::of(&refused).press(&mut desk, &path, "submit", Some(&pdf())).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.html);
    let id = path.strip_prefix("/console/write/").unwrap();
    assert_eq!(sent.location, format!("/console/alerts/{id}/follow"));
    let alert = app.get(&writer, &format!("/v1/alerts/{id}")).await.expect(200);
    assert_eq!((&alert["state"], &alert["revision"]), (&"submitted".into(), &1.into()));
    assert_eq!(alert["content"]["communes"][0]["name"], "Xã Bảo Lâm");
    let [drafts, documents] = [
        app.count("select count(*) from draft").await,
        app.count("select count(*) from alert_revision where sealable is not null").await,
    ];
    assert_eq!((drafts, documents), (0, 1));
    let told: Vec<String> =
        sqlx::query_scalar("select action from audit where subject = $1 order by seq")
            .bind(id)
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(told, ["alert.created", "alert.submitted"]);

    // Pressed twice: the second one leads to what the first one made.
    let twice = Form::of(&refused).press(&mut desk, &path, "submit", Some(&pdf())).await;
    assert_eq!(twice.location, sent.location);
    assert_eq!(app.count("select count(*) from alert").await, 1);
}

#[sqlx::test]
async fn what_was_typed_survives_the_end_of_the_session(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.writer().await;
    let mut desk = desk(&app, "bch.soanthao").await;
    let path = begin(&mut desk, "").await;
    let form = Form::of(&desk.get(&path).await);
    sqlx::query("delete from console_session").execute(&app.pool).await.unwrap();

    let ended = form.press(&mut desk, &path, "submit", Some(&pdf())).await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    ended.says("Nội dung bạn gõ vẫn còn");
    assert_eq!(ended.field("texts.vi.headline"), "Lũ quét ở Bảo Lạc");

    // Signed in again, the page of the earlier session is shown, and saved only when its reader says so.
    desk.sign_in("bch.soanthao", crate::console_desk::PASSWORD).await;
    let again = form.press(&mut desk, &path, "submit", None).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.says("chưa được lưu");
    again.says("Nước sông Gâm đang lên nhanh.");
    let stored = "select count(*) from draft where fields ? 'texts.vi.body'";
    assert_eq!(app.count(stored).await, 0);
    let saved = Form::of(&again).press(&mut desk, &path, "save", None).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.html);
    assert_eq!(app.count(stored).await, 1);

    // Another site gets nothing shown, and a form with nothing typed is worth no page of its own.
    let fields = [("csrf", "x"), ("texts.vi.body", "từ nơi khác")];
    let foreign = desk.post_from("cross-site", &path, &fields).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    foreign.lacks("từ nơi khác");
}

#[sqlx::test]
async fn the_later_of_two_is_told_what_changed_and_nothing_is_overwritten_unseen(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.writer().await;
    app.person("BCHPTDS", "bch.thuhai", Role::Submitter).await;
    let mut first = desk(&app, "bch.soanthao").await;
    let mut second = desk(&app, "bch.thuhai").await;
    let path = begin(&mut first, "").await;
    let (one, other) = (Form::of(&first.get(&path).await), Form::of(&second.get(&path).await));

    assert_eq!(one.press(&mut first, &path, "save", None).await.status, StatusCode::SEE_OTHER);
    let other = other.with("texts.vi.body", "Nước sông Bằng Giang đang lên.");
    let late = other.press(&mut second, &path, "save", None).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    late.says("Có người khác vừa lưu bản nháp này");
    late.says("<dd class=\"say\">Nước sông Gâm đang lên nhanh.</dd>");
    late.says(">Nước sông Bằng Giang đang lên.</textarea>");
    let stored = "select count(*) from draft where fields->>'texts.vi.body' like '%Gâm%'";
    assert_eq!(app.count(stored).await, 1, "nothing was overwritten");

    let kept = other.press(&mut second, &format!("{path}/keep"), "", None).await;
    assert_eq!(kept.status, StatusCode::CONFLICT, "nor by the script");
    let knowing = Form::of(&late).with("texts.vi.body", "Nước sông Bằng Giang đang lên.");
    let saved = knowing.press(&mut second, &path, "save", None).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    assert_eq!(app.count(stored).await, 0);
}

#[sqlx::test]
async fn a_returned_alert_is_mended_with_its_document(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let alert = app.submitted(&writer).await;
    let sheet = format!("/v1/review/alerts/{}", id(&alert));
    let digest = app.get(&approver, &sheet).await.expect(200)["digest"].clone();
    let body = serde_json::json!({"digest": digest, "reason": "Ghi rõ sông nào."});
    app.post(&approver, &format!("{sheet}/return"), &body).await.expect(200);

    let mut desk = desk(&app, "bch.soanthao").await;
    let path = format!("/console/write/{}", id(&alert));
    desk.get(&format!("/console/alerts/{}/follow", id(&alert))).await.says(&path);
    let page = desk.get(&path).await;
    page.says("Sửa tin, bản 3");
    page.says("Mở tệp đã đính kèm");
    let sent = Form::of(&page).press(&mut desk, &path, "submit", None).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.html);
    let now = app.get(&writer, &format!("/v1/alerts/{}", id(&alert))).await.expect(200);
    assert_eq!((&now["state"], &now["revision"]), (&"submitted".into(), &3.into()));
    assert_eq!(now["document"], alert["document"]);

    let closed = desk.get(&path).await;
    assert_eq!(closed.status, StatusCode::CONFLICT);
    closed.says("Không sửa được tin này");
}

#[sqlx::test]
async fn a_draft_upon_a_revision_that_is_gone_is_not_submitted(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let alert = app.draft(&writer).await;
    let mut desk = desk(&app, "bch.soanthao").await;
    let path = format!("/console/write/{}", id(&alert));
    let form = Form::of(&desk.get(&path).await);
    form.press(&mut desk, &path, "save", None).await;
    app.put(&writer, &format!("/v1/alerts/{}", id(&alert)), &app.flood()).await.expect(200);
    let page = desk.get(&path).await;
    let refused = Form::of(&page).press(&mut desk, &path, "submit", None).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("đã được sửa ở nơi khác");
    refused.says("Lũ quét ở Bảo Lạc");
    let gone = desk.post(&format!("{path}/discard"), &[("csrf", &page.csrf())]).await;
    assert_eq!(gone.location, "/console/write");
    assert_eq!(app.count("select count(*) from draft").await, 0);
    desk.get(&path).await.says("Sửa tin");
}

#[sqlx::test]
async fn a_correction_begins_with_the_words_it_corrects(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let alert = app.live_as(&writer, &approver, &app.flood()).await;
    let mut desk = desk(&app, "bch.soanthao").await;
    let page = desk.get(&format!("/console/alerts/{}/follow", id(&alert))).await;
    page.says("Soạn tin đính chính");
    let csrf = page.csrf();
    let fields = [("csrf", csrf.as_str()), ("copy", id(&alert)), ("as", "correction")];
    let begun = desk.post("/console/write", &fields).await;
    let page = desk.get(&begun.location).await;
    page.says("ĐÍNH CHÍNH");
    page.says("Cảnh báo lũ quét trên toàn tỉnh");
    let form = Form::of(&page).with("follows.alert", id(&alert)).with("follows.as", "correction");
    let sent = form.press(&mut desk, &begun.location, "submit", Some(&pdf())).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.html);
    let corrections = "select count(*) from alert where purpose = 'correction' and state = 'submitted' and version > 1";
    assert_eq!(app.count(corrections).await, 1);
}

#[sqlx::test]
async fn a_draft_is_its_agencys_and_nobody_who_approves_writes(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.writer().await;
    app.approver().await;
    app.person("SYT", "syt.soanthao", Role::Submitter).await;
    let mut own = desk(&app, "bch.soanthao").await;
    let path = begin(&mut own, "storm").await;
    for (login, status) in
        [("syt.soanthao", StatusCode::NOT_FOUND), ("skhcn.duyet", StatusCode::FORBIDDEN)]
    {
        let mut other = desk(&app, login).await;
        for address in [path.clone(), format!("{path}/document")] {
            assert_eq!(other.get(&address).await.status, status, "{login} {address}");
        }
        let csrf = other.get("/console/sessions").await.csrf();
        let form = Form { csrf: csrf.clone(), version: "1".into(), typed: typed() };
        for (address, button) in
            [(path.clone(), "save"), (path.clone(), "submit"), (format!("{path}/keep"), "")]
        {
            let page = form.press(&mut other, &address, button, None).await;
            assert_eq!(page.status, status, "{login} {address}");
        }
        let page = other.post(&format!("{path}/discard"), &[("csrf", &csrf)]).await;
        assert_eq!(page.status, status, "{login}");
    }
    assert_eq!(app.count("select count(*) from draft where version = 1").await, 1);
}

#[sqlx::test]
async fn the_preview_shows_what_phones_would_and_never_markup(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.writer().await;
    let mut desk = desk(&app, "bch.soanthao").await;
    let path = begin(&mut desk, "").await;
    let page = desk.get(&path).await;
    let nasty = "<script>alert(1)</script> an\u{202e} toàn\u{200b}";
    let form =
        Form::of(&page).with("texts.vi.headline", nasty).with("texts.vi.body", &"dài ".repeat(900));
    let kept = form.press(&mut desk, &format!("{path}/keep"), "", None).await;
    let told: Value = serde_json::from_str(&kept.html).expect("JSON");
    assert_eq!(told["version"], 2);
    let preview = told["preview"].as_str().unwrap();
    for words in ["&#60;script&#62;", "an toàn", "Xã Bảo Lạc", "Khẩn cấp", "Bị cắt ở đây"]
    {
        assert!(preview.contains(words), "{words}: {preview}");
    }
    for never in ["<script", "\u{202e}", "\u{200b}"] {
        assert!(!preview.contains(never), "{never:?}");
    }
}

#[sqlx::test]
async fn a_file_or_a_field_that_is_none_is_refused_beside_it_and_the_rest_is_kept(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.writer().await;
    let mut desk = desk(&app, "bch.soanthao").await;
    let path = begin(&mut desk, "").await;
    let form = Form::of(&desk.get(&path).await);
    let page = form.press(&mut desk, &path, "save", Some(b"MZ, a program")).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.says("Tệp phải là PDF, JPEG hoặc PNG");
    page.says("Lũ quét ở Bảo Lạc");
    assert_eq!(app.count("select count(*) from draft where fields ? 'texts.vi.body'").await, 1);
    let large = Form::of(&page).press(&mut desk, &path, "save", Some(&vec![b' '; 1_100_000])).await;
    large.says("lớn hơn 1 MB");
    let huge = Form::of(&large).with("texts.vi.body", &"x".repeat(100_000));
    let page = huge.press(&mut desk, &path, "save", None).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.says("Quá dài");
    page.says("Lũ quét ở Bảo Lạc");
    page.says(&"x".repeat(20_000));
    page.lacks(&"x".repeat(20_001));
    let kept = "select count(*) from draft where fields ->> 'texts.vi.body' like 'Nước sông Gâm%'";
    assert_eq!(app.count(kept).await, 1, "what was kept before stays");
}
