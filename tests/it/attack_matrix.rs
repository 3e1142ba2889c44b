//! Every route × everybody × whose thing it is: nobody gets further than the table says, what is another's is as if it were not there, and
//! what is refused leaves not one row behind.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sqlx::PgPool;

use crate::attack_province::{Caller, Got, NOTHING, Province, STRANGERS, nobody};
use crate::attack_routes::{by_hand, described};
use crate::attack_table::{About, Door, NOT_THERE, Row, TABLE, Whose};

/// Routes that are not those of `loa serve`: a dispatcher shows them on an address of its own.
const ELSEWHERE: [(&str, &str); 3] = [
    ("process/status.rs", "GET /healthz"),
    ("process/status.rs", "GET /readyz"),
    ("process/status.rs", "GET /metrics"),
];

#[sqlx::test]
async fn nobody_gets_further_than_the_table_says(pool: PgPool) {
    let mut province = Province::found(pool).await;
    let callers = province.callers().await;
    every_route_has_its_row(&province).await;

    let mut wrong = String::new();
    let mut asked = 0;
    let mut known = province.everything().await;
    for row in TABLE.iter().chain(NOT_THERE) {
        for caller in &callers {
            province.let_in(caller).await;
            let (refused, allowed): (Vec<Whose>, Vec<Whose>) = row
                .asked_about()
                .iter()
                .partition(|whose| !row.expected(caller.holds, **whose).changes);
            asked += refused.len() + allowed.len();
            for whose in allowed {
                changes(&mut province, row, caller, whose, &mut wrong).await;
                known = String::new();
            }
            province.let_in(caller).await;
            known = leaves_nothing(&mut province, row, caller, &refused, known, &mut wrong).await;
        }
    }
    let shown = wrong.lines().take(60).collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} lines about {asked} requests:\n{shown}", wrong.lines().count());
    assert!(asked > 2_000, "{asked} requests: is the matrix whole?");
}

/// A route that the table does not know, or one that is gone.
async fn every_route_has_its_row(province: &Province) {
    let openapi = TABLE.iter().find(|row| row.route == "GET /openapi.json").expect("a row");
    let document = province.ask(openapi, &nobody(), "").await.body;
    let mut there = described(&serde_json::from_str(&document).expect("JSON"));
    let mut hand = by_hand();
    hand.retain(|(file, route)| !ELSEWHERE.contains(&(file.as_str(), route.as_str())));
    there.extend(hand.into_iter().map(|(_, route)| route));
    let table: BTreeSet<String> = TABLE.iter().map(|row| row.route.to_owned()).collect();
    assert_eq!(table.len(), TABLE.len(), "a route has two rows");
    let missing: Vec<&String> = there.difference(&table).collect();
    assert!(
        missing.is_empty(),
        "attack_table says of these to nobody what they answer: {missing:?}"
    );
    let gone: Vec<&String> = table.difference(&there).collect();
    assert!(gone.is_empty(), "attack_table has rows for what is not there: {gone:?}");
}

/// What the table allows is done, and leaves its trace.
async fn changes(
    province: &mut Province,
    row: &Row,
    caller: &Caller,
    whose: Whose,
    wrong: &mut String,
) {
    let thing = province.fresh(row.about, whose, caller).await;
    let before = province.everything().await;
    let got = province.ask(row, caller, &thing).await;
    let expected = row.expected(caller.holds, whose);
    if got.status != expected.status {
        tell(
            wrong,
            row,
            caller,
            whose,
            &format!("{} instead of {}: {}", got.status, expected.status, got.body),
        );
    } else if province.everything().await == before {
        tell(wrong, row, caller, whose, "was answered as done, and nothing is done");
    }
}

/// What changes nothing changes nothing; what is another's looks like what is not there. Returns the state of the database.
async fn leaves_nothing(
    province: &mut Province,
    row: &Row,
    caller: &Caller,
    whose: &[Whose],
    known: String,
    wrong: &mut String,
) -> String {
    let mut things = Vec::new();
    for whose in whose {
        let of_the_moment = matches!(row.about, About::Session | About::Phone);
        // Of a phone that is not there, a new one each time: one that is asked about often is asked to wait.
        things.push(if of_the_moment && (*whose != Whose::Nobodys || row.about == About::Phone) {
            province.fresh(row.about, *whose, caller).await
        } else {
            province.standing(row.about, *whose)
        });
    }
    let stale = known.is_empty() || matches!(row.about, About::Session | About::Phone);
    let before = if stale { province.everything().await } else { known };
    let mut answers: Vec<(Whose, Got)> = Vec::new();
    for (whose, thing) in whose.iter().zip(&things) {
        let got = province.ask(row, caller, thing).await;
        let expected = row.expected(caller.holds, *whose);
        if got.status != expected.status {
            let words = format!("{} instead of {}: {}", got.status, expected.status, got.body);
            tell(wrong, row, caller, *whose, &words);
        }
        if expected.status >= 400 {
            for name in [STRANGERS, "Cơ quan STNMT", "stnmt."] {
                if got.body.contains(name) {
                    tell(wrong, row, caller, *whose, "names the other agency");
                }
            }
        }
        if let Some(words) = careless(row, &got) {
            tell(wrong, row, caller, *whose, &words);
        }
        answers.push((*whose, masked(got, thing)));
    }
    let of = |whose| answers.iter().find(|(of, _)| *of == whose).map(|(_, got)| got);
    if let (Some(foreign), Some(nobodys)) = (of(Whose::Foreign), of(Whose::Nobodys))
        // A phone's id is 122 random bits, and registering must tell one that is taken.
        && !matches!(row.door, Door::Secret)
        && row.expected(caller.holds, Whose::Foreign) == row.expected(caller.holds, Whose::Nobodys)
        && foreign != nobodys
    {
        let words = format!("another's is told from nobody's:\n  {foreign:?}\n  {nobodys:?}");
        tell(wrong, row, caller, Whose::Foreign, &words);
    }
    let after =
        if row.method() == "GET" && !stale { before.clone() } else { province.everything().await };
    if after != before {
        tell(
            wrong,
            row,
            caller,
            Whose::Own,
            &format!("has changed {}", difference(&before, &after)),
        );
    }
    after
}

/// What every answer must carry, whoever asks.
fn careless(row: &Row, got: &Got) -> Option<String> {
    let header = |name: &str| got.headers.get(name).and_then(|value| value.to_str().ok());
    let is_page = header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    let is_public = row.path().starts_with("/public") || row.path().starts_with("/console/files");
    if header("x-content-type-options") != Some("nosniff") {
        return Some("no nosniff".to_owned());
    }
    if is_page && header("content-security-policy").is_none() {
        return Some("a page without a policy".to_owned());
    }
    if row.path().starts_with("/v1") || is_page && !is_public {
        return match header("cache-control") {
            Some(words) if words.contains("no-store") || words.contains("no-cache") => None,
            other => Some(format!("may be kept by a cache: {other:?}")),
        };
    }
    None
}

/// The answer without the name of what was asked about.
fn masked(mut got: Got, thing: &str) -> Got {
    for name in [thing, NOTHING].into_iter().filter(|name| !name.is_empty()) {
        got.body = got.body.replace(name, "…");
        // The sign-in page is told where its reader wanted to go.
        let asked = got.headers.get("location").and_then(|place| place.to_str().ok());
        if let Some(place) = asked.map(|place| place.replace(name, "-")) {
            got.headers.insert("location", place.parse().expect("an address"));
        }
    }
    got.headers.remove("content-length");
    got
}

fn difference(before: &str, after: &str) -> String {
    let lines = after.lines().filter(|line| !before.contains(*line));
    lines.filter_map(|line| line.split(':').next()).collect::<Vec<_>>().join(", ")
}

fn tell(wrong: &mut String, row: &Row, caller: &Caller, whose: Whose, words: &str) {
    let words: String = words.chars().take(600).collect();
    let _ = writeln!(
        wrong,
        "{} by {} about {whose:?} {:?}: {words}",
        row.route, caller.name, row.about
    );
}
