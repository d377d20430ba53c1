//! An operation on messages that has a span.

#[cfg(feature = "otel")]
use std::fmt::Display;
use std::future::Future;

use anybroker_core::Error;
use tracing::{Instrument, Span};

use crate::failure::Failure;

/// An operation that has begun. Dropped, it ends without having failed.
pub(crate) struct Operation {
    pub(super) span: Span,
    #[cfg(feature = "otel")]
    pub(super) otel: Option<super::otel::Started>,
}

/// What an operation failed with, for its span.
pub(crate) struct Failed<'a> {
    /// One of few: `error.type`.
    pub(super) kind: &'a str,
    #[cfg(feature = "otel")]
    pub(super) text: &'a dyn Display,
}

impl<'a> From<&'a Failure> for Failed<'a> {
    fn from(failure: &'a Failure) -> Self {
        Failed {
            kind: failure.class().as_str(),
            #[cfg(feature = "otel")]
            text: failure,
        }
    }
}

impl<'a> From<&'a Error> for Failed<'a> {
    fn from(error: &'a Error) -> Self {
        Failed {
            kind: error.kind().as_str(),
            #[cfg(feature = "otel")]
            text: error,
        }
    }
}

impl Operation {
    /// Runs `future` inside of the spans.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        if self.is_silent() {
            return future.await;
        }
        let future = future.instrument(self.span.clone());
        #[cfg(feature = "otel")]
        if let Some(started) = &self.otel {
            return started.run(future).await;
        }
        future.await
    }

    /// Nobody takes its spans.
    fn is_silent(&self) -> bool {
        #[cfg(feature = "otel")]
        if self.otel.is_some() {
            return false;
        }
        self.span.is_disabled()
    }

    /// Ends it; what follows from it is logged within the span that comes back.
    pub(crate) fn end<'a>(self, failed: Option<impl Into<Failed<'a>>>) -> Span {
        let failed = failed.map(Into::into);
        if let Some(failed) = &failed {
            self.span.record("error.type", failed.kind);
        }
        #[cfg(feature = "otel")]
        if let Some(started) = self.otel {
            started.end(failed.as_ref());
        }
        self.span
    }
}
