//! What the planner and a dispatcher read: boundaries, batches, and forgetting on a provider's word.

use loa::domain::address::AddressHash;
use loa::domain::device::{Address, FcmTarget, Provider};
use loa::store::device::{self, quarantine};
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

/// `count` phones with numbers from 1, every `gone`th of them quarantined.
async fn phones(pool: &PgPool, count: i32, gone: i32) {
    sqlx::query(
        "insert into device (installation, provider, number, kind, address, address_hash, language, state)
         select gen_random_uuid(), 0, n, 0, 'token-' || n, sha256(convert_to('fcm_token', 'UTF8') || '\\x00'::bytea || convert_to('token-' || n, 'UTF8')),
             case when n % 2 = 0 then 'vi' else 'tyz' end, case when n % $2 = 0 then 1 else 0 end
         from generate_series(1, $1) as n",
    )
    .bind(count)
    .bind(gone)
    .execute(pool)
    .await
    .unwrap();
}

fn hash(token: &str) -> AddressHash {
    Address::Fcm(FcmTarget::Token(token.to_owned())).hash()
}

async fn state(pool: &PgPool, number: i64) -> i16 {
    sqlx::query_scalar("select state from device where provider = 0 and number = $1")
        .bind(number)
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn boundaries_cover_every_active_number_once(pool: PgPool) {
    phones(&pool, 1000, 10).await;
    let mut conn = pool.acquire().await.unwrap();
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let page =
            device::next_boundaries(&mut conn, Provider::Fcm, after, 950, 100, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some((_, last, _)) = page.last() else { break };
        after = *last;
        all.extend(page);
    }
    let planned: i32 = all.iter().map(|(.., planned)| planned).sum();
    assert_eq!(planned, 855, "950 but the 95 that are gone");
    assert_eq!((all.len(), all[0]), (9, (1, 111, 100)), "the tenth, twentieth … are skipped");
    assert_eq!(all[8], (889, 949, 55));
    assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0), "{all:?}");
    for (first, last, planned) in all {
        let batch = device::read_batch(&mut conn, Provider::Fcm, first, last).await.unwrap();
        assert_eq!(batch.len(), usize::try_from(planned).unwrap());
        assert!(batch.windows(2).all(|pair| pair[0].number < pair[1].number));
    }
    let none =
        device::next_boundaries(&mut conn, Provider::Apns, 0, i64::MAX, 100, 3).await.unwrap();
    assert_eq!(none, []);
    let counts = device::count_active_at_or_below(&mut conn, [950, 10, 10]).await.unwrap();
    assert_eq!(counts, [855, 0, 0]);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_batch_of_numbers_far_apart_is_read_whole_and_in_order(pool: PgPool) {
    phones(&pool, 950, 10).await;
    sqlx::query("update device set number = number * 9000000000000000")
        .execute(&pool)
        .await
        .unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let batch = device::read_batch(&mut conn, Provider::Fcm, 0, i64::MAX).await.unwrap();
    assert_eq!(batch.len(), 855);
    assert!(batch.windows(2).all(|pair| pair[0].number < pair[1].number));
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_batch_tells_address_and_language(pool: PgPool) {
    phones(&pool, 3, 100).await;
    let mut conn = pool.acquire().await.unwrap();
    let batch = device::read_batch(&mut conn, Provider::Fcm, 1, 2).await.unwrap();
    let told: Vec<_> =
        batch.iter().map(|d| (d.number, d.address.text(), d.language.as_str())).collect();
    assert_eq!(told, [(1, "token-1", "tyz"), (2, "token-2", "vi")]);
    assert_eq!(batch[0].address.hash(), hash("token-1"), "the stored hash is the computed one");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn invariant_6_only_the_very_address_the_provider_named_is_forgotten(pool: PgPool) {
    phones(&pool, 4, 100).await;
    let mut conn = pool.acquire().await.unwrap();
    // 2 has another address by now, 3 was never asked about, 9 never was.
    let verdicts = [
        (1, hash("token-1"), None),
        (2, hash("token-of-yesterday"), None),
        (9, hash("token-9"), None),
    ];
    let changed = quarantine(&mut conn, Provider::Fcm, &verdicts).await.unwrap();
    assert_eq!(changed, [2], "to be tried with the new address");
    assert_eq!((state(&pool, 1).await, state(&pool, 2).await, state(&pool, 3).await), (1, 0, 0));
    let another =
        quarantine(&mut conn, Provider::Apns, &[(4, hash("token-4"), None)]).await.unwrap();
    assert_eq!((another.len(), state(&pool, 4).await), (0, 0), "numbers are a provider's own");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn invariant_6_a_registration_younger_than_the_providers_word_survives(pool: PgPool) {
    phones(&pool, 2, 100).await;
    let registered: OffsetDateTime =
        sqlx::query_scalar("select max(registered_at) from device").fetch_one(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let verdicts = [
        (1, hash("token-1"), Some(registered - Duration::seconds(1))),
        (2, hash("token-2"), Some(registered + Duration::seconds(1))),
    ];
    let changed = quarantine(&mut conn, Provider::Fcm, &verdicts).await.unwrap();
    assert_eq!(changed, Vec::<i64>::new());
    assert_eq!((state(&pool, 1).await, state(&pool, 2).await), (0, 1));
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn invariant_6_a_registration_that_commits_meanwhile_is_neither_overwritten_nor_missed(
    pool: PgPool,
) {
    phones(&pool, 1, 100).await;
    let mut registering = pool.begin().await.unwrap();
    sqlx::query("update device set address = 'token-new', address_hash = $1")
        .bind(&hash("token-new")[..])
        .execute(&mut *registering)
        .await
        .unwrap();
    let forgetting = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut conn = pool.acquire().await.unwrap();
            quarantine(&mut conn, Provider::Fcm, &[(1, hash("token-1"), None)]).await.unwrap()
        }
    });
    // Commit only once the other waits for the row.
    let waits = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap() {
        tokio::task::yield_now().await;
    }
    registering.commit().await.unwrap();
    assert_eq!(forgetting.await.unwrap(), [1]);
    assert_eq!(state(&pool, 1).await, 0);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_boundary_scan_reads_the_index_only(pool: PgPool) {
    phones(&pool, 20_000, 50).await;
    sqlx::query("vacuum analyze device").execute(&pool).await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select number from device where provider = 0 and state = 0 and number > 5 and number <= 19000
         order by number offset 1999 limit 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Only Scan using device_active"), "{plan}");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_address_with_a_space_is_kept_out_and_never_shifts_its_neighbours(pool: PgPool) {
    phones(&pool, 4, 10).await;
    let spaced = "update device set address = 'two words' where provider = 0 and number = 2";
    let kept_out = sqlx::query(spaced).execute(&pool).await.unwrap_err().to_string();
    assert!(kept_out.contains("device_address_without_space"), "{kept_out}");

    // A row from before the constraint.
    let bare = "alter table device drop constraint device_address_without_space";
    sqlx::query(bare).execute(&pool).await.unwrap();
    sqlx::query(spaced).execute(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let refused = device::read_batch(&mut conn, Provider::Fcm, 1, 4).await.unwrap_err();
    assert!(refused.to_string().contains("address"), "{refused}");
}
