//! Every page that each role can come to by following links: whole, and nobody is shown a link that refuses them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use axum::http::{StatusCode, header};
use loa::domain::account::Role;
use sqlx::PgPool;

use crate::console_desk::{Desk, PASSWORD, Page, devices};
use crate::console_operate::person;
use crate::console_pages::key;
use crate::public_world::World;

/// Pages that a crawl comes to at most: lists page by cursor, filters are addresses as well.
const ENOUGH: usize = 150;

/// A province with something of everything, and somebody of each role.
async fn desks(world: &World) -> Vec<(&'static str, Desk)> {
    devices(world, [10, 5, 2]).await;
    world.live("01-lu-quet-sat-lo-dat").await;
    world.submitted("02-mua-lon-hoan-luu-bao", |_| {}).await;
    let flood = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut approver = Desk::of(world, key(), "duyet").await;
    approver.approve(flood.id).await;
    let writer = approver.beside("truc").await;
    let mut all = vec![("approver", approver), ("submitter", writer)];
    for (login, role, name) in [
        ("vanhanh", Role::Operator, "operator"),
        ("giamsat", Role::Auditor, "auditor"),
        ("quantri", Role::Administrator, "administrator"),
    ] {
        person(world, login, role).await;
        let mut desk = Desk::out_of(&all[0].1);
        desk.sign_in(login, PASSWORD).await;
        all.push((name, desk));
    }
    all
}

/// Addresses of the console that a page leads to.
fn links(page: &Page) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for piece in page.html.split("<a ").skip(1) {
        let tag = piece.split('>').next().unwrap();
        let Some(href) = tag.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()) else {
            continue;
        };
        let href = href.split('#').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
        if href.starts_with("/console") && !href.contains("lang=") {
            found.insert(href);
        }
    }
    found
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn nobody_is_shown_a_link_that_refuses_them_and_every_page_is_whole(pool: PgPool) {
    let world = World::today(pool).await;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (role, mut desk) in desks(&world).await {
        let mut known = BTreeSet::from(["/console".to_owned()]);
        let mut next = VecDeque::from([("/console".to_owned(), String::new())]);
        while let Some((path, from)) = next.pop_front() {
            let page = desk.get(&path).await;
            let told = format!("{role}: {path} from {from:?}: {}", page.status);
            let mut ahead = BTreeSet::new();
            if page.status.is_redirection() {
                ahead.insert(page.location.clone());
            } else {
                assert_eq!(page.status, StatusCode::OK, "{told}\n{}", page.html);
                let media_type = page.headers[header::CONTENT_TYPE].to_str().unwrap();
                if media_type.starts_with("text/html") {
                    assert!(page.html.trim_end().ends_with("</html>"), "{told} is whole");
                    assert_eq!(page.html.matches("<h1").count(), 1, "{told} has one title");
                    ahead = links(&page);
                }
            }
            for link in ahead {
                if known.len() < ENOUGH && known.insert(link.clone()) {
                    next.push_back((link, path.clone()));
                }
            }
        }
        seen.insert(role, known.len());
    }
    println!("{seen:?}");
    let least =
        [("approver", 12), ("submitter", 8), ("operator", 6), ("auditor", 8), ("administrator", 4)];
    for (role, pages) in least {
        assert!(seen[role] >= pages, "{role} came to {} pages: {seen:?}", seen[role]);
    }
}
