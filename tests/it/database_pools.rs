//! What a process's connections to PostgreSQL are like when they are handed on.

use loa::config::Secret;
use loa::config::database::Database;
use loa::process::database::Pools;
use loa::shutdown::Shutdown;
use sqlx::{ConnectOptions as _, Executor as _, PgPool};

/// Pools of one connection each, at the same database.
async fn pools(pool: &PgPool) -> Pools {
    let config = Database {
        url: Secret::new(pool.connect_options().to_url_lossy().to_string()),
        url_file: None,
        max_connections: 1,
        urgent_connections: 1,
    };
    Pools::open(&config, "test", &Shutdown::new()).await.expect("pools")
}

async fn backend(pool: &PgPool) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(pool).await.expect("a process id")
}

/// Gives a connection back inside a transaction that sqlx does not know of, as one is left in by a BEGIN nobody waited for.
async fn leave_inside(pool: &PgPool, statements: &'static [&'static str]) {
    let mut conn = pool.acquire().await.expect("a connection");
    for statement in statements {
        // One of them is meant to fail.
        drop(conn.execute(*statement).await);
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_connection_left_inside_a_transaction_is_handed_on_outside_of_it(pool: PgPool) {
    let pools = pools(&pool).await;
    let before = backend(&pools.common).await;
    leave_inside(&pools.common, &["begin", "create table of_the_transaction ()"]).await;
    pools.common.execute("create table after_it ()").await.expect("written");
    let there: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relname in ('of_the_transaction', 'after_it')",
    )
    .fetch_all(&pool)
    .await
    .expect("an answer");
    assert_eq!(there, ["after_it"], "committed, and not what had been given up");
    assert_eq!(backend(&pools.common).await, before, "the connection itself was good");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_connection_left_inside_a_failed_transaction_is_thrown_away(pool: PgPool) {
    let pools = pools(&pool).await;
    let before = backend(&pools.common).await;
    leave_inside(&pools.common, &["begin", "select 1 / 0"]).await;
    pools.common.execute("create table after_it ()").await.expect("written");
    assert_ne!(backend(&pools.common).await, before);
}
