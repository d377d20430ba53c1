//! by hand
use anybroker_core::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let url: BrokerUrl = std::env::args().nth(1).unwrap().parse().unwrap();
    let secs: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let members: usize = std::env::args().nth(3).map_or(1, |n| n.parse().unwrap());
    let broker = anybroker_rabbitmq::connect(&url).await.unwrap();
    let topic = Topic::new(format!("hand-{}", uuid::Uuid::now_v7().simple())).unwrap();
    let g = Group::new("g").unwrap();
    broker.admin().declare(&Topology::new(topic.clone()).group(g.clone())).await.unwrap();
    let log = std::sync::Arc::new(std::sync::Mutex::new(Vec::<(String, usize, bool, String)>::new()));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for m in 0..members {
        let mut c = broker.consumer(Subscription::new(topic.clone(), g.clone())).await.unwrap();
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                match c.receive(100).await {
                    Ok(batch) => {
                        for d in batch {
                            let e = (
                                String::from_utf8_lossy(d.key().unwrap()).into_owned(),
                                String::from_utf8_lossy(d.payload()).parse().unwrap(),
                                d.redelivered(),
                            );
                            log.lock().unwrap().push(e);
                            let _ = d.ack().await;
                        }
                    }
                    Err(e) => {
                        println!("member {m} ended: {e}");
                        return;
                    }
                }
            }
        }));
    }
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    let (mut ok, mut unknown, mut not_applied, mut na) =
        (BTreeSet::new(), BTreeSet::new(), 0, BTreeSet::<usize>::new());
    let mut errors: BTreeMap<String, usize> = BTreeMap::new();
    let started = Instant::now();
    let mut n = 0usize;
    let mut slowest = Duration::ZERO;
    while started.elapsed() < Duration::from_secs(secs) {
        let batch: Vec<_> = (0..200)
            .map(|i| {
                let m = Message::new((n + i).to_string()).with_key(format!("k{}", (n + i) % 50));
                m
            })
            .collect();
        n += 200;
        let t = Instant::now();
        for o in publisher.publish_batch(batch).await {
            match o {
                Ok(_) => {}
                Err(ref e) => {
                    *errors
                        .entry(format!(
                            "{:?} {:?} {}",
                            e.error().kind(),
                            e.error().fate(),
                            e.error().to_string().chars().take(160).collect::<String>()
                        ))
                        .or_default() += 1;
                    publisher.resume(e.message().key.as_ref().unwrap());
                    let number: usize = String::from_utf8_lossy(&e.message().payload).parse().unwrap();
                    if e.error().fate() == Fate::Unknown {
                        unknown.insert(number);
                    } else {
                        not_applied += 1;
                        na.insert(number);
                    }
                    continue;
                }
            }
        }
        slowest = slowest.max(t.elapsed());
        let _ = &mut ok;
        tokio::time::sleep(Duration::from_millis(2)).await;
        for i in n - 200..n {
            ok.insert(i);
        }
    }
    println!("published {n} unknown {} not applied {not_applied} slowest batch {slowest:?}", unknown.len());
    for (e, c) in &errors {
        println!("  {c} x {e}");
    }
    let t = Instant::now();

    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let seen: BTreeSet<usize> = log.lock().unwrap().iter().map(|e| e.1).collect();
        let missing: Vec<_> = ok.iter().filter(|n| !seen.contains(n)).collect();
        let known = missing.len().saturating_sub(not_applied);
        if missing.len() <= unknown.len() + not_applied
            && missing.iter().all(|m| unknown.contains(m) || na.contains(m))
            && na.iter().all(|n| !seen.contains(n))
            && t.elapsed() > Duration::from_secs(5)
        {
            println!(
                "delivered {} distinct, {} missing (unknown or not applied: {}), {known}",
                seen.len(),
                missing.len(),
                unknown.len() + not_applied
            );
            break;
        }
        if t.elapsed() > Duration::from_secs(40) {
            println!("STALLED: {} missing {:?}", missing.len(), &missing[..missing.len().min(20)]);
            break;
        }
    }
    let mut last: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let (mut dup, mut bad) = (0, 0);
    let mut seen = BTreeSet::new();
    for (k, number, red, how) in log.lock().unwrap().iter() {
        if !seen.insert(*number) {
            dup += 1;
            continue;
        }
        if let Some(l) = last.get(k)
            && l > number
        {
            bad += 1;
            println!("order: {k} {number} after {l} redelivered {red}");
        }
        last.insert(k.clone(), (*number, how.clone()));
    }
    println!(
        "deliveries {} duplicates {dup} order violations {bad}; backlog {:?}",
        log.lock().unwrap().len(),
        broker.admin().backlog(&topic, &g).await
    );
    println!("delete: {:?}", broker.admin().delete(&topic).await);
    println!("close: {:?}", broker.close().await);
}
