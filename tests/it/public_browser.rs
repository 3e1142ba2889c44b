//! What a citizen's browser is given to receive warnings: bytes, headers, the offer on the list.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use loa::config::webpush::BrowserKey;
use loa::publication::Publication;
use loa::web::public;
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::public_world::World;

const POLICY: &str = "script-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The public pages of a province whose operator gave the public key.
async fn offering(world: &World) -> Router {
    let publication = Arc::into_inner(world.publication()).expect("its only owner");
    let key = BrowserKey { id: "2026".into(), public_key: format!("B{}", "A".repeat(86)) };
    serve(publication.with_browser_key(Some(key))).await
}

async fn serve(publication: Publication) -> Router {
    publication.look().await.expect("the record");
    Router::from(public::routes(Arc::new(publication)))
}

async fn get(router: &Router, path: &str, header: (&str, &str)) -> Response {
    let request = Request::get(path).header(header.0, header.1).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn page(router: &Router, path: &str) -> String {
    text(get(router, path, ("accept", "text/html")).await).await
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The address after `before` up to the next quotation mark.
fn address<'a>(page: &'a str, before: &str) -> &'a str {
    let rest = page.split_once(before).expect("it is on the page").1;
    rest.split_once('"').expect("quoted").0
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_list_offers_it_only_where_there_is_a_key(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    let with = offering(&world).await;
    let without = serve(Arc::into_inner(world.publication()).expect("its only owner")).await;

    let list = page(&with, "/public/alerts?lang=en").await;
    assert!(
        list.contains("data-key-id=\"2026\"") && list.contains("Receive warnings in this browser")
    );
    assert!(list.contains("aria-labelledby=\"nhan-tin-ten\" hidden"), "nothing without the script");
    for page in [
        page(&without, "/public/alerts").await,
        page(&with, &format!("/public/alerts/{}", alert.id)).await,
    ] {
        for part in ["nhan-tin", "<script", "manifest.webmanifest"] {
            assert!(!page.contains(part), "{part}");
        }
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn with_ten_alerts_the_first_view_has_60_kb_at_most(pool: PgPool) {
    let world = World::new(pool).await;
    for index in 0..10 {
        let alert = world
            .submitted("01-lu-quet-sat-lo-dat", |request| {
                let vietnamese = request.texts.get_mut("vi").unwrap();
                vietnamese.headline = format!("{index}: {}", vietnamese.headline);
                vietnamese.body = "Nguy cơ rất cao xảy ra lũ quét. ".repeat(60);
            })
            .await;
        world.approve(&alert).await;
    }
    let router = offering(&world).await;
    let list = page(&router, "/public/alerts").await;
    assert_eq!(list.matches("<article").count(), 10, "all are on it");
    let mut bytes = list.len();
    for before in ["<script src=\"", "rel=\"manifest\" href=\""] {
        let path = address(&list, before);
        assert!(path.starts_with("/public/"), "our own origin: {path}");
        bytes += text(get(&router, path, ("accept", "*/*")).await).await.len();
    }
    println!("first view with ten alerts: {bytes} bytes");
    assert!(bytes <= 60_000, "{bytes} bytes");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn pages_may_run_our_own_scripts_and_nothing_else(pool: PgPool) {
    let world = World::new(pool).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    let router = offering(&world).await;
    for path in ["/public/alerts".to_owned(), format!("/public/alerts/{}", alert.id)] {
        let response = get(&router, &path, ("accept", "text/html")).await;
        let policy = header(&response, "content-security-policy").to_owned();
        let (before, rest) = policy.split_once("'; script-src").expect("a policy");
        assert!(before.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert_eq!(format!("script-src{rest}"), POLICY);
        assert_eq!(header(&response, "set-cookie"), "");
        let page = text(response).await;
        for foreign in ["<script>", "http://", " style=", " onclick=", "@import", "url("] {
            assert!(!page.replace("http://www.w3.org/2000/svg", "").contains(foreign), "{foreign}");
        }
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn files_come_from_memory_each_with_its_type_its_age_and_its_tag(pool: PgPool) {
    let router = offering(&World::new(pool).await).await;
    let list = page(&router, "/public/alerts").await;
    let script = address(&list, "<script src=\"");
    let (javascript, day) = ("text/javascript; charset=utf-8", "public, max-age=86400");
    for (path, media_type, cache) in [
        ("/sw.js", javascript, "no-cache"),
        (script, javascript, day),
        ("/public/files/subscribe.js?v=of-another-release", javascript, "no-cache"),
        ("/public/files/icon.png", "image/png", day),
        ("/public/manifest.webmanifest", "application/manifest+json", day),
    ] {
        let response = get(&router, path, ("accept", "*/*")).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "content-type"), media_type, "{path}");
        assert_eq!(header(&response, "cache-control"), cache, "{path}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "set-cookie"), "");
        let etag = header(&response, "etag").to_owned();
        let again = get(&router, path, ("if-none-match", &etag)).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
    let worker = get(&router, "/sw.js", ("accept", "*/*")).await;
    assert_eq!(
        header(&worker, "content-security-policy"),
        "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"
    );
    assert_eq!(header(&worker, "service-worker-allowed"), "", "its scope is what its place allows");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_scripts_ask_nobody_but_us_and_keep_no_cookie(pool: PgPool) {
    let router = offering(&World::new(pool).await).await;
    for path in ["/sw.js", "/public/files/subscribe.js"] {
        let script = text(get(&router, path, ("accept", "*/*")).await).await;
        for foreign in [
            "http:",
            "https:",
            "document.cookie",
            "innerHTML",
            "eval(",
            "localStorage",
            "importScripts",
        ] {
            assert!(!script.contains(foreign), "{foreign} in {path}");
        }
    }
}
