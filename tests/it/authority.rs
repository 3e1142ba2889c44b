//! Nobody gives authority alone: what takes two administrators takes two people, in the code, in the database and on the page.

use axum::http::StatusCode;
use loa::domain::account::{Officer, Role};
use loa::domain::authority::Change;
use loa::domain::id::{AgencyId, ChangeId, OfficerId};
use loa::domain::seal::SealingKey;
use loa::identity::accounts::{self, AccountError};
use loa::identity::authority::{Authority, AuthorityError, Wished};
use loa::identity::change::Effect;
use loa::identity::keys;
use loa::store::account::officer_by_login;
use loa::store::authority::Outcome;
use serde_json::json;
use sqlx::PgPool;

use crate::console_desk::{Desk, PASSWORD};
use crate::public_world::World;
use crate::support::app::{FOCAL, TestApp, account};

/// A focal unit with two administrators.
struct Unit {
    pool: PgPool,
    desk: Authority,
    agency: AgencyId,
}

impl Unit {
    async fn found(pool: PgPool) -> Self {
        let agency = accounts::upsert_agency(&pool, "test", FOCAL, "Sở KH&CN", true).await.unwrap();
        let unit = Self { desk: Authority::new(pool.clone()), pool, agency };
        for login in ["quantri1", "quantri2"] {
            unit.open(login, Role::Administrator).await.expect("the province is being founded");
        }
        unit
    }

    /// By the operator's command.
    async fn open(&self, login: &str, role: Role) -> Result<OfficerId, AccountError> {
        accounts::create_officer(&self.pool, "command", account(self.agency, login, role), false)
            .await
    }

    async fn officer(&self, login: &str) -> Officer {
        let mut conn = self.pool.acquire().await.unwrap();
        officer_by_login(&mut conn, login).await.unwrap().expect("an open account").0
    }

    async fn propose(&self, change: Change) -> ChangeId {
        match self.desk.wish(&self.officer("quantri1").await, change).await.unwrap() {
            Wished::Waits(id) => id,
            Wished::Done(effect) => panic!("one was enough: {effect:?}"),
        }
    }

    fn approver(&self) -> Change {
        Change::OpenAccount(account(self.agency, "duyet", Role::Approver))
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }
}

#[sqlx::test]
async fn once_there_are_two_administrators_a_command_gives_no_authority(pool: PgPool) {
    let unit = Unit::found(pool).await;
    for role in Role::ALL {
        let opened = unit.open(role.as_str(), role).await;
        match role {
            Role::Approver | Role::Administrator => {
                assert!(matches!(opened, Err(AccountError::TakesTwo)), "{role:?}: {opened:?}");
            }
            Role::Submitter | Role::Operator | Role::Auditor | Role::System => {
                opened.expect("one is enough");
            }
        }
    }
    let writer = unit.officer("submitter").await.id;
    let key = accounts::create_api_key(&unit.pool, "command", writer, "máy", false).await;
    assert!(matches!(key, Err(AccountError::TakesTwo)), "{key:?}");
    let user = accounts::set_broker_user(&unit.pool, "command", "snnmt", writer).await;
    assert!(matches!(user, Err(AccountError::TakesTwo)), "{user:?}");
    assert!(accounts::disable_officer(&unit.pool, "command", writer).await.unwrap());
}

#[sqlx::test]
async fn two_accounts_of_one_administrator_are_not_two_administrators(pool: PgPool) {
    let agency = accounts::upsert_agency(&pool, "test", FOCAL, "Sở KH&CN", true).await.unwrap();
    for login in ["quantri1", "quantri2"] {
        let mut same = account(agency, login, Role::Administrator);
        same.person = "CB-0001".into();
        accounts::create_officer(&pool, "command", same, false).await.unwrap();
    }
    // Still being founded: there is one person only.
    let unit = Unit { desk: Authority::new(pool.clone()), pool, agency };
    unit.open("quantri3", Role::Administrator).await.unwrap();

    let id = unit.propose(unit.approver()).await;
    let second_account = unit.officer("quantri2").await;
    let done = unit.desk.confirm(&second_account, id).await;
    assert!(matches!(done, Err(AuthorityError::SamePerson)), "{done:?}");
    // The last line, should the check above ever be lost.
    let forced = sqlx::query(
        "update authority_change set outcome = 'confirmed', decided_by = $1, decided_at = now()",
    )
    .bind(second_account.id.0)
    .execute(&unit.pool)
    .await
    .expect_err("the database knows people too");
    let constraint = forced.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("second_administrator"), "{forced}");
    unit.desk.confirm(&unit.officer("quantri3").await, id).await.unwrap();
}

#[sqlx::test]
async fn one_proposes_another_confirms_and_exactly_that_is_done_once(pool: PgPool) {
    let unit = Unit::found(pool).await;
    let (first, second) = (unit.officer("quantri1").await, unit.officer("quantri2").await);

    let id = unit.propose(unit.approver()).await;
    assert_eq!(unit.count("select count(*) from officer where role = 'approver'").await, 0);
    let own = unit.desk.confirm(&first, id).await;
    assert!(matches!(own, Err(AuthorityError::SamePerson)), "{own:?}");
    let effect = unit.desk.confirm(&second, id).await.unwrap();
    assert!(matches!(effect, Effect::Opened(_)), "{effect:?}");
    assert_eq!(unit.officer("duyet").await.role, Role::Approver);
    let again = unit.desk.confirm(&second, id).await;
    assert!(
        matches!(again, Err(AuthorityError::Decided { outcome: Outcome::Confirmed, .. })),
        "{again:?}"
    );

    let officer = unit.open("soanthao", Role::Submitter).await.unwrap();
    let id = unit.propose(Change::CreateKey { officer, label: "máy".into() }).await;
    let Effect::KeyCreated(key) = unit.desk.confirm(&second, id).await.unwrap() else {
        panic!("a key was agreed on")
    };
    assert!(keys::officer_of(&unit.pool, &key.secret).await.unwrap().is_some());

    // A new role ends what the old one could do.
    let id = unit.propose(Change::ChangeRole { officer, role: Role::Approver }).await;
    unit.desk.confirm(&second, id).await.unwrap();
    assert_eq!(unit.officer("soanthao").await.role, Role::Approver);
    assert_eq!(keys::officer_of(&unit.pool, &key.secret).await.unwrap(), None);

    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit where action not like 'agency%' order by seq")
            .fetch_all(&unit.pool)
            .await
            .unwrap();
    let expected = "officer.created officer.created authority.proposed officer.created authority.confirmed officer.created \
        authority.proposed api_key.created authority.confirmed authority.proposed officer.role_changed authority.confirmed";
    assert_eq!(actions.join(" "), expected);
}

#[sqlx::test]
async fn a_proposal_is_refused_withdrawn_or_grows_old(pool: PgPool) {
    let unit = Unit::found(pool).await;
    let (first, second) = (unit.officer("quantri1").await, unit.officer("quantri2").await);

    let id = unit.propose(unit.approver()).await;
    assert_eq!(unit.desk.refuse(&second, id).await.unwrap(), Outcome::Refused);
    let late = unit.desk.confirm(&second, id).await;
    assert!(
        matches!(late, Err(AuthorityError::Decided { outcome: Outcome::Refused, .. })),
        "{late:?}"
    );
    let id = unit.propose(unit.approver()).await;
    assert_eq!(unit.desk.refuse(&first, id).await.unwrap(), Outcome::Withdrawn);

    let id = ChangeId::new();
    sqlx::query("alter table authority_change disable trigger user")
        .execute(&unit.pool)
        .await
        .unwrap();
    sqlx::query("insert into authority_change (id, change, proposed_by, proposed_at, expires_at) values ($1, $2, $3, now() - interval '8 days', now() - interval '1 day')")
        .bind(id.0)
        .bind(serde_json::to_value(unit.approver()).unwrap())
        .bind(first.id.0)
        .execute(&unit.pool)
        .await
        .unwrap();
    sqlx::query("alter table authority_change enable trigger user")
        .execute(&unit.pool)
        .await
        .unwrap();
    let old = unit.desk.confirm(&second, id).await;
    assert!(matches!(old, Err(AuthorityError::TooLate)), "{old:?}");
    assert_eq!(unit.count("select count(*) from officer where role = 'approver'").await, 0);

    let gone = unit.desk.confirm(&second, ChangeId::new()).await;
    assert!(matches!(gone, Err(AuthorityError::NotFound)), "{gone:?}");
}

#[sqlx::test]
async fn the_database_lets_nothing_be_written_but_what_was_agreed_on(pool: PgPool) {
    let unit = Unit::found(pool).await;
    let id = unit.propose(unit.approver()).await;
    unit.desk.confirm(&unit.officer("quantri2").await, id).await.unwrap();
    let officer = unit.open("soanthao", Role::Submitter).await.unwrap();
    let key = unit.propose(Change::CreateKey { officer, label: "máy".into() }).await;
    unit.desk.confirm(&unit.officer("quantri2").await, key).await.unwrap();
    let waiting = unit.propose(Change::ChangeRole { officer, role: Role::Administrator }).await;

    let forgeries = [
        // An approver nobody agreed on; another than was agreed on; one that was only proposed.
        format!("update officer set role = 'approver' where id = '{officer}'"),
        format!("update officer set role = 'approver', granted_by = '{id}' where id = '{officer}'"),
        format!("update officer set role = 'administrator', granted_by = '{waiting}' where id = '{officer}'"),
        format!("insert into officer (id, agency_id, name, login, role, granted_by) select gen_random_uuid(), id, 'x', 'duyet2', 'approver', '{id}' from agency"),
        // The approver's account turned into somebody else's, or opened again.
        "update officer set person = 'soanthao' where login = 'duyet'".to_owned(),
        // A second key for one agreement, and a key for another account.
        format!("insert into api_key (id, officer_id, label, secret_hash, granted_by) values (gen_random_uuid(), '{officer}', 'máy', sha256('x'), '{key}')"),
        "insert into api_key (id, officer_id, label, secret_hash) select gen_random_uuid(), id, 'máy', sha256('y') from officer where login = 'duyet'".to_owned(),
        format!("insert into broker_user (user_id, officer_id) values ('snnmt', '{officer}')"),
        // The same agreement a second time, after the role was taken back.
        "update officer set role = 'submitter', granted_by = null where login = 'duyet'; update officer set role = 'approver', granted_by = (select granted_by from api_key limit 1) where login = 'duyet'".to_owned(),
        // A key given to somebody else, brought back to life, or given another secret.
        format!("update api_key set officer_id = '{officer}', secret_hash = sha256('z')"),
        "update api_key set secret_hash = sha256('z')".to_owned(),
        // A table that hides the real one.
        format!("create temp table officer as select * from public.officer where false; update public.officer set role = 'approver' where id = '{officer}'"),
        // An agreement that was never proposed, or is older than it says.
        format!("insert into authority_change (id, change, proposed_by, outcome, decided_by, decided_at) select gen_random_uuid(), change, proposed_by, 'confirmed', proposed_by, now() from authority_change where id = '{waiting}'"),
        // The agreement itself.
        format!("update authority_change set change = '{{}}' where id = '{waiting}'"),
        format!("update authority_change set outcome = 'refused' where id = '{id}'"),
        "delete from authority_change".to_owned(),
        "truncate authority_change cascade".to_owned(),
    ];
    for forgery in forgeries {
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(forgery.clone())).execute(&unit.pool).await;
        let error = refused.expect_err(&forgery);
        let code = error.as_database_error().and_then(|error| error.code().map(String::from));
        assert!(matches!(code.as_deref(), Some("23514" | "42501")), "{forgery}: {error}");
    }
    sqlx::query("update officer set disabled_at = now() where login = 'duyet'")
        .execute(&unit.pool)
        .await
        .expect("taking away needs nobody");
    let reopened = sqlx::query("update officer set disabled_at = null where login = 'duyet'");
    reopened.execute(&unit.pool).await.expect_err("giving back does");
}

#[sqlx::test]
async fn only_administrators_change_accounts_and_only_they_and_auditors_see_them(pool: PgPool) {
    let unit = Unit::found(pool).await;
    let waiting = unit.propose(unit.approver()).await;
    let administrator = unit.officer("quantri2").await;
    for role in Role::ALL {
        if role == Role::Administrator {
            continue;
        }
        let other = Officer { role, id: OfficerId::new(), ..administrator.clone() };
        let change = Change::OpenAccount(account(unit.agency, "ai-do", Role::Submitter));
        let refused = [
            unit.desk.wish(&other, change).await.err(),
            unit.desk.confirm(&other, waiting).await.err(),
            unit.desk.refuse(&other, waiting).await.err(),
            unit.desk.close(&other, administrator.id).await.err(),
            unit.desk.revoke_key(&other, uuid::Uuid::nil()).await.err(),
        ];
        for error in refused {
            assert!(matches!(error, Some(AuthorityError::Forbidden(_))), "{role:?}: {error:?}");
        }
        assert_eq!(unit.desk.register(&other).await.is_ok(), role == Role::Auditor, "{role:?}");
    }
    assert_eq!(unit.count("select count(*) from officer").await, 2);
}

#[sqlx::test]
async fn invariant_2_a_second_account_of_the_same_person_does_not_approve(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let agency = app.agency(FOCAL).await;
    let mut same = account(agency, "skhcn.khac", Role::Approver);
    same.person = "bch.soanthao".into();
    let id = accounts::create_officer(&app.pool, "test", same, false).await.unwrap();
    let key = accounts::create_api_key(&app.pool, "test", id, "test", false).await.unwrap();
    let second = crate::support::app::Person { id, key: key.secret };

    let alert = app.submitted(&writer).await;
    let path = format!("/v1/review/alerts/{}", crate::support::app::id(&alert));
    assert_eq!(app.get(&second, &path).await.expect(200)["may_approve"], json!(false));
    assert_eq!(app.approve(&second, &alert).await.problem(), "same-person");
    let forced = sqlx::query(
        "insert into decision (alert_id, revision, verdict, officer_id, digest, attests_whole_province, attests_no_state_secret)
         values ($1::uuid, 1, 'approve', $2, 'x', true, true)",
    )
    .bind(crate::support::app::id(&alert).parse::<uuid::Uuid>().unwrap())
    .bind(id.0)
    .execute(&app.pool)
    .await
    .expect_err("the database knows people too");
    let constraint = forced.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("approver_is_not_submitter"), "{forced}");
    app.approve(&app.approver().await, &alert).await.expect(200);
}

#[sqlx::test]
async fn administrators_work_on_the_page(pool: PgPool) {
    let world = World::today(pool).await;
    let agency = accounts::agency_by_code(&world.pool, FOCAL).await.unwrap();
    for (login, role) in [
        ("quantri1", Role::Administrator),
        ("quantri2", Role::Administrator),
        ("giamsat", Role::Auditor),
    ] {
        // The founding of a province ends with the second administrator; an auditor takes one.
        let id = accounts::create_officer(&world.pool, "test", account(agency, login, role), false)
            .await
            .unwrap();
        accounts::set_password(&world.pool, "test", id, PASSWORD).await.unwrap();
    }
    let key = || SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    let mut first = Desk::of(&world, key(), "quantri1").await;
    assert_eq!(first.get("/console").await.location, "/console/accounts");
    let csrf = first.get("/console/accounts").await.csrf();
    let agency = agency.to_string();
    let mut fields = vec![
        ("csrf", csrf.as_str()),
        ("agency", &agency),
        ("name", "Lãnh đạo trực duyệt 03"),
        ("login", "Duyệt"),
        ("person", "CB-0003"),
        ("role", "approver"),
    ];
    let wrong = first.post("/console/accounts", &fields).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    wrong.says("Tên đăng nhập: Từ 3 đến 60 ký tự");
    wrong.says("value=\"CB-0003\"");
    fields[3].1 = "duyet03";
    assert_eq!(first.post("/console/accounts", &fields).await.location, "/console/accounts");
    let page = first.get("/console/accounts").await;
    page.says("Mở tài khoản: Người duyệt");
    page.says("<dd>Lãnh đạo trực duyệt 03</dd>");
    page.says("<dd>cb-0003</dd>");
    assert!(!page.html.contains("/confirm\""), "nobody confirms their own proposal");
    let id = page.html.split("/console/changes/").nth(1).unwrap().split('/').next().unwrap();

    let confirm = format!("/console/changes/{id}/confirm");
    let page = first.post(&confirm, &[("csrf", &csrf)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let mut auditor = Desk::of(&world, key(), "giamsat").await;
    let page = auditor.get("/console/accounts").await;
    page.says("Lãnh đạo trực duyệt 03");
    assert_eq!(page.forms().len(), 1, "an auditor may sign out, and that is all");
    let token = page.csrf();
    let page = auditor.post(&confirm, &[("csrf", &token)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let mut approver = Desk::of(&world, key(), "duyet").await;
    assert_eq!(approver.get("/console/accounts").await.status, StatusCode::FORBIDDEN);

    let mut second = Desk::of(&world, key(), "quantri2").await;
    let token = second.get("/console/accounts").await.csrf();
    let elsewhere = second.post_from("cross-site", &confirm, &[("csrf", &token)]).await;
    assert_eq!(elsewhere.status, StatusCode::FORBIDDEN);
    let page = second.post(&confirm, &[("csrf", &token)]).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/console/accounts"));
    second.get("/console/accounts").await.says("Đã xác nhận");

    // A RabbitMQ user that acts as an account is seen, who would lose it is said, and one administrator ends it.
    let writer = format!("/console/accounts/{}/broker-user", world.author);
    let other = accounts::officer_by_login(&world.pool, "giamsat").await.unwrap();
    let other = format!("/console/accounts/{other}/broker-user");
    let fields = [("csrf", csrf.as_str()), ("user_id", "bch-he-thong")];
    first.post(&writer, &fields).await;
    let waiting = |html: &str| {
        let id = html.split("/console/changes/").nth(1).unwrap().split('/').next().unwrap();
        format!("/console/changes/{id}/confirm")
    };
    let page = second.get("/console/accounts").await;
    second.post(&waiting(&page.html), &[("csrf", &token)]).await;
    second.get("/console/accounts").await.says("RabbitMQ: bch-he-thong");
    first.post(&other, &fields).await;
    second
        .get("/console/accounts")
        .await
        .says("<dt>Hiện gửi thay</dt><dd>Cán bộ trực ban 01 (truc)");
    let gone = first.post("/console/broker-users/remove", &fields).await;
    assert_eq!(gone.location, "/console/accounts");
    assert_eq!(
        first.post("/console/broker-users/remove", &fields).await.status,
        StatusCode::NOT_FOUND
    );
    let page = second.post(&confirm, &[("csrf", &token)]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.says("Đã xác nhận: quantri2");
}

#[sqlx::test]
async fn no_key_and_no_user_of_the_broker_acts_as_whoever_decides_or_gives_authority(pool: PgPool) {
    let unit = Unit::found(pool).await;
    let id = unit.propose(unit.approver()).await;
    unit.desk.confirm(&unit.officer("quantri2").await, id).await.unwrap();
    let administrator = unit.officer("quantri1").await;
    for login in ["duyet", "quantri2"] {
        let officer = unit.officer(login).await.id;
        let wishes = [
            Change::CreateKey { officer, label: "máy".into() },
            Change::ActAs { officer, user_id: "snnmt".into() },
        ];
        for wish in wishes {
            let refused = unit.desk.wish(&administrator, wish).await;
            assert!(
                matches!(refused, Err(AuthorityError::Change(AccountError::ActsInPerson))),
                "{login}: {refused:?}"
            );
        }
        // Past the code.
        for forged in [
            "insert into api_key (id, officer_id, label, secret_hash) values (gen_random_uuid(), $1, 'máy', sha256('x'))",
            "insert into broker_user (user_id, officer_id) values ('snnmt', $1)",
        ] {
            let error = sqlx::query(forged).bind(officer.0).execute(&unit.pool).await;
            let error = error.expect_err("an approver or administrator acts in person");
            let constraint = error.as_database_error().and_then(|error| error.constraint());
            assert_eq!(constraint, Some("key_decides_nothing"), "{login}: {error}");
        }
    }
}

#[sqlx::test]
async fn whose_an_account_is_is_said_once_and_the_trail_knows_it(pool: PgPool) {
    let unit = Unit::found(pool).await;
    let writer = unit.open("soanthao", Role::Submitter).await.unwrap();
    let told: String =
        sqlx::query_scalar("select detail ->> 'person' from audit where subject = $1")
            .bind(writer.to_string())
            .fetch_one(&unit.pool)
            .await
            .unwrap();
    assert_eq!(told, loa::domain::seal::digest(b"soanthao"));
    for person in ["quantri1", "account:x"] {
        let error = sqlx::query("update officer set person = $2 where id = $1")
            .bind(writer.0)
            .bind(person)
            .execute(&unit.pool)
            .await
            .expect_err("an approver must not be somebody else for as long as it takes to approve");
        let constraint = error.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("person_is_said_once"), "{error}");
    }
    assert!(!accounts::name_person(&unit.pool, "command", writer, "khac").await.unwrap());
}

#[sqlx::test]
async fn invariant_2_nobody_approves_of_whom_it_was_never_said_who_they_are(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, known) = (app.writer().await, app.approver().await);
    let agency = app.agency(FOCAL).await;
    let id = OfficerId::new();
    sqlx::query("insert into officer (id, agency_id, name, login, role) values ($1, $2, 'Cũ', 'skhcn.cu', 'approver')")
        .bind(id.0)
        .bind(agency.0)
        .execute(&app.pool)
        .await
        .unwrap();
    let key = accounts::create_api_key(&app.pool, "test", id, "test", false).await.unwrap();
    let unnamed = crate::support::app::Person { id, key: key.secret };
    for login in ["quantri1", "quantri2"] {
        let new = account(agency, login, Role::Administrator);
        accounts::create_officer(&app.pool, "test", new, false).await.unwrap();
    }
    let alert = app.submitted(&writer).await;
    assert_eq!(app.approve(&unnamed, &alert).await.problem(), "forbidden");
    let forced = sqlx::query(
        "insert into decision (alert_id, revision, verdict, officer_id, digest, attests_whole_province, attests_no_state_secret)
         values ($1::text::uuid, 1, 'approve', $2, 'x', true, true)",
    )
    .bind(crate::support::app::id(&alert))
    .bind(id.0)
    .execute(&app.pool)
    .await
    .expect_err("the database asks, too");
    let constraint = forced.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("decided_among_known_people"), "{forced}");
    app.approve(&known, &alert).await.expect(200);
}

#[sqlx::test]
async fn two_administrators_who_close_each_other_at_once_wait_for_one_another(pool: PgPool) {
    let unit = Unit::found(pool).await;
    let (first, second) = (unit.officer("quantri1").await, unit.officer("quantri2").await);
    // Both come as far as they can before either goes on.
    let mut holding = unit.pool.begin().await.unwrap();
    sqlx::query("select id from officer for share").fetch_all(&mut *holding).await.unwrap();
    let (one, other, ()) = tokio::join!(
        unit.desk.close(&first, second.id),
        unit.desk.close(&second, first.id),
        async {
            crate::attack_ended::until_waiting(&unit.pool, 2).await;
            holding.commit().await.unwrap();
        }
    );
    let closed = [&one, &other].into_iter().filter(|it| it.is_ok()).count();
    let refused = [&one, &other]
        .into_iter()
        .filter(|it| matches!(it, Err(AuthorityError::Forbidden(_))))
        .count();
    assert_eq!((closed, refused), (1, 1), "{one:?}, {other:?}");
    assert_eq!(unit.count("select count(*) from officer where disabled_at is null").await, 1);
}
