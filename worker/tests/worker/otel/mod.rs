//! Traces and metrics as an OTLP collector gets them.

mod collector;
mod metrics;

use anybroker_core::{
    Broker, DeadLetterPolicy, Delivery, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic,
    Topology,
};
use anybroker_worker::{BoxError, Context, Failure, HandlerError, Handling, Retry, Telemetry, Worker};
use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer};
use tower::service_fn;

use crate::common::bare_broker;
use collector::{Seen, collector};

const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// The topics of one test.
struct Topics {
    orders: Topic,
    bills: Topic,
    dead: Topic,
}

impl Topics {
    async fn declare(prefix: &str, broker: &Broker) -> Self {
        let topic = |name: &str| Topic::new(format!("{prefix}.{name}")).unwrap();
        let topics = Topics { orders: topic("orders"), bills: topic("bills"), dead: topic("dead") };
        for topic in [&topics.orders, &topics.bills, &topics.dead] {
            broker.admin().declare(&Topology::new(topic.clone()).group(group())).await.unwrap();
        }
        topics
    }
}

fn group() -> Group {
    Group::new("billing").unwrap()
}

fn poison(text: &str) -> BoxError {
    HandlerError(Failure::permanent(text.to_owned())).into()
}

/// Orders make bills; one order fails at first, one for ever.
async fn bill(delivery: Delivery, bills: Topic) -> Result<(), BoxError> {
    match (delivery.payload().as_ref(), delivery.attempt()) {
        (b"later", 1) => return Err("the provider is away".into()),
        (b"never", _) => return Err(poison("no such order")),
        _ => {}
    }
    let tracer = opentelemetry::global::tracer("application");
    let calculates = opentelemetry::Context::current_with_span(tracer.start("calculate"));
    let publishers = Context::of(&delivery).unwrap().publishers();
    let id = format!("bill-of-{}", delivery.id().unwrap());
    let published = async { publishers.publish(&bills, Message::new("250").with_id(id)).await };
    published.with_context(calculates).await?;
    Ok(())
}

/// Publishes these to the orders within a span of the application's, and works until all are done.
async fn run(telemetry: Telemetry, topics: &Topics, broker: &Broker, messages: Vec<Message>) {
    let expected = messages.len() - messages.iter().filter(|it| it.payload == "never").count();
    let root = opentelemetry::global::tracer("application").start(format!("checkout {}", topics.orders));
    let publisher = telemetry.publisher(broker, PublisherOptions::new(topics.orders.clone())).await.unwrap();
    let published = async {
        for message in messages {
            publisher.publish(message).await.unwrap();
        }
    };
    published.with_context(opentelemetry::Context::current_with_span(root)).await;
    let (done, mut all_done) = tokio::sync::mpsc::channel(expected);
    let bills = topics.bills.clone();
    let first = service_fn(move |delivery| bill(delivery, bills.clone()));
    let second = service_fn(move |_: Delivery| {
        let done = done.clone();
        async move { Ok::<_, BoxError>(done.send(()).await?) }
    });
    let policy = DeadLetterPolicy { topic: topics.dead.clone(), max_attempts: None };
    let orders = Subscription::new(topics.orders.clone(), group()).dead_letter(policy);
    let worker = Worker::builder(broker.clone())
        .handling(Handling::default().retry(Retry::default().immediate(1)))
        .telemetry(telemetry)
        .subscribe(orders, first)
        .subscribe(Subscription::new(topics.bills.clone(), group()), second);
    let until = async {
        for _ in 0..expected {
            all_done.recv().await.unwrap();
        }
        while broker.admin().backlog(&topics.orders, &group()).await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    worker.build().unwrap().run_until(until).await.unwrap();
}

fn named<'a>(spans: &'a [Seen], name: &str) -> Vec<&'a Seen> {
    spans.iter().filter(|it| it.name == name).collect()
}

/// The only span of that name and message.
fn of<'a>(spans: &'a [Seen], name: &str, id: &str) -> &'a Seen {
    let all: Vec<_> =
        named(spans, name).into_iter().filter(|it| it.has("messaging.message.id", id)).collect();
    assert_eq!(all.len(), 1, "{name} of {id}: {spans:#?}");
    all[0]
}

#[tokio::test]
async fn one_trace_goes_from_the_publisher_through_the_handlers() {
    let (all, broker) = (collector(), bare_broker("").await);
    let topics = Topics::declare("chain", &broker).await;
    run(Telemetry::new(), &topics, &broker, vec![Message::new("now").with_id("m-1")]).await;
    let spans = all.spans(&["chain.orders", "chain.bills"]);
    let root = named(&spans, "checkout chain.orders")[0];
    let sent = of(&spans, "send chain.orders", "m-1");
    let processed = of(&spans, "process chain.orders", "m-1");
    let billed = of(&spans, "send chain.bills", "bill-of-m-1");
    let last = of(&spans, "process chain.bills", "bill-of-m-1");
    let trace: Vec<_> = spans.iter().filter(|it| it.trace == root.trace).collect();
    let calculated = trace.iter().find(|it| it.name == "calculate").unwrap();
    let chain = [root, sent, processed, calculated, billed, last];
    for pair in chain.windows(2) {
        assert_eq!((&pair[1].trace, &pair[1].parent), (&root.trace, &pair[0].id), "{:#?}", pair[1]);
    }
    assert_eq!((sent.kind, processed.kind, billed.kind, last.kind), (PRODUCER, CONSUMER, PRODUCER, CONSUMER));
    assert_eq!((processed.links.len(), &processed.links[0].0), (1, &sent.id));
    assert_eq!(last.links[0].0, billed.id);
    let expected = [
        ("messaging.system", "memory"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "chain.orders"),
        ("messaging.consumer.group.name", "billing"),
        ("messaging.message.id", "m-1"),
        ("messaging.message.body.size", "3"),
        ("messaging.destination.partition.id", "0"),
        ("anybroker.message.offset", "0"),
        ("anybroker.message.attempt", "1"),
    ];
    let mut attributes = processed.attributes.clone();
    // Without a key it may be in any partition.
    attributes.insert("messaging.destination.partition.id".into(), "0".into());
    assert_eq!(attributes, expected.map(|(name, value)| (name.into(), value.into())).into());
    let expected = [
        ("messaging.system", "memory"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "chain.orders"),
        ("messaging.message.id", "m-1"),
        ("messaging.message.body.size", "3"),
    ];
    let mut attributes = sent.attributes.clone();
    assert!(attributes.remove("messaging.destination.partition.id").is_some());
    assert_eq!(attributes, expected.map(|(name, value)| (name.into(), value.into())).into());
}

#[tokio::test]
async fn what_the_client_does_is_linked_to_the_messages() {
    let (all, broker) = (collector(), bare_broker("").await);
    let topics = Topics::declare("client", &broker).await;
    let ids = ["m-1", "m-2", "m-3"];
    let messages = ids.map(|id| Message::new("now").with_id(id)).into();
    run(Telemetry::new(), &topics, &broker, messages).await;
    let spans = all.spans(&["client.orders"]);
    for name in ["receive client.orders", "ack client.orders"] {
        let mut linked = Vec::new();
        for span in named(&spans, name) {
            assert_eq!((span.kind, span.parent.as_str()), (CLIENT, ""), "{span:#?}");
            assert!(span.has("messaging.batch.message_count", &span.links.len().to_string()), "{span:#?}");
            assert!(span.has("messaging.consumer.group.name", "billing") && !span.failed);
            linked.extend(span.links.clone());
        }
        linked.sort_by_key(|(_, id)| id.clone());
        let sent = ids.map(|id| (of(&spans, "send client.orders", id).id.clone(), Some(id.to_owned())));
        assert_eq!(linked, sent, "{name}");
    }
    assert!(named(&spans, "ack client.orders")[0].has("messaging.operation.type", "settle"));
    assert!(named(&spans, "receive client.orders")[0].has("messaging.operation.type", "receive"));
}

#[tokio::test]
async fn failures_are_seen_with_their_attempts() {
    let (all, broker) = (collector(), bare_broker("").await);
    let topics = Topics::declare("failing", &broker).await;
    let messages = ["later", "never"].map(|text| Message::new(text).with_id(text)).into();
    run(Telemetry::new(), &topics, &broker, messages).await;
    let spans = all.spans(&["failing.orders", "failing.bills", "failing.dead"]);
    let mut attempts = named(&spans, "process failing.orders");
    attempts.retain(|it| it.has("messaging.message.id", "later"));
    attempts.sort_by_key(|it| it.attributes["anybroker.message.attempt"].clone());
    let [first, second] = attempts[..] else { panic!("{attempts:#?}") };
    assert!(first.failed && first.has("error.type", "retryable"), "{first:#?}");
    assert!(!second.failed && second.has("anybroker.message.attempt", "2"), "{second:#?}");
    // Both attempts are in the message's trace.
    assert_eq!((&first.trace, &first.parent), (&second.trace, &second.parent));
    assert!(of(&spans, "process failing.orders", "never").has("error.type", "permanent"));
    let sent = |id| of(&spans, "send failing.orders", id).id.clone();
    let settled = |name: &str| named(&spans, name)[0].links.clone();
    assert_eq!(settled("nack failing.orders"), [(sent("later"), Some("later".to_owned()))]);
    assert_eq!(settled("dead_letter failing.orders"), [(sent("never"), Some("never".to_owned()))]);
    // The dead letter has the trace still.
    let mut letters = broker.consumer(Subscription::new(topics.dead.clone(), group())).await.unwrap();
    let letter = letters.receive(1).await.unwrap().pop().unwrap();
    let parent = letter.extensions().find(|(name, _)| *name == "traceparent").unwrap().1;
    assert!(String::from_utf8_lossy(parent).contains(&sent("never")));
}

#[tokio::test]
async fn a_context_of_the_applications_own_is_not_changed() {
    let (all, broker) = (collector(), bare_broker("").await);
    let topics = Topics::declare("own", &broker).await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let context = format!("00-{trace}-{span}-01");
    let attribute = Message::new("now").with_id("a").with_extension("traceparent", context.as_str());
    // As other programs' instrumentation writes it.
    let header = Message::new("now").with_id("h").with_header("traceparent", context.as_str());
    run(Telemetry::new(), &topics, &broker, vec![attribute, header]).await;
    let spans = all.spans(&["own.orders"]);
    for id in ["a", "h"] {
        assert_eq!(of(&spans, "send own.orders", id).links, [(span.to_owned(), None)]);
        let processed = of(&spans, "process own.orders", id);
        assert_eq!((processed.trace.as_str(), processed.parent.as_str()), (trace, span));
    }
}

#[tokio::test]
async fn with_links_only_each_handler_begins_a_trace() {
    let (all, broker) = (collector(), bare_broker("").await);
    let topics = Topics::declare("linked", &broker).await;
    let telemetry = Telemetry::new().links_only().also_in_headers();
    run(telemetry, &topics, &broker, vec![Message::new("now").with_id("m-1")]).await;
    let spans = all.spans(&["linked.orders", "linked.bills"]);
    let sent = of(&spans, "send linked.orders", "m-1");
    let processed = of(&spans, "process linked.orders", "m-1");
    assert_eq!(processed.parent, "");
    assert_ne!(processed.trace, sent.trace);
    assert_eq!(processed.links, [(sent.id.clone(), None)]);
    assert_eq!(of(&spans, "send linked.bills", "bill-of-m-1").trace, processed.trace);
}

#[tokio::test]
async fn a_batch_is_one_span_for_all_its_messages() {
    let (all, broker) = (collector(), bare_broker("").await);
    let topics = Topics::declare("batch", &broker).await;
    let telemetry = Telemetry::new();
    let options = PublisherOptions::new(topics.orders.clone());
    let publisher = telemetry.publisher(&broker, options).await.unwrap();
    let messages = (0..3).map(|number| Message::new("x").with_id(format!("m-{number}"))).collect();
    for outcome in publisher.publish_batch(messages).await {
        outcome.unwrap();
    }
    let mut consumer = broker.consumer(Subscription::new(topics.orders.clone(), group())).await.unwrap();
    let mut parents = Vec::new();
    while parents.len() < 3 {
        for delivery in consumer.receive(3).await.unwrap() {
            let parent = delivery.extensions().find(|(name, _)| *name == "traceparent").unwrap().1;
            parents.push(String::from_utf8_lossy(parent).into_owned());
        }
    }
    let spans = all.spans(&["batch.orders"]);
    let [sent] = named(&spans, "send batch.orders")[..] else { panic!("{spans:#?}") };
    assert!(sent.has("messaging.batch.message_count", "3"), "{sent:#?}");
    assert!(!sent.attributes.contains_key("messaging.message.id"));
    let parent = format!("00-{}-{}-01", sent.trace, sent.id);
    assert!(parents.iter().all(|it| *it == parent), "{parents:?}");
}
