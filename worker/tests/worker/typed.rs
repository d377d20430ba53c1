//! Typed handlers, extractors, routing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::{Event, Headers, Key, Kind, Message, MessageId, Position, Record};
use anybroker_worker::{Attempt, Deadline, Failure, Handling, Publishers, Router, State, Unknown, Worker};
use serde::{Deserialize, Serialize};
use tower::ServiceBuilder;

use crate::common::{broker, dead, letters, publish, settled, subscription};

#[derive(Serialize, Deserialize)]
struct Placed {
    order: u32,
}

#[derive(Serialize, Deserialize)]
struct PlacedLater {
    order: u32,
    currency: String,
}

#[derive(Serialize, Deserialize)]
struct Cancelled {
    order: u32,
}

impl Event for Placed {
    const TYPE: &'static str = "order.placed";
    fn key(&self) -> Option<Key> {
        Some(self.order.to_string().into())
    }
}

impl Event for PlacedLater {
    const TYPE: &'static str = "order.placed";
    const VERSION: u32 = 2;
}

impl Event for Cancelled {
    const TYPE: &'static str = "order.cancelled";
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn say(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn sorted(&self) -> Vec<String> {
        let mut all = self.0.lock().unwrap().clone();
        all.sort();
        all
    }
}

async fn placed(event: Placed, State(told): State<Told>) {
    told.say(format!("placed {}", event.order));
}

async fn placed_later(event: PlacedLater, State(told): State<Told>) -> Result<(), Failure> {
    told.say(format!("placed {} in {}", event.order, event.currency));
    Ok(())
}

async fn cancelled(event: Cancelled, State(told): State<Told>) -> anybroker_core::Result<()> {
    told.say(format!("cancelled {}", event.order));
    Ok(())
}

fn router() -> Router {
    Router::new().on(placed).on(placed_later).on(cancelled)
}

async fn told(router: Router, messages: Vec<Message>) -> (Vec<String>, Vec<String>) {
    let (broker, told) = (broker("").await, Told::default());
    publish(&broker, messages).await;
    let worker = Worker::builder(broker.clone()).state(told.clone()).subscribe(subscription(), router);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    let letters = letters(&broker).await;
    let reasons = letters.iter().map(|letter| {
        letter
            .headers()
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    });
    (told.sorted(), reasons.collect())
}

fn four() -> Vec<Message> {
    let later = PlacedLater { order: 2, currency: "EUR".into() };
    vec![
        Message::event(&Placed { order: 1 }).unwrap(),
        Message::event(&later).unwrap(),
        Message::event(&Cancelled { order: 3 }).unwrap(),
        Message::new("{}").with_type("order.lost"),
    ]
}

#[tokio::test(start_paused = true)]
async fn events_are_routed_by_type_and_version() {
    let (told, letters) = told(router(), four()).await;
    assert_eq!(told, ["cancelled 3", "placed 1", "placed 2 in EUR"]);
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0].contains("order.lost version 1") && letters[0].contains("order.placed version 2"),
        "{letters:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_types_are_ignored_by_name() {
    let (told, letters) = told(router().unknown(Unknown::Ignore), four()).await;
    assert_eq!((told.len(), letters.len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_decode_is_poison() {
    let mut broken = Message::event(&Placed { order: 1 }).unwrap();
    broken.payload = "{\"order\":".into();
    let (told, letters) = told(router(), vec![broken, Message::event(&Placed { order: 2 }).unwrap()]).await;
    assert_eq!((told, letters.len()), (vec!["placed 2".to_owned()], 1));
    assert!(letters[0].contains("poison"), "{letters:?}");
}

#[allow(clippy::too_many_arguments)]
async fn everything(
    event: Placed,
    key: Key,
    id: MessageId,
    attempt: Attempt,
    headers: Headers,
    position: Option<Position>,
    record: Record,
    Deadline(deadline): Deadline,
    publishers: Publishers,
) -> Result<(), Failure> {
    assert_eq!((key, id, attempt), ("7".into(), "m-7".into(), Attempt(1)));
    assert_eq!(headers.get("tenant").map(|value| value.to_vec()), Some(b"acme".to_vec()));
    assert!(position.is_some() && !record.payload().is_empty());
    let left = deadline.unwrap() - tokio::time::Instant::now();
    assert!(left > Duration::from_secs(8) && left <= Duration::from_secs(9), "{left:?}");
    publishers.publish_event(&dead(), &event).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn handlers_get_what_they_ask_for() {
    let broker = broker("").await;
    publish(
        &broker,
        [Message::event(&Placed { order: 7 }).unwrap().with_id("m-7").with_header("tenant", "acme")],
    )
    .await;
    let handling = Handling::default().timeout(Duration::from_secs(9));
    let worker = Worker::builder(broker.clone()).handling(handling).subscribe(subscription(), everything);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    let published = letters(&broker).await;
    assert_eq!((published.len(), published[0].event::<Placed>().unwrap().order), (1, 7));
}

#[tokio::test(start_paused = true)]
async fn a_missing_state_is_an_error_at_the_start() {
    let error = Worker::builder(broker("").await).subscribe(subscription(), placed).build().unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains("Told"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn towers_layers_go_around_it() {
    let (broker, told) = (broker("").await, Told::default());
    publish(&broker, (0..20).map(|order| Message::event(&Placed { order }).unwrap())).await;
    // A service that is not Clone by itself becomes so behind a buffer.
    let limited = ServiceBuilder::new()
        .buffer(32)
        .rate_limit(5, Duration::from_secs(1))
        .concurrency_limit(2)
        .timeout(Duration::from_secs(30))
        .service(router());
    let worker = Worker::builder(broker.clone())
        .state(told.clone())
        .subscribe(subscription(), limited)
        .build()
        .unwrap();
    let began = tokio::time::Instant::now();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(told.sorted().len(), 20);
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
}
