//! Dead letters are sent back and thrown away.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::Duration;

use anybroker::{
    Acknowledgement, Broker, ConsumerExt, DeadLetterPolicy, Deduplication, Exclusivity, Group, Message,
    PublisherExt, PublisherOptions, Reason, ReasonClass, Subscription, Topic,
};
use serde_json::{Value, json};

use super::topic::TestTopic;
use crate::command::{Ran, anybroker, finish, spawn};

const KEYS: [&str; 3] = ["a", "b", "c"];
const EACH: usize = 20;
const ALL: usize = KEYS.len() * EACH;
/// How long the last message may take to come.
const QUIET: Duration = Duration::from_secs(3);

/// A topic whose messages have all been given up by its group.
struct Shop {
    url: String,
    topic: TestTopic,
    dead: TestTopic,
    /// The messages, as the group got them before it gave them up.
    died: Vec<Message>,
    /// The broker stores nothing under an id that it has had lately.
    window: bool,
    /// The broker acknowledges only in order.
    in_order: bool,
    /// How many letters of a key are handed out before the first ones are settled.
    shown: usize,
}

fn block_on<T>(url: &str, work: impl AsyncFnOnce(Broker) -> T) -> T {
    anybroker::install_default_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let broker = anybroker::connect(url).await.unwrap();
        let done = work(broker.clone()).await;
        broker.close().await.unwrap();
        done
    })
}

/// One of each key in turn. `a` fails, `b` cannot be read, `c` waits behind its first.
fn messages() -> Vec<Message> {
    let message = |at: usize, key: &str| {
        Message::new(vec![0, 0xff, at as u8])
            .with_id(format!("{key}-{at}"))
            .with_key(key)
            .with_type(format!("type.{key}"))
            .with_content_type("application/octet-stream")
            .with_header("tenant", "acme ☃")
            .with_header("binary", vec![0xff, at as u8])
            .with_extension("traceparent", format!("00-0af7651916cd43dd8448eb211c80319c-{at:016x}-01"))
    };
    (0..EACH).flat_map(|at| KEYS.map(|key| message(at, key))).collect()
}

fn why(key: Option<&[u8]>) -> Reason {
    match key {
        Some(b"a") => {
            Reason::new(ReasonClass::Retryable, "no answer").with_chain(["connection refused".to_owned()])
        }
        Some(b"b") => Reason::new(ReasonClass::Poison, "no JSON"),
        _ => Reason::new(ReasonClass::Parked, "it waits").parked_behind("c-0"),
    }
}

impl Shop {
    fn open(url: &str) -> Self {
        let (window, in_order, shown) = block_on(url, async |broker| {
            let given = broker.guarantees(None, None).await.unwrap();
            let window = given.deduplication.value == Deduplication::Window;
            // SQS hands out ten messages of a group.
            let shown = if given.exclusivity.value == Exclusivity::Key { 10 } else { EACH };
            (window, given.acknowledgement.value == Acknowledgement::Cumulative, shown)
        });
        // So that letters are behind one another.
        let partitions: &[&str] = if in_order { &["--partitions", "1"] } else { &[] };
        let [topic, dead] = [(); 2].map(|()| TestTopic::create_with(url, partitions));
        let mut shop = Shop { url: url.to_owned(), topic, dead, died: Vec::new(), window, in_order, shown };
        shop.died = shop.give_up();
        shop
    }

    fn give_up(&self) -> Vec<Message> {
        block_on(&self.url, async |broker| {
            let topic = Topic::new(&self.topic.name).unwrap();
            let publisher = broker.publisher(PublisherOptions::new(topic)).await.unwrap();
            for outcome in publisher.publish_batch(messages()).await {
                outcome.unwrap();
            }
            let topic = Topic::new(&self.dead.name).unwrap();
            let policy = DeadLetterPolicy { topic, max_attempts: None };
            let mut consumer = broker.consumer(self.subscription().dead_letter(policy)).await.unwrap();
            let mut died = Vec::new();
            while died.len() < ALL {
                let delivery = consumer.next().await.unwrap();
                died.push(delivery.to_message());
                let reason = why(delivery.key());
                delivery.dead_letter(reason).await.unwrap();
            }
            consumer.close().await.unwrap();
            died
        })
    }

    /// How many letters are handed out before any is settled.
    fn all_shown(&self) -> usize {
        KEYS.len() * self.shown
    }

    fn subscription(&self) -> Subscription {
        Subscription::new(Topic::new(&self.topic.name).unwrap(), Group::new(&self.topic.group).unwrap())
    }

    /// What the topic's group gets now, acknowledged; `count` of them, and then nothing for a while.
    fn received(&self, count: usize) -> Vec<Message> {
        block_on(&self.url, async |broker| {
            let mut consumer = broker.consumer(self.subscription()).await.unwrap();
            let mut all = Vec::new();
            loop {
                // Joining may take its time, where something is to come.
                let patience = if all.len() < count { Duration::from_secs(60) } else { QUIET };
                let Ok(next) = tokio::time::timeout(patience, consumer.next()).await else { break };
                let delivery = next.unwrap();
                all.push(delivery.to_message());
                delivery.ack().await.unwrap();
            }
            consumer.close().await.unwrap();
            assert_eq!(all.len(), count);
            all
        })
    }

    fn args<'a>(&'a self, command: &'a str, options: &[&'a str]) -> Vec<&'a str> {
        let mut args =
            vec!["dlq", command, &self.url, &self.dead.name, "--group", &self.dead.group, "--format", "json"];
        if command == "replay" && self.window && !options.contains(&"--old-ids") {
            args.push("--new-id");
        }
        args.extend(options.iter().filter(|option| **option != "--old-ids"));
        args
    }

    fn dlq(&self, command: &str, options: &[&str]) -> Ran {
        anybroker(&self.args(command, options), "")
    }

    /// The ids of the letters that are listed.
    fn listed(&self, options: &[&str]) -> Vec<String> {
        let ran = self.dlq("list", options);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ids(&ran)
    }

    /// Says that what was received is what died, in the order of each key.
    fn is_as_it_died(&self, received: &[Message]) {
        for key in KEYS {
            let of_key = |message: &&Message| message.key == Some(key.into());
            let died: Vec<_> = self.died.iter().filter(of_key).cloned().collect();
            let came: Vec<_> =
                received.iter().filter(of_key).cloned().map(|it| self.without_new_id(it)).collect();
            assert_eq!(came, died);
        }
    }

    fn without_new_id(&self, mut message: Message) -> Message {
        let original = message.headers.get("original-id").cloned();
        assert_eq!(original.is_some(), self.window);
        if let Some(id) = original {
            let headers = std::mem::take(&mut message.headers);
            let kept = headers.iter().filter(|(name, _)| *name != "original-id");
            kept.for_each(|(name, value)| message.headers.append(name, value.clone()));
            message.id = String::from_utf8(id.to_vec()).unwrap().into();
        }
        message
    }
}

fn ids(ran: &Ran) -> Vec<String> {
    let id = |line: &Value| line["message"]["id"].as_str().or(line["id"].as_str()).map(str::to_owned);
    ran.json().iter().filter_map(id).collect()
}

fn of(key: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{key}-{at}")).collect()
}

pub(crate) fn dead_letters_come_again_as_they_were(url: &str) {
    let shop = Shop::open(url);
    if shop.window {
        let ran = shop.dlq("replay", &["--old-ids"]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let (seen, failed) = (shop.all_shown(), KEYS.len());
        let expected = json!({
            "looked_at": seen, "matched": seen, "replayed": 0, "failed": failed, "left": seen - failed, "again": 0,
        });
        assert_eq!(ran.json().last(), Some(&expected), "{}", ran.err);
        assert!(ran.err.contains("--new-id"), "{}", ran.err);
        assert_eq!(shop.listed(&[]).len(), shop.all_shown(), "nothing is lost");
        shop.received(0);
    }
    let ran = shop.dlq("replay", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.is_empty() || shop.shown < EACH, "{}", ran.err);
    let lines = ran.json();
    let expected =
        json!({"looked_at": ALL, "matched": ALL, "replayed": ALL, "failed": 0, "left": 0, "again": 0});
    assert_eq!(lines.last(), Some(&expected));
    let replayed = |line: &Value| line["outcome"] == "replayed" && line["topic"] == shop.topic.name.as_str();
    assert!(lines[..ALL].iter().all(replayed), "{}", ran.out);
    shop.is_as_it_died(&shop.received(ALL));
    assert!(shop.listed(&[]).is_empty());
}

pub(crate) fn dead_letters_are_chosen_and_a_dry_run_changes_nothing(url: &str) {
    let shop = Shop::open(url);
    let of = |key| of(key, shop.shown);
    let first = ["a-0", "b-0", "c-0"].map(str::to_owned).to_vec();
    for (filter, expected) in [
        (&["--type", "type.a"][..], of("a")),
        (&["--error", "NO JSON"], of("b")),
        (&["--error", "refused"], of("a")),
        (&["--class", "parked"], of("c")),
        (&["--key", "b"], of("b")),
        (&["--id", "a-0", "--id", "b-0", "--id", "c-0"], first),
        (&["--key", "a", "--since", "1h", "--from", &shop.topic.name], of("a")),
        (&["--since", "2999-01-01T00:00:00Z"], vec![]),
        (&["--until", "1h"], vec![]),
        (&["--from", "elsewhere"], vec![]),
    ] {
        let mut listed = shop.listed(filter);
        let by_number = |id: &String| id[2..].parse::<usize>().unwrap();
        assert!(
            listed.windows(2).all(|pair| filter[0] == "--id" || by_number(&pair[0]) < by_number(&pair[1]))
        );
        if filter[0] == "--id" {
            listed.sort_unstable();
        }
        assert_eq!(listed, expected, "{filter:?}");
    }
    let letter = shop.dlq("list", &["--id", "a-0"]).json().remove(0);
    assert_eq!((&letter["class"], &letter["chain"]), (&json!("retryable"), &json!(["connection refused"])));
    let letter = shop.dlq("show", &["c-1"]).json().remove(0);
    assert_eq!((&letter["parked_behind"], &letter["attempts"]), (&json!("c-0"), &json!(1)));

    for command in ["replay", "discard"] {
        let dry = shop.dlq(command, &["--id", "a-0", "--dry-run", "--allow-repeats"]);
        assert_eq!((dry.code, ids(&dry)), (Some(0), vec!["a-0".to_owned()]), "{}", dry.err);
        assert!(dry.err.contains("1 letters would be"), "{}", dry.err);
    }
    let gap = shop.dlq("replay", &["--id", "b-5", "--dry-run", "--allow-repeats"]);
    assert_eq!(gap.code, Some(2), "{}", gap.err);
    assert!(
        gap.err.contains("`b-5` would overtake `b-0`") && gap.err.contains("--allow-gaps"),
        "{}",
        gap.err
    );
    let missing = shop.dlq("replay", &["--id", "nobody"]);
    assert_eq!(missing.code, Some(1), "{}", missing.err);
    let among = format!("no letter `nobody` among the {}", shop.all_shown());
    assert!(missing.err.contains(&among), "{}", missing.err);
    let unasked = shop.dlq("discard", &[]);
    assert_eq!((unasked.code, unasked.out.as_str()), (Some(2), ""), "{}", unasked.err);
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    assert_eq!(shop.listed(&[]).len(), shop.all_shown(), "none of that changed anything");
    shop.received(0);
}

pub(crate) fn some_dead_letters_are_discarded_and_some_replayed(url: &str) {
    let shop = Shop::open(url);
    let poison = ["--class", "poison", "--yes"];
    if shop.in_order {
        let refused = shop.dlq("discard", &poison);
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{}", refused.err);
        assert!(refused.err.contains("--allow-repeats"), "{}", refused.err);
        // What stands in front of it goes first: nothing comes again then.
        let ran = shop.dlq("discard", &["--id", &shop.listed(&["--max", "1"])[0], "--yes"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let again = shop.dlq("replay", &["--key", "c", "--allow-repeats"]);
        assert_eq!(again.code, Some(0), "{}", again.err);
        let sum = again.json().pop().unwrap();
        assert_eq!((&sum["replayed"], &sum["again"]), (&json!(EACH), &json!(EACH)));
        assert_eq!(shop.received(EACH).len(), EACH);
        assert_eq!(shop.listed(&[]).len(), ALL - 1);
        return;
    }
    let ran = shop.dlq("discard", &poison);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let sum = ran.json().pop().unwrap();
    assert_eq!((&sum["matched"], &sum["discarded"], &sum["left"]), (&json!(EACH), &json!(EACH), &json!(0)));
    let left = shop.listed(&[]);
    for key in ["a", "c"] {
        let of_key: Vec<_> = left.iter().filter(|id| id.starts_with(key)).cloned().collect();
        assert_eq!(of_key, of(key, shop.shown));
    }
    assert_eq!(left.len(), 2 * shop.shown);

    let ran = shop.dlq("replay", &["--key", "a"]);
    assert_eq!((ran.code, ids(&ran)), (Some(0), of("a", EACH)), "{}", ran.err);
    let received: Vec<_> = shop.received(EACH).into_iter().map(|it| shop.without_new_id(it)).collect();
    assert_eq!(received.iter().map(|it| it.id.to_string()).collect::<Vec<_>>(), of("a", EACH));
    assert_eq!(shop.listed(&[]), of("c", shop.shown));
}

pub(crate) fn an_interrupted_replay_loses_nothing(url: &str) {
    let shop = Shop::open(url);
    let mut child = spawn(&shop.args("replay", &["--rate", "20"]));
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines: Vec<Value> = Vec::new();
    let mut line = String::new();
    while lines.len() < 6 {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended early");
        lines.push(serde_json::from_str(&line).unwrap());
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    lines.extend(out.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()));
    let ran = finish(child);
    let sum = lines.pop().unwrap();
    let (replayed, left) =
        (sum["replayed"].as_u64().unwrap() as usize, sum["left"].as_u64().unwrap() as usize);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains(&format!("interrupted: {left} letters are where they were")), "{}", ran.err);
    assert_eq!((replayed, replayed + left), (lines.len(), shop.all_shown()));

    let again = sum["again"].as_u64().unwrap() as usize;
    assert!(again == 0 || shop.in_order);
    assert_eq!(shop.listed(&[]).len(), (ALL - replayed + again).min(shop.all_shown()));
    let rest = shop.dlq("replay", &[]);
    assert_eq!(rest.code, Some(0), "{}", rest.err);
    assert_eq!(rest.json().last().unwrap()["replayed"], ALL - replayed + again);
    let received = shop.received(ALL + again);
    let ids: HashSet<_> = received.iter().map(|message| message.id.to_string()).collect();
    assert_eq!(ids.len(), ALL);
    if again == 0 {
        shop.is_as_it_died(&received);
    }
    assert!(shop.listed(&[]).is_empty());
}
