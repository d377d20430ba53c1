//! Fulfilment: a saga for each order. It asks for the payment and for the items, and ships; what was done before something
//! is refused is undone, the last first.

use std::time::Duration;

use anybroker::patterns::event_store::Connection;
use anybroker::patterns::saga::{self, Context, Retry, Saga, StepError};
use anybroker::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::messages::{
    Answer, FinalState, PaymentAction, PaymentRequest, Reply, StockAction, StockRequest, order_id,
};
use crate::order::{OrderCommand, Orders};
use crate::outboxes::Outboxes;
use crate::service::Service;
use crate::topics::Place;

/// An order as it was placed: the saga's data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewOrder {
    pub(crate) number: u32,
    pub(crate) cents: u32,
    pub(crate) items: u32,
}

/// What the steps work with.
#[derive(Clone)]
pub(crate) struct Fulfilment<D: Database> {
    orders: Orders<D>,
    outboxes: Outboxes<D>,
}

type Step<D> = saga::Step<NewOrder, D>;
type Done = Result<(), StepError>;

/// A step's function: one of `Fulfilment`'s.
macro_rules! run {
    ($fulfilment:expr, $step:ident) => {{
        let fulfilment = $fulfilment.clone();
        move |step, connection| {
            let fulfilment = fulfilment.clone();
            Box::pin(async move { fulfilment.$step(step, connection).await })
        }
    }};
}

impl<D: Database> Fulfilment<D> {
    pub(crate) fn saga(database: D, orders: Orders<D>, outboxes: Outboxes<D>) -> Saga<NewOrder, D> {
        let it = Fulfilment { orders, outboxes };
        // A database that is briefly away must not undo an order.
        let retry = Retry::attempts(1_000).backoff(Duration::from_millis(20), Duration::from_secs(1));
        let payment = [Answer::PaymentTaken.signal(), Answer::PaymentDeclined.signal()];
        let items = [Answer::ItemsReserved.signal(), Answer::OutOfStock.signal()];
        [
            Step::transaction("place", run!(it, place)).compensate(run!(it, cancel)),
            Step::transaction("ask for payment", run!(it, charge)).compensate(run!(it, refund)),
            Step::wait("payment", payment, run!(it, paid)),
            Step::transaction("ask for items", run!(it, reserve)).compensate(run!(it, release)),
            Step::wait("items", items, run!(it, reserved)),
            Step::transaction("ship", run!(it, ship)),
        ]
        .into_iter()
        .fold(Saga::new(database, "fulfilment", 1), |saga, step: Step<D>| saga.step(step.retry(retry)))
    }

    async fn place(&self, step: &mut Context<NewOrder>, connection: &mut Connection<D>) -> Done {
        let NewOrder { number, cents, items } = step.data;
        Ok(self.orders.execute(connection, number, OrderCommand::Place { cents, items }).await?)
    }

    async fn cancel(&self, step: &mut Context<NewOrder>, connection: &mut Connection<D>) -> Done {
        let reason = match step.signal(Answer::PaymentDeclined.signal()) {
            Some(_) => FinalState::PaymentDeclined,
            None => FinalState::OutOfStock,
        };
        Ok(self.orders.execute(connection, step.data.number, OrderCommand::Cancel(reason)).await?)
    }

    async fn charge(&self, step: &mut Context<NewOrder>, connection: &mut Connection<D>) -> Done {
        self.ask_payment(step, connection, PaymentAction::Charge { cents: step.data.cents }).await
    }

    async fn refund(&self, step: &mut Context<NewOrder>, connection: &mut Connection<D>) -> Done {
        match step.signal(Answer::PaymentDeclined.signal()) {
            Some(_) => Ok(()),
            None => self.ask_payment(step, connection, PaymentAction::Refund).await,
        }
    }

    async fn paid(&self, step: &mut Context<NewOrder>, connection: &mut Connection<D>) -> Done {
        if step.signal(Answer::PaymentDeclined.signal()).is_some() {
            return Err(StepError::declined("the payment was declined"));
        }
        Ok(self.orders.execute(connection, step.data.number, OrderCommand::Pay).await?)
    }

    async fn reserve(&self, step: &mut Context<NewOrder>, connection: &mut Connection<D>) -> Done {
        self.ask_stock(step, connection, StockAction::Reserve { items: step.data.items }).await
    }

    async fn release(&self, step: &mut Context<NewOrder>, connection: &mut Connection<D>) -> Done {
        match step.signal(Answer::OutOfStock.signal()) {
            Some(_) => Ok(()),
            None => self.ask_stock(step, connection, StockAction::Release).await,
        }
    }

    async fn reserved(&self, step: &mut Context<NewOrder>, _: &mut Connection<D>) -> Done {
        match step.signal(Answer::OutOfStock.signal()) {
            Some(_) => Err(StepError::declined("the items are out of stock")),
            None => Ok(()),
        }
    }

    async fn ship(&self, step: &mut Context<NewOrder>, connection: &mut Connection<D>) -> Done {
        Ok(self.orders.execute(connection, step.data.number, OrderCommand::Ship).await?)
    }

    async fn ask_payment(
        &self,
        step: &Context<NewOrder>,
        connection: &mut Connection<D>,
        action: PaymentAction,
    ) -> Done {
        let order = step.data.number;
        let request = PaymentRequest { order, action };
        Ok(self.outboxes.stage(connection, Place::Payment, &request, &step.idempotency_key(), order).await?)
    }

    async fn ask_stock(
        &self,
        step: &Context<NewOrder>,
        connection: &mut Connection<D>,
        action: StockAction,
    ) -> Done {
        let order = step.data.number;
        let request = StockRequest { order, action };
        Ok(self
            .outboxes
            .stage(connection, Place::Inventory, &request, &step.idempotency_key(), order)
            .await?)
    }
}

/// Where the replies arrive: they are signalled to the sagas, in the inbox's transaction.
#[derive(Clone)]
pub(crate) struct Replies<D: Database>(pub(crate) Saga<NewOrder, D>);

impl<D: Database> Service<D> for Replies<D> {
    const PLACE: Place = Place::Fulfilment;
    type Request = Reply;

    async fn handle(&self, connection: &mut Connection<D>, reply: &Reply) -> Result<Option<Reply>> {
        let signalled = self.0.signal(connection, &order_id(reply.order), reply.answer.signal(), b"").await?;
        match signalled {
            saga::Signalled::Noted => Ok(None),
            // The inbox knows duplicates, and nobody answers what was not asked.
            other => Err(Error::new(Kind::Unexpected, "signal", format!("{reply:?}: {other:?}"))),
        }
    }
}
