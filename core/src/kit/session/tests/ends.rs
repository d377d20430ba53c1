//! How a session ends.

use super::*;

#[tokio::test]
async fn after_close_settling_fails_and_hands_the_delivery_back() {
    let (_, mut consumer) = session(&["a"]);
    let delivery = consumer.receive(1).await.unwrap().remove(0);
    consumer.close().await.unwrap();
    let (error, delivery) = delivery.ack().await.unwrap_err().into_parts();
    assert_eq!((error.kind(), &delivery.payload()[..]), (Kind::Closed, &b"0"[..]));
}

#[tokio::test]
async fn what_is_dropped_after_the_session_keeps_its_attempt() {
    let (session, mut consumer) = session(&["a"]);
    let held = consumer.receive(1).await.unwrap();
    drop(consumer);
    drop(held);
    assert_eq!(session.revoke(0)[0].attempts, 1);
}

#[tokio::test]
async fn a_failed_session_ends_the_wait_with_its_error() {
    let (session, mut consumer) = session(&[]);
    let fail = async { session.fail(Error::new(Kind::PermissionDenied, "receive", "no longer allowed")) };
    let (received, ()) = tokio::join!(consumer.receive(1), fail);
    assert_eq!(received.unwrap_err().kind(), Kind::PermissionDenied);
}

/// A link that holds its session, as those of adapters do.
struct Holding(#[expect(dead_code, reason = "held, not used")] Arc<Session>);

#[async_trait]
impl Link for Holding {
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_consumer_that_has_gone_leaves_nothing_behind() {
    for close in [true, false] {
        let session = Session::new(subscription(), None, None);
        let consumer = Box::new(session.connect(Arc::new(Holding(session.clone()))));
        let (left, settler) = (Arc::downgrade(&session), consumer.settler());
        drop(session);
        if close {
            consumer.close().await.unwrap();
        } else {
            drop(consumer);
        }
        assert_eq!(settler.flush().await.unwrap_err().kind(), Kind::Closed);
        drop(settler);
        assert!(left.upgrade().is_none(), "closed in order: {close}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_can_be_waited_for() {
    let (session, consumer) = session(&["a"]);
    let end = session.end();
    assert!(tokio::time::timeout(Duration::from_secs(1), end).await.is_err());
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.end().await }
    });
    tokio::task::yield_now().await;
    drop(consumer);
    waiting.await.unwrap();
    session.end().await;
}
