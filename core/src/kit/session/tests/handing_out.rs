//! What is handed out, when, and again.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_cancelled_receive_strands_nothing() {
    let (session, mut consumer) = session(&[]);
    let generation = session.assign(0);
    let cancelled = tokio::time::timeout(Duration::from_secs(1), consumer.receive(9)).await;
    assert!(cancelled.is_err());
    session.push(0, generation, incoming(0, "a"));
    assert_eq!(payloads(&consumer.receive(9).await.unwrap()), [b"0"]);
}

#[tokio::test]
async fn dropping_releases_in_order_and_counts_no_attempt() {
    let (_, mut consumer) = session(&["a", "b", "a"]);
    drop(consumer.receive(9).await.unwrap());
    let again = consumer.receive(9).await.unwrap();
    assert_eq!(payloads(&again), [b"0", b"1", b"2"]);
    assert!(again.iter().all(|d| d.attempt() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_nack_waits_for_its_delay_while_other_keys_go_on() {
    let (session, mut consumer) = session(&["a", "b", "a"]);
    let mut batch = consumer.receive(9).await.unwrap().into_iter();
    let started = tokio::time::Instant::now();
    batch.next().unwrap().nack(Duration::from_secs(60)).await.unwrap();
    assert_eq!(batch.next().unwrap().ack().await.unwrap(), Settled::Recorded);
    let void = batch.next().unwrap().ack().await.unwrap_err();
    assert_eq!(void.error().kind(), Kind::Superseded);
    drop(void);
    let again = consumer.receive(9).await.unwrap();
    assert_eq!(payloads(&again), [b"0", b"2"]);
    assert_eq!((again[0].attempt(), again[0].redelivered()), (2, true));
    assert!(started.elapsed() >= Duration::from_secs(60));
    assert_eq!(session.flush().await.unwrap().messages, 1, "the acknowledgement of b waits behind a");
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_although_an_earlier_message_of_the_key_fails_after_it() {
    let (_, mut consumer) = session(&["a", "a"]);
    let mut batch = consumer.receive(2).await.unwrap();
    let began = Instant::now();
    batch.pop().unwrap().nack(Duration::from_secs(10)).await.unwrap();
    batch.pop().unwrap().nack(Duration::ZERO).await.unwrap();
    let first = consumer.receive(2).await.unwrap();
    assert_eq!(payloads(&first), [b"0"]);
    drop(first);
    let mut last = consumer.receive(2).await.unwrap();
    last.remove(0).ack().await.unwrap();
    assert_eq!(payloads(&consumer.receive(2).await.unwrap()), [b"1"]);
    assert!(began.elapsed() >= Duration::from_secs(10));
}

#[tokio::test]
async fn a_released_delivery_is_marked_when_it_comes_again() {
    let (_, mut consumer) = session(&["a"]);
    drop(consumer.receive(1).await.unwrap());
    let again = consumer.receive(1).await.unwrap();
    assert_eq!((again[0].attempt(), again[0].redelivered()), (1, true));
}

#[tokio::test]
async fn what_the_broker_took_back_is_gone_and_comes_only_if_it_is_pushed_again() {
    let (session, mut consumer) = session(&["a", "b", "a", "a"]);
    let room = session.room();
    let mut batch = consumer.receive(3).await.unwrap().into_iter();
    batch.next().unwrap().nack(Duration::ZERO).await.unwrap();
    session.lose(0, [0, 2, 3]);
    let (b, void) = (batch.next().unwrap(), batch.next().unwrap());
    assert_eq!(void.ack().await.unwrap_err().error().kind(), Kind::Superseded);
    b.ack().await.unwrap();
    assert_eq!(session.room().messages, room.messages + 4);
    let generation = session.partitions().len() as u32;
    session.push(0, generation, incoming(4, "a"));
    let mut again = consumer.receive(9).await.unwrap();
    assert_eq!(payloads(&again), [b"4"]);
    session.lose(0, [4]);
    let late = again.remove(0).ack().await.unwrap_err();
    assert_eq!(late.error().kind(), Kind::LeaseExpired);
    drop(late);
    assert!(session.is_drained(0) && session.revoke(0).is_empty());
}
