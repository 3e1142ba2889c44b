//! When half and when nearly all devices of a broadcast had been reached: marked by the scan that also sees its completion.

use sqlx::PgConnection;

use crate::store::StoreError;

/// Marks when half and when 99 of 100 devices had a final outcome, of broadcasts whose audience is known: at the first scan after it.
pub(super) async fn mark_shares(conn: &mut PgConnection) -> Result<(), StoreError> {
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
