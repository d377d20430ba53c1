//! One of the concurrent handlers of a subscription.

use std::sync::Arc;
use std::task::Poll;

use anybroker_core::Delivery;
use tokio::time::Instant;
use tower::Service;
use tracing::Span;

use super::desk::Desk;
use super::guard::Guarded;
use super::lanes::Task;
use super::portion::Portion;
use crate::failure::{BoxError, Failure};
use crate::handler::Context;

/// What came of a message, and the span for what follows from it.
type Handled = (Result<(), Failure>, Span);

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
        let mut portion = Portion::new(self.desk.clone());
        while portion.fill().await {
            while let Some(mut task) = portion.next() {
                if self.desk.is_doubtful(&task) {
                    portion.share();
                    let Some(admitted) = self.desk.admit(task).await else { continue };
                    task = admitted;
                }
                let Some((result, span)) = self.handle(&task, &mut portion).await else { return };
                if result.is_ok() && self.desk.is_plain() {
                    portion.handled(task);
                    continue;
                }
                portion.share();
                let outputs = self.service.take_outputs();
                if result.is_ok() {
                    task.outputs = outputs;
                }
                span.in_scope(|| self.desk.finish(task, result, |_| Vec::new()));
            }
        }
    }

    /// Where it has to wait, the other handlers get the rest of the portion.
    async fn handle(&mut self, task: &Task, portion: &mut Portion) -> Option<Handled> {
        let mut handling = std::pin::pin!(self.handle_one(task));
        if let Poll::Ready(handled) = futures::poll!(&mut handling) {
            return handled;
        }
        portion.share();
        handling.await
    }

    /// None if the desk was closed before it began: dropped, the task is handed back.
    async fn handle_one(&mut self, task: &Task) -> Option<Handled> {
        if let Err(failure) = self.service.ready().await? {
            return Some((Err(failure), Span::none()));
        }
        self.desk.begins(task);
        let began = self.desk.is_observed().then(Instant::now);
        let operation = self.desk.process(std::slice::from_ref(task));
        // Pinned, it is not moved into the future around it.
        let call = std::pin::pin!(self.service.call(|settler| task.view(settler)));
        let result = operation.run(call).await.map(drop);
        if let Some(began) = began {
            self.desk.ended(task, &result, began.elapsed());
        }
        let span = operation.end(result.as_ref().err());
        Some((result, span))
    }
}
