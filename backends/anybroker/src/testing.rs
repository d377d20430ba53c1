//! Testing a service without a broker, in milliseconds: see [`TestApp`].

use std::sync::atomic::{AtomicU64, Ordering};

use anybroker_core::{Broker, Result};
pub use anybroker_worker::testing::*;

/// An in-memory broker of the test's own, which makes topics and groups as they are used.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let broker = anybroker::testing::broker().await?;
/// # Ok::<(), anybroker::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// None that a test need expect.
///
/// # Cancel safety
/// Cancel safe.
pub async fn broker() -> Result<Broker> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("memory://testing-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    crate::connect(&name).await
}
