//! Forms from elsewhere: every address of the console that changes something is tried with everything a foreign page, a stolen token or a
//! planted cookie could send. Which addresses those are is read from the router's source.

use axum::body::Body;
use axum::http::{Request, header};
use loa::domain::account::Role;
use loa::web::csrf;
use sqlx::PgPool;

use crate::attack_province::{Caller, Got, Province, SESSION};
use crate::attack_routes::by_hand;
use crate::attack_table::{About, Door, Holds, Row, TABLE, Whose};

const FORM: &str = "application/x-www-form-urlencoded";

/// Every form of the console for people who are signed in.
fn every_form() -> Vec<Row> {
    let routes: Vec<String> = by_hand().into_iter().map(|(_, route)| route).collect();
    let forms = TABLE.iter().filter(|row| {
        row.route.starts_with("POST /console")
            && matches!(row.door, Door::Desk(_))
            && routes.iter().any(|route| route == row.route)
    });
    forms.copied().collect()
}

/// Somebody who may do it.
async fn entitled(province: &Province, row: &Row) -> Caller {
    for role in [Role::Approver, Role::Administrator, Role::Submitter, Role::Operator] {
        if row.expected(Holds::Session(role), Whose::Own).status == row.done {
            return province.at_the_desk(role).await;
        }
    }
    panic!("nobody is entitled to {}", row.route)
}

/// What an attacker's page can make a browser send.
struct Attempt {
    name: &'static str,
    method: &'static str,
    headers: Vec<(&'static str, String)>,
    /// The form's token; `None` for a form without.
    token: Option<String>,
    media_type: &'static str,
    status: u16,
}

fn attempts(own: &str, others: &str) -> Vec<Attempt> {
    let right = Some(csrf::token(own));
    let same = || vec![("sec-fetch-site", "same-origin".to_owned())];
    let from = |site: &str| vec![("sec-fetch-site", site.to_owned())];
    let origin = |origin: &str| vec![("origin", origin.to_owned())];
    let posted = |name, headers, token| Attempt {
        name,
        method: "POST",
        headers,
        token,
        media_type: FORM,
        status: 403,
    };
    vec![
        posted("no token", same(), None),
        posted("an empty token", same(), Some(String::new())),
        posted("a token of nobody's", same(), Some(csrf::token("nobody"))),
        posted("another session's token", same(), Some(csrf::token(others))),
        posted("the session itself as token", same(), Some(own.to_owned())),
        posted("a token cut short", same(), right.as_ref().map(|token| token[1..].to_owned())),
        posted("another site", from("cross-site"), right.clone()),
        posted("a sister site", from("same-site"), right.clone()),
        posted("an address typed in", from("none"), right.clone()),
        posted("another origin", origin("https://evil.example"), right.clone()),
        posted(
            "another origin that ends like ours",
            origin("https://xloa.example.vn"),
            right.clone(),
        ),
        posted(
            "an origin that begins like ours",
            origin("https://loa.example.vn.evil.example"),
            right.clone(),
        ),
        posted("another port", origin("https://loa.example.vn:8443"), right.clone()),
        posted("an opaque origin", origin("null"), right.clone()),
        posted("nothing but the cookie", Vec::new(), None),
        Attempt {
            media_type: "application/json",
            status: 415,
            ..posted("JSON", same(), right.clone())
        },
        Attempt {
            media_type: "text/plain",
            status: 415,
            ..posted("plain text", same(), right.clone())
        },
        Attempt {
            method: "GET",
            status: 405,
            ..posted("a link", from("cross-site"), right.clone())
        },
        Attempt { method: "HEAD", status: 405, ..posted("a look", same(), right.clone()) },
        Attempt { method: "PUT", status: 405, ..posted("another method", same(), right) },
    ]
}

async fn send(
    province: &Province,
    row: &Row,
    session: &str,
    thing: &str,
    attempt: &Attempt,
) -> Got {
    let mut form = province.form(attempt.token.as_deref().unwrap_or_default(), thing).await;
    if attempt.token.is_none() {
        form =
            form.split('&').filter(|pair| !pair.starts_with("csrf=")).collect::<Vec<_>>().join("&");
    }
    let mut path = row.path().replace("{id}", thing);
    if matches!(attempt.method, "GET" | "HEAD") {
        path = format!("{path}?{form}");
    }
    let mut request = Request::builder().method(attempt.method).uri(path);
    request = request
        .header(header::HOST, "loa.example.vn")
        .header(header::COOKIE, format!("{SESSION}={session}"))
        .header(header::CONTENT_TYPE, attempt.media_type);
    for (name, value) in &attempt.headers {
        request = request.header(*name, value);
    }
    province.send(request.body(Body::from(form)).expect("a request")).await
}

#[sqlx::test]
async fn no_form_of_the_console_is_believed_that_our_own_page_has_not_sent(pool: PgPool) {
    let province = Province::found(pool).await;
    let forms = every_form();
    assert!(forms.len() > 15, "{}", forms.len());
    let other = province.at_the_desk(Role::Auditor).await.session.expect("signed in");
    let mut wrong = Vec::new();
    for row in forms {
        let caller = entitled(&province, &row).await;
        let session = caller.session.clone().expect("signed in");
        let thing = match row.about {
            // A session of the caller's own that ends if anything does.
            About::Session => own_session(&province, &caller).await,
            about => province.standing(about, Whose::Own),
        };
        let before = province.everything().await;
        for attempt in attempts(&session, &other) {
            let got = send(&province, &row, &session, &thing, &attempt).await;
            // Some forms have a page at their own address; that of one-time codes is not there without their key, and the matrix has no template.
            let status = match (row.route, attempt.method) {
                (
                    "POST /console/accounts"
                    | "POST /console/calendar"
                    | "POST /console/passkeys"
                    | "POST /console/write"
                    | "POST /console/write/{id}",
                    "GET" | "HEAD",
                ) => 200,
                (
                    "POST /console/totp"
                    | "POST /console/templates/{id}"
                    | "POST /console/alerts/{id}/after-review",
                    "GET" | "HEAD",
                ) => 404,
                _ => attempt.status,
            };
            if got.status != status {
                wrong.push(format!("{}: {} was answered {}", row.route, attempt.name, got.status));
            }
        }
        if province.everything().await != before {
            wrong.push(format!("{} has changed something", row.route));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

async fn own_session(province: &Province, caller: &Caller) -> String {
    let Holds::Session(role) = caller.holds else { panic!("{caller:?}") };
    sqlx::query_scalar("select id::text from console_session where officer_id = $1 limit 1")
        .bind(province.officer(role).0)
        .fetch_one(&province.app.pool)
        .await
        .expect("signed in")
}

#[sqlx::test]
async fn a_form_of_our_own_page_is_believed_from_old_and_new_browsers(pool: PgPool) {
    let province = Province::found(pool).await;
    let row =
        TABLE.iter().find(|row| row.route == "POST /console/sessions/end-others").expect("a row");
    let session = province.at_the_desk(Role::Approver).await.session.expect("signed in");
    for headers in [
        vec![("sec-fetch-site", "same-origin".to_owned())],
        vec![("origin", "https://loa.example.vn".to_owned())],
    ] {
        let name = "our own page";
        let token = Some(csrf::token(&session));
        let attempt =
            Attempt { name, method: "POST", headers, token, media_type: FORM, status: 303 };
        assert_eq!(send(&province, row, &session, "", &attempt).await.status, attempt.status);
    }
}
