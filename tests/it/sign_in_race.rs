//! Guessing many passwords at once is no way around the throttle.

use std::sync::Arc;

use loa::clock::SystemClock;
use loa::domain::account::Role;
use loa::identity::accounts;
use loa::identity::sessions::{Sessions, SignInError};
use sqlx::PgPool;

use crate::support::app::{FOCAL, TestApp};

#[sqlx::test]
async fn guesses_made_at_once_are_counted_like_guesses_made_in_turn(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let person = app.person(FOCAL, "skhcn.truc", Role::Approver).await;
    accounts::set_password(&app.pool, "test", person.id, "mat-khau-dung-rat-dai").await.unwrap();
    let sessions = Sessions::new(app.pool.clone(), Arc::new(SystemClock), true);
    let guesses = (0..20).map(|guess| {
        let sessions = sessions.clone();
        tokio::spawn(async move {
            sessions
                .sign_in("skhcn.truc", &format!("doan-mo-{guess}"), "203.0.113.7".parse().unwrap())
                .await
        })
    });
    let mut tried = 0;
    for guess in futures_util::future::join_all(guesses).await {
        match guess.unwrap() {
            Err(SignInError::Wrong) => tried += 1,
            Err(SignInError::Throttled(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=5).contains(&tried), "{tried} guesses were tried");
}
