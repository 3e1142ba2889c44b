//! The simulated phones: registrations that come out the same for the same (count, seed, share of dead), so that
//! `loa-sim devices` can write them to a file and `loa-sim serve` know them without reading it.
//!
//! Of ten devices six are Android (`fcm_token`, every tenth of them `fcm_fid`), three are iPhones, one is a browser.

use std::hash::Hasher;
use std::io::Write;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::exchange::Provider;
use crate::random::{SplitMix, address_hash};
use crate::site::{Site, VAPID_KEY};
use crate::webpush::vendor::Vendor;

/// Which devices there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// How many, of all kinds together.
    pub count: u32,
    /// How many of a hundred uninstalled the app.
    pub dead_percent: f64,
    /// Another seed, other devices.
    pub seed: u64,
    /// Devices of this provider only; `None`: the mixture.
    pub only: Option<Provider>,
}

/// What kind of registration device `n` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An FCM registration token.
    FcmToken,
    /// A Firebase installation id.
    FcmFid,
    /// An APNs device token, production.
    Apns,
    /// A browser's push subscription.
    WebPush,
}

impl Kind {
    /// The kind of device `n` of the mixture, whatever the seed.
    pub const fn of(n: u32) -> Self {
        match n % 10 {
            0..=5 if (n / 10) % 10 == n % 6 => Self::FcmFid,
            0..=5 => Self::FcmToken,
            6..=8 => Self::Apns,
            _ => Self::WebPush,
        }
    }

    /// The kind of device `n` where all are one provider's.
    const fn of_only(provider: Provider, n: u32) -> Self {
        match provider {
            Provider::Fcm if n % 10 == 9 => Self::FcmFid,
            Provider::Fcm => Self::FcmToken,
            Provider::Apns => Self::Apns,
            Provider::WebPush => Self::WebPush,
        }
    }

    /// The name in registrations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FcmToken => "fcm_token",
            Self::FcmFid => "fcm_fid",
            Self::Apns => "apns",
            Self::WebPush => "webpush",
        }
    }

    /// Who delivers to it.
    pub const fn provider(self) -> Provider {
        match self {
            Self::FcmToken | Self::FcmFid => Provider::Fcm,
            Self::Apns => Provider::Apns,
            Self::WebPush => Provider::WebPush,
        }
    }
}

impl Population {
    /// What kind of registration device `n` is.
    pub fn kind(self, n: u32) -> Kind {
        self.only.map_or_else(|| Kind::of(n), |provider| Kind::of_only(provider, n))
    }

    /// Whether device `n` uninstalled the app.
    pub fn is_dead(self, n: u32) -> bool {
        let draw = SplitMix::of(self.seed, 1, n.into()).next() % 1_000_000;
        f64::from(u32::try_from(draw).unwrap_or(u32::MAX)) < self.dead_percent * 10_000.0
    }

    /// Its address: the token, or for Web Push the opaque end of the endpoint.
    pub fn address(self, n: u32) -> String {
        let mut random = SplitMix::of(self.seed, 2, n.into());
        match self.kind(n) {
            Kind::FcmToken => {
                let mut token = String::with_capacity(163);
                random.letters(22, &mut token);
                token.push_str(":APA91b");
                random.letters(134, &mut token);
                token
            }
            // A FID's first four bits are 0111, so its first letter is one of these (Firebase installations).
            Kind::FcmFid => {
                let mut fid = String::from(["c", "d", "e", "f"][(random.next() & 3) as usize]);
                random.letters(21, &mut fid);
                fid
            }
            Kind::Apns => crate::site::hex(&random.bytes::<32>()),
            Kind::WebPush => {
                let mut opaque = String::from("gAAAAAB");
                random.letters(93, &mut opaque);
                opaque
            }
        }
    }

    /// One NDJSON line, as `loa devices import` reads it.
    pub fn registration(
        self,
        n: u32,
        site: &Site,
        agents: &UserAgents,
        services: &[Vendor],
    ) -> serde_json::Value {
        let kind = self.kind(n);
        let installation =
            uuid::Builder::from_random_bytes(SplitMix::of(self.seed, 3, n.into()).bytes())
                .into_uuid();
        let address = self.address(n);
        let mut line = json!({
            "installation": installation,
            "kind": kind.name(),
            "locale": "vi",
            "app_version": "1.0.0",
        });
        match kind {
            Kind::FcmToken | Kind::FcmFid => {
                line["token"] = json!(address);
                line["platform"] = json!("android");
            }
            Kind::Apns => {
                line["token"] = json!(address);
                line["environment"] = json!("production");
                line["platform"] = json!("ios");
            }
            Kind::WebPush => {
                let keys = agents.keys(address.as_bytes());
                let service = self.service(n, services);
                line["endpoint"] = json!(service.endpoint(site.push_service(service), &address));
                line["p256dh"] = json!(URL_SAFE_NO_PAD.encode(keys.public));
                line["auth"] = json!(URL_SAFE_NO_PAD.encode(keys.auth));
                line["vapid_key_id"] = json!(VAPID_KEY);
                line["platform"] = json!("web");
            }
        }
        line
    }

    /// Which of these push services browser `n` has subscribed at; without any, nobody's.
    fn service(self, n: u32, services: &[Vendor]) -> Vendor {
        let draw = SplitMix::of(self.seed, 6, n.into()).next();
        let which = usize::try_from(draw >> 1).unwrap_or_default().checked_rem(services.len());
        which.and_then(|which| services.get(which)).copied().unwrap_or(Vendor::Rfc)
    }

    /// All lines, browsers shared out among these push services.
    pub fn write(self, site: &Site, services: &[Vendor], out: &mut impl Write) -> Result<()> {
        let agents = UserAgents::new(self.seed);
        for n in 0..self.count {
            serde_json::to_writer(&mut *out, &self.registration(n, site, &agents, services))?;
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }
}

/// The keys of a browser's subscription (RFC 8291 §2).
pub struct SubscriptionKeys<'a> {
    /// The private half of `p256dh`.
    pub secret: &'a SecretKey,
    /// `p256dh`: 65 bytes, uncompressed point.
    pub public: &'a [u8; 65],
    /// `auth`: 16 bytes.
    pub auth: [u8; 16],
}

/// Key pairs of all browsers there could ever be: 64 pairs, shared out by the address, each with its own `auth`.
/// A pool because a million key generations would take minutes and prove nothing more.
pub struct UserAgents {
    seed: u64,
    pool: Vec<(SecretKey, [u8; 65])>,
}

impl UserAgents {
    /// The pool of this seed.
    pub fn new(seed: u64) -> Self {
        let pool = (0..64_u64).map(|index| key_pair(seed, index)).collect();
        Self { seed, pool }
    }

    /// The keys of the subscription at this address, whether or not it is one of the demo's.
    pub fn keys(&self, opaque: &[u8]) -> SubscriptionKeys<'_> {
        let hash = address_hash(opaque);
        let (secret, public) = &self.pool[(hash % 64) as usize];
        SubscriptionKeys { secret, public, auth: SplitMix::of(self.seed, 4, hash).bytes() }
    }
}

fn key_pair(seed: u64, index: u64) -> (SecretKey, [u8; 65]) {
    let mut bytes: [u8; 32] = SplitMix::of(seed, 5, index).bytes();
    loop {
        // A number outside the group's order is as good as impossible, but then the next hash is taken.
        if let Ok(secret) = SecretKey::from_slice(&bytes) {
            let point = secret.public_key().to_sec1_point(false);
            if let Ok(public) = <[u8; 65]>::try_from(point.as_bytes()) {
                return (secret, public);
            }
        }
        let next = digest(&SHA256, &bytes);
        bytes.copy_from_slice(next.as_ref());
    }
}

/// Who an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// A demo device with the app installed; its number within the provider.
    Live(u32),
    /// A demo device that uninstalled the app.
    Dead(u32),
    /// None of the demo's; the hash of its address.
    Stranger(u64),
}

/// All demo devices, looked up by address.
pub struct Fleet {
    known: [Register; 3],
    dead: [Vec<bool>; 3],
}

impl Fleet {
    /// Computes every address once.
    pub fn new(population: Population) -> Self {
        let mut dead: [Vec<bool>; 3] = Default::default();
        let mut hashes: [Vec<u64>; 3] = Default::default();
        for n in 0..population.count {
            let provider = population.kind(n).provider() as usize;
            hashes[provider].push(address_hash(population.address(n).as_bytes()));
            dead[provider].push(population.is_dead(n));
        }
        let known = Provider::ALL
            .map(|provider| Register::of(&hashes[provider as usize], &dead[provider as usize]));
        Self { known, dead }
    }

    /// Whose address this is.
    pub fn standing(&self, provider: Provider, address: &[u8]) -> Standing {
        self.known[provider as usize].standing(address_hash(address))
    }

    /// For each of the provider's devices: is it dead?
    pub fn dead(&self, provider: Provider) -> &[bool] {
        &self.dead[provider as usize]
    }
}

/// Devices by the hash of their address: open addressing, at most half full, so that a look-up among millions is one cache line
/// that is not at hand. A sender shares the machine with us, and must not be slowed by our looking things up.
struct Register(Vec<Option<(u64, Known)>>);

#[derive(Clone, Copy)]
struct Known {
    number: u32,
    dead: bool,
}

impl Register {
    fn of(hashes: &[u64], dead: &[bool]) -> Self {
        let mut register = Self(vec![None; (hashes.len() * 2).next_power_of_two()]);
        for (number, (&hash, &dead)) in (0..).zip(hashes.iter().zip(dead)) {
            let place = register.place(hash);
            register.0[place] = Some((hash, Known { number, dead }));
        }
        register
    }

    fn standing(&self, hash: u64) -> Standing {
        match self.0[self.place(hash)] {
            Some((_, Known { number, dead: true })) => Standing::Dead(number),
            Some((_, Known { number, dead: false })) => Standing::Live(number),
            None => Standing::Stranger(hash),
        }
    }

    /// Where this hash stands, or would: at its own place or the next that is free.
    fn place(&self, hash: u64) -> usize {
        let mask = self.0.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "any of its bits will do")]
        let mut place = hash as usize & mask;
        while self.0[place].is_some_and(|(other, _)| other != hash) {
            place = (place + 1) & mask;
        }
        place
    }
}

/// Passes a 64-bit hash through: hashing it once more would only cost time.
#[derive(Default)]
pub struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = address_hash(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_is_found_by_its_address_and_nobody_else_is() {
        let population = Population { count: 1_000, dead_percent: 10.0, seed: 7, only: None };
        let fleet = Fleet::new(population);
        let mut numbers = [0; 3];
        for n in 0..population.count {
            let provider = population.kind(n).provider();
            let number = numbers[provider as usize];
            numbers[provider as usize] += 1;
            let standing = fleet.standing(provider, population.address(n).as_bytes());
            let expected =
                if population.is_dead(n) { Standing::Dead(number) } else { Standing::Live(number) };
            assert_eq!(standing, expected);
        }
        let stranger = fleet.standing(Provider::Fcm, b"nobody");
        assert_eq!(stranger, Standing::Stranger(address_hash(b"nobody")));
        let nobody = Fleet::new(Population { count: 0, ..population });
        assert_eq!(nobody.standing(Provider::Fcm, b"nobody"), stranger);
    }

    #[test]
    fn devices_whose_hashes_want_the_same_place_stand_beside_each_other() {
        let hashes = [8, 16, 24, 0];
        let register = Register::of(&hashes, &[false, true, false, false]);
        let found = hashes.map(|hash| register.standing(hash));
        let expected = [Standing::Live(0), Standing::Dead(1), Standing::Live(2), Standing::Live(3)];
        assert_eq!(found, expected);
        assert_eq!(register.standing(32), Standing::Stranger(32));
    }
}
