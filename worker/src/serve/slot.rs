//! One of the concurrent handlers of a subscription.

use std::sync::Arc;

use anybroker_core::Delivery;
use tokio::time::Instant;
use tower::Service;
use tracing::Span;

use super::desk::Desk;
use super::guard::Guarded;
use super::lanes::Task;
use crate::failure::{BoxError, Failure};
use crate::handler::Context;

/// Handles one message after another with a service of its own.
pub(super) struct Slot<S> {
    desk: Arc<Desk>,
    service: Guarded<S>,
}

impl<S> Slot<S>
where
    S: Service<Delivery, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    pub(super) fn new(desk: Arc<Desk>, context: Context, service: S) -> Self {
        Slot { service: Guarded::new(desk.clone(), context, service), desk }
    }

    /// Until the desk is closed.
    pub(super) async fn run(mut self) {
        while let Some(task) = self.desk.next().await {
            let admitted =
                if self.desk.is_doubtful(&task) { self.desk.admit(task).await } else { Some(task) };
            let Some(mut task) = admitted else { continue };
            let Some((result, span)) = self.handle(&task).await else { return };
            let outputs = self.service.take_outputs();
            if result.is_ok() {
                task.outputs = outputs;
            }
            span.in_scope(|| self.desk.finish(task, result, |_| Vec::new()));
        }
    }

    /// None if the desk was closed before it began: dropped, the task is handed back.
    async fn handle(&mut self, task: &Task) -> Option<(Result<(), Failure>, Span)> {
        if let Err(failure) = self.service.ready().await? {
            return Some((Err(failure), Span::none()));
        }
        let began = self.desk.is_observed().then(Instant::now);
        self.desk.begins(task);
        let operation = self.desk.process(std::slice::from_ref(task));
        let result = operation.run(self.service.call(|settler| task.view(settler))).await.map(drop);
        if let Some(began) = began {
            self.desk.ended(task, &result, began.elapsed());
        }
        let span = operation.end(result.as_ref().err());
        Some((result, span))
    }
}
