//! Every public page once, as files under `target/gallery`, to be looked at in a browser.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use loa::web::public;
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::public_world::{NOW, World};

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn every_public_page_can_be_looked_at(pool: PgPool) {
    let world = World::new(pool).await;
    let empty = world.publication();
    empty.look().await.unwrap();
    let empty = Router::from(public::routes(empty));

    let flood = world.live("01-lu-quet-sat-lo-dat").await;
    world.live("05-chay-rung-cap-v").await;
    let fraud = world.live("06-lua-dao-gia-danh-cong-an").await;
    let news = world.live("07-tiem-vac-xin-soi").await;
    let wrong = world.live("02-mua-lon-hoan-luu-bao").await;
    let recall = world.recall(&wrong).await;
    let old = world.live("12-benh-dai").await;
    sqlx::query("update alert set state = 'expired', ended_at = $2 where id = $1")
        .bind(old.id.0)
        .bind(NOW - time::Duration::hours(3))
        .execute(&world.pool)
        .await
        .unwrap();
    let publication = world.publication();
    publication.look().await.unwrap();
    let router = Router::from(public::routes(publication));

    let id = |id: loa::domain::id::AlertId| format!("/public/alerts/{id}");
    for (name, router, path) in [
        ("public-empty", &empty, "/public/alerts".to_owned()),
        ("public-list", &router, "/public/alerts".to_owned()),
        ("public-list-en", &router, "/public/alerts?lang=en".to_owned()),
        ("public-flood", &router, id(flood.id)),
        ("public-fraud", &router, id(fraud.id)),
        ("public-news", &router, id(news.id)),
        ("public-recalled", &router, id(wrong.id)),
        ("public-recall", &router, id(recall)),
        ("public-expired-en", &router, id(old.id) + "?lang=en"),
        ("public-none", &router, "/public/alerts/none".to_owned()),
    ] {
        let request = Request::get(path).header("accept", "text/html");
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let page = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(page.ends_with("</html>"), "{name} is whole");
        let folder = format!("{}/target/gallery", env!("CARGO_MANIFEST_DIR"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(format!("{folder}/{name}.html"), page).unwrap();
    }
}
