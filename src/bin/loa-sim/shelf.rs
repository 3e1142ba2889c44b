//! What providers keep for devices that are switched off, and which of it displaces which: the reason why ordinary
//! pushes are held while an emergency is live. Devices are reachable unless a test says otherwise.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::exchange::{Keeping, Provider};

/// One stored push.
struct Kept {
    key: Option<String>,
    payload: Bytes,
}

/// The shelves of all switched-off devices.
#[derive(Default)]
pub struct Shelf {
    in_use: AtomicBool,
    devices: Mutex<HashMap<(Provider, Bytes), Vec<Kept>>>,
}

impl Shelf {
    /// Switches a device off: from now on its pushes are stored.
    pub fn switch_off(&self, provider: Provider, address: &str) {
        self.devices().entry((provider, Bytes::copy_from_slice(address.as_bytes()))).or_default();
        self.in_use.store(true, Ordering::Release);
    }

    /// Switches it on again and hands over what was stored, oldest first.
    pub fn switch_on(&self, provider: Provider, address: &str) -> Vec<Value> {
        let kept = self.devices().remove(&(provider, Bytes::copy_from_slice(address.as_bytes())));
        kept.unwrap_or_default()
            .into_iter()
            .map(|kept| json!({ "key": kept.key, "payload": serde_json::from_slice::<Value>(&kept.payload).ok() }))
            .collect()
    }

    /// Stores an accepted push, if its device is switched off.
    pub fn place(&self, provider: Provider, address: &Bytes, keeping: &Keeping, payload: &Bytes) {
        if !self.in_use.load(Ordering::Acquire) {
            return;
        }
        let mut devices = self.devices();
        let Some(stored) = devices.get_mut(&(provider, address.clone())) else { return };
        let payload = payload.clone();
        match keeping {
            Keeping::Nothing => {}
            Keeping::Beside { most } => {
                stored.push(Kept { key: None, payload });
                // FCM discards all of them at the limit and tells the app to fetch for itself (onDeletedMessages).
                if stored.iter().filter(|kept| kept.key.is_none()).count() > *most {
                    stored.retain(|kept| kept.key.is_some());
                }
            }
            Keeping::Instead { key, most } => {
                stored.retain(|kept| kept.key.as_ref() != Some(key));
                stored.push(Kept { key: Some(key.clone()), payload });
                if stored.iter().filter(|kept| kept.key.is_some()).count() > *most
                    && let Some(oldest) = stored.iter().position(|kept| kept.key.is_some())
                {
                    stored.remove(oldest);
                }
            }
        }
    }

    /// All devices are on again, nothing is stored.
    pub fn clear(&self) {
        self.in_use.store(false, Ordering::Release);
        self.devices().clear();
    }

    fn devices(&self) -> MutexGuard<'_, HashMap<(Provider, Bytes), Vec<Kept>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bulk_push_displaces_a_stored_emergency_at_apple_but_not_at_google() {
        let shelf = Shelf::default();
        let phone = Bytes::from_static(b"phone");
        let emergency = Bytes::from_static(br#"{"kind":"emergency"}"#);
        let bulk = Bytes::from_static(br#"{"kind":"announcement"}"#);
        for provider in [Provider::Apns, Provider::Fcm] {
            shelf.switch_off(provider, "phone");
        }
        let one_per_topic = Keeping::Instead { key: "vn.example".into(), most: 1 };
        shelf.place(Provider::Apns, &phone, &one_per_topic, &emergency);
        shelf.place(Provider::Apns, &phone, &one_per_topic, &bulk);
        shelf.place(Provider::Fcm, &phone, &Keeping::Beside { most: 100 }, &emergency);
        shelf.place(Provider::Fcm, &phone, &Keeping::Instead { key: "tag".into(), most: 4 }, &bulk);
        let kinds = |kept: Vec<Value>| {
            kept.iter().map(|kept| kept["payload"]["kind"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(shelf.switch_on(Provider::Apns, "phone")), ["announcement"]);
        assert_eq!(kinds(shelf.switch_on(Provider::Fcm, "phone")), ["emergency", "announcement"]);
    }

    #[test]
    fn now_or_never_is_never_stored() {
        let shelf = Shelf::default();
        shelf.switch_off(Provider::WebPush, "browser");
        shelf.place(
            Provider::WebPush,
            &Bytes::from_static(b"browser"),
            &Keeping::Nothing,
            &Bytes::from_static(b"{}"),
        );
        assert!(shelf.switch_on(Provider::WebPush, "browser").is_empty());
    }
}
