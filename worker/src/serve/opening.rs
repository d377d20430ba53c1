//! Opening what a subscription needs: the publisher of its transactions, if it has them, and then its consumer.

use anybroker_core::{Broker, Consumer, Result, Subscription, TransactionalPublisher};

use crate::handling::Handling;

/// What a subscription takes its messages from, and what it commits them by.
pub(crate) struct Sources {
    pub(super) consumer: Box<dyn Consumer>,
    pub(super) transactions: Option<Box<dyn TransactionalPublisher>>,
}

impl Sources {
    /// In this order: what the holder of the id before left open is ended before anybody asks where the group stands.
    ///
    /// # Errors
    /// As [`Backend::transactional_publisher`](anybroker_core::Backend::transactional_publisher) and
    /// [`Backend::consumer`](anybroker_core::Backend::consumer).
    ///
    /// # Cancel safety
    /// As both.
    pub(crate) async fn open(
        broker: &Broker,
        subscription: &Subscription,
        handling: &Handling,
    ) -> Result<Self> {
        let transactions = match &handling.exactly_once {
            Some(options) => Some(broker.transactional_publisher(options.clone()).await?),
            None => None,
        };
        match broker.consumer(subscription.clone()).await {
            Ok(consumer) => Ok(Sources { consumer, transactions }),
            Err(error) => {
                close(transactions).await;
                Err(error)
            }
        }
    }

    /// Closes them unused.
    ///
    /// # Cancel safety
    /// As [`Consumer::close`].
    pub(crate) async fn close(self) {
        if let Err(error) = self.consumer.close().await {
            tracing::debug!(%error, "a consumer that was not used could not be closed");
        }
        close(self.transactions).await;
    }
}

async fn close(transactions: Option<Box<dyn TransactionalPublisher>>) {
    if let Some(transactions) = transactions
        && let Err(error) = transactions.close().await
    {
        tracing::debug!(%error, "a transactional publisher that was not used could not be closed");
    }
}
