//! Requests and their replies, as `anybroker-patterns` makes them of what a backend promises.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Error, FanOut, Kind, Message, Record, Result};
use anybroker_patterns::request_reply::{
    RemovalOptions, Requester, RequesterOptions, Responder, remove_abandoned, requirements,
};
use anybroker_worker::Worker;
use futures::future::try_join_all;
use tokio::sync::{Notify, oneshot};

use super::{CaseResult, Context, Failure, Finding, STEP, Stage, ensure, failed, step};

const REQUESTS: usize = 60;

/// Many requests of two requesters at once get their own replies; an error is answered; a reply to the dead is discarded; reply
/// topics go with their requesters, and a reply that comes after that does not make them again; what a requester leaves behind that
/// is gone without a word is found and deleted.
pub(super) async fn requests_and_replies(context: Context) -> CaseResult {
    let stage = context.stage("requests", 1).await?;
    if !requirements().unmet(&stage.guarantees).is_empty() {
        return refused(&stage).await;
    }
    let tells_members = tells_members(&stage).await;
    // A connection of its own, as in another process.
    let broker = context.broker().await?;
    let begun = Arc::new(Notify::new());
    let responder = Responder::new(broker.clone(), {
        let begun = begun.clone();
        move |request| answer(request, begun.clone())
    });
    let worker = Worker::builder(broker.clone());
    let worker =
        worker.subscribe(stage.subscription(0).require(requirements()), responder.clone()).build()?;
    let (end, ended) = oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run_until(async {
        // Dropped when the case fails.
        let _ = ended.await;
    }));
    let found = ask(&stage, &responder, &begun).await;
    drop(end);
    step("end the worker", async { worker.await.map_err(unexpected)? }).await?;
    step("close the responder", responder.close()).await?;
    step("close", broker.close()).await?;
    let (discarded, answered) = (found?, responder.answered());
    ensure(answered.answered > REQUESTS as u64 && answered.failed >= 1, || format!("{answered:?}"))?;
    let abandoned = match tells_members {
        true => abandon(&stage).await.map(|()| "deleted")?,
        false => "not looked for, as members are not told",
    };
    stage.tidy().await?;
    let dead = format!(
        "{discarded} late one discarded, {} to a requester that was gone; an abandoned reply topic {abandoned}",
        answered.gone
    );
    Ok(Finding::Holds(format!("{REQUESTS} requests in flight, each with its own reply, {dead}")))
}

fn unexpected(error: tokio::task::JoinError) -> Error {
    Error::new(Kind::Unexpected, "handle", "the worker panicked").with_source(error)
}

/// By the request's text.
async fn answer(request: Record, begun: Arc<Notify>) -> Result<Message> {
    match &request.payload()[..] {
        b"unknown" => Err(Error::new(Kind::NotFound, "answer", "there is no such thing")),
        text => {
            if text == b"slow" {
                begun.notify_one();
                tokio::time::sleep(SLOW).await;
            }
            Ok(Message::new(request.payload().clone()))
        }
    }
}

const SLOW: Duration = Duration::from_secs(2);

async fn ask(stage: &Stage, responder: &Responder, begun: &Notify) -> std::result::Result<u64, Failure> {
    let (one, two) = (open(stage).await?, open(stage).await?);
    try_join_all((0..REQUESTS).map(|at| each(if at % 2 == 0 { &one } else { &two }, at))).await?;
    match one.request(Message::new("unknown"), STEP).await {
        Err(error) if error.kind() == Kind::NotFound && error.operation() == "respond" => {}
        other => return failed(format!("the error came back as {other:?}")),
    }
    // So much that its confirmation comes in time, and its reply does not.
    match one.request(Message::new("slow"), SLOW / 2).await {
        Err(error) if error.kind() == Kind::TimedOut && error.to_string().contains("was confirmed") => {}
        other => return failed(format!("a reply that is late came back as {other:?}")),
    }
    until("the late reply was never discarded", || one.discarded() > 0).await?;
    let discarded = one.discarded();
    begun.notified().await;
    let (topics, closed) = ([one.reply_topic().clone(), two.reply_topic().clone()], async {
        begun.notified().await;
        step("close the requester", two.close()).await
    });
    let (asked, closed) = tokio::join!(two.request(Message::new("slow"), STEP), closed);
    closed?;
    match asked {
        Err(error) if error.kind() == Kind::Closed => {}
        other => return failed(format!("a request of a closed requester came back as {other:?}")),
    }
    until("the reply to a requester that is gone never ended", || responder.answered().gone > 0).await?;
    step("close the requester", one.close()).await?;
    for topic in &topics {
        gone(&stage.broker, topic).await?;
    }
    Ok(discarded)
}

/// Whether the broker says of a group that nobody is in it, as nobody is yet.
async fn tells_members(stage: &Stage) -> bool {
    match stage.broker.admin().groups(&stage.topic).await {
        Ok(groups) => groups.iter().all(|group| group.members == Some(0)),
        Err(_) => false,
    }
}

/// A requester is dropped without being closed: its reply topic is deleted, and that of another one stays.
async fn abandon(stage: &Stage) -> std::result::Result<(), Failure> {
    let (alive, dropped) = (open(stage).await?, open(stage).await?);
    let (stays, goes) = (alive.reply_topic().clone(), dropped.reply_topic().clone());
    drop(dropped);
    let options = RemovalOptions::new().older_than(Duration::ZERO).gone_for(Duration::from_millis(200));
    let options = options.among([stays.clone(), goes.clone()]);
    let removed = async {
        loop {
            let looked = remove_abandoned(&stage.broker, options.clone());
            let removed = step("remove abandoned reply topics", looked).await?.removed;
            ensure(!removed.contains(&stays), || {
                format!("the topic of a living requester was deleted: {stays}")
            })?;
            if removed.contains(&goes) {
                return Ok(());
            }
            // The broker takes its time to notice.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let removed = tokio::time::timeout(STEP * 2, removed).await;
    removed.unwrap_or_else(|_| failed(format!("nobody was at {goes}, and it was not deleted")))?;
    gone(&stage.broker, &goes).await?;
    step("close the requester", alive.close()).await
}

async fn until(otherwise: &str, holds: impl Fn() -> bool) -> std::result::Result<(), Failure> {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(STEP, waited).await.or_else(|_| failed(otherwise))
}

async fn open(stage: &Stage) -> std::result::Result<Requester, Failure> {
    let mut options = RequesterOptions::new();
    if stage.guarantees.fan_out.value == FanOut::Emulated {
        // There the groups are listed in the URL.
        options = options.group(stage.groups[0].clone());
    }
    let opened = Requester::open(&stage.broker, stage.topic.clone(), options);
    step("open the requester", opened).await
}

async fn each(requester: &Requester, at: usize) -> std::result::Result<(), Failure> {
    let text = format!("{at} of {}", requester.reply_topic());
    let request = Message::new(text.clone()).with_key(format!("key-{}", at % 7));
    let reply = requester.request(request, STEP).await?;
    ensure(reply.payload() == &text, || format!("the request `{text}` got the reply {:?}", reply.payload()))
}

async fn gone(broker: &Broker, topic: &anybroker_core::Topic) -> std::result::Result<(), Failure> {
    match broker.admin().groups(topic).await {
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Unsupported) => Ok(()),
        other => failed(format!("the reply topic `{topic}` is still there: {other:?}")),
    }
}

/// What cannot keep requests refuses them, with the table.
async fn refused(stage: &Stage) -> CaseResult {
    match Requester::open(&stage.broker, stage.topic.clone(), RequesterOptions::new()).await {
        Err(error) if error.kind() == Kind::Unmet => {
            stage.tidy().await?;
            let row = "delivery = at-most-once: requests are refused, with the table of what is missing";
            Ok(Finding::NotPromised(row.into()))
        }
        other => failed(format!("a requester opened although the requirements are unmet: {other:?}")),
    }
}
