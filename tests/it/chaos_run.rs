//! The chaos run itself, small: it must hold, and say so in its last line.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
#[ignore = "two minutes of faults on servers of its own; `make ci-full` runs it, `make chaos` the whole"]
async fn three_rounds_of_chaos_lose_nobody() {
    let run = Command::new(env!("CARGO_BIN_EXE_loa-chaos"))
        .args(["--rounds", "3", "--devices", "4000", "--seed", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("it runs");
    let (out, said) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}");
    let line: Value = serde_json::from_str(out.lines().last().expect("a last line")).expect("JSON");
    assert_eq!(line["rounds"], 3, "{line}");
    for promise in ["lost", "unaccounted", "after_expiry", "after_stop"] {
        assert_eq!(line[promise], 0, "{promise}: {line}\n{said}");
    }
    assert!(line["audience"].as_i64() >= Some(12_000), "{line}");
}
