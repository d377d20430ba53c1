//! One of the concurrent handlers of a subscription that handles batches.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use anybroker_core::Delivery;
use tokio::time::Instant;
use tower::Service;
use tracing::Span;

use super::desk::Desk;
use super::guard::Guarded;
use super::lanes::Task;
use crate::failure::{BoxError, Failure};
use crate::handler::{Context, Outcomes};
use crate::handling::Batches;
use crate::outputs::Output;

/// Handles one batch after another with a service of its own.
pub(super) struct BatchSlot<S> {
    desk: Arc<Desk>,
    service: Guarded<S>,
    batches: Batches,
}

impl<S> BatchSlot<S>
where
    S: Service<Vec<Delivery>, Response: Into<Outcomes>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    pub(super) fn new(desk: Arc<Desk>, context: Context, service: S, batches: Batches) -> Self {
        BatchSlot { service: Guarded::new(desk.clone(), context, service), desk, batches }
    }

    /// Until the desk is closed.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.desk.next().await {
            let mut batch = Vec::with_capacity(self.batches.most);
            self.take(first, &mut batch).await;
            if self.batches.linger > std::time::Duration::ZERO {
                self.linger(&mut batch).await;
            }
            if batch.is_empty() {
                continue;
            }
            while !batch.is_empty() {
                let Some((results, span)) = self.handle(&batch).await else { return };
                let outputs = self.service.take_outputs();
                batch = span.in_scope(|| self.finish(batch.into(), results.into(), outputs));
            }
        }
    }

    /// Takes what is there: of each key what waits, in order, as far as the batch goes.
    async fn take(&mut self, first: Task, batch: &mut Vec<Task>) {
        let mut next = Some(first);
        while let Some(task) = next {
            let key = task.delivery.to_key();
            batch.extend(self.desk.admit(task).await);
            if let Some(key) = &key {
                self.take_behind(key.as_bytes(), batch).await;
            }
            next = if batch.len() < self.batches.most { self.desk.try_next() } else { None };
        }
    }

    async fn take_behind(&mut self, key: &[u8], batch: &mut Vec<Task>) {
        while batch.len() < self.batches.most {
            let Some(task) = self.desk.try_behind(key) else { return };
            batch.extend(self.desk.admit(task).await);
        }
    }

    /// Waits for more, until the batch is full or the time is up.
    async fn linger(&mut self, batch: &mut Vec<Task>) {
        let until = Instant::now() + self.batches.linger;
        let mut over = false;
        while batch.len() < self.batches.most && !over {
            let open = tokio::time::timeout_at(until, self.desk.changed()).await;
            over = open != Ok(true);
            let keys: HashSet<_> = batch.iter().filter_map(|task| task.delivery.to_key()).collect();
            for key in &keys {
                self.take_behind(key.as_bytes(), batch).await;
            }
            if batch.len() < self.batches.most
                && let Some(task) = self.desk.try_next()
            {
                self.take(task, batch).await;
            }
        }
        // It may have heard of what it does not take.
        self.desk.pass_on();
    }

    /// None if the desk was closed before it began: dropped, the batch is handed back.
    async fn handle(&mut self, batch: &[Task]) -> Option<(Vec<Result<(), Failure>>, Span)> {
        let began = Instant::now();
        let (result, operation) = match self.service.ready().await? {
            Err(failure) => (Err(failure), None),
            Ok(()) => {
                batch.iter().for_each(|task| self.desk.begins(task));
                let operation = self.desk.process(batch);
                let views = |settler: &Arc<_>| batch.iter().map(|task| task.view(settler)).collect();
                let result = operation.run(self.service.call(views)).await;
                (result, Some(operation))
            }
        };
        let each = result.map_or_else(|failure| Outcomes(Err(failure)), Into::into).each(batch.len());
        let failed = each.iter().find_map(|result| result.as_ref().err());
        let span = operation.map_or_else(Span::none, |operation| operation.end(failed));
        if self.desk.is_observed() {
            let took = began.elapsed();
            batch.iter().zip(&each).for_each(|(task, result)| self.desk.ended(task, result, took));
        }
        Some((each, span))
    }

    /// What was published belongs to all of a batch. So when some of it failed, they go their way, and the others come back, to
    /// be handled once more without them.
    fn finish(
        &self,
        mut batch: VecDeque<Task>,
        mut results: VecDeque<Result<(), Failure>>,
        outputs: Vec<Output>,
    ) -> Vec<Task> {
        let mut again = Vec::new();
        let in_common = !outputs.is_empty();
        if in_common && results.iter().all(Result::is_ok) {
            self.desk.acknowledge_together(batch.into(), outputs);
            return again;
        }
        while let (Some(task), Some(result)) = (batch.pop_front(), results.pop_front()) {
            match result {
                Ok(()) if in_common => again.push(task),
                result => self.desk.finish(task, result, |key| take_of(&mut batch, &mut results, key)),
            }
        }
        again
    }
}

/// Takes out what is of this key, with the results, which are void.
fn take_of(
    batch: &mut VecDeque<Task>,
    results: &mut VecDeque<Result<(), Failure>>,
    key: Option<&[u8]>,
) -> Vec<Task> {
    let Some(key) = key else { return Vec::new() };
    let all = std::mem::take(batch).into_iter().zip(std::mem::take(results));
    let (of_key, others): (Vec<_>, Vec<_>) = all.partition(|(task, _)| task.key() == Some(key));
    (*batch, *results) = others.into_iter().unzip();
    of_key.into_iter().map(|(task, _)| task).collect()
}
