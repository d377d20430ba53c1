//! What the in-memory broker claims with `like=` is what the adapter of that broker answers on the running server.

use crate::column;

/// The simulated one, the broker, and its URL with default settings.
const LIKES: [(&str, &str, &str); 6] = [
    ("kafka", "kafka", "kafka://host:9092"),
    ("rabbitmq", "rabbitmq4", "amqp://host:5672"),
    ("jetstream", "nats", "nats://host:4222"),
    ("nats-core", "nats", "nats+core://host:4222"),
    ("sqs-fifo", "elasticmq", "sqs://us-east-1?endpoint=http://host:9324"),
    ("pulsar", "pulsar", "pulsar://host:6650/public/default"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_brokers_claim_what_the_real_ones_give() {
    let excluded = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    let files = tempfile::tempdir().unwrap();
    for (number, (like, broker, shown)) in LIKES.into_iter().enumerate() {
        if excluded.split(',').any(|name| name == broker) {
            println!("not run: like={like}, as {broker} is excluded by ANYBROKER_TEST_EXCLUDE");
            continue;
        }
        let real = column(100 + number, like, Some(broker), shown, files.path()).await.guarantees;
        let simulated = format!("memory://likeness?like={like}");
        let simulated = column(200 + number, like, None, &simulated, files.path()).await.guarantees;
        for (real, simulated) in real.rows().iter().zip(simulated.rows()) {
            assert_eq!(
                (real.name.as_str(), real.value),
                (simulated.name.as_str(), simulated.value),
                "like={like}"
            );
        }
        assert_eq!(real.limits, simulated.limits, "like={like}");
    }
}
