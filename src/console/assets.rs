//! Style, script and fonts: embedded in the binary, named by their content, cached for ever.
//!
//! Be Vietnam Pro is drawn for stacked diacritics (SIL Open Font License 1.1, served beside it).

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The console's style sheet.
pub const STYLE: &str = concat!(
    include_str!("../../templates/style/tokens.css"),
    include_str!("../../templates/style/console.css")
);

/// The script that redraws a broadcast's numbers.
pub const SCRIPT: &str = concat!(
    include_str!("../../templates/console/connected.js"),
    include_str!("../../templates/console/live.js")
);

/// The script that asks an authenticator.
pub const PASSKEY_SCRIPT: &str = include_str!("../../templates/console/passkey.js");

/// The script that keeps drafts.
pub const WRITE_SCRIPT: &str = include_str!("../../templates/console/write.js");

/// The script of what waits.
pub const QUEUE_SCRIPT: &str = concat!(
    include_str!("../../templates/console/connected.js"),
    include_str!("../../templates/console/queue.js")
);

/// Where this release's files are; the address changes with the content, so that no cache ever shows yesterday's.
#[derive(Debug)]
pub struct Assets {
    release: String,
}

/// This release's files.
pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let digest = crate::domain::seal::digest(
        [STYLE, SCRIPT, PASSKEY_SCRIPT, WRITE_SCRIPT, QUEUE_SCRIPT].concat().as_bytes(),
    );
    Assets { release: digest[..12].to_owned() }
});

impl Assets {
    /// Where the style sheet is.
    pub fn style(&self) -> String {
        format!("/console/files/{}/console.css", self.release)
    }

    /// Where the script of live pages is.
    pub fn script(&self) -> String {
        format!("/console/files/{}/live.js", self.release)
    }

    /// Where the script of passkeys is.
    pub fn passkey_script(&self) -> String {
        format!("/console/files/{}/passkey.js", self.release)
    }

    /// Where the script of what waits is.
    pub fn queue_script(&self) -> String {
        format!("/console/files/{}/queue.js", self.release)
    }

    /// Where the script of drafts is.
    pub fn write_script(&self) -> String {
        format!("/console/files/{}/write.js", self.release)
    }
}

/// `/console/files/…`
pub fn routes() -> Router {
    Router::new().route("/console/files/{release}/{*name}", get(file))
}

async fn file(asked: Result<Path<(String, String)>, PathRejection>) -> Response {
    let Ok(Path((release, name))) = asked else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some((media_type, bytes)) = find(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // While an upgrade goes on, a page of one release may ask a process of another: better than nothing, but not to be kept under that address.
    let kept =
        if release == ASSETS.release { "public, max-age=31536000, immutable" } else { "no-store" };
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, kept)];
    (headers, bytes).into_response()
}

fn find(name: &str) -> Option<(&'static str, &'static [u8])> {
    macro_rules! font {
        ($file:literal) => {
            include_bytes!(concat!("../../templates/console/font/", $file)).as_slice()
        };
    }
    let woff = "font/woff2";
    Some(match name {
        "console.css" => ("text/css; charset=utf-8", STYLE.as_bytes()),
        "live.js" => ("text/javascript; charset=utf-8", SCRIPT.as_bytes()),
        "passkey.js" => ("text/javascript; charset=utf-8", PASSKEY_SCRIPT.as_bytes()),
        "queue.js" => ("text/javascript; charset=utf-8", QUEUE_SCRIPT.as_bytes()),
        "write.js" => ("text/javascript; charset=utf-8", WRITE_SCRIPT.as_bytes()),
        "font/latin-400.woff2" => (woff, font!("be-vietnam-pro-latin-400-normal.woff2")),
        "font/latin-600.woff2" => (woff, font!("be-vietnam-pro-latin-600-normal.woff2")),
        "font/vi-400.woff2" => (woff, font!("be-vietnam-pro-vietnamese-400-normal.woff2")),
        "font/vi-600.woff2" => (woff, font!("be-vietnam-pro-vietnamese-600-normal.woff2")),
        "font/OFL.txt" => ("text/plain; charset=utf-8", font!("OFL.txt")),
        _ => return None,
    })
}
