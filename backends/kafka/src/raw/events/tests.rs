use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, PurgeConfig};

use super::*;

type Producing = Arc<BaseProducer<DefaultProducerContext>>;

fn producer(servers: &str) -> (Producing, Events<DefaultProducerContext>) {
    let producer = ClientConfig::new().set("bootstrap.servers", servers).create();
    let producer: Producing = Arc::new(producer.unwrap());
    (producer.clone(), Events::of(producer).unwrap())
}

fn send(producer: &Producing, count: usize) {
    for _ in 0..count {
        producer.send(BaseRecord::<(), str>::to("t").payload("x")).map_err(|(error, _)| error).unwrap();
    }
}

#[test]
fn who_waits_is_woken_by_a_report() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let (producer, events) = producer(&cluster.bootstrap_servers());
    for _ in 0..20 {
        send(&producer, 1);
        let started = Instant::now();
        while producer.in_flight_count() > 0 {
            events.wait(Duration::from_secs(20));
            events.serve();
        }
        assert!(started.elapsed() < Duration::from_secs(15), "it waited to the end");
    }
    send(&producer, 1_000);
    assert!(events.flush(Duration::from_secs(20)));
}

#[test]
fn flushing_gives_up_in_time_and_a_purge_is_reported() {
    let (producer, events) = producer("127.0.0.1:1");
    send(&producer, 10);
    let started = Instant::now();
    assert!(!events.flush(Duration::from_millis(200)));
    assert!(started.elapsed() >= Duration::from_millis(200));
    producer.purge(PurgeConfig::default().queue().inflight());
    assert!(events.flush(Duration::from_secs(10)));
}

#[test]
fn the_queue_may_be_let_go_while_events_arrive_and_taken_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let (producer, mut events) = producer(&cluster.bootstrap_servers());
    for _ in 0..100 {
        send(&producer, 10);
        events.wait(Duration::from_millis(1));
        drop(events);
        events = Events::of(producer.clone()).unwrap();
    }
    assert!(events.flush(Duration::from_secs(20)));
}
