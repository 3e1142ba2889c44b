//! Warnings approved in advance: two people and their own keys make one ready, one fills it in and sends it, and another looks again.

use loa::clock::Clock as _;
use loa::domain::account::Role;
use loa::domain::seal::{Quorum, SealError, TrustedKeys};
use loa::store::seal;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;
use time::format_description::well_known::Rfc3339;

use crate::support::app::{Answer, FOCAL, Person, TestApp, id};
use crate::support::passkey::{Authenticator, Safe};

/// An office with passkeys where an emergency takes two.
pub(crate) struct Office {
    pub(crate) app: TestApp,
    pub(crate) writer: Person,
    pub(crate) people: [Person; 3],
    keys: [Authenticator; 3],
    pub(crate) safe: Safe,
}

impl Office {
    pub(crate) async fn open(pool: PgPool) -> Self {
        let founding = TestApp::start(pool.clone()).await;
        let writer = founding.writer().await;
        let people = [
            founding.approver().await,
            founding.person(FOCAL, "skhcn.duyet02", Role::Approver).await,
            founding.person(FOCAL, "skhcn.duyet03", Role::Approver).await,
        ];
        let keys = ["one", "other", "third"].map(Authenticator::new);
        let mut safe = Safe::new();
        for (person, key) in people.iter().zip(&keys) {
            safe.certify(person.id, key);
        }
        let app = asking(&founding, pool, &safe).await;
        Self { app, writer, people, keys, safe }
    }

    pub(crate) async fn approve(&self, who: usize, alert: &Value) -> Answer {
        approve_in(&self.app, &self.people[who], &self.keys[who], alert).await
    }

    /// A template that two people have approved.
    pub(crate) async fn ready(&self) -> Value {
        let template = self.app.submitted_as(&self.writer, &template(&self.app)).await;
        self.approve(0, &template).await.expect(202);
        let kept = self.approve(1, &template).await.expect(200);
        assert_eq!(kept["template"], template["id"]);
        template
    }

    pub(crate) async fn fill(&self, who: usize, template: &Value, filling: &Value) -> Answer {
        let path = format!("/v1/review/templates/{}/fill", id(template));
        self.app.post(&self.people[who], &path, &json!({"filling": filling})).await
    }

    pub(crate) async fn state(&self, alert: &Value) -> Value {
        let path = format!("/v1/alerts/{}", id(alert));
        self.app.get(&self.writer, &path).await.expect(200)["state"].clone()
    }

    /// What an alert was sealed as, read by a dispatcher that believes these people and asks for two.
    async fn opened(&self, alert: &Value, safe: &Safe) -> Result<Value, SealError> {
        let mut conn = self.app.pool.acquire().await.unwrap();
        let alert = id(alert).parse().unwrap();
        let stored = seal::of_alert(&mut conn, alert).await.unwrap().expect("sealed");
        believing(safe)
            .open_alert(alert, &stored.key_id, &stored.sealed, &stored.signature)
            .map(|sealed| serde_json::to_value(sealed).unwrap())
    }
}

async fn asking(founding: &TestApp, pool: PgPool, safe: &Safe) -> TestApp {
    let two = Quorum::of_an_emergency(2);
    TestApp::start_asking(pool, founding.clock.now(), Some(safe.approvers()), two).await
}

fn believing(safe: &Safe) -> TrustedKeys {
    let two = Quorum::of_an_emergency(2);
    TrustedKeys::default().with_approvers(safe.approvers()).with_quorum(two)
}

pub(crate) async fn approve_in(
    app: &TestApp,
    who: &Person,
    key: &Authenticator,
    alert: &Value,
) -> Answer {
    let path = format!("/v1/review/alerts/{}", id(alert));
    let asked = app.post(who, &format!("{path}/challenge"), &Value::Null).await.expect(200);
    let mut approval = app.approval_of(who, alert).await;
    approval["seal"] = key.answer(&asked);
    app.post(who, &format!("{path}/approve"), &approval).await
}

pub(crate) fn template(app: &TestApp) -> Value {
    let mut request = app.foreseen_flood();
    request.as_object_mut().unwrap().remove("risk_level");
    let until = app.clock.now() + Duration::days(200);
    request["expires"] = json!(until.format(&Rfc3339).unwrap());
    request["texts"] = json!({
        "vi": {"headline": "Lũ quét cấp {level}: {place}", "body": "Lũ quét có thể đến trước {time} tại {place}.", "instruction": "Rời khỏi ven suối ngay."},
        "en": {"headline": "Flash flood level {level}: {place}", "body": "Expected before {time}.", "instruction": "Leave the stream now."}
    });
    request["recall"]["texts"]["vi"]["body"] = json!("Không còn nguy cơ tại {place}.");
    request["template"] = json!({
        "name": "Lũ quét, sơ tán ngay", "life_minutes": 360,
        "blanks": {"place": {"options": ["xã Ngọc Chiến", "xã Mường Bú", "xã Chiềng Lao"], "at_most": 2},
                   "time": {"within_hours": 6}, "level": {"min": 3, "max": 5}}
    });
    request
}

pub(crate) fn filling(app: &TestApp) -> Value {
    let time = (app.clock.now() + Duration::hours(2)).replace_second(0).unwrap();
    let time = time.replace_nanosecond(0).unwrap();
    json!({"places": ["xã Mường Bú", "xã Chiềng Lao"], "time": time.format(&Rfc3339).unwrap(), "level": 4})
}

#[sqlx::test]
async fn one_approver_fills_in_what_two_have_sealed_and_another_looks_again(pool: PgPool) {
    let office = Office::open(pool).await;
    let template = office.ready().await;
    assert_eq!(office.state(&template).await, "ready");
    assert_eq!(office.app.count("select count(*) from broadcast").await, 0);
    assert_eq!(office.app.count("select count(*) from outbox").await, 0);
    let public = office.app.anonymous(Method::GET, &format!("/public/alerts/{}", id(&template)));
    assert_eq!(public.send().await.unwrap().status(), 404);

    let listed = office.app.get(&office.people[2], "/v1/review/templates").await.expect(200);
    assert_eq!(listed["items"][0]["template"], template["id"]);
    assert!(listed["items"][0].get("refused").is_none(), "{listed:#}");
    let filled = office.fill(2, &template, &filling(&office.app)).await.expect(201);
    let alert = json!({"id": filled["alert"]});
    assert_eq!(office.state(&alert).await, "submitted");
    let approved = office.approve(2, &alert).await.expect(200);
    assert!(approved["broadcast"].is_string(), "one approval has sent it: {approved:#}");

    let sealed = office.opened(&alert, &office.safe).await.expect("believed");
    let headline = "Lũ quét cấp 4: xã Mường Bú, xã Chiềng Lao";
    assert_eq!(sealed["texts"]["vi"]["headline"], headline);
    assert_eq!((&sealed["risk_level"], &sealed["lane"]), (&json!(4), &json!("emergency")));
    assert!(sealed["texts"]["en"]["body"].as_str().unwrap().starts_with("Expected before "));

    // It is called back like any other, and what calls it back is the template's as well.
    let path = format!("/v1/review/alerts/{}", id(&alert));
    let calling = format!("{path}/recall");
    let recalled = office.app.post(&office.people[0], &calling, &Value::Null).await.expect(200);
    let recall = json!({"id": recalled["recall"]});
    let sealed = office.opened(&recall, &office.safe).await.expect("believed");
    let body = sealed["texts"]["vi"]["body"].as_str().unwrap();
    assert_eq!(body, "Không còn nguy cơ tại xã Mường Bú, xã Chiềng Lao.");

    // The review stays open until another approver has written it.
    let open = office.app.get(&office.people[1], "/v1/review/template-uses").await.expect(200);
    assert_eq!(open["items"][0]["headline"], headline);
    let path = format!("{path}/after-review");
    let finding = json!({"finding": "Dùng mẫu đúng, điền đúng địa bàn."});
    let own = office.app.post(&office.people[2], &path, &finding).await;
    assert_eq!(own.problem(), "same-person");
    let empty = office.app.post(&office.people[1], &path, &json!({"finding": " "})).await;
    assert_eq!(empty.expect(422)["violations"][0]["field"], "finding");
    office.app.post(&office.people[1], &path, &finding).await.expect(200);
    assert_eq!(office.app.post(&office.people[0], &path, &finding).await.problem(), "wrong-state");
    let open = office.app.get(&office.people[1], "/v1/review/template-uses").await.expect(200);
    assert_eq!(open["items"], json!([]));
    let trail =
        "select count(*) from audit where action in ('template.filled', 'template.use_reviewed')";
    assert_eq!(office.app.count(trail).await, 2);
}

#[sqlx::test]
async fn invariant_1_a_template_is_never_sent_and_what_it_becomes_rests_on_both_its_approvers(
    pool: PgPool,
) {
    let mut office = Office::open(pool.clone()).await;
    let template = office.ready().await;
    assert_eq!(office.opened(&template, &office.safe).await, Err(SealError::Template));
    let filled = office.fill(2, &template, &filling(&office.app)).await.expect(201);
    let alert = json!({"id": filled["alert"]});
    office.approve(2, &alert).await.expect(200);
    // One of the template's approvers has lost the key.
    office.safe.revoke(&office.keys[0]);
    let opened = office.opened(&alert, &office.safe).await;
    assert!(matches!(opened, Err(SealError::Approver(_))), "{opened:?}");
    office.app = asking(&office.app, pool, &office.safe).await;
    let listed = office.app.get(&office.people[1], "/v1/review/templates").await.expect(200);
    assert!(listed["items"][0]["refused"].is_string());
    let again = office.fill(2, &template, &filling(&office.app)).await;
    assert_eq!(again.problem(), "wrong-state");
}

#[sqlx::test]
async fn a_template_takes_two_and_its_author_neither_approves_nor_fills_it_in(pool: PgPool) {
    let office = Office::open(pool).await;
    let template = office.app.submitted_as(&office.writer, &template(&office.app)).await;
    let sheet = format!("/v1/review/alerts/{}", id(&template));
    let sheet = office.app.get(&office.people[0], &sheet).await.expect(200);
    assert_eq!(sheet["approvers_needed"], 2);
    let example = sheet["example"]["texts"]["vi"]["headline"].as_str().unwrap();
    assert_eq!(example, "Lũ quét cấp 5: xã Ngọc Chiến, xã Chiềng Lao", "filled in at its longest");
    assert!(sheet["recall"]["texts"]["vi"]["body"].as_str().unwrap().ends_with("Chiềng Lao."));
    office.approve(0, &template).await.expect(202);
    let early = office.fill(2, &template, &filling(&office.app)).await;
    assert_eq!(early.problem(), "wrong-state", "one has approved it");
    office.approve(1, &template).await.expect(200);
    let author = office.app.twin("skhcn.duyet04", "bch.soanthao").await;
    let path = format!("/v1/review/templates/{}/fill", id(&template));
    let own = office.app.post(&author, &path, &json!({"filling": filling(&office.app)})).await;
    assert_eq!(own.problem(), "same-person");
}

#[sqlx::test]
async fn what_stands_in_a_blank_is_what_was_approved(pool: PgPool) {
    let office = Office::open(pool).await;
    let template = office.ready().await;
    let good = filling(&office.app);
    let with = |name: &str, value: Value| {
        let mut filling = good.clone();
        filling[name] = value;
        filling
    };
    let late = (office.app.clock.now() + Duration::hours(9)).replace_second(0).unwrap();
    let late = late.replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap();
    for (field, filling) in [
        ("filling.places.0", with("places", json!(["thành phố Khác"]))),
        ("filling.places.0", with("places", json!(["xã Mường Bú. Bấm vào http://x"]))),
        ("filling.places", with("places", json!([]))),
        (
            "filling.places",
            with("places", json!(["xã Mường Bú", "xã Chiềng Lao", "xã Ngọc Chiến"])),
        ),
        ("filling.places.1", with("places", json!(["xã Mường Bú", "xã Mường Bú"]))),
        ("filling.time", with("time", json!("2020-01-01T00:00:00Z"))),
        ("filling.time", with("time", json!(late))),
        ("filling.time", with("time", Value::Null)),
        ("filling.level", with("level", json!(2))),
        ("filling.level", with("level", Value::Null)),
    ] {
        let refused = office.fill(2, &template, &filling).await.expect(422);
        assert_eq!(refused["violations"][0]["field"], field, "{filling:#}: {refused:#}");
    }
    assert_eq!(office.app.count("select count(*) from template_use").await, 0);

    // What was made of it is not handed back; and once the template is withdrawn, it is not sent either.
    let filled = office.fill(2, &template, &good).await.expect(201);
    let alert = json!({"id": filled["alert"]});
    let path = format!("/v1/review/alerts/{}/return", id(&alert));
    let back = office.app.post(&office.people[2], &path, &json!({"reason": "sai"})).await;
    assert_eq!(back.problem(), "wrong-state");
    let path = format!("/v1/alerts/{}/cancel", id(&template));
    office.app.post(&office.writer, &path, &Value::Null).await.expect(200);
    assert_eq!(office.state(&template).await, "cancelled");
    assert_eq!(office.approve(2, &alert).await.problem(), "wrong-state");
    assert_eq!(office.fill(2, &template, &good).await.problem(), "wrong-state");
    assert_eq!(office.app.count("select count(*) from broadcast").await, 0);
}

#[sqlx::test]
async fn a_template_that_could_fail_at_night_is_refused_by_day(pool: PgPool) {
    let office = Office::open(pool).await;
    let refused = async |change: &dyn Fn(&mut Value)| {
        let mut request = template(&office.app);
        change(&mut request);
        let answer = office.app.post(&office.writer, "/v1/alerts", &request).await.expect(422);
        let errors = answer["violations"].as_array().unwrap().clone();
        let named = |error: &Value| {
            format!("{} {}", error["field"].as_str().unwrap(), error["rule"].as_str().unwrap())
        };
        errors.iter().map(named).collect::<Vec<_>>()
    };
    let text = |name: &'static str, words: String| {
        move |request: &mut Value| request["texts"]["vi"][name] = json!(words)
    };
    let blank = |path: &'static str, value: Value| {
        move |request: &mut Value| *request["template"].pointer_mut(path).unwrap() = value.clone()
    };
    for (expected, change) in [
        (
            "texts.vi unknown_blank",
            Box::new(text("body", "Tại {nơi}, {time}.".into())) as Box<dyn Fn(&mut Value)>,
        ),
        (
            "texts.vi blank_missing",
            Box::new(|request: &mut Value| {
                request["texts"]["vi"]["body"] = json!("Lũ quét.");
            }),
        ),
        (
            "texts.vi.headline too_long_when_filled",
            Box::new(text("headline", format!("{} {{level}} {{place}}", "lũ ".repeat(26)))),
        ),
        ("template.life_minutes ends_before_its_time", Box::new(blank("/life_minutes", json!(60)))),
        ("template.life_minutes out_of_range", Box::new(blank("/life_minutes", json!(1)))),
        (
            "template.blanks.place.options.1 twice",
            Box::new(blank("/blanks/place/options/1", json!("xã Ngọc Chiến"))),
        ),
        (
            "template.blanks.place.options.0 no_name",
            Box::new(blank("/blanks/place/options/0", json!("{time}"))),
        ),
        (
            "template.blanks.place.at_most out_of_range",
            Box::new(blank("/blanks/place/at_most", json!(0))),
        ),
        ("template.blanks.level out_of_range", Box::new(blank("/blanks/level/max", json!(6)))),
        (
            "template.blanks.time.within_hours out_of_range",
            Box::new(blank("/blanks/time/within_hours", json!(0))),
        ),
        ("template.name required", Box::new(blank("/name", json!("")))),
        (
            "send_at not_in_a_template",
            Box::new(|request: &mut Value| request["send_at"] = json!("2030-01-01T00:00:00Z")),
        ),
        (
            "risk_level not_in_a_template",
            Box::new(|request: &mut Value| request["risk_level"] = json!(3)),
        ),
        (
            "expires too_far",
            Box::new(|request: &mut Value| request["expires"] = json!("2099-01-01T00:00:00Z")),
        ),
    ] {
        let found = refused(&*change).await;
        assert!(found.iter().any(|one| one == expected), "{expected}: {found:?}");
    }
}
