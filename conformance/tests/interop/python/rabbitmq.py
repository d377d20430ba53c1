"""Publishes to and consumes from a RabbitMQ topic that anybroker uses too, by pika.

    python rabbitmq.py publish URL TOPIC
    python rabbitmq.py consume URL COUNT QUEUE…

A topic is an exchange of that name. A group is the queue `TOPIC:GROUP`, or, with partitions, the queues `TOPIC:GROUP:0`,
`TOPIC:GROUP:1` and so on. Messages are lines of JSON: see lines.py.
"""

import sys
import zlib

import lines
import pika
from cloudevents.core.bindings import amqp, rabbitmq


def open_channel(url):
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    # Each publish returns when the broker has the message, or fails.
    channel.confirm_delivery()
    return channel


def slot(key):
    """The routing key that brings a key to the same partition, whoever publishes it."""
    return str(zlib.crc32(key) % 256)


def publish(channel, topic, key, headers, payload, content_type=None):
    """Publishes one message. Keys and payload are bytes; header values are str, bytes or, if repeated, a list."""
    if key is not None:
        headers = {**headers, "cloudEvents_partitionkey": key}
    channel.basic_publish(
        exchange=topic,
        # A message without a key goes to the first partition.
        routing_key="" if key is None else slot(key),
        body=payload,
        properties=pika.BasicProperties(
            headers=headers, content_type=content_type, delivery_mode=pika.DeliveryMode.Persistent
        ),
        # If no group has a queue for it, that is an error.
        mandatory=True,
    )


def publish_event(channel, topic, event, headers={}, mode="amqp"):
    """Publishes a CloudEvent; its extension `partitionkey` is the key."""
    partition_key = event.get_extension("partitionkey")
    key = None if partition_key is None else partition_key.encode()
    if mode == "rabbitmq":
        # The headers of Knative's binding, `ce-…`, are read as well.
        message = rabbitmq.to_binary_event(event)
        return publish(channel, topic, key, {**headers, **message.headers}, message.body, message.content_type)
    message = amqp.to_structured_event(event) if mode == "structured" else amqp.to_binary_event(event)
    headers = {**headers, **message.application_properties}
    content_type = message.properties.get("content-type")
    publish(channel, topic, key, headers, message.application_data, content_type)


def receive(channel, queues, on_message):
    """Hands over the queues' messages until `on_message` is false; each is acknowledged after that."""

    def deliver(channel, method, properties, body):
        goes_on = on_message(method, properties, body)
        channel.basic_ack(method.delivery_tag)
        if not goes_on:
            channel.stop_consuming()

    channel.basic_qos(prefetch_count=100)
    for queue in queues:
        channel.basic_consume(queue, deliver, consumer_tag=queue)
    channel.start_consuming()


def attributes_of(properties):
    """anybroker's attributes, some of which every message of it has: `id`, `type`, `source`, `time`, …"""
    headers = properties.headers or {}
    attributes = {name[12:]: value for name, value in headers.items() if name.startswith("cloudEvents_")}
    attributes.pop("partitionkey", None)
    return attributes


def key_of(properties):
    """The key: bytes, or str where they are text."""
    return (properties.headers or {}).get("cloudEvents_partitionkey")


NOT_THE_APPLICATIONS = ("cloudEvents_", "anybroker-order", "x-delivery-count", "x-death", "x-first-death-", "x-last-death-")


def headers_of(properties):
    """The application's own headers. AMQP sorts them by name; the values of a repeated one are a list, in order."""
    found = []
    for name, value in (properties.headers or {}).items():
        if not name.startswith(NOT_THE_APPLICATIONS):
            found += [(name, each) for each in (value if isinstance(value, list) else [value])]
    return found


def event_of(properties, body):
    """The CloudEvent that the message is, in binary or structured mode, or None."""
    headers, content_type = properties.headers or {}, properties.content_type or ""
    if not content_type.startswith("application/cloudevents") and "cloudEvents_specversion" not in headers:
        return None
    known = {"content-type": properties.content_type} if properties.content_type else {}
    return amqp.from_amqp_event(amqp.AMQPMessage(known, headers, body))


def main(verb, url, *rest):
    channel = open_channel(url)
    if verb == "publish":
        [topic] = rest
        for wanted in lines.read():
            headers = by_name(wanted["headers"])
            if event := wanted.get("event"):
                publish_event(channel, topic, event, headers, wanted["mode"])
            else:
                publish(channel, topic, wanted["key"], headers, wanted["payload"], wanted["content_type"])
            lines.published()
        return
    count, *queues = rest
    left = int(count)

    def show(method, properties, body):
        nonlocal left
        left -= 1
        lines.received(
            key=key_of(properties),
            headers=headers_of(properties),
            payload=body,
            content_type=properties.content_type,
            attributes=attributes_of(properties),
            event=event_of(properties, body),
            queue=method.consumer_tag,
        )
        return left > 0

    receive(channel, queues, show)
    channel.connection.close()


def by_name(pairs):
    """A header that occurs several times has the list of its values."""
    headers = {}
    for name, value in pairs:
        headers.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in headers.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
