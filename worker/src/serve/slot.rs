//! One of the concurrent handlers of a subscription.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anybroker_core::Delivery;
use futures::FutureExt;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::desk::Desk;
use super::lanes::Task;
use crate::failure::{BoxError, Failure};
use crate::handler::{Context, HandlerSettler};
use crate::observe::Happening;

/// Handles one message after another with a service of its own.
pub(super) struct Slot<S> {
    desk: Arc<Desk>,
    settler: Arc<HandlerSettler>,
    service: S,
    /// A service that panicked is not used again.
    pristine: S,
}

impl<S> Slot<S>
where
    S: Service<Delivery> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    pub(super) fn new(desk: Arc<Desk>, context: Context, service: S) -> Self {
        let settler = Arc::new(HandlerSettler::new(desk.settler.clone(), context));
        Slot { desk, settler, pristine: service.clone(), service }
    }

    /// Until the desk is closed.
    pub(super) async fn run(mut self) {
        while let Some(task) = self.desk.next().await {
            let attempts = task.delivery.attempt();
            if self.desk.handling.retry.is_over(attempts) {
                let text = format!(
                    "{} deliveries did not come to an end: the process died, or lost the message",
                    attempts - 1
                );
                self.desk.give_up(task, &Failure::retryable(text));
                continue;
            }
            let result = self.handle(&task).await;
            self.desk.finish(task, result);
        }
    }

    async fn handle(&mut self, task: &Task) -> Result<(), Failure> {
        let observed = self.desk.is_observed();
        let began = observed.then(Instant::now);
        if observed {
            self.desk.observe(&Happening::Begins(&task.delivery));
        }
        let result = self.within_limit(task.delivery.view(task.attempt(), self.settler.clone())).await;
        if let Some(began) = began {
            let told = result.as_ref().map(|()| ());
            let ended = Happening::Ended { delivery: &task.delivery, result: told, took: began.elapsed() };
            self.desk.observe(&ended);
        }
        result
    }

    async fn within_limit(&mut self, delivery: Delivery) -> Result<(), Failure> {
        let Some(limit) = self.desk.handling.timeout else { return self.caught(delivery).await };
        self.settler.context.set_deadline(Instant::now() + limit);
        match tokio::time::timeout(limit, self.caught(delivery)).await {
            Ok(result) => result,
            Err(_) => {
                Err(Failure::retryable(format!("the handler took longer than {limit:?} and was dropped")))
            }
        }
    }

    /// A panic is an error of this message.
    async fn caught(&mut self, delivery: Delivery) -> Result<(), Failure> {
        let service = &mut self.service;
        let call = async move {
            let service = service.ready().await.map_err(Into::into)?;
            service.call(delivery).await.map_err(Into::into)
        };
        match AssertUnwindSafe(call).catch_unwind().await {
            Ok(result) => result.map(drop).map_err(Failure::of),
            Err(panic) => {
                self.service = self.pristine.clone();
                Err(Failure::retryable(format!("the handler panicked: {}", message(&*panic))))
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
