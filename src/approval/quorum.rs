//! How many approvers it takes, and who has approved so far.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::sealing::{Sealers, With, believed_by_all};
use super::{Approval, ApprovalError};
use crate::domain::id::AlertId;
use crate::domain::seal::{Quorum, TemplateSeal, digest, passkey_id};
use crate::store::alert::{self, Revision};
use crate::store::endorsement::{self, Endorsement};
use crate::store::liveness::{self, LiveDispatcher};

impl Approval {
    /// What the strictest asks for, this process and every dispatcher that is alive: one that asks for more than were waited for would
    /// send nothing.
    pub(super) fn quorum_of(&self, live: &[LiveDispatcher]) -> Quorum {
        let own = self.keys.trusted.quorum();
        live.iter().fold(own, |all, one| all.and(Quorum::read(&one.trusted_keys)))
    }

    /// Who has endorsed the current revision in a way that still counts.
    pub(super) async fn endorsed(
        &self,
        conn: &mut PgConnection,
        current: &Revision,
        bytes: &[u8],
    ) -> Result<Vec<Endorsement>, ApprovalError> {
        let revision = (current.alert, current.number);
        let mut endorsed = endorsement::standing(conn, revision, &digest(bytes)).await?;
        endorsed.retain(|endorsement| self.counts(endorsement, bytes));
        Ok(endorsed)
    }

    /// How many have endorsed what waits for a decision, in a way that still counts.
    pub(super) async fn endorsements(
        &self,
        conn: &mut PgConnection,
    ) -> Result<BTreeMap<AlertId, i64>, ApprovalError> {
        let mut counted = BTreeMap::new();
        for id in endorsement::waiting(conn).await? {
            let Some(found) = alert::find(conn, id).await? else { continue };
            let current = alert::revision(conn, id, found.revision).await?;
            let Some(bytes) = &current.sealable else { continue };
            let count = self.endorsed(conn, &current, bytes).await?.len();
            counted.insert(id, i64::try_from(count).unwrap_or(i64::MAX));
        }
        Ok(counted)
    }

    /// A passkey may have been revoked since; and who must seal with their own, and sealed nothing, has approved nothing.
    fn counts(&self, endorsement: &Endorsement, bytes: &[u8]) -> bool {
        match (self.keys.trusted.approvers().as_deref(), &endorsement.seal) {
            (None, None) => true,
            (Some(approvers), None) => {
                !approvers.must_seal(endorsement.officer, &endorsement.person)
            }
            (Some(approvers), Some(seal)) => {
                let verified = approvers.trust.verify(bytes, &seal.credential, &seal.assertion);
                verified.is_ok_and(|approver| approver.officer == endorsement.officer)
            }
            (None, Some(_)) => false,
        }
    }

    /// With what all of them seal together: each with a passkey of their own, or the server's key for all.
    pub(super) async fn sealers<'a>(
        &'a self,
        conn: &mut PgConnection,
        last: With<'a>,
        earlier: &[Endorsement],
        template: Option<TemplateSeal>,
    ) -> Result<Sealers<'a>, ApprovalError> {
        let live = liveness::live_dispatchers(conn).await?;
        let earlier_seals: Option<Vec<_>> = earlier.iter().map(|it| it.seal.clone()).collect();
        if let (With::Passkey(_, own), Some(mut seals)) = (&last, earlier_seals) {
            for seal in &seals {
                believed_by_all(&live, &passkey_id(&seal.credential))?;
            }
            seals.push((*own).clone());
            for seal in template.iter().flat_map(|template| &template.seals) {
                believed_by_all(&live, &passkey_id(&seal.credential))?;
            }
            return Ok(Sealers::Passkeys(seals, template));
        }
        let key = self.keys.sealing.as_deref().ok_or(ApprovalError::NoSealingKey)?;
        believed_by_all(&live, key.id())?;
        Ok(Sealers::Server(key))
    }
}
