//! Request-reply: a request is published, and its reply comes back to whoever asked, over any broker that loses nothing.
//!
//! A [`Requester`] has a reply topic of its own and any number of requests in flight; a [`Responder`] is a handler for a
//! worker: it publishes what an async function returns to the reply topic that the request names, confirmed, and only then
//! is the request acknowledged.
//!
//! ```
//! use std::time::Duration;
//! use anybroker_core::{Group, Message, Record, Result, Subscription, Topic};
//! use anybroker_patterns::request_reply::{Requester, RequesterOptions, Responder};
//! use anybroker_worker::Worker;
//!
//! async fn price(request: Record) -> Result<Message> {
//!     Ok(Message::new(format!("{} cents", 10 * request.payload().len())))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let broker = anybroker_memory::connect(&"memory://prices".parse()?).await?;
//! let topic = Topic::new("price-requests")?;
//! let subscription = Subscription::new(topic.clone(), Group::new("pricing")?);
//! let responder = Responder::new(broker.clone(), price);
//! let worker = Worker::builder(broker.clone()).subscribe(subscription, responder).build()?;
//!
//! let requester = Requester::open(&broker, topic, RequesterOptions::new()).await?;
//! worker.run_until(async {
//!     let reply = requester.request(Message::new("apple"), Duration::from_secs(10)).await.unwrap();
//!     assert_eq!(reply.payload(), "50 cents");
//! }).await?;
//! requester.close().await?;
//! broker.close().await
//! # }).unwrap();
//! ```
//!
//! # What travels
//!
//! | CloudEvents attribute | of | what it says |
//! |---|---|---|
//! | `id` | the request | what the reply is known by |
//! | `replyto` | the request | the topic that the reply is to be published to |
//! | `expirytime` | the request | when nobody waits any more, by the requester's clock |
//! | `causationid` | the reply | the request's `id` |
//! | `replyerror` | the reply | the kind of the error, if it is one; the payload is its text |
//!
//! Any program can ask or answer that keeps to this table.
//!
//! # What holds
//!
//! - A request is confirmed by the broker or fails. Where nobody has ever subscribed to its topic, it is kept or refused.
//! - It is answered **at least once**: a responder that dies between reply and acknowledgement answers again. The requester
//!   gets the first reply; the others count as [discarded](Requester::discarded). Handlers with effects must bear that.
//! - A time-out says whether the request was confirmed. That it had no effect can never be concluded.
//! - Reply topics live as long as their requester; one that was killed leaves its topic behind, until [`remove_abandoned`] finds
//!   it: by its name, which is that of the request topic, `-replies-` and a number that begins with the time, and by its
//!   group, which has no member any more.
//! - A request names the topic that is published to: what a responder may publish to is a matter of its rights at the broker.
//!
//! A broker that cannot keep this is refused with the table of what is missing: see [`requirements`].

mod abandoned;
mod envelope;
mod options;
mod publishers;
mod receiving;
mod reply;
mod requester;
mod responder;
mod waiting;

pub use abandoned::{Removal, RemovalOptions, remove_abandoned};
pub use options::RequesterOptions;
pub use reply::Reply;
pub use requester::Requester;
pub use responder::{Answered, Failing, Responder};

use anybroker_core::{Confirmation, DeliveryLevel, Requirements, Unsubscribed};

/// What a broker must give: publishes are confirmed, nothing confirmed is lost, and no request vanishes for want of a
/// subscriber. [`Requester::open`] checks it; let a responder's subscription
/// [require](anybroker_core::Subscription::require) it too.
///
/// ```
/// use anybroker_core::{Group, Subscription, Topic};
/// use anybroker_patterns::request_reply;
/// let subscription = Subscription::new(Topic::new("price-requests")?, Group::new("pricing")?)
///     .require(request_reply::requirements());
/// # Ok::<(), anybroker_core::Error>(())
/// ```
pub fn requirements() -> Requirements {
    Requirements::new()
        .delivery(DeliveryLevel::AtLeastOnce)
        .publish_confirmation(Confirmation::Confirmed)
        .unsubscribed_publish(Unsubscribed::Refused)
}
