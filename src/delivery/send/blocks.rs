//! A slice cut into what is sent together: devices that share a quota and a language.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::Target;
use crate::delivery::permits::BLOCK;
use crate::delivery::services::ORIGIN;
use crate::domain::device::{Address, Language, Provider};

/// Devices that share a quota and a language, at most [`BLOCK`] of them.
pub(super) struct Block {
    /// The quota their permits come from.
    pub(super) quota: String,
    /// What their message is written in.
    pub(super) language: Arc<Language>,
    /// They.
    pub(super) targets: Vec<Target>,
}

/// The blocks of a slice, by quota: FCM and APNs have one each, Web Push one per push service. None of them is empty.
pub(super) fn queues(provider: Provider, targets: Vec<Target>) -> Vec<VecDeque<Block>> {
    let mut queues: Vec<VecDeque<Block>> = Vec::new();
    for block in blocks(provider, targets) {
        match queues.iter_mut().find(|queue| queue[0].quota == block.quota) {
            Some(queue) => queue.push_back(block),
            None => queues.push(VecDeque::from([block])),
        }
    }
    queues
}

fn blocks(provider: Provider, targets: Vec<Target>) -> Vec<Block> {
    let size = usize::try_from(BLOCK).unwrap_or(1);
    let mut blocks: Vec<Block> = Vec::with_capacity(targets.len() / size + 1);
    // The last block of each quota and language, by its place.
    let mut open: Vec<usize> = Vec::new();
    for target in targets {
        let quota = quota_of(provider, &target.address);
        let alike =
            |at: &usize| blocks[*at].quota == *quota && blocks[*at].language == target.language;
        match open.iter().position(alike) {
            Some(which) if blocks[open[which]].targets.len() < size => {
                blocks[open[which]].targets.push(target);
            }
            found => {
                match found {
                    Some(which) => open[which] = blocks.len(),
                    None => open.push(blocks.len()),
                }
                let (quota, language) = (quota.into_owned(), Arc::clone(&target.language));
                let mut targets = Vec::with_capacity(size);
                targets.push(target);
                blocks.push(Block { quota, language, targets });
            }
        }
    }
    blocks
}

fn quota_of(provider: Provider, address: &Address) -> Cow<'static, str> {
    match address {
        Address::WebPush(subscription) => origin_quota(&service_of(&subscription.endpoint)).into(),
        Address::Fcm(_) | Address::Apns { .. } => provider.as_str().into(),
    }
}

/// The quota of one push service.
pub(super) fn origin_quota(service: &str) -> String {
    format!("{ORIGIN}{service}")
}

/// Host, and port unless it is 443: how `push` names a service when it asks for less.
fn service_of(endpoint: &str) -> String {
    let url = url::Url::parse(endpoint).ok();
    let service = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    service.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::{FcmTarget, WebPushSubscription};

    fn browser(number: i64, host: &str, language: &Arc<Language>) -> Target {
        let subscription = WebPushSubscription {
            endpoint: format!("https://{host}/push/{number}"),
            p256dh: [4; 65],
            auth: [0; 16],
            vapid_key: "k".to_owned(),
        };
        let address = Address::WebPush(Box::new(subscription));
        Target { number, address, language: Arc::clone(language) }
    }

    #[test]
    fn every_device_is_in_one_block_of_its_own_service_and_language() {
        let languages =
            ["vi", "en"].map(|word| Arc::new(Language::try_from(word.to_owned()).unwrap()));
        let targets: Vec<Target> = (0..730)
            .map(|number: i64| {
                let host = ["a.example", "b.example:8443"][usize::from(number % 3 == 0)];
                browser(number, host, &languages[usize::from(number % 5 == 0)])
            })
            .collect();
        let blocks = blocks(Provider::WebPush, targets);
        let mut seen: Vec<i64> = Vec::new();
        for block in &blocks {
            assert!((1..=50).contains(&block.targets.len()));
            for target in &block.targets {
                assert_eq!(quota_of(Provider::WebPush, &target.address), block.quota);
                assert_eq!(target.language, block.language);
                seen.push(target.number);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..730).collect::<Vec<_>>());
        let quotas: std::collections::BTreeSet<_> =
            blocks.iter().map(|block| block.quota.as_str()).collect();
        assert_eq!(
            quotas.into_iter().collect::<Vec<_>>(),
            ["webpush:a.example", "webpush:b.example:8443"]
        );
        // Full blocks but for the last of each kind.
        assert_eq!(blocks.iter().filter(|block| block.targets.len() < 50).count(), 4);
    }

    #[test]
    fn services_stand_in_queues_of_their_own() {
        let language = Arc::new(Language::try_from("vi".to_owned()).unwrap());
        let targets = (0..330).map(|number: i64| {
            let host = ["a.example", "b.example", "c.example"][usize::from(number % 3 == 0)];
            browser(number, if number < 30 { "c.example" } else { host }, &language)
        });
        let queues = queues(Provider::WebPush, targets.collect());
        let sizes = queues.iter().map(|queue| {
            assert!(queue.iter().all(|block| block.quota == queue[0].quota));
            queue.iter().map(|block| block.targets.len()).sum::<usize>()
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [30, 100, 200]);
    }

    #[test]
    fn a_slice_takes_the_room_of_its_devices_and_no_more() {
        let language = Arc::new(Language::try_from("vi".to_owned()).unwrap());
        let targets: Vec<Target> = (0..2000)
            .map(|number| Target {
                number,
                address: Address::Fcm(FcmTarget::Token(number.to_string())),
                language: Arc::clone(&language),
            })
            .collect();
        let room: usize =
            blocks(Provider::Fcm, targets).iter().map(|block| block.targets.capacity()).sum();
        assert_eq!(room, 2000);
    }
}
