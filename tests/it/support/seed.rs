//! Rows that other rows need, written as short as the schema allows.

use loa::domain::id::AlertId;
use sqlx::PgPool;
use uuid::Uuid;

/// The URL of a test's own database: liveness opens connections of its own.
pub fn url_of(pool: &PgPool) -> String {
    let options = pool.connect_options();
    let given = std::env::var("DATABASE_URL").expect("DATABASE_URL: run the tests by `make test`");
    let mut url = url::Url::parse(&given).expect("DATABASE_URL is a URL");
    url.set_path(options.get_database().expect("a test has a database"));
    url.into()
}

/// An agency, a submitter and a live alert without a seal: enough for what only counts rows.
pub async fn live_alert(pool: &PgPool) -> AlertId {
    let (agency, officer, alert) = (Uuid::now_v7(), Uuid::now_v7(), AlertId::new());
    let agency_row =
        sqlx::query("insert into agency (id, code, name) values ($1, $2, 'Cơ quan thử')")
            .bind(agency)
            .bind(agency.to_string());
    agency_row.execute(pool).await.expect("an agency");
    let officer_row = sqlx::query(
        "insert into officer (id, agency_id, name, login, role) values ($1, $2, 'Cán bộ thử', $3, 'submitter')",
    )
    .bind(officer)
    .bind(agency)
    .bind(officer.to_string());
    officer_row.execute(pool).await.expect("an officer");
    let alert_row = sqlx::query(
        "insert into alert (id, incident_id, agency_id, state, created_by, submitted_by, submitted_at, published_at, expires_at)
         values ($1, $1, $2, 'live', $3, $3, now(), now(), now() + interval '1 hour')",
    )
    .bind(alert.0)
    .bind(agency)
    .bind(officer);
    alert_row.execute(pool).await.expect("an alert");
    alert
}

/// Ends an alert.
pub async fn end(pool: &PgPool, alert: AlertId) {
    sqlx::query("update alert set state = 'expired', ended_at = now() where id = $1")
        .bind(alert.0)
        .execute(pool)
        .await
        .expect("the alert");
}
