//! What a citizen's browser runs to receive warnings: a script of the list page, a service worker, a manifest, an icon.
//!
//! No cookie, no third party: the browser keeps its installation's id and secret in its own database, and registers as any app does
//! (`docs/app.md`). The page is whole without any of it.

use std::sync::LazyLock;

use bytes::Bytes;

use super::snapshot::Body;

/// What page and worker share: the browser's own database, the registration.
const STORE: &str = include_str!("../../templates/public/store.js");

/// The script of the list page.
pub static SCRIPT: LazyLock<Body> = LazyLock::new(|| {
    Body::of(format!("{STORE}{}", include_str!("../../templates/public/subscribe.js")))
});

/// The service worker: shows what is pushed, opens it without a network.
pub static WORKER: LazyLock<Body> = LazyLock::new(|| {
    Body::of(format!("{STORE}{}", include_str!("../../templates/public/worker.js")))
});

/// The manifest: iPhones take push messages only from what was put on the home screen.
pub static MANIFEST: LazyLock<Body> = LazyLock::new(|| {
    Body::of(Bytes::from_static(include_bytes!("../../templates/public/manifest.webmanifest")))
});

/// The icon of notifications and of the home screen.
pub static ICON: LazyLock<Body> = LazyLock::new(|| {
    Body::of(Bytes::from_static(include_bytes!("../../templates/public/icon.png")))
});

/// What the script is called by now; another content has another address.
pub fn script_address() -> String {
    format!("/public/files/subscribe.js?v={}", release())
}

/// The part of the script's address that changes with its content.
pub fn release() -> &'static str {
    SCRIPT.etag.trim_matches('"')
}
