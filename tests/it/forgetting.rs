//! A device is forgotten only on its provider's word, and never by the thousand without a person.

use std::sync::Arc;

use loa::delivery::forget::{Alive, Dead, forget};
use loa::domain::device::Provider;
use loa::store::forgetting;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// FCM devices numbered from one.
async fn install(pool: &PgPool, count: i64) {
    sqlx::query(
        "insert into device (installation, provider, number, kind, address, address_hash)
         select gen_random_uuid(), 0, n, 0, n::text, sha256(n::text::bytea) from generate_series(1, $1) n",
    )
    .bind(count)
    .execute(pool)
    .await
    .expect("devices");
}

async fn dead(pool: &PgPool, count: i64) -> Vec<Dead> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select number, address_hash from device where provider = 0 and number <= $1 and state = 0",
    )
    .bind(count)
    .fetch_all(pool)
    .await
    .expect("devices");
    rows.into_iter()
        .map(|(number, hash)| Dead {
            number,
            address: hash.try_into().expect("32 bytes"),
            since: None,
        })
        .collect()
}

async fn quarantined(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from device where state = 1")
        .fetch_one(pool)
        .await
        .expect("a count")
}

#[sqlx::test]
async fn invariant_6_a_wave_of_dead_addresses_waits_for_a_person(pool: PgPool) {
    install(&pool, 3_000).await;
    let alive = Alive::default();
    let few = dead(&pool, 400).await;
    forget(&pool, &alive, Provider::Fcm, 500, &few).await.expect("forgotten");
    assert_eq!(quarantined(&pool).await, 400, "most are dead, but they are few");

    let wave = dead(&pool, 2_000).await;
    forget(&pool, &alive, Provider::Fcm, 2_000, &wave).await.expect("counted");
    assert_eq!(quarantined(&pool).await, 400, "not one of the wave");
    let suspended = forgetting::suspended(&pool).await.expect("an answer");
    assert_eq!(
        suspended.iter().map(|(provider, _)| *provider).collect::<Vec<_>>(),
        [Provider::Fcm]
    );

    let after = dead(&pool, 410).await;
    forget(&pool, &alive, Provider::Fcm, 2_000, &after).await.expect("counted");
    assert_eq!(quarantined(&pool).await, 400, "nor anybody after it");

    let mut conn = pool.acquire().await.expect("a connection");
    forgetting::release(&mut conn, Provider::Fcm).await.expect("a person has looked");
    forget(&pool, &alive, Provider::Fcm, 2_000, &after).await.expect("forgotten");
    assert_eq!(quarantined(&pool).await, 410);
}

#[sqlx::test]
async fn the_usual_share_of_dead_addresses_suspends_nothing(pool: PgPool) {
    install(&pool, 2_000).await;
    let alive = Alive::default();
    let usual = dead(&pool, 1_200).await;
    forget(&pool, &alive, Provider::Fcm, 100_000, &usual).await.expect("forgotten");
    assert_eq!(quarantined(&pool).await, 1_200, "1.2 % of what was sent");
    assert_eq!(forgetting::suspended(&pool).await.expect("an answer"), []);
}

async fn sent(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select coalesce(sum(sent), 0)::bigint from provider_day where provider = 0")
        .fetch_one(pool)
        .await
        .expect("a sum")
}

#[sqlx::test]
async fn living_addresses_are_counted_together_and_before_anybody_is_called_dead(pool: PgPool) {
    install(&pool, 10).await;
    let alive = Alive::default();
    for _ in 0..9 {
        forget(&pool, &alive, Provider::Fcm, 2_000, &[]).await.expect("counted");
    }
    assert_eq!(sent(&pool).await, 0, "nobody is dead, and nothing is compared");
    forget(&pool, &alive, Provider::Fcm, 2_000, &[]).await.expect("counted");
    assert_eq!(sent(&pool).await, 20_000);

    forget(&pool, &alive, Provider::Fcm, 2_000, &[]).await.expect("counted");
    let one = dead(&pool, 1).await;
    forget(&pool, &alive, Provider::Fcm, 2_000, &one).await.expect("forgotten");
    assert_eq!(sent(&pool).await, 24_000, "all that it is compared with");
}

#[sqlx::test]
async fn what_was_not_yet_told_of_living_addresses_is_told_when_the_process_ends(pool: PgPool) {
    let alive = Arc::new(Alive::default());
    forget(&pool, &alive, Provider::Apns, 700, &[]).await.expect("noted");
    let sent = "select coalesce(sum(sent), 0)::bigint from provider_day";
    let told: i64 = sqlx::query_scalar(sent).fetch_one(&pool).await.expect("a sum");
    assert_eq!(told, 0, "a commit for each batch would be too much");
    let end = CancellationToken::new();
    end.cancel();
    alive.tell(pool.clone(), end).await;
    let told: i64 = sqlx::query_scalar(sent).fetch_one(&pool).await.expect("a sum");
    assert_eq!(told, 700);
}
