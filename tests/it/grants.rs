//! The roles of docs/production.md: what the handbook grants is enough, and what it withholds is withheld.

use std::path::Path;

use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, raw_sql};

use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup};
use crate::support::phones::android_address;
use crate::support::seed;

/// The two roles of one test: roles belong to the whole server.
struct Roles {
    owner: PgPool,
    serve: String,
    dispatch: String,
}

impl Roles {
    /// Made and granted as the handbook says.
    async fn create(owner: PgPool) -> Self {
        let suffix = &uuid::Uuid::new_v4().simple().to_string()[..8];
        let roles = Self {
            owner,
            serve: format!("loa_serve_{suffix}"),
            dispatch: format!("loa_dispatch_{suffix}"),
        };
        for name in [&roles.serve, &roles.dispatch] {
            let create = format!("create role {name} login password '{name}'");
            raw_sql(AssertSqlSafe(create)).execute(&roles.owner).await.expect("createrole is ours");
        }
        let grants =
            handbook().replace("loa_serve", &roles.serve).replace("loa_dispatch", &roles.dispatch);
        raw_sql(AssertSqlSafe(grants)).execute(&roles.owner).await.expect("the handbook's SQL");
        roles
    }

    fn url(&self, role: &str) -> String {
        let mut url: url::Url = seed::url_of(&self.owner).parse().expect("a URL");
        url.set_username(role).expect("a role");
        url.set_password(Some(role)).expect("a password");
        url.into()
    }

    async fn drop(self) {
        for name in [&self.serve, &self.dispatch] {
            let drop =
                format!("revoke all on all tables in schema public from {name}; drop role {name}");
            raw_sql(AssertSqlSafe(drop))
                .execute(&self.owner)
                .await
                .expect("nothing else depends on it");
        }
    }
}

/// The block of SQL that begins with the grants.
fn handbook() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/production.md");
    let text = std::fs::read_to_string(path).expect("the handbook");
    let mut blocks = text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains("grant select")).expect("the grants").to_owned()
}

#[sqlx::test]
async fn the_handbooks_roles_can_do_their_work_and_no_more(pool: PgPool) {
    let vhost = Vhost::create().await;
    let roles = Roles::create(pool.clone()).await;
    let serve = PgPoolOptions::new().connect(&roles.url(&roles.serve)).await.expect("serve's role");
    let setup = Setup {
        devices: 3_000,
        batch_size: 200,
        pace: 0,
        amqp_url: vhost.config().url.expose().clone(),
    };
    let mut fleet = Fleet::start_at(serve, roles.url(&roles.dispatch), &setup).await;
    let canary = json!({"kind": "fcm_token", "token": android_address(), "locale": "vi-VN"});
    let list = fleet.write("canaries.ndjson", canary.to_string().as_bytes());
    fleet.set("LOA__CANARY__GROUP_FILE", list);
    let sealing = loa::canary::template::seal(&fleet.app.pool, &fleet.app.key);
    sealing.await.expect("serve seals the template of probes");
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    let quarantined = fleet.app.count("select count(*) from device where state = 1").await;
    assert_eq!(quarantined, told.tally.gone, "a dispatcher may quarantine");
    let path = format!("/v1/review/alerts/{}/recall", told.alert);
    let recalled = fleet.app.post(&fleet.approver, &path, &json!(null)).await.expect(200);
    let recall = crate::support::fleet::OnAir {
        broadcast: id_of(&recalled["broadcast"]),
        collapse: on_air.collapse.clone(),
    };
    fleet.completed(&recall).await;
    let taken = fleet.app.count("select count(*) from canary_probe where outcome = 'accepted'");
    assert_eq!(taken.await, 1, "a dispatcher probes: {}", fleet.logs());
    let forged = fleet.app.pool.execute("update canary_probe set outcome = 'accepted'").await;
    assert!(forged.is_err(), "serve says nothing about probes, it only reads");
    let figures = loa::upkeep::figures::Figures { pool: fleet.app.pool.clone() };
    figures.round().await.expect("serve gathers what reports count");
    let sent = fleet.app.count("select count(*) from report_sent where accepted > 0").await;
    assert_eq!(sent, 2, "the alert and its recall");
    let logs = fleet.logs();
    assert!(!logs.contains("permission denied"), "{logs}");

    let dispatch = PgPoolOptions::new().connect(&roles.url(&roles.dispatch)).await.expect("a role");
    for withheld in [
        "update alert_revision set revision = 1",
        "insert into seal select * from seal",
        "delete from audit",
        "insert into audit_checkpoint select * from audit_checkpoint",
        "update audit_checkpoint set seq = seq + 1",
        "delete from decision",
        "insert into officer select * from officer",
        "select * from console_session",
        "insert into notice_template select * from notice_template",
        "insert into report_event select * from report_event",
        "update report_sent set accepted = 0",
        "insert into shown select * from shown",
    ] {
        let refused = dispatch.execute(withheld).await.expect_err(withheld);
        let code =
            refused.as_database_error().and_then(|error| error.code().map(|c| c.to_string()));
        assert_eq!(code.as_deref(), Some("42501"), "{withheld}: {refused}");
    }
    dispatch.close().await;
    fleet.app.pool.close().await;
    drop(fleet);
    roles.drop().await;
}

fn id_of<T: std::str::FromStr>(value: &serde_json::Value) -> T
where
    T::Err: std::fmt::Debug,
{
    value.as_str().expect("an id").parse().expect("a UUID")
}
