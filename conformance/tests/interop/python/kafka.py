"""Publishes to and consumes from a Kafka topic that anybroker uses too, by confluent-kafka.

    python kafka.py publish SERVERS TOPIC
    python kafka.py consume SERVERS TOPIC GROUP COUNT

Messages are lines of JSON: see lines.py.
"""

import sys

import lines
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_binary_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from confluent_kafka import Consumer, Producer


def producer(servers):
    return Producer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            # A key is in the same partition, whoever wrote it. librdkafka's own default puts it elsewhere.
            "partitioner": "murmur2_random",
        }
    )


def publish(producer, topic, key, headers, payload, content_type=None):
    """Publishes one message. Keys, header values and payload are bytes; a header may occur several times."""
    if content_type:
        headers = [*headers, ("content-type", content_type)]
    return confirmed(producer, topic, key=key, headers=headers, value=payload)


def publish_event(producer, topic, event, headers=(), structured=False):
    """Publishes a CloudEvent; its extension `partitionkey` is the key."""
    message = to_structured_event(event) if structured else to_binary_event(event)
    headers = [*message.headers.items(), *headers]
    return confirmed(producer, topic, key=message.key, headers=headers, value=message.value)


def confirmed(producer, topic, **message):
    """Waits for the broker's confirmation. Publish many before you flush, if you can."""
    reports = []
    producer.produce(topic, on_delivery=lambda *report: reports.append(report), **message)
    producer.flush()
    error, written = reports[0]
    if error:
        raise RuntimeError(error)
    return written


def consumer(servers, topic, group):
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            # A new group begins with what the topic holds, as anybroker's groups do.
            "auto.offset.reset": "earliest",
            # Committed after the work is done, and not by the clock.
            "enable.auto.commit": False,
            # As anybroker's members do: all members of a group must, or the broker refuses them.
            "partition.assignment.strategy": "cooperative-sticky",
        }
    )
    consumer.subscribe([topic])
    return consumer


def receive(consumer):
    """Waits for a message."""
    while (message := consumer.poll(1.0)) is None:
        pass
    if message.error():
        raise RuntimeError(message.error())
    return message


def attributes_of(message):
    """anybroker's attributes, some of which every message of it has: `id`, `type`, `source`, `time`, …"""
    headers = message.headers() or []
    return {name[3:]: value.decode() for name, value in headers if name.startswith("ce_")}


def headers_of(message):
    """The application's own headers: in order, repeated ones too."""
    headers = message.headers() or []
    return [(name, value) for name, value in headers if name != "content-type" and not name.startswith("ce_")]


def content_type_of(message):
    found = dict(message.headers() or []).get("content-type")
    return found and found.decode()


def event_of(message):
    """The CloudEvent that the message is, in binary or structured mode, or None."""
    headers = message.headers() or []
    # The SDK takes every header and the key for text, so it gets only those that are.
    headers = {name: value for name, value in headers if name.startswith("ce_") or name == "content-type"}
    found = KafkaMessage(headers=headers, key=message.key(), value=message.value())
    # Not the SDK's from_kafka_event: for that, `ce_id` is enough to make it binary.
    if headers.get("content-type", b"").startswith(b"application/cloudevents"):
        return from_structured_event(found)
    return from_binary_event(found) if "ce_specversion" in headers else None


def main(verb, servers, topic, group=None, count=0):
    if verb == "publish":
        to = producer(servers)
        for wanted in lines.read():
            if event := wanted.get("event"):
                structured = wanted["mode"] == "structured"
                written = publish_event(to, topic, event, wanted["headers"], structured)
            else:
                message = (wanted["key"], wanted["headers"], wanted["payload"], wanted["content_type"])
                written = publish(to, topic, *message)
            lines.published(partition=written.partition(), offset=written.offset())
        return
    source = consumer(servers, topic, group)
    for _ in range(int(count)):
        message = receive(source)
        lines.received(
            key=message.key(),
            headers=headers_of(message),
            payload=message.value(),
            content_type=content_type_of(message),
            attributes=attributes_of(message),
            event=event_of(message),
            partition=message.partition(),
        )
        source.commit(message, asynchronous=False)
    source.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
