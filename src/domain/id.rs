//! Identifiers as types, so that swapped arguments do not compile.
//!
//! All are UUID version 7: unguessable enough for public links, ordered by time for indexes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new identifier, ordered after all earlier ones of this machine.
            #[expect(clippy::new_without_default, reason = "an identifier has no default")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(raw: &str) -> Result<Self, Self::Err> {
                raw.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(raw: Uuid) -> Self {
                Self(raw)
            }
        }
    };
}

id!(
    /// One alert: one text, sealed once, broadcast once.
    AlertId
);
id!(
    /// What happened in the world: an alert, its correction, its recall and its all-clear share it.
    IncidentId
);
id!(
    /// A unit of the province that may submit or, for the focal unit, approve.
    AgencyId
);
id!(
    /// A person with an account.
    OfficerId
);
id!(
    /// A change of who may do what that takes two administrators.
    ChangeId
);
id!(
    /// The file behind an alert's text (*văn bản*).
    DocumentId
);
id!(
    /// The sending of one alert to its audience.
    BroadcastId
);
id!(
    /// One installation of the citizen app or one browser subscription.
    InstallationId
);
id!(
    /// One personal notice.
    NoticeId
);
id!(
    /// Notices that are delivered together.
    NoticeBatchId
);
id!(
    /// One running `loa dispatch` process.
    DispatcherId
);
