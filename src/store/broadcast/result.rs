//! What became of a broadcast, kept beside its many batches; and when half and nearly all of its devices had been reached.

use sqlx::PgConnection;

use crate::domain::id::BroadcastId;
use crate::store::StoreError;

/// Marks when half and when 99 of 100 devices of a broadcast had a final outcome, of those whose audience is known: at the first scan after it.
pub(super) async fn mark_milestones(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into sent_event (broadcast_id, name)
         select c.id, m.name
         from broadcast c
         cross join lateral (select sum(planned) as planned, sum(pending) as pending from batch where broadcast_id = c.id) b
         cross join (values ('half', 50), ('nearly_all', 99)) m (name, percent)
         where c.state = 'sending' and c.stopped_at is null and (b.planned - b.pending) * 100 >= b.planned * m.percent
           and not exists (select from sent_event e where e.broadcast_id = c.id and e.name = 'nearly_all')
         on conflict do nothing"
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down what became of one that is completed. One without a device has nothing to be written down.
pub(super) async fn write(conn: &mut PgConnection, id: BroadcastId) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into broadcast_result (broadcast_id, audience, accepted, gone, refused, failed, expired, stopped, withdrawn, unknown, accepted_by,
                                       half_at, nearly_all_at)
         select $1, sum(planned), sum(accepted), sum(gone), sum(refused), sum(failed), sum(expired), sum(stopped), sum(withdrawn), sum(unknown),
                array[coalesce(sum(accepted) filter (where provider = 0), 0), coalesce(sum(accepted) filter (where provider = 1), 0),
                      coalesce(sum(accepted) filter (where provider = 2), 0)],
                (select at from sent_event where broadcast_id = $1 and name = 'half'),
                (select at from sent_event where broadcast_id = $1 and name = 'nearly_all')
         from batch where broadcast_id = $1 having count(*) > 0
         on conflict do nothing",
        id.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
