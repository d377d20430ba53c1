//! A process that can be killed at every await.

use std::pin::Pin;
use std::task::{Context, Poll};

use anybroker_memory::Memory;

/// The future of a process. Each time that it is woken the adversary may kill it instead.
pub(crate) struct Mortal<'a, F> {
    life: Pin<Box<F>>,
    connection: &'a Memory,
    begun: bool,
}

impl<'a, F: Future> Mortal<'a, F> {
    pub(crate) fn new(life: F, connection: &'a Memory) -> Self {
        Mortal { life: Box::pin(life), connection, begun: false }
    }
}

impl<F: Future> Future for Mortal<'_, F> {
    /// None: it was killed.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let begun = std::mem::replace(&mut self.begun, true);
        if begun && self.connection.adversary().is_some_and(|adversary| adversary.kills()) {
            return Poll::Ready(None);
        }
        self.life.as_mut().poll(context).map(Some)
    }
}
