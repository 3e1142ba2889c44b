//! The public record over HTTP: bytes, caches, languages, documents.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use loa::domain::id::AlertId;
use loa::web::public;
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::public_world::{PDF, World};

struct Face(Router);

impl Face {
    async fn of(world: &World) -> Self {
        let publication = world.publication();
        publication.look().await.unwrap();
        Self(Router::from(public::routes(publication)))
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.0.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.call(Method::GET, path, headers).await
    }

    async fn page(&self, path: &str) -> String {
        let response = self.get(path, &[("accept", "text/html")]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        text(response).await
    }
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |v| v.to_str().unwrap())
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_reader_who_has_it_already_gets_304_and_head_sends_no_body(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    let face = Face::of(&world).await;
    for path in ["/public/alerts".to_owned(), format!("/public/alerts/{}", alert.id)] {
        for accept in ["application/json", "text/html"] {
            let first = face.get(&path, &[("accept", accept)]).await;
            assert_eq!(first.status(), StatusCode::OK);
            assert!(header(&first, "content-type").starts_with(accept));
            assert_eq!(
                header(&first, "cache-control"),
                "public, max-age=5, stale-while-revalidate=60, stale-if-error=86400"
            );
            assert_eq!(header(&first, "vary"), "Accept, Accept-Language");
            assert_eq!(header(&first, "set-cookie"), "");
            assert_eq!(header(&first, "loa-record-age"), "0");
            let etag = header(&first, "etag").to_owned();
            assert!(etag.starts_with('"') && etag.len() > 20, "strong: {etag}");

            let weak = format!("\"other\", W/{etag}");
            let again = face.get(&path, &[("accept", accept), ("if-none-match", &weak)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(header(&again, "etag"), etag);
            assert_eq!(header(&again, "vary"), "Accept, Accept-Language");
            assert_eq!(text(again).await, "");

            let head = face.call(Method::HEAD, &path, &[("accept", accept)]).await;
            assert_eq!(head.status(), StatusCode::OK);
            assert_eq!(header(&head, "etag"), etag);
            assert_eq!(header(&head, "content-length"), text(first).await.len().to_string());
            assert_eq!(text(head).await, "");
        }
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn two_processes_agree_on_the_entity_tag(pool: PgPool) {
    let world = World::new(pool).await;
    world.live("01-lu-quet-sat-lo-dat").await;
    let (one, other) = (Face::of(&world).await, Face::of(&world).await);
    let tags = [one.get("/public/alerts", &[]).await, other.get("/public/alerts", &[]).await]
        .map(|response| header(&response, "etag").to_owned());
    assert_eq!(tags[0], tags[1]);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn browsers_get_a_page_and_programs_get_json_each_in_its_language(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    let face = Face::of(&world).await;
    let path = format!("/public/alerts/{}", alert.id);
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    let vietnamese = face.get(&path, &[("accept", browser)]).await;
    assert_eq!(header(&vietnamese, "content-language"), "vi");
    assert!(text(vietnamese).await.contains("Việc cần làm"));

    let english = [("accept", browser), ("accept-language", "en-GB,vi;q=0.5")];
    let english = face.get(&path, &english).await;
    assert_eq!(header(&english, "content-language"), "en");
    assert!(text(english).await.contains("Move away now from riverbanks"));

    let asked = face
        .get(&format!("{path}?lang=en"), &[("accept", browser), ("accept-language", "vi")])
        .await;
    assert_eq!(header(&asked, "content-language"), "en");

    for program in
        [&[][..], &[("accept", "*/*")], &[("accept", "application/json, text/html;q=0.5")]]
    {
        let response = face.get(&path, program).await;
        assert_eq!(header(&response, "content-type"), "application/json");
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_alert_in_a_minority_language_is_read_in_it(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world
        .submitted("01-lu-quet-sat-lo-dat", |request| {
            let mut text = request.texts["vi"].clone();
            text.headline = "Nặm luây lai".into();
            request.texts.insert("tyz".into(), text);
        })
        .await;
    world.approve(&alert).await;
    let face = Face::of(&world).await;

    let page = face.page(&format!("/public/alerts/{}?lang=tyz", alert.id)).await;

    assert!(page.contains("<div lang=\"tyz\">"), "marked for a screen reader");
    assert!(page.contains("Nặm luây lai"));
    assert!(page.contains("Việc cần làm"), "our own words stay Vietnamese");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_document_is_the_sealed_file_and_only_that(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    let face = Face::of(&world).await;
    let path = format!("/public/alerts/{}/document", alert.id);

    let file = face.get(&path, &[]).await;
    assert_eq!(file.status(), StatusCode::OK);
    assert_eq!(header(&file, "content-type"), "application/pdf");
    assert!(header(&file, "content-disposition").starts_with("attachment; filename=\"van-ban-"));
    assert_eq!(header(&file, "x-content-type-options"), "nosniff");
    let etag = header(&file, "etag").to_owned();
    assert_eq!(to_bytes(file.into_body(), usize::MAX).await.unwrap(), PDF);
    let again = face.get(&path, &[("if-none-match", &etag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);

    // Somebody exchanges the file in the database, keeping the digest column: a process that has not read it yet must not show it.
    sqlx::query("update document set content = $1")
        .bind(b"%PDF-1.4 khac".as_slice())
        .execute(&world.pool)
        .await
        .unwrap();
    let exchanged = Face::of(&world).await.get(&path, &[]).await;
    assert_eq!(exchanged.status(), StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_address_that_leads_nowhere_says_so_and_is_not_cached(pool: PgPool) {
    let world = World::new(pool).await;
    let waiting = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let face = Face::of(&world).await;
    for id in [waiting.id.to_string(), AlertId::new().to_string(), "%3Cscript%3E".into()] {
        for path in [format!("/public/alerts/{id}"), format!("/public/alerts/{id}/document")] {
            let problem = face.get(&path, &[]).await;
            assert_eq!(problem.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(header(&problem, "content-type"), "application/problem+json");
            assert_eq!(header(&problem, "cache-control"), "no-store");
            let page = face.get(&path, &[("accept", "text/html")]).await;
            assert_eq!(page.status(), StatusCode::NOT_FOUND);
            assert!(text(page).await.contains("Không có tin này"));
        }
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_process_that_has_not_read_the_record_never_says_there_are_no_alerts(pool: PgPool) {
    let world = World::new(pool).await;
    let face = Face(Router::from(public::routes(world.publication())));
    let response = face.get("/public/alerts", &[("accept", "text/html")]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&response, "retry-after"), "2");
    assert!(text(response).await.contains("không có nghĩa là không có cảnh báo"));
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_alert_text_is_text_whatever_it_contains(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world
        .submitted("01-lu-quet-sat-lo-dat", |request| {
            let text = request.texts.get_mut("vi").unwrap();
            text.headline = "<script>alert(1)</script>".into();
            text.body = "\"><img src=x onerror=alert(2)>".into();
            text.instruction = Some("</style><svg/onload=alert(3)>".into());
            request.source.summary = "<u>x</u>".into();
        })
        .await;
    world.approve(&alert).await;
    let face = Face::of(&world).await;
    for path in ["/public/alerts".to_owned(), format!("/public/alerts/{}", alert.id)] {
        let page = face.page(&path).await;
        assert!(page.contains("alert(1)"), "the text is there");
        for dangerous in ["<script", "<img", "<svg/", "<u>"] {
            assert!(!page.contains(dangerous), "{dangerous} in {path}");
        }
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn public_pages_are_small_alone_and_without_script(pool: PgPool) {
    let world = World::new(pool).await;
    let long = "Nguy cơ rất cao xảy ra lũ quét. ".repeat(60);
    let alert = world
        .submitted("01-lu-quet-sat-lo-dat", |request| {
            request.texts.get_mut("vi").unwrap().body = long.clone();
        })
        .await;
    world.approve(&alert).await;
    for file in ["02-mua-lon-hoan-luu-bao", "12-benh-dai", "13-ngay-bau-cu", "07-tiem-vac-xin-soi"]
    {
        world.live(file).await;
    }
    let face = Face::of(&world).await;
    for path in ["/public/alerts".to_owned(), format!("/public/alerts/{}", alert.id)] {
        let response = face.get(&path, &[("accept", "text/html")]).await;
        let policy = header(&response, "content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer");
        assert_eq!(header(&response, header::SET_COOKIE.as_str()), "");
        let page = text(response).await;
        assert!(page.len() <= 60_000, "{} bytes", page.len());
        for foreign in ["<script", " src=", "@import", "url(", " style="] {
            assert!(!page.contains(foreign), "{foreign} in {path}");
        }
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_page_says_what_where_what_to_do_until_when_and_who_says_so(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    let page = Face::of(&world).await.page(&format!("/public/alerts/{}", alert.id)).await;
    for said in [
        "Cảnh báo lũ quét, sạt lở đất trên toàn tỉnh",
        "Cấp 3 · rủi ro lớn",
        "Rời ngay khỏi ven sông",
        "21/11/2026 20:05",
        crate::public_world::AGENCY,
        "27/CĐ-BCHPTDS",
        "18/07/2026",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_feed_reader_gets_what_holds_with_everything_escaped_and_304_after_that(pool: PgPool) {
    let world = World::new(pool).await;
    let change = |request: &mut loa::domain::alert::AlertRequest| {
        request.communes = vec!["01321".to_owned()];
        let text = request.texts.get_mut("vi").expect("Vietnamese");
        text.headline = "Lũ <quét> & \"sạt\" lở".to_owned();
    };
    let alert = world.submitted("01-lu-quet-sat-lo-dat", change).await;
    world.approve(&alert).await;
    let face = Face::of(&world).await;
    let first = face.get("/public/alerts.atom", &[("accept-language", "en")]).await;
    assert_eq!(header(&first, "content-type"), "application/atom+xml; charset=utf-8");
    let tag = header(&first, "etag").to_owned();
    let feed = text(first).await;
    for words in [
        "<title>Lũ &#60;quét&#62; &#38; &#34;sạt&#34; lở</title>",
        &format!("<id>urn:uuid:{}</id>", alert.id),
        "Xã, phường liên quan: Xã Bảo Lạc.",
    ] {
        assert!(feed.contains(words), "{words}: {feed}");
    }
    let again = face.get("/public/alerts.atom", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let english = text(face.get("/public/alerts.atom?lang=en", &[]).await).await;
    assert!(english.contains("xml:lang=\"en\"") && english.contains("Natural disaster"));

    let page = face.page(&format!("/public/alerts/{}", alert.id)).await;
    for words in
        ["og:title", "og:description", "rel=\"canonical\"", "<dd lang=\"vi\">Xã Bảo Lạc</dd>"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
}
