//! The office: tells customers what happens to their orders. It sees every event of an order, and in order.

use anybroker::Result;
use anybroker::patterns::event_store::Connection;

use crate::database::{Database, Value};
use crate::messages::{OrderNews, Reply};
use crate::service::Service;
use crate::topics::Place;

#[derive(Clone)]
pub(crate) struct Office<D>(pub(crate) D);

impl<D: Database> Service<D> for Office<D> {
    const PLACE: Place = Place::Office;
    type Request = OrderNews;

    async fn handle(&self, connection: &mut Connection<D>, news: &OrderNews) -> Result<Option<Reply>> {
        let sql = "insert into {told} as told (number, version, state, violations)
            values ($1, $2, $3, case when cast($2 as bigint) = 1 then 0 else 1 end)
            on conflict (number) do update set version = excluded.version, state = excluded.state,
                violations = told.violations + case when excluded.version = told.version + 1 then 0 else 1 end";
        let state = news.ended.map_or("", |ended| ended.as_str());
        let values = [news.order.into(), (news.version as i64).into(), Value::Text(state.to_owned())];
        self.0.change(connection, sql, &values).await?;
        Ok(None)
    }
}
