//! `loa devices import`: every line has one fate, refused lines say why, and running it again changes nothing.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use loa::domain::registration::WebPushRules;
use loa::registry::import::{self, Summary};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

/// RFC 8291 Appendix A.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

#[derive(Clone, Default)]
struct Report(Arc<Mutex<Vec<u8>>>);

impl Write for Report {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Report {
    /// `line field rule` of every reason.
    fn reasons(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        let text = std::str::from_utf8(&bytes).expect("the report is UTF-8");
        text.lines()
            .flat_map(|line| {
                let refusal: Value = serde_json::from_str(line).expect("a report line is JSON");
                let reasons = refusal["reasons"].as_array().unwrap().clone();
                reasons.into_iter().map(move |reason| {
                    let word = |key: &str| reason[key].as_str().unwrap().to_owned();
                    format!("{} {} {}", refusal["line"], word("field"), word("rule"))
                })
            })
            .collect()
    }
}

async fn import(pool: &PgPool, file: impl Into<Vec<u8>>) -> (Summary, Report) {
    let report = Report::default();
    let rules = WebPushRules {
        allowed_hosts: vec!["*.push.services.mozilla.com".into()],
        ..WebPushRules::default()
    };
    let summary = import::run(pool, rules, Cursor::new(file.into()), report.clone(), |_| {})
        .await
        .expect("the import runs to its end");
    assert!(summary.adds_up(), "{summary:?}");
    (summary, report)
}

fn android(installation: u128, token: &str) -> Value {
    json!({
        "installation": Uuid::from_u128(installation), "kind": "fcm_token", "token": token,
        "locale": "vi-VN", "platform": "android", "app_version": "1.0.0", "subject": null,
    })
}

fn lines(values: &[Value]) -> String {
    let mut file = values.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    file.push('\n');
    file
}

/// (provider, number, address, state) in the order of provider and number.
async fn registry(pool: &PgPool) -> Vec<(i16, i64, String, i16)> {
    sqlx::query_as("select provider, number, address, state from device order by 1, 2")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn every_kind_of_device_gets_a_dense_number_of_its_provider(pool: PgPool) {
    let apple = "ab".repeat(32);
    let file = lines(&[
        android(1, "token-number-1"),
        json!({"installation": Uuid::from_u128(2), "kind": "apns", "token": apple, "environment": "sandbox", "platform": "ios"}),
        json!({"installation": Uuid::from_u128(3), "kind": "fcm_fid", "token": "cAfebAbe0123456789abcd", "subject": "citizen-1"}),
        json!({"installation": Uuid::from_u128(4), "kind": "webpush", "endpoint": "https://updates.push.services.mozilla.com/wpush/v2/x",
               "p256dh": P256DH, "auth": AUTH, "vapid_key_id": "2026", "platform": "web"}),
        android(5, "token-number-5"),
    ]);
    let (summary, report) = import(&pool, file).await;

    assert_eq!(summary.numbered, 5, "{:?}", report.reasons());
    let expected = [
        (0, 1, "token-number-1".to_owned(), 0),
        (0, 2, "cAfebAbe0123456789abcd".to_owned(), 0),
        (0, 3, "token-number-5".to_owned(), 0),
        (1, 1, apple, 0),
        (2, 1, "https://updates.push.services.mozilla.com/wpush/v2/x".to_owned(), 0),
    ];
    assert_eq!(registry(&pool).await, expected);
    let ceilings: Vec<i64> =
        sqlx::query_scalar("select last_number from device_ceiling order by provider")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(ceilings, [3, 1, 1]);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn importing_again_changes_nothing(pool: PgPool) {
    let file = lines(&[
        android(1, "token-number-1"),
        android(2, "token-number-2"),
        android(3, "token-number-1"),
    ]);
    let (first, _) = import(&pool, file.clone()).await;
    assert_eq!((first.numbered, first.superseded), (2, 1));
    let everything = "select jsonb_agg(to_jsonb(d) order by number) from device d";
    let before: Value = sqlx::query_scalar(everything).fetch_one(&pool).await.unwrap();

    let (second, _) = import(&pool, file).await;

    assert_eq!((second.unchanged, second.superseded, second.numbered), (2, 1, 0));
    let after: Value = sqlx::query_scalar(everything).fetch_one(&pool).await.unwrap();
    assert_eq!(after, before);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_later_registration_wins_in_the_file_and_against_the_table(pool: PgPool) {
    import(&pool, lines(&[android(1, "shared-token"), android(2, "token-number-2")])).await;

    let (summary, _) = import(
        &pool,
        lines(&[
            android(3, "shared-token"),
            android(2, "token-replaced"),
            android(2, "token-replaced-again"),
        ]),
    )
    .await;

    assert_eq!(
        summary,
        Summary {
            lines: 3,
            numbered: 1,
            changed: 1,
            superseded: 1,
            displaced: 1,
            ..Summary::default()
        }
    );
    let expected = [
        (0, 1, "shared-token".to_owned(), 2),
        (0, 2, "token-replaced-again".to_owned(), 0),
        (0, 3, "shared-token".to_owned(), 0),
    ];
    assert_eq!(registry(&pool).await, expected);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn two_installations_that_swapped_their_addresses_both_keep_one(pool: PgPool) {
    import(&pool, lines(&[android(1, "token-number-1"), android(2, "token-number-2")])).await;
    import(&pool, lines(&[android(1, "token-number-2"), android(2, "token-number-1")])).await;
    let live: Vec<(Uuid, String)> =
        sqlx::query_as("select installation, address from device where state = 0 order by 1")
            .fetch_all(&pool)
            .await
            .unwrap();
    let expected = [
        (Uuid::from_u128(1), "token-number-2".to_owned()),
        (Uuid::from_u128(2), "token-number-1".to_owned()),
    ];
    assert_eq!(live, expected);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_file_is_no_sign_of_life_but_another_address_is_one(pool: PgPool) {
    let file = lines(&[android(1, "token-number-1"), android(2, "token-number-2")]);
    import(&pool, file.clone()).await;
    sqlx::query("update device set state = number::smallint").execute(&pool).await.unwrap();

    let (again, _) = import(&pool, file).await;
    assert_eq!(again.stayed_away, 2);

    let (other, _) = import(&pool, lines(&[android(1, "token-of-a-new-phone")])).await;
    assert_eq!(other.numbered, 1);
    let expected =
        [(0, 2, "token-number-2".to_owned(), 2), (0, 3, "token-of-a-new-phone".to_owned(), 0)];
    assert_eq!(registry(&pool).await, expected);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_bad_line_is_refused_whole_with_its_number_and_reason(pool: PgPool) {
    let mut file: Vec<u8> = Vec::new();
    let mut line = |bytes: &[u8]| {
        file.extend_from_slice(bytes);
        file.push(b'\n');
    };
    let id = Uuid::from_u128(9);
    line(b"\xef\xbb\xbf");
    line(android(1, "token-number-1").to_string().as_bytes());
    line(b"");
    line(b"{\"installation\":");
    line(b"not json at all");
    line(b"{\"installation\":\"\xff\xfe\"}");
    line(
        format!(
            "{{\"installation\":\"{id}\",\"kind\":\"fcm_token\",\"token\":\"abc\\u0000defgh\"}}"
        )
        .as_bytes(),
    );
    line(b"\0\0\0\0");
    line(json!({"kind": "fcm_token", "token": "abcdefgh"}).to_string().as_bytes());
    line(json!({"installation": id, "kind": "webpush", "endpoint": "https://updates.push.services.mozilla.com/x",
        "p256dh": "****", "auth": "AAAA", "vapid_key_id": "2026"}).to_string().as_bytes());
    line(
        json!({"installation": id, "kind": "fcm_token", "token": 12_345_678})
            .to_string()
            .as_bytes(),
    );
    line(
        json!({"installation": id, "kind": "fcm_token", "token": "abcdefgh", "colour": "red"})
            .to_string()
            .as_bytes(),
    );
    line(format!("{} {}", android(9, "abcdefgh"), android(10, "abcdefghi")).as_bytes());
    line(
        json!({"installation": id, "kind": "fcm_token", "token": "a".repeat(100_000)})
            .to_string()
            .as_bytes(),
    );
    line(
        json!({"installation": id, "kind": "fcm_token", "token": "abcdefgh", "subject": "a\nb"})
            .to_string()
            .as_bytes(),
    );
    // The last line was cut off in the middle, and has no end.
    file.extend_from_slice(&android(2, "token-number-2").to_string().as_bytes()[..60]);

    let (summary, report) = import(&pool, file).await;

    assert_eq!(
        report.reasons(),
        [
            "1  truncated",
            "4  truncated",
            "5  not_json",
            "6  not_utf8",
            "7 token not_a_token",
            "8  not_json",
            "9  wrong_field",
            "10 p256dh not_base64url",
            "10 auth not_base64url",
            "11 token wrong_field",
            "12 colour wrong_field",
            "13  not_one_object",
            "14  line_too_long",
            "15 subject not_a_subject",
            "16  truncated",
        ]
    );
    assert_eq!((summary.numbered, summary.refused), (1, 14));
    assert_eq!(registry(&pool).await, [(0, 1, "token-number-1".to_owned(), 0)]);
    let told = String::from_utf8(report.0.lock().unwrap().clone()).unwrap();
    assert!(!told.contains("12345678"), "the report quotes no token");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_empty_file_is_no_error(pool: PgPool) {
    for nothing in ["", "\n", "\r\n \n"] {
        let (summary, report) = import(&pool, nothing).await;
        assert_eq!(summary, Summary::default());
        assert!(report.reasons().is_empty());
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_last_line_without_an_end_is_taken_if_it_is_whole(pool: PgPool) {
    let (summary, _) = import(&pool, android(1, "token-number-1").to_string()).await;
    assert_eq!(summary.numbered, 1);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn numbers_stay_dense_over_many_pages(pool: PgPool) {
    let many: Vec<Value> = (0..12_345).map(|n| android(n, &format!("token-number-{n}"))).collect();
    let (summary, _) = import(&pool, lines(&many)).await;
    assert_eq!(summary.numbered, 12_345);
    let (count, least, most): (i64, i64, i64) =
        sqlx::query_as("select count(distinct number), min(number), max(number) from device")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((count, least, most), (12_345, 1, 12_345));
}
