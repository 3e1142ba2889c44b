//! The dossier of an alert: all of it, for whoever asks years later, without the province's servers.

use std::path::Path;

use loa::domain::dossier::{DossierError, SignedDossier};
use serde_json::Value;
use sqlx::PgPool;

use crate::audit_record::{configurations, province};
use crate::support::app::id;
use crate::support::machine::Machine;

#[sqlx::test]
async fn a_dossier_tells_all_of_an_alert_that_was_returned_approved_and_recalled(pool: PgPool) {
    let (app, alert) = province(pool).await;
    let machine = Machine::new();
    let (serving, auditing) = configurations(&machine, &app);
    let folder = machine.write("x", "");
    let folder = Path::new(&folder).parent().expect("a folder").display().to_string();

    let made = machine.loa(&serving, &["dossier", id(&alert), "--out", &folder]).await;
    assert_eq!(made.code, 0, "{}{}", made.out, made.err);
    let [file, paper] = [0, 1].map(|line| made.out.lines().nth(line).expect("two files"));
    let whole = std::fs::read(file).expect("the dossier");
    let told: Value = serde_json::from_slice(&whole).expect("JSON");
    let told = &told["dossier"];
    let list = |at: &str, member: &str| -> Vec<String> {
        let items = told.pointer(at).and_then(Value::as_array).expect("a list").iter();
        items.map(|item| item[member].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(list("/decisions", "verdict"), ["return", "approve", "recall"]);
    assert_eq!(told["decisions"][0]["reason"], "Ghi rõ thời điểm mưa lớn nhất.");
    assert_eq!(told["revisions"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        told["revisions"][2]["content"]["texts"]["vi"]["body"],
        "Mưa rất to, lớn nhất lúc 20 giờ."
    );
    assert_eq!(list("/sealed", "purpose"), ["alert", "recall"]);
    assert_eq!(list("/reach", "purpose"), ["alert", "recall"]);
    let steps = list("/steps", "action");
    assert_eq!(steps.first().map(String::as_str), Some("alert.created"));
    assert_eq!(steps.last().map(String::as_str), Some("alert.recalled"));
    assert_eq!(told["steps"][0]["person"]["name"], "bch.soanthao");
    assert_eq!(told["trail"]["checkpoint"]["checkpoint"]["serial"], 1);
    assert!(std::fs::read(paper).expect("the PDF").starts_with(b"%PDF-"));
    // To be looked at.
    let gallery = format!("{}/target/gallery", env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(&gallery).expect("a folder");
    std::fs::copy(paper, format!("{gallery}/dossier.pdf")).expect("a copy");

    let held = machine.loa(&auditing, &["verify", "--dossier", file]).await;
    assert_eq!(held.code, 0, "{}{}", held.out, held.err);
    assert!(held.out.contains("is the one that was signed"), "{}", held.out);
    let mut other = std::fs::read(paper).expect("the PDF");
    other[600] ^= 1;
    std::fs::write(paper, other).expect("somebody changes it");
    let said = machine.loa(&auditing, &["verify", "--dossier", file]).await;
    assert!(said.code == 1 && said.out.contains("is not the PDF that was signed"), "{}", said.out);
    std::fs::remove_file(paper).expect("somebody loses it");
    let said = machine.loa(&auditing, &["verify", "--dossier", file]).await;
    assert!(said.code == 0 && said.out.contains("so it was not checked"), "{}", said.out);
    let forged =
        String::from_utf8(whole).expect("UTF-8").replacen("mưa lớn nhất", "mưa nhỏ nhất", 1);
    let forged = machine.write("forged.json", forged);
    let said = machine.loa(&auditing, &["verify", "--dossier", &forged]).await;
    assert!(said.code == 1 && said.out.contains("is not what was signed"), "{}", said.out);
}

#[sqlx::test]
async fn a_dossier_of_which_any_byte_was_changed_is_not_believed(pool: PgPool) {
    let (app, alert) = province(pool).await;
    let mut conn = app.pool.acquire().await.unwrap();
    let alert = id(&alert).parse().unwrap();
    let trusted = app.trusted();
    let dossier = loa::dossier::collect(&mut conn, alert, &trusted).await.unwrap().expect("it");
    let pdf = loa::dossier::page::set(&dossier);
    let page = loa::domain::dossier::Page {
        name: "dossier.pdf".into(),
        sha256: loa::domain::seal::digest(&pdf),
    };
    let signed = dossier.sign(page, &app.key);
    assert_eq!(signed.examine(&trusted, Some(&pdf)), []);
    let whole = serde_json::to_vec(&signed).unwrap();
    assert_eq!(SignedDossier::read(&whole).as_ref(), Ok(&signed));
    for at in (0..whole.len()).step_by(61) {
        let mut mangled = whole.clone();
        mangled[at] ^= 1;
        match SignedDossier::read(&mangled) {
            Err(DossierError::Unreadable(_)) => {}
            Err(other) => panic!("byte {at}: {other}"),
            // A time may be written otherwise and say the same.
            Ok(read) => {
                assert!(read == signed || !read.examine(&trusted, None).is_empty(), "byte {at}");
            }
        }
    }
}
