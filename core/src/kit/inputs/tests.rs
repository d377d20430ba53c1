use async_trait::async_trait;

use super::*;
use crate::consumer::{Consumer, Subscription};
use crate::kit::{Incoming, SessionConsumer};
use crate::message::{Message, RecordBuffer};
use crate::topic::{Group, Topic};

struct NoLink;

#[async_trait]
impl Link for NoLink {
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A session with one partition that holds a message for each key, all of them in hand.
async fn held(keys: &[&str]) -> (Arc<Session>, SessionConsumer, Vec<Delivery>) {
    let topic = Topic::new("t").unwrap();
    let session = Session::new(Subscription::new(topic, Group::new("g").unwrap()), None, None);
    let mut consumer = session.connect(Arc::new(NoLink));
    let generation = session.assign(0);
    session.push_all(0, generation, keys.iter().enumerate().map(|(at, key)| incoming(at as u64, key)));
    let batch = consumer.receive(99).await.unwrap();
    (session, consumer, batch)
}

fn incoming(native: u64, key: &str) -> Incoming {
    let record = RecordBuffer::new().encode(&Message::new(native.to_string()).with_key(key));
    Incoming { record, native, offset: Some(native), stored: 0, attempts: 0, redelivered: false }
}

fn take(inputs: &mut Inputs, batch: Vec<Delivery>) -> Result<()> {
    inputs.take(batch, |_| true)
}

#[tokio::test]
async fn what_is_dropped_comes_again_in_order_and_counts_no_attempt() {
    let (session, mut consumer, mut batch) = held(&["a", "b", "a", "a"]).await;
    let later = batch.pop().unwrap();
    let mut inputs = Inputs::default();
    batch.swap(0, 2);
    take(&mut inputs, batch).unwrap();
    session.drain(0);
    assert!(!session.is_drained(0), "a transaction has something in hand");
    session.undrain(0);
    drop(inputs);
    let again = consumer.receive(99).await.unwrap();
    let seen: Vec<_> = again.iter().map(|d| (&d.payload()[..], d.attempt())).collect();
    assert_eq!(
        seen,
        [(&b"0"[..], 1), (b"1", 1), (b"2", 1), (b"3", 2)],
        "the last is void in hand, and an attempt"
    );
    assert_eq!(later.ack().await.unwrap_err().error().kind(), Kind::Superseded);
}

#[tokio::test]
async fn what_is_committed_is_done() {
    let (session, mut consumer, batch) = held(&["a", "b"]).await;
    let mut inputs = Inputs::default();
    take(&mut inputs, batch).unwrap();
    assert_eq!(session.take_acks(0, true), crate::kit::AckPlan::default(), "not before the commit");
    inputs.committed();
    assert_eq!(session.take_acks(0, true).upto, Some(1));
    let nothing = consumer.receive(1);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(20), nothing).await.is_err());
}

#[tokio::test]
async fn a_partition_goes_on_after_its_inputs_unless_they_leave_a_gap() {
    let (session, _consumer, mut batch) = held(&["a", "b", "c"]).await;
    let (last, mut inputs) = (batch.pop().unwrap(), Inputs::default());
    let second = batch.pop().unwrap();
    take(&mut inputs, vec![second]).unwrap();
    assert_eq!(inputs.parts()[0].head(0), Some(Head::Gap));
    take(&mut inputs, batch).unwrap();
    assert_eq!(inputs.parts()[0].head(0), Some(Head::At { native: 2, attempts: 1 }));
    take(&mut inputs, vec![last]).unwrap();
    assert_eq!(inputs.parts()[0].head(0), Some(Head::End));
    assert_eq!(inputs.parts()[0].partitions()[&0], [0, 1, 2]);
    assert!(inputs.parts()[0].is_ours());
    session.revoke(0);
    assert!(!inputs.parts()[0].is_ours());
    assert_eq!(inputs.parts()[0].head(0), None);
}

#[tokio::test]
async fn void_and_foreign_deliveries_are_refused() {
    let (session, _consumer, mut batch) = held(&["a", "a"]).await;
    let void = batch.pop().unwrap();
    drop(batch);
    let mut inputs = Inputs::default();
    assert_eq!(take(&mut inputs, vec![void]).unwrap_err().kind(), Kind::Superseded);
    let again = Session::new(session.subscription().clone(), None, None);
    let mut consumer = again.connect(Arc::new(NoLink));
    let generation = again.assign(0);
    again.push(0, generation, incoming(0, "a"));
    let foreign = consumer.receive(1).await.unwrap();
    let refused = inputs.take(foreign, |_| false).unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidConfiguration);
}

#[tokio::test]
async fn an_unknown_end_ends_the_consumer() {
    let (session, mut consumer, batch) = held(&["a"]).await;
    let mut inputs = Inputs::default();
    take(&mut inputs, batch).unwrap();
    inputs.unknown(&Error::new(Kind::Disconnected, "commit", "no answer"));
    assert_eq!(consumer.receive(1).await.unwrap_err().kind(), Kind::Disconnected);
    assert!(session.ended().is_some());
}

#[tokio::test]
async fn a_transaction_settles_what_has_nothing_undone_before_it() {
    use crate::delivery::Standing::{Behind, Next, Void};
    let (session, mut consumer, batch) = held(&["a", "b", "a", "c"]).await;
    let tokens: Vec<_> = batch.iter().map(Delivery::token).collect();
    assert_eq!(session.standing(&tokens), [Next; 4]);
    assert_eq!(session.standing(&tokens[1..]), [Behind; 3]);
    assert_eq!(session.standing(&[tokens[3], tokens[0], tokens[1]]), [Behind, Next, Next]);
    let mut batch = batch.into_iter();
    batch.next().unwrap().nack(std::time::Duration::from_secs(60)).await.unwrap();
    // The third is of the same key, and comes again after the first.
    assert_eq!(session.standing(&tokens), [Void, Behind, Void, Behind]);
    session.drain(0);
    assert_eq!(session.standing(&tokens), [Void; 4], "the first does not come again here");
    session.undrain(0);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(5), consumer.receive(1)).await.is_err());
    session.revoke(0);
    assert_eq!(session.standing(&tokens), [Void; 4]);
}
