//! What identifies an address: its kind, its text and the hash that is unique among devices.
//!
//! How an address is pushed to is the business of `push`; whether a client's address is well-formed, of
//! [`super::registration`].

use ring::digest::{Context, SHA256};

use super::device::{Address, ApnsEnvironment, FcmTarget, Provider};

/// The kinds of address there are. The number is what the database stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum AddressKind {
    /// A registration token of FCM.
    FcmToken = 0,
    /// A Firebase Installation ID.
    FcmFid = 1,
    /// A token of Apple's production service.
    ApnsProduction = 2,
    /// A token of Apple's development service.
    ApnsSandbox = 3,
    /// A browser's subscription.
    WebPush = 4,
}

impl AddressKind {
    /// Every kind, at the index of its number.
    pub const ALL: [Self; 5] =
        [Self::FcmToken, Self::FcmFid, Self::ApnsProduction, Self::ApnsSandbox, Self::WebPush];

    /// The number the database stores.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The kind of a stored number; `None` when the number is none of ours.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The provider of this kind.
    pub fn provider(self) -> Provider {
        match self {
            Self::FcmToken | Self::FcmFid => Provider::Fcm,
            Self::ApnsProduction | Self::ApnsSandbox => Provider::Apns,
            Self::WebPush => Provider::WebPush,
        }
    }

    /// Goes into the hash; never changes its meaning.
    fn word(self) -> &'static str {
        match self {
            Self::FcmToken => "fcm_token",
            Self::FcmFid => "fcm_fid",
            Self::ApnsProduction => "apns",
            Self::ApnsSandbox => "apns_sandbox",
            Self::WebPush => "webpush",
        }
    }
}

/// SHA-256 of kind ‖ 0 ‖ address.
pub type AddressHash = [u8; 32];

impl Address {
    /// Its kind.
    pub fn kind(&self) -> AddressKind {
        match self {
            Self::Fcm(FcmTarget::Token(_)) => AddressKind::FcmToken,
            Self::Fcm(FcmTarget::Fid(_)) => AddressKind::FcmFid,
            Self::Apns { environment: ApnsEnvironment::Production, .. } => {
                AddressKind::ApnsProduction
            }
            Self::Apns { environment: ApnsEnvironment::Sandbox, .. } => AddressKind::ApnsSandbox,
            Self::WebPush(_) => AddressKind::WebPush,
        }
    }

    /// The token, installation id or endpoint. A secret: enough to ring somebody's phone.
    pub fn text(&self) -> &str {
        match self {
            Self::Fcm(FcmTarget::Token(text) | FcmTarget::Fid(text)) => text,
            Self::Apns { token, .. } => token,
            Self::WebPush(subscription) => &subscription.endpoint,
        }
    }

    /// What is unique among the devices of a provider, and what quarantine compares: SHA-256 of kind ‖ 0 ‖ text.
    pub fn hash(&self) -> AddressHash {
        let mut context = Context::new(&SHA256);
        context.update(self.kind().word().as_bytes());
        context.update(&[0]);
        context.update(self.text().as_bytes());
        let mut hash = AddressHash::default();
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_its_number_name_each_other() {
        for (index, kind) in AddressKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(kind.code()), Ok(index));
            assert_eq!(AddressKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(AddressKind::from_code(5), None);
    }

    #[test]
    fn the_same_text_of_another_kind_is_another_address() {
        let token = "ab".repeat(32);
        let apns = |environment| Address::Apns { token: token.clone(), environment };
        let addresses = [
            Address::Fcm(FcmTarget::Token(token.clone())),
            Address::Fcm(FcmTarget::Fid(token.clone())),
            apns(ApnsEnvironment::Production),
            apns(ApnsEnvironment::Sandbox),
        ];
        let hashes: std::collections::HashSet<_> = addresses.iter().map(Address::hash).collect();
        assert_eq!(hashes.len(), addresses.len());
    }

    #[test]
    fn the_hash_is_stored_and_so_never_changes() {
        let address = Address::Fcm(FcmTarget::Token("abc".into()));
        let expected = ring::digest::digest(&SHA256, b"fcm_token\0abc");
        assert_eq!(address.hash(), expected.as_ref());
    }
}
