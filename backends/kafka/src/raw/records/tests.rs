use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rdkafka::consumer::DefaultConsumerContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::*;

const TOPIC: &str = "t";

type Cluster = MockCluster<'static, DefaultProducerContext>;
type Consuming = Arc<BaseConsumer<DefaultConsumerContext>>;

/// librdkafka's own broker, with so many records in a topic of one partition.
fn cluster(records: u32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    publish(&cluster, 0..records);
    cluster
}

fn publish(cluster: &Cluster, numbers: std::ops::Range<u32>) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer =
        config.set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for number in numbers {
        let (key, value) = (format!("key {number}"), format!("value {number}"));
        let empty = Header { key: "empty", value: None::<&[u8]> };
        let headers = OwnedHeaders::new().insert(Header { key: "number", value: Some(&value) }).insert(empty);
        let record = BaseRecord::to(TOPIC).partition(0).key(&key).payload(&value).headers(headers);
        producer.send(record.timestamp(1_000 + i64::from(number))).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

fn consumer(cluster: &Cluster) -> Consuming {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "g");
    config.set("enable.partition.eof", "true").set("enable.auto.commit", "false");
    Arc::new(config.create().unwrap())
}

fn assign(consumer: &Consuming, from: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Offset(from)).unwrap();
    consumer.assign(&list).unwrap();
}

/// What was read: a record's value, or an error.
fn next(queue: &mut Queue<DefaultConsumerContext>) -> Option<Result<String, KafkaError>> {
    let next = queue.next().transpose()?;
    Some(next.map(|record| String::from_utf8(record.payload().to_vec()).unwrap()))
}

/// Takes portions of `most` until the log's end is reported.
fn read_all(consumer: &Consuming, queue: &mut Queue<DefaultConsumerContext>, most: usize) -> Vec<String> {
    let (mut all, until) = (Vec::new(), Instant::now() + Duration::from_secs(20));
    while Instant::now() < until {
        let common = consumer.poll(Duration::from_millis(1));
        assert!(common.is_none(), "on the common queue: {common:?}");
        queue.take(most);
        while let Some(read) = next(queue) {
            match read {
                Ok(value) => all.push(value),
                Err(KafkaError::PartitionEOF(0)) => return all,
                Err(error) => panic!("{error}"),
            }
        }
    }
    panic!("after {} records there was no end", all.len());
}

fn values(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("value {number}")).collect()
}

#[test]
fn records_come_in_order_in_portions_of_any_size_and_then_the_end_as_an_error() {
    let cluster = cluster(1_000);
    for most in [1, 7, 256, 5_000] {
        let consumer = consumer(&cluster);
        let mut queue = Queue::split(&consumer, TOPIC, 0).unwrap();
        assign(&consumer, 0);
        assert_eq!(read_all(&consumer, &mut queue, most), values(0..1_000), "{most} at a time");
        queue.take(most);
        assert!(next(&mut queue).is_none(), "the queue is empty, and nobody waits");
    }
}

#[test]
fn a_record_has_everything_that_was_published() {
    let cluster = cluster(3);
    let consumer = consumer(&cluster);
    let mut queue = Queue::split(&consumer, TOPIC, 0).unwrap();
    assign(&consumer, 2);
    let until = Instant::now() + Duration::from_secs(20);
    let record = loop {
        assert!(Instant::now() < until);
        consumer.poll(Duration::from_millis(1));
        queue.take(1);
        if let Some(record) = queue.next().unwrap() {
            break record;
        }
    };
    assert_eq!((record.offset(), record.stored()), (2, 1_002));
    assert_eq!((record.key(), record.payload()), (Some(&b"key 2"[..]), &b"value 2"[..]));
    let expected = [(Some("number"), &b"value 2"[..]), (Some("empty"), b"")];
    for _ in 0..2 {
        assert_eq!(record.headers().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_was_taken_and_not_read_goes_with_the_queue() {
    let cluster = cluster(500);
    let consumer = consumer(&cluster);
    let mut queue = Queue::split(&consumer, TOPIC, 0).unwrap();
    assign(&consumer, 0);
    let until = Instant::now() + Duration::from_secs(20);
    while queue.taken.len() < 2 {
        assert!(Instant::now() < until);
        consumer.poll(Duration::from_millis(1));
        queue.take(500);
    }
    assert_eq!(next(&mut queue).unwrap().unwrap(), "value 0");
    let left = queue.taken.len();
    queue.take(500);
    assert_eq!(queue.taken.len(), left, "nothing is taken while something is left");
    drop(queue);
    // The client ends only when nobody has anything of it.
    drop(Arc::into_inner(consumer).unwrap());
}

#[test]
fn nothing_comes_of_a_partition_that_was_revoked_nor_from_before_it_was_assigned_anew() {
    let cluster = cluster(100);
    let consumer = consumer(&cluster);
    let mut queue = Queue::split(&consumer, TOPIC, 0).unwrap();
    let (wake, woken) = channel();
    queue.wake_by(move || wake.send(()).unwrap_or_default());
    assign(&consumer, 0);
    woken.recv_timeout(Duration::from_secs(20)).unwrap();
    consumer.unassign().unwrap();
    queue.take(100);
    assert!(next(&mut queue).is_none(), "of a partition that is not ours");
    drop(queue);
    let mut queue = Queue::split(&consumer, TOPIC, 0).unwrap();
    assign(&consumer, 90);
    assert_eq!(read_all(&consumer, &mut queue, 100), values(90..100));
}
