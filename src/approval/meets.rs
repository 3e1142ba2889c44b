//! What an approval now would meet: the devices it reaches, what goes before it, and other alerts about the same thing.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::AlertState;
use crate::store::StoreError;
use crate::store::alert;
use crate::store::reach::{self, Road, Speakers};

/// Active devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    /// Android.
    pub fcm: i64,
    /// iOS.
    pub apns: i64,
    /// Browsers.
    pub webpush: i64,
    /// All of them.
    pub total: i64,
    /// The same by language, the most frequent first.
    pub languages: Vec<LanguageReach>,
}

/// Active devices that speak one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LanguageReach {
    /// BCP 47 primary tag.
    pub language: String,
    /// Android.
    pub fcm: i64,
    /// iOS.
    pub apns: i64,
    /// Browsers.
    pub webpush: i64,
}

/// What the broadcast would find on its way to one provider.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Which.
    pub provider: Provider,
    /// Devices of broadcasts under way that go first.
    pub ahead: i64,
    /// Share of the quota that the provider lets through now, 0 to 1.
    pub share: f64,
    /// Seconds until it takes anything again.
    pub closed_seconds: f64,
}

/// Another alert about the same thing at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overlap {
    /// Which.
    pub id: AlertId,
    /// Who answers for it.
    pub agency: String,
    /// Waiting, or public.
    pub state: AlertState,
    /// Its Vietnamese headline.
    pub headline: String,
    /// Since when it waits, or is public.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

impl Reach {
    /// By provider, in the order of their numbers.
    pub fn by_provider(&self) -> [i64; 3] {
        [self.fcm, self.apns, self.webpush]
    }

    pub(super) async fn now(conn: &mut PgConnection) -> Result<Self, StoreError> {
        let mut all = Self { fcm: 0, apns: 0, webpush: 0, total: 0, languages: Vec::new() };
        for Speakers { provider, language, devices } in reach::speakers(conn).await? {
            if all.languages.last().is_none_or(|last| last.language != language) {
                all.languages.push(LanguageReach { language, fcm: 0, apns: 0, webpush: 0 });
            }
            if let Some(last) = all.languages.last_mut() {
                match provider {
                    Provider::Fcm => (all.fcm, last.fcm) = (all.fcm + devices, devices),
                    Provider::Apns => (all.apns, last.apns) = (all.apns + devices, devices),
                    Provider::WebPush => {
                        (all.webpush, last.webpush) = (all.webpush + devices, devices);
                    }
                }
            }
            all.total += devices;
        }
        Ok(all)
    }
}

impl Traffic {
    pub(super) async fn before(
        conn: &mut PgConnection,
        lane: Lane,
    ) -> Result<Vec<Self>, StoreError> {
        let roads = Provider::ALL.into_iter().zip(reach::roads(conn, lane, None).await?);
        Ok(roads
            .map(|(provider, Road { ahead, share, closed_seconds })| Self {
                provider,
                ahead,
                share,
                closed_seconds,
            })
            .collect())
    }
}

impl From<alert::Overlap> for Overlap {
    fn from(found: alert::Overlap) -> Self {
        let alert::Overlap { id, agency_name: agency, state, headline, since, expires } = found;
        Self { id, agency, state, headline, since, expires }
    }
}
