//! A made-up broker that sends what it has sent before, as Pulsar's does where the members of a group go and come at once
//! (<https://github.com/apache/pulsar/pull/18227>): too rarely for a test on a real one.

use futures::{SinkExt as _, StreamExt as _};
use pulsar::Payload;
use pulsar::message::{Codec, Message};
use pulsar::proto::command_lookup_topic_response::LookupType;
use pulsar::proto::{self, BaseCommand, MessageIdData, MessageMetadata, base_command::Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Framed;

use crate::support::{receive, subscription, texts, unique};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_twice_is_delivered_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let url = format!("pulsar://{address}/public/default?admin=http://127.0.0.1:1&topology=ignore");
    let serving = tokio::spawn(async move {
        // One connection of the broker handle, one of the consumer.
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, address.clone()));
        }
    });
    let broker = anybroker_pulsar::connect(&url.parse().unwrap()).await.unwrap();
    let mut consumer = broker.consumer(subscription(&unique("made-up"))).await.unwrap();
    let held = receive(&mut consumer, 3).await;
    assert_eq!(texts(&held), ["1", "2", "3"], "the first comes again while it is held");
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    let last = receive(&mut consumer, 1).await;
    assert_eq!(texts(&last), ["4"], "the second comes again after it was acknowledged");
    consumer.close().await.unwrap();
    serving.abort();
}

/// Answers what a consumer asks. Its first permits bring 1, 2, 1 again and 3; with three acknowledged comes 2 again, which the
/// broker counts as held until that is acknowledged again: then comes 4.
async fn serve(stream: TcpStream, address: String) {
    let mut frames = Framed::new(stream, Codec);
    let (mut consumer, mut begun, mut acknowledged) = (0, false, 0);
    while let Some(Ok(Message { command, .. })) = frames.next().await {
        if let Some(subscribe) = &command.subscribe {
            consumer = subscribe.consumer_id;
        }
        if command.flow.is_some() && !std::mem::replace(&mut begun, true) {
            for entry in [1, 2, 1, 3] {
                frames.send(message(consumer, entry)).await.unwrap();
            }
        }
        let done = command.ack.as_ref().map_or(0, |ack| ack.message_id.len());
        acknowledged += done;
        let next = match acknowledged {
            3 => Some(2),
            4 => Some(4),
            _ => None,
        };
        if let Some(entry) = next.filter(|_| done > 0) {
            frames.send(message(consumer, entry)).await.unwrap();
        }
        if let Some(command) = answer(&command, &address) {
            // The consumer may have gone meanwhile.
            let _ = frames.send(Message { command, payload: None }).await;
        }
    }
}

fn message(consumer_id: u64, entry_id: u64) -> Message {
    let message_id = MessageIdData { ledger_id: 7, entry_id, ..Default::default() };
    let message = proto::CommandMessage { consumer_id, message_id, ..Default::default() };
    let command = BaseCommand { r#type: Type::Message as i32, message: Some(message), ..Default::default() };
    let metadata = MessageMetadata { partition_key: Some("k".to_owned()), ..Default::default() };
    let data = entry_id.to_string().into_bytes();
    Message { command, payload: Some(Payload { metadata, data }) }
}

fn answer(asked: &BaseCommand, address: &str) -> Option<BaseCommand> {
    let mut answer = BaseCommand::default();
    if asked.connect.is_some() {
        answer.r#type = Type::Connected as i32;
        answer.connected =
            Some(proto::CommandConnected { server_version: "made up".to_owned(), ..Default::default() });
    } else if asked.ping.is_some() {
        answer.r#type = Type::Pong as i32;
        answer.pong = Some(proto::CommandPong {});
    } else if let Some(proto::CommandPartitionedTopicMetadata { request_id, .. }) = asked.partition_metadata {
        answer.r#type = Type::PartitionedMetadataResponse as i32;
        answer.partition_metadata_response = Some(proto::CommandPartitionedTopicMetadataResponse {
            request_id,
            partitions: Some(0),
            ..Default::default()
        });
    } else if let Some(proto::CommandLookupTopic { request_id, .. }) = asked.lookup_topic {
        answer.r#type = Type::LookupResponse as i32;
        answer.lookup_topic_response = Some(proto::CommandLookupTopicResponse {
            request_id,
            response: Some(LookupType::Connect as i32),
            broker_service_url: Some(format!("pulsar://{address}")),
            ..Default::default()
        });
    } else if let Some(request_id) = asked.ack.as_ref().and_then(|ack| ack.request_id) {
        answer.r#type = Type::AckResponse as i32;
        answer.ack_response =
            Some(proto::CommandAckResponse { request_id: Some(request_id), ..Default::default() });
    } else {
        let subscribed = asked.subscribe.as_ref().map(|subscribe| subscribe.request_id);
        let request_id = subscribed.or(asked.close_consumer.as_ref().map(|close| close.request_id))?;
        answer.r#type = Type::Success as i32;
        answer.success = Some(proto::CommandSuccess { request_id, ..Default::default() });
    }
    Some(answer)
}
