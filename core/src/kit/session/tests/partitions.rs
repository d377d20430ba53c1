//! Partitions that go, lapse, or whose acknowledgements are on their way.

use super::*;
use crate::kit::Ack;

#[tokio::test]
async fn a_partition_is_not_drained_while_somebody_works_on_what_is_void() {
    let (session, mut consumer) = session(&["a", "a"]);
    let mut batch = consumer.receive(9).await.unwrap().into_iter();
    let (first, void) = (batch.next().unwrap(), batch.next().unwrap());
    first.nack(Duration::from_secs(60)).await.unwrap();
    session.drain(0);
    assert!(!session.is_drained(0));
    drop(void);
    assert!(session.is_drained(0));
}

#[tokio::test]
async fn draining_hands_nothing_out_and_ends_when_everything_is_settled() {
    let (session, mut consumer) = session(&["a", "b"]);
    let held = consumer.receive(1).await.unwrap().remove(0);
    session.drain(0);
    assert!(!session.drained(0, Duration::from_millis(10)).await);
    let drained = session.drained(0, Duration::from_secs(10));
    let (drained, settled) = tokio::join!(drained, held.ack());
    assert!(drained && settled.is_ok());
    assert_eq!(session.revoke(0).len(), 1);
}

/// Confirms when it is told to.
#[derive(Default)]
struct SlowLink {
    asked: Notify,
    answer: Notify,
}

#[async_trait]
impl Link for SlowLink {
    fn confirms(&self) -> bool {
        true
    }
    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        self.asked.notify_one();
        self.answer.notified().await;
        acks.iter().map(|_| Ok(Settled::Confirmed)).collect()
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_partition_is_not_drained_while_an_acknowledgement_is_on_its_way() {
    let session = Session::new(subscription(), None, None);
    let link = Arc::new(SlowLink::default());
    let mut consumer = session.connect(link.clone());
    fill(&session, &["a"]);
    let delivery = consumer.receive(1).await.unwrap().remove(0);
    session.drain(0);
    let acknowledging = tokio::spawn(delivery.ack());
    link.asked.notified().await;
    assert!(!session.is_drained(0));
    link.answer.notify_one();
    assert_eq!(acknowledging.await.unwrap().unwrap(), Settled::Confirmed);
    assert!(session.is_drained(0));
}

#[tokio::test]
async fn a_message_lost_while_it_is_acknowledged_is_what_the_broker_answers() {
    let session = Session::new(subscription(), None, None);
    let link = Arc::new(SlowLink::default());
    let mut consumer = session.connect(link.clone());
    fill(&session, &["a", "b"]);
    let mut batch = consumer.receive(2).await.unwrap().into_iter();
    let acknowledging = tokio::spawn(batch.next().unwrap().ack());
    link.asked.notified().await;
    session.lose(0, [0, 1]);
    link.answer.notify_one();
    assert_eq!(acknowledging.await.unwrap().unwrap(), Settled::Confirmed);
    let late = batch.next().unwrap().ack().await.unwrap_err();
    assert_eq!(late.error().kind(), Kind::LeaseExpired);
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_time_is_up_hands_out_and_settles_nothing() {
    let (session, mut consumer) = session(&["a", "b"]);
    session.hold_until(0, Instant::now() + Duration::from_secs(5));
    let held = consumer.receive(1).await.unwrap().pop().unwrap();
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(held.ack().await.unwrap_err().error().kind(), Kind::Fenced);
    let late = tokio::time::timeout(Duration::from_secs(1), consumer.receive(1)).await;
    assert!(late.is_err(), "handed out after its time: {late:?}");
    session.hold_until(0, Instant::now() + Duration::from_secs(5));
    // Nobody else had it meanwhile.
    assert_eq!(payloads(&consumer.receive(1).await.unwrap()), [b"0"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_let_go_while_the_partition_may_be_anothers_comes_again_if_it_is_renewed() {
    let (session, mut consumer) = session(&["a", "a", "b"]);
    session.hold_until(0, Instant::now() + Duration::from_secs(5));
    let mut batch = consumer.receive(9).await.unwrap();
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(!session.is_current(batch[0].token()));
    let refused = batch.pop().unwrap().ack().await.unwrap_err();
    assert_eq!(refused.error().kind(), Kind::Fenced);
    drop((refused, batch));
    session.hold_until(0, Instant::now() + Duration::from_secs(5));
    let mut again: Vec<_> =
        payloads(&consumer.receive(9).await.unwrap()).iter().map(|p| p.to_vec()).collect();
    again.sort();
    assert_eq!(again, [b"0", b"1", b"2"]);
}
