//! Rows become addresses by parsing; a row that cannot be is named, never defaulted.

use crate::domain::address::AddressKind;
use crate::domain::device::{Address, ApnsEnvironment, FcmTarget, WebPushSubscription};
use crate::store::StoreError;

/// The columns that hold an address.
pub struct AddressRow {
    pub kind: i16,
    pub address: String,
    pub p256dh: Option<Vec<u8>>,
    pub auth: Option<Vec<u8>>,
    pub vapid_key: Option<String>,
}

impl AddressRow {
    /// Without the keys that only browsers have.
    pub fn phone(kind: i16, address: String) -> Self {
        Self { kind, address, p256dh: None, auth: None, vapid_key: None }
    }

    /// `row` names the row should it make no sense.
    pub fn parse(self, row: impl std::fmt::Display) -> Result<Address, StoreError> {
        let Some(kind) = AddressKind::from_code(self.kind) else {
            return Err(StoreError::inconsistent("device", "kind", row));
        };
        let apns = |token, environment| Address::Apns { token, environment };
        Ok(match kind {
            AddressKind::FcmToken => Address::Fcm(FcmTarget::Token(self.address)),
            AddressKind::FcmFid => Address::Fcm(FcmTarget::Fid(self.address)),
            AddressKind::ApnsProduction => apns(self.address, ApnsEnvironment::Production),
            AddressKind::ApnsSandbox => apns(self.address, ApnsEnvironment::Sandbox),
            AddressKind::WebPush => {
                let keys = (
                    self.p256dh.and_then(|bytes| bytes.try_into().ok()),
                    self.auth.and_then(|bytes| bytes.try_into().ok()),
                    self.vapid_key,
                );
                let (Some(p256dh), Some(auth), Some(vapid_key)) = keys else {
                    return Err(StoreError::inconsistent("device", "p256dh", row));
                };
                Address::WebPush(Box::new(WebPushSubscription {
                    endpoint: self.address,
                    p256dh,
                    auth,
                    vapid_key,
                }))
            }
        })
    }
}
