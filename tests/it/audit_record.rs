//! Who did what is kept so that nobody can change it unseen: not the operator, and not whoever owns the database.

use loa::domain::account::Role;
use loa::domain::audit::Entry;
use loa::domain::audit::record::{End, Record};
use loa::domain::authority::Change;
use loa::domain::seal::{SealingKey, TrustedKeys};
use loa::identity::accounts;
use loa::identity::authority::{Authority, Wished};
use loa::store::account::officer_by_login;
use loa::store::audit::records;
use loa::store::{StoreError, audit};
use loa::upkeep::checkpoint::{CheckpointError, Checkpoints};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, raw_sql};

use crate::support::app::{FOCAL, TestApp, account, id};
use crate::support::machine::Machine;
use crate::support::seed::url_of;

/// What `loa serve` does now and then.
pub(crate) fn checkpoints(app: &TestApp) -> Checkpoints {
    Checkpoints::new(app.pool.clone(), app.key.clone(), app.trusted())
}

/// As the owner of the database, who stops at nothing.
async fn force(pool: &PgPool, sql: &str) {
    let tables = ["audit", "audit_checkpoint", "seal", "decision"];
    let all = |what: &str| {
        tables.map(|table| format!("alter table {table} {what} trigger user;")).concat()
    };
    let (off, on) = (all("disable"), all("enable"));
    raw_sql(AssertSqlSafe(format!("{off}{sql};{on}"))).execute(pool).await.expect("the owner may");
}

/// Puts another actor into an entry and computes every hash from there on anew.
async fn rewrite(pool: &PgPool, from: i64) {
    let mut entries = entries(pool).await;
    let mut previous = vec![0; 32];
    for entry in &mut entries {
        if entry.seq == from {
            entry.actor = "somebody else".into();
        }
        entry.previous = previous;
        entry.hash = entry.expected_hash().expect("plain JSON");
        previous = entry.hash.clone();
        let hex = |bytes: &[u8]| -> String {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
        };
        let sql = format!(
            "update audit set actor = '{}', previous = '\\x{}', hash = '\\x{}' where seq = {}",
            entry.actor,
            hex(&entry.previous),
            hex(&entry.hash),
            entry.seq
        );
        force(pool, &sql).await;
    }
}

async fn entries(pool: &PgPool) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut conn = pool.acquire().await.expect("a connection");
    let mut each = |record| {
        if let Record::Entry(entry) = record {
            entries.push(entry);
        }
        Ok::<_, StoreError>(())
    };
    records::read(&mut conn, &mut each).await.expect("the trail");
    entries
}

/// The configuration of `serve`'s machine, and that of an auditor's, which knows no server at all.
pub(crate) fn configurations(machine: &Machine, app: &TestApp) -> (String, String) {
    use base64::Engine as _;
    let key = machine.write("seal.key", &app.pkcs8);
    let public = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(app.key.public());
    let trusted = format!("trusted_keys = [{{ id = \"test\", public_key = \"{public}\" }}]\n");
    let serving = format!(
        "mode = \"demo\"\n[database]\nurl = \"{}\"\n[broker]\nurl = \"amqp://a:b@127.0.0.1:1/c\"\n[seal]\nsigning_key_file = \"{key}\"\nkey_id = \"test\"\n{trusted}",
        url_of(&app.pool)
    );
    (serving, format!("[seal]\n{trusted}"))
}

/// A province in which an alert was returned, mended, approved and recalled, another one is live, and everything is signed for.
pub(crate) async fn province(pool: PgPool) -> (TestApp, Value) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    let (path, review) =
        (format!("/v1/alerts/{}", id(&submitted)), format!("/v1/review/alerts/{}", id(&submitted)));
    let reason = json!({"reason": "Ghi rõ thời điểm mưa lớn nhất."});
    app.post(&approver, &format!("{review}/return"), &reason).await.expect(200);
    let mut mended = app.flood();
    mended["texts"]["vi"]["body"] = json!("Mưa rất to, lớn nhất lúc 20 giờ.");
    app.put(&writer, &path, &mended).await.expect(200);
    app.post(&writer, &format!("{path}/submit"), &Value::Null).await.expect(200);
    app.approve(&approver, &submitted).await.expect(200);
    app.post(&approver, &format!("{review}/recall"), &Value::Null).await.expect(200);
    app.live(&writer, &approver).await;
    checkpoints(&app).make().await.expect("it holds").expect("something was done");
    (app, submitted)
}

#[sqlx::test]
async fn what_was_done_is_signed_for_once_and_told_outside(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let mut turn = checkpoints(&app);
    let first = turn.make().await.unwrap().expect("accounts were opened");
    assert!(turn.make().await.unwrap().is_none(), "nothing was done since");
    app.draft(&writer).await;
    let second = turn.make().await.unwrap().expect("an alert was written");

    assert_eq!((first.checkpoint.serial, second.checkpoint.serial), (1, 2));
    assert_eq!(second.checkpoint.previous, first.checkpoint.digest());
    let mut conn = app.pool.acquire().await.unwrap();
    assert_eq!(audit::last(&mut conn).await.unwrap(), second.checkpoint.seq);
    let told: Vec<Value> = sqlx::query_scalar(
        "select body from outbox where exchange = 'loa.events' and routing_key = 'trail.checkpoint' order by id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(told[1], json!({"version": 1, "event": "trail.checkpoint", "checkpoint": second}));
    assert_eq!(told.len(), 2);
}

#[sqlx::test]
async fn a_trail_that_was_cut_or_rewritten_never_gets_our_signature(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let mut turn = checkpoints(&app);
    let signed = turn.make().await.unwrap().expect("accounts were opened");
    app.draft(&writer).await;

    force(&app.pool, "update audit set actor = 'x' where seq = (select max(seq) from audit)").await;
    let refused = turn.make().await.expect_err("an entry since then was changed");
    assert!(matches!(refused, CheckpointError::Broken(_)), "{refused}");
    rewrite(&app.pool, 1).await;
    let refused = turn.make().await.expect_err("rewritten whole");
    assert!(matches!(refused, CheckpointError::Rewritten { .. }), "{refused}");
    let refused = checkpoints(&app).make().await.expect_err("a process that begins sees it too");
    assert!(refused.is_alarm(), "{refused}");

    force(&app.pool, "delete from audit_checkpoint").await;
    let refused = turn.make().await.expect_err("the checkpoint is gone as well");
    let serial = signed.checkpoint.serial;
    assert!(matches!(refused, CheckpointError::Vanished { serial: s } if s == serial), "{refused}");
    assert_eq!(app.count("select count(*) from audit_checkpoint").await, 0);
}

#[sqlx::test]
async fn a_checkpoint_of_a_stranger_stops_ours(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.writer().await;
    let pkcs8 = SealingKey::generate().unwrap();
    let stranger = SealingKey::from_pkcs8("test", &pkcs8).unwrap();
    let theirs = TrustedKeys::of([("test".to_owned(), stranger.public())]);
    let mut forger = Checkpoints::new(app.pool.clone(), stranger.into(), theirs);
    forger.make().await.unwrap().expect("the database cannot tell");
    let refused = checkpoints(&app).make().await.expect_err("we can");
    assert!(matches!(refused, CheckpointError::Forged { serial: 1, .. }), "{refused}");
}

#[sqlx::test]
async fn a_checkpoint_is_written_once_in_its_place_and_never_changed(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.writer().await;
    checkpoints(&app).make().await.unwrap().expect("accounts were opened");
    for refused in [
        "update audit_checkpoint set seq = 1",
        "delete from audit_checkpoint",
        "truncate audit_checkpoint",
        "truncate seal",
        "truncate decision",
        "truncate audit",
        "insert into audit_checkpoint select serial + 2, seq + 1, hash, at, previous, key_id, signature from audit_checkpoint",
        "insert into audit_checkpoint select serial + 1, seq + 1, hash, at, previous, key_id, signature from audit_checkpoint",
    ] {
        let error = sqlx::query(refused).execute(&app.pool).await.expect_err(refused);
        let code = error.as_database_error().and_then(|error| error.code().map(|c| c.to_string()));
        let guarded = matches!(code.as_deref(), Some("42501" | "23514"));
        assert!(guarded, "{refused}: {error}");
    }
}

#[sqlx::test]
async fn an_export_is_verified_without_a_database_and_says_what_was_tampered_with(pool: PgPool) {
    let (app, _) = province(pool).await;
    let machine = Machine::new();
    let (serving, auditing) = configurations(&machine, &app);
    let file = machine.write("x", "").replace('x', "monday.jsonl");

    let live = machine.loa(&serving, &["verify"]).await;
    assert_eq!(live.code, 0, "{}{}", live.out, live.err);
    assert!(live.out.contains("seals: 3 of 3 hold (3 by a server's key"), "{}", live.out);
    assert!(live.out.contains("entries after it: 0"), "{}", live.out);
    let exported = machine.loa(&serving, &["audit", "export", &file]).await;
    assert_eq!(exported.code, 0, "{}", exported.err);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = machine.loa(&serving, &["audit", "export", &file]).await;
    assert!(again.code != 0 && again.err.contains("is not overwritten"), "{}", again.err);
    let offline = machine.loa(&auditing, &["verify", "--export", &file]).await;
    assert_eq!((offline.code, &offline.out), (0, &live.out), "{}", offline.err);

    let whole = std::fs::read_to_string(&file).unwrap();
    let one = |find: &str, put: &str| whole.replacen(find, put, 1);
    let without = |word: &str| {
        let at = whole.lines().position(|line| line.contains(word)).expect("a line");
        let kept = whole.lines().enumerate().filter(|(index, _)| *index != at);
        kept.map(|(_, line)| format!("{line}\n")).collect::<Vec<_>>().concat()
    };
    for (mangled, told) in [
        (one("\"actor\":\"test\"", "\"actor\":\"best\""), "entry 1: it was changed"),
        (without("\"seq\":3,"), "broken at entry 3: it is missing"),
        (one(r#"\"body\":\"Mưa"#, r#"\"body\":\"Nắng"#), "the signature does not fit"),
        (without("\"kind\":\"seal\""), "and there is no seal of it"),
        (without("\"verdict\":\"return\""), "and there is no such decision"),
        (
            one("\"verdict\":\"return\"", "\"verdict\":\"reject\""),
            "knows nothing of a decision to reject it",
        ),
        (one("{\"kind\":\"checkpoint\"", "{\"kind\":\"chekpoint\""), "is no line of an export"),
        (without("\"kind\":\"end\""), "its last line is missing"),
    ] {
        let file = machine.write("mangled.jsonl", &mangled);
        let said = machine.loa(&auditing, &["verify", "--export", &file]).await;
        assert_eq!(said.code, 1, "{told}: {}{}", said.out, said.err);
        assert!(said.out.contains(told), "{told}: {}", said.out);
    }
    let empty = machine.write("empty.jsonl", "");
    let said = machine.loa(&auditing, &["verify", "--export", &empty]).await;
    assert_eq!(said.code, 1, "nothing is no export: {}", said.out);
    let stranger = "mode = \"demo\"\n[seal]\ntrusted_keys = []\n";
    let said = machine.loa(stranger, &["verify", "--export", &file]).await;
    assert!(said.code == 1 && said.out.contains("does not trust"), "{}", said.out);
}

#[sqlx::test]
async fn whoever_owns_the_database_is_found_out_by_the_checkpoints(pool: PgPool) {
    let (app, _) = province(pool).await;
    let machine = Machine::new();
    let (serving, _) = configurations(&machine, &app);
    let kept = machine.write("x", "").replace('x', "kept.jsonl");
    machine.loa(&serving, &["audit", "export", &kept]).await;

    rewrite(&app.pool, 2).await;
    let said = machine.loa(&serving, &["verify"]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(
        said.out.contains("the audit trail was rewritten") && said.out.contains("checkpoint 1"),
        "{}",
        said.out
    );
    // The export's own entry, which came after the checkpoint, and the one before it.
    force(&app.pool, "delete from audit where seq >= (select max(seq) - 1 from audit)").await;
    let said = machine.loa(&serving, &["verify"]).await;
    assert!(said.out.contains("the tail of the audit trail was cut"), "{}", said.out);

    // Without the checkpoints the table itself shows nothing; what was taken along does.
    force(&app.pool, "delete from audit_checkpoint").await;
    let said = machine.loa(&serving, &["verify"]).await;
    assert!(said.out.contains("nobody has signed for this trail"), "{}", said.out);
    let said = machine.loa(&serving, &["verify", "--against", &kept]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("the tail of the audit trail was cut"), "{}", said.out);
}

#[sqlx::test]
async fn the_operator_signs_on_demand_and_an_export_extends_the_one_before(pool: PgPool) {
    let (app, _) = province(pool).await;
    let machine = Machine::new();
    let (serving, auditing) = configurations(&machine, &app);
    let file = |name: &str| machine.write("x", "").replace('x', name);
    let (monday, friday) = (file("monday.jsonl"), file("friday.jsonl"));
    machine.loa(&serving, &["audit", "export", &monday]).await;
    app.person("SYT", "syt.soanthao", Role::Submitter).await;
    let signed = machine.loa(&serving, &["audit", "checkpoint"]).await;
    assert!(signed.code == 0 && signed.out.starts_with("{\"checkpoint\":{"), "{}", signed.err);
    let idle = machine.loa(&serving, &["audit", "checkpoint"]).await;
    assert!(idle.code == 0 && idle.out.is_empty(), "{}", idle.out);
    machine.loa(&serving, &["audit", "export", &friday]).await;

    let log = machine.write("serve.log", format!("INFO … checkpoint={}", signed.out));
    let arguments = ["verify", "--export", &friday, "--against", &monday, "--against", &log];
    let said = machine.loa(&auditing, &arguments).await;
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let backwards = ["verify", "--export", &monday, "--against", &friday];
    let said = machine.loa(&auditing, &backwards).await;
    assert!(said.code == 1 && said.out.contains("was cut"), "{}", said.out);
}

type Tampering = Box<dyn Fn(&mut Vec<Entry>)>;

/// An export with its trail written anew as somebody who owns the database would: every hash fits, every count, and no checkpoint is left.
fn rewritten(export: &str, change: impl FnOnce(&mut Vec<Entry>)) -> String {
    let records: Vec<Record> =
        export.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let (mut entries, mut others) = (Vec::new(), Vec::new());
    for record in records {
        match record {
            Record::Entry(entry) => entries.push(entry),
            Record::Checkpoint(_) | Record::End(_) => {}
            other => others.push(other),
        }
    }
    change(&mut entries);
    let mut previous = vec![0; 32];
    for (entry, seq) in entries.iter_mut().zip(1..) {
        (entry.seq, entry.previous) = (seq, previous.clone());
        entry.hash = entry.expected_hash().expect("plain JSON");
        previous.clone_from(&entry.hash);
    }
    let header = others.remove(0);
    let mut all = vec![header];
    all.extend(entries.into_iter().map(Record::Entry));
    all.extend(others);
    let mut end = End::default();
    for record in &all {
        end.count(record);
    }
    all.push(Record::End(end));
    let line = |record: &Record| format!("{}\n", serde_json::to_string(record).expect("JSON"));
    all.iter().map(line).collect::<Vec<_>>().concat()
}

#[sqlx::test]
async fn where_it_takes_two_people_a_rewritten_export_that_shows_one_is_found_out(pool: PgPool) {
    let (app, _) = province(pool).await;
    let machine = Machine::new();
    let (serving, auditing) = configurations(&machine, &app);
    // From here on the province is founded, and two make a third approver.
    let agency = app.agency(FOCAL).await;
    for login in ["quantri1", "quantri2"] {
        let new = account(agency, login, Role::Administrator);
        accounts::create_officer(&app.pool, "test", new, false).await.unwrap();
    }
    let mut conn = app.pool.acquire().await.unwrap();
    let first = officer_by_login(&mut conn, "quantri1").await.unwrap().expect("open").0;
    let second = officer_by_login(&mut conn, "quantri2").await.unwrap().expect("open").0;
    drop(conn);
    let desk = Authority::new(app.pool.clone());
    let wanted = Change::OpenAccount(account(agency, "skhcn.ba", Role::Approver));
    let Wished::Waits(change) = desk.wish(&first, wanted).await.unwrap() else {
        panic!("one was enough")
    };
    desk.confirm(&second, change).await.unwrap();

    let file = machine.write("x", "").replace('x', "founded.jsonl");
    let exported = machine.loa(&serving, &["audit", "export", &file]).await;
    assert_eq!(exported.code, 0, "{}", exported.err);
    let whole = std::fs::read_to_string(&file).unwrap();
    let untouched = machine.loa(&auditing, &["verify", "--export", &file]).await;
    assert_eq!(untouched.code, 0, "{}", untouched.out);
    let said_of = async |mangled: String| {
        let file = machine.write("mangled.jsonl", &mangled);
        machine.loa(&auditing, &["verify", "--export", &file]).await
    };
    let unsigned = said_of(rewritten(&whole, |_| ())).await;
    assert_eq!(unsigned.code, 3, "nothing to find, and nobody signed: {}", unsigned.out);

    let at = |entries: &[Entry], action: &str| {
        entries.iter().position(|entry| entry.action == action).expect("an entry")
    };
    let changes: [(Tampering, &str); 4] = [
        (
            Box::new(move |all| drop(all.remove(at(all, "authority.confirmed")))),
            "takes two administrators",
        ),
        (
            Box::new(move |all| {
                let confirmed = at(all, "authority.confirmed");
                all[confirmed].actor = all[at(all, "authority.proposed")].actor.clone();
            }),
            "by the person who had proposed it",
        ),
        (
            Box::new(move |all| {
                let opened = at(all, "authority.proposed") + 1;
                all[opened].detail["granted_by"] = Value::Null;
            }),
            "officer.created of",
        ),
        (
            // The approver's account is made that of whoever wrote the text.
            Box::new(move |all| {
                let of = |action: &str| all[at(all, action)].actor.clone();
                let (writer, approver) = (of("alert.submitted"), of("alert.approved"));
                let opened = |who: &str| {
                    let is_it =
                        |entry: &Entry| entry.action == "officer.created" && entry.subject == who;
                    all.iter().position(is_it).expect("opened")
                };
                let (writer, approver) = (opened(&writer), opened(&approver));
                all[approver].detail["person"] = all[writer].detail["person"].clone();
            }),
            "was written or submitted, and approved, by one person",
        ),
    ];
    for (change, told) in changes {
        let said = said_of(rewritten(&whole, |entries| change(entries))).await;
        assert_eq!(said.code, 1, "{told}: {}{}", said.out, said.err);
        assert!(said.out.contains(told), "{told}: {}", said.out);
    }
}
