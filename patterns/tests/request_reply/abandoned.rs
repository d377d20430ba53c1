//! Reply topics of requesters that are gone: in this process, and killed in processes of their own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anybroker_core::{Broker, Message, MessageId, Topic, TopicInfo};
use anybroker_patterns::request_reply::{
    Removal, RemovalOptions, Requester, RequesterOptions, Responder, remove_abandoned,
};

use super::{LONG, Service, memory, price, requester, sqlite, topic};

const URL: &str = "ANYBROKER_REQUESTER_URL";
const TOPIC: &str = "ANYBROKER_REQUESTER_TOPIC";
/// Begins the line that a process tells its parent; the test harness prints others.
const MARK: &str = "> ";

/// Whoever is gone is so at once.
fn at_once() -> RemovalOptions {
    RemovalOptions::new().older_than(Duration::ZERO).gone_for(Duration::ZERO)
}

async fn listed(broker: &Broker) -> Vec<String> {
    let topics = broker.admin().topics().await.unwrap();
    topics.into_iter().map(|TopicInfo { topic, .. }| topic).collect()
}

#[tokio::test]
async fn what_nobody_is_there_for_goes_and_nothing_else() {
    let broker = memory().await;
    for name in ["prices", "shop-1-replies", "prices-replies-1"] {
        let topology = anybroker_core::Topology::new(Topic::new(name).unwrap());
        broker.admin().declare(&topology).await.unwrap();
    }
    let (alive, gone) = (requester(&broker).await, requester(&broker).await);
    let abandoned = gone.reply_topic().clone();
    drop(gone);
    // Its consumer is dropped by a task.
    while broker.admin().groups(&abandoned).await.unwrap()[0].members != Some(0) {
        tokio::task::yield_now().await;
    }
    let hour = at_once().older_than(Duration::from_secs(3_600));
    let others = at_once().of(Topic::new("orders").unwrap());
    let among = at_once().among([Topic::new("shop-1-replies").unwrap(), alive.reply_topic().clone()]);
    for (options, in_use) in [(hour, vec![]), (others, vec![]), (among, vec![alive.reply_topic().clone()])] {
        let removal = remove_abandoned(&broker, options).await.unwrap();
        assert_eq!(removal, Removal { in_use, ..Removal::default() });
    }
    let removal = remove_abandoned(&broker, at_once().of(topic())).await.unwrap();
    assert_eq!((removal.removed, removal.in_use), (vec![abandoned], vec![alive.reply_topic().clone()]));
    let mut left = vec!["prices", "prices-replies-1", alive.reply_topic().as_str(), "shop-1-replies"];
    left.sort_unstable();
    assert_eq!(listed(&broker).await, left);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_in_time_keeps_its_topic() {
    let broker = memory().await;
    let gone = requester(&broker).await;
    let reply_to = gone.reply_topic().clone();
    let group = broker.admin().groups(&reply_to).await.unwrap()[0].group.clone();
    drop(gone);
    while broker.admin().groups(&reply_to).await.unwrap()[0].members != Some(0) {
        tokio::task::yield_now().await;
    }
    let back = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let options = RequesterOptions::new()
            .reply_to(reply_to.clone(), anybroker_core::Group::new(group.as_str()).unwrap());
        Requester::open(&broker, topic(), options).await.unwrap()
    };
    let options = at_once().gone_for(Duration::from_secs(60));
    let (removal, back) = tokio::join!(remove_abandoned(&broker, options), back);
    assert_eq!(removal.unwrap(), Removal { in_use: vec![reply_to], ..Removal::default() });
    back.close().await.unwrap();
}

/// The entry of the other processes: does nothing in an ordinary run.
#[tokio::test]
async fn another_process() {
    let (Ok(url), Ok(topic)) = (std::env::var(URL), std::env::var(TOPIC)) else { return };
    let broker = connect(&url).await;
    let requester =
        Requester::open(&broker, Topic::new(topic).unwrap(), RequesterOptions::new()).await.unwrap();
    println!("{MARK}{}", requester.reply_topic());
    std::future::pending::<()>().await;
}

async fn connect(url: &str) -> Broker {
    let url = url.parse().unwrap();
    match url {
        anybroker_core::BrokerUrl { ref scheme, .. } if scheme == "kafka" => {
            anybroker_kafka::connect(&url).await.unwrap()
        }
        _ => anybroker_sqlite::connect(&url).await.unwrap(),
    }
}

/// A requester in a process of its own, once it is open.
struct Process {
    child: Child,
    reply_to: Topic,
}

impl Process {
    fn start(url: &str, topic: &Topic) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "abandoned::another_process", "--nocapture"])
            .env(URL, url)
            .env(TOPIC, topic.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.filter_map(|line| Some(line.split_once(MARK)?.1.to_owned())).next();
        Process { child, reply_to: Topic::new(told.unwrap()).unwrap() }
    }

    /// By SIGKILL.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of two requesters one is killed: only its topic goes, and the other goes on asking.
async fn killed(broker: &Broker, url: &str, requests: Topic) {
    let service = Service::of(broker, requests.clone(), Responder::new(broker.clone(), price));
    let alive = Requester::open(broker, requests.clone(), RequesterOptions::new()).await.unwrap();
    let mut other = Process::start(url, &requests);
    let options = || at_once().of(requests.clone());
    let mut both = vec![alive.reply_topic().clone(), other.reply_to.clone()];
    both.sort_unstable();
    let mut before = remove_abandoned(broker, options()).await.unwrap();
    before.in_use.sort_unstable();
    assert_eq!(before, Removal { in_use: both, ..Removal::default() });

    other.kill();
    let removed = async {
        // Brokers learn of a death in their own time.
        loop {
            let removal = remove_abandoned(broker, options()).await.unwrap();
            assert!(removal.in_use.contains(alive.reply_topic()), "{removal:?}");
            if !removal.removed.is_empty() {
                break removal.removed;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let removed = tokio::time::timeout(LONG, removed).await.expect("it is never taken for dead");
    assert_eq!(removed, std::slice::from_ref(&other.reply_to));
    assert!(!listed(broker).await.contains(&other.reply_to.to_string()));
    alive.request(Message::new("kiwi"), LONG).await.unwrap();
    alive.close().await.unwrap();
    service.end().await;
}

#[tokio::test]
async fn a_killed_requester_s_topic_goes_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let broker = sqlite(&directory).await;
    let url = format!("sqlite://{}/broker.db?topology=create", directory.path().display());
    killed(&broker, &url, topic()).await;
}

#[tokio::test]
async fn a_killed_requester_s_topic_goes_on_kafka() {
    let excluded = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    if excluded.split(',').any(|name| name == "kafka") {
        eprintln!("not run: kafka is excluded by ANYBROKER_TEST_EXCLUDE");
        return;
    }
    let url = std::env::var("ANYBROKER_KAFKA_URL").unwrap_or_else(|_| "kafka://127.0.0.1:9092".to_owned());
    // The shortest that a broker allows: so long a killed member counts as one.
    let url = format!("{url}?topology=create&session_timeout=6s");
    let id = MessageId::new().to_string();
    // Names of reply topics hold its first characters only.
    let requests = Topic::new(format!("p{}", &id[id.len() - 12..])).unwrap();
    let broker = connect(&url).await;
    killed(&broker, &url, requests.clone()).await;
    broker.admin().delete(&requests).await.unwrap();
}
