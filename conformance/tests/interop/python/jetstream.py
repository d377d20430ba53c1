"""Publishes to and consumes from a JetStream topic that anybroker uses too, by nats-py.

    python jetstream.py publish URL TOPIC
    python jetstream.py consume URL TOPIC GROUP COUNT

A topic is a stream, with a subject for each partition: `TOPIC.0`, `TOPIC.1` and so on. A group is a durable consumer for each
partition: `GROUP@0`, `GROUP@1` and so on. Messages are lines of JSON: see lines.py.
"""

import asyncio
import sys
import zlib
from urllib.parse import quote, unquote_to_bytes

import lines
import nats
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)

# CloudEvents' binding encodes everything but printable ASCII, and space, quotation mark and per cent.
SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')


def encoded(value):
    return quote(value, safe=SAFE)


def name_of_stream(topic):
    return topic.replace(".", "=")


async def subjects_of(stream, topic):
    """The subjects of the topic's partitions."""
    info = await stream.stream_info(name_of_stream(topic))
    return [f"{topic}.{partition}" for partition in range(len(info.config.subjects) - 1)]


def subject_of(key, subjects):
    """The subject of a key's partition, whoever publishes it."""
    return subjects[zlib.crc32(key) % len(subjects)]


async def publish(stream, topic, subjects, key, headers, payload, content_type=None):
    """Publishes one message. Keys, payload and header values are bytes; the client sends each header once."""
    carried = dict(header(name, value) for name, value in headers)
    if key is not None:
        carried["ce-partitionkey"] = encoded(key)
    if content_type:
        carried["ce-datacontenttype"] = encoded(content_type)
    # A message without a key goes to the first partition, by the topic's own subject.
    subject = topic if key is None else subject_of(key, subjects)
    return await stream.publish(subject, payload, headers=carried or None)


def header(name, value):
    """A header as it travels: as it is, where NATS can carry it, and encoded otherwise."""
    plain = name.isascii() and name.isprintable() and ":" not in name and " " not in name
    try:
        text = value.decode()
        plain = plain and text.isprintable() and text == text.strip()
    except UnicodeDecodeError:
        plain = False
    if plain:
        return name, text
    return f"anybroker-header-{encoded(name)}".replace(":", "%3A"), encoded(value)


async def publish_event(stream, topic, subjects, event, headers=(), structured=False):
    """Publishes a CloudEvent; its extension `partitionkey` is the key."""
    message = to_structured_event(event) if structured else to_binary_event(event)
    carried = dict(header(name, value) for name, value in headers) | message.headers
    if not structured and "content-type" in carried:
        # The SDK has the binding for HTTP, from which NATS's differs in this header.
        carried["ce-datacontenttype"] = encoded(carried.pop("content-type"))
    key = event.get_extension("partitionkey")
    if key is not None:
        carried["ce-partitionkey"] = encoded(key)
    subject = topic if key is None else subject_of(key.encode(), subjects)
    return await stream.publish(subject, message.body, headers=carried)


async def receive(stream, topic, group, partitions, on_message):
    """Hands over the messages of all partitions until `on_message` is false; each is acknowledged after that."""

    async def pull(partition):
        # The consumer is there: anybroker has declared the group.
        subscription = await stream.pull_subscribe_bind(f"{group}@{partition}", name_of_stream(topic))
        while True:
            try:
                [message] = await subscription.fetch(1, timeout=5)
            except nats.errors.TimeoutError:
                continue
            goes_on = on_message(message)
            # Waits until the server has the acknowledgement.
            await message.ack_sync()
            if not goes_on:
                return

    pulls = [asyncio.create_task(pull(partition)) for partition in range(partitions)]
    ended, others = await asyncio.wait(pulls, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    for each in ended:
        each.result()


def attributes_of(message):
    """anybroker's attributes, some of which every message of it has: `id`, `type`, `source`, `time`, …"""
    headers = message.headers or {}
    attributes = {name[3:]: unquote_to_bytes(value) for name, value in headers.items() if name.startswith("ce-")}
    for other in ("partitionkey", "datacontenttype"):
        attributes.pop(other, None)
    if "Nats-Msg-Id" in headers:
        # What is no event has its id there alone.
        attributes.setdefault("id", unquote_to_bytes(headers["Nats-Msg-Id"]))
    return {name: value.decode() for name, value in attributes.items()}


def key_of(message):
    key = (message.headers or {}).get("ce-partitionkey")
    return None if key is None else unquote_to_bytes(key)


def content_type_of(message):
    headers = {name.lower(): value for name, value in (message.headers or {}).items()}
    found = headers.get("ce-datacontenttype", headers.get("content-type"))
    return found and unquote_to_bytes(found).decode()


def headers_of(message):
    """The application's own headers. NATS keeps no order between names, and nats-py one value of each."""
    found = []
    for name, value in (message.headers or {}).items():
        if name.startswith("anybroker-header-"):
            found.append((unquote_to_bytes(name[17:]).decode(), unquote_to_bytes(value)))
        elif not name.lower().startswith(("ce-", "nats-", "anybroker-order", "content-type")):
            found.append((name, value.encode()))
    return found


def event_of(message):
    """The CloudEvent that the message is, in binary or structured mode, or None."""
    headers = {name.lower(): value for name, value in (message.headers or {}).items()}
    if (content_type_of(message) or "").startswith("application/cloudevents"):
        return from_structured_event(HTTPMessage(headers, message.data))
    if "ce-specversion" not in headers:
        return None
    return from_binary_event(HTTPMessage(headers, message.data))


async def main(verb, url, topic, group=None, count=0):
    connection = await nats.connect(url)
    stream = connection.jetstream()
    subjects = await subjects_of(stream, topic)
    if verb == "publish":
        for wanted in lines.read():
            if event := wanted.get("event"):
                structured = wanted["mode"] == "structured"
                stored = await publish_event(stream, topic, subjects, event, wanted["headers"], structured)
            else:
                message = (wanted["key"], wanted["headers"], wanted["payload"], wanted["content_type"])
                stored = await publish(stream, topic, subjects, *message)
            lines.published(offset=stored.seq)
        await connection.close()
        return
    left = int(count)

    def show(message):
        nonlocal left
        left -= 1
        lines.received(
            key=key_of(message),
            headers=headers_of(message),
            payload=message.data,
            content_type=content_type_of(message),
            attributes=attributes_of(message),
            event=event_of(message),
            subject=message.subject,
        )
        return left > 0

    await receive(stream, topic, group, len(subjects), show)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
