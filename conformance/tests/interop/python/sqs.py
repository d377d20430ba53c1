"""Publishes to and consumes from an SQS FIFO topic that anybroker uses too, by boto3.

    python sqs.py publish REGION ENDPOINT TOPIC
    python sqs.py consume REGION ENDPOINT TOPIC COUNT

A topic is the queue `TOPIC.fifo`, where `__` stands for each `.` of the name. ENDPOINT is empty for Amazon's own. Messages are
lines of JSON: see lines.py.
"""

import base64
import hashlib
import json
import re
import sys
import uuid

import boto3
import lines
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_binary_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)


def queue_of(sqs, topic):
    return sqs.get_queue_url(QueueName=topic.replace(".", "__") + ".fifo")["QueueUrl"]


def group_of(key):
    """The message group of a key, whoever publishes it: the key itself, where SQS takes it."""
    if re.fullmatch(rb"[!-}][!-~]{0,127}", key):
        return key.decode()
    encoded = "~b" + base64url(key)
    return encoded if len(encoded) <= 128 else "~h" + base64url(hashlib.sha256(key).digest())


def base64url(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def key_of(message):
    """The key, as bytes."""
    if key := message.get("MessageAttributes", {}).get("anybroker-key"):
        return bytes_of(key)
    group = message["Attributes"]["MessageGroupId"]
    if group.startswith("~b"):
        return base64.urlsafe_b64decode(group[2:] + "==")
    return None if group.startswith("~") else group.encode()


def publish(sqs, queue, key, headers, payload, content_type=None):
    """Publishes one message. Keys, header values and payload are bytes; a header may occur several times."""
    attributes = {}
    if content_type:
        attributes["content-type"] = attribute(content_type)
    return send(sqs, queue, key, headers, payload, attributes)


def publish_event(sqs, queue, event, headers=(), structured=False):
    """Publishes a CloudEvent; its extension `partitionkey` is the key."""
    # SQS has no binding: attributes have the names that they have on Kafka.
    message = to_structured_event(event) if structured else to_binary_event(event)
    attributes = {name: attribute(value.decode()) for name, value in message.headers.items()}
    attributes.pop("ce_partitionkey", None)
    key = None if message.key is None else message.key.encode()
    id = None if structured else event.get_id()
    return send(sqs, queue, key, headers, message.value, attributes, id)


def send(sqs, queue, key, headers, payload, attributes, id=None):
    id = id if id and re.fullmatch("[!-}][!-~]{0,127}", id) else str(uuid.uuid4())
    # A message without a key has a group of its own, and waits for no other.
    group = f"~-{id[:126]}" if key is None else group_of(key)
    if group.startswith("~h"):
        attributes["anybroker-key"] = attribute(key)
    body = body_of(payload, attributes)
    put_headers(headers, attributes)
    return sqs.send_message(
        QueueUrl=queue,
        MessageBody=body,
        MessageAttributes=attributes,
        MessageGroupId=group,
        MessageDeduplicationId=id,
    )


def attribute(value):
    if isinstance(value, str):
        return {"DataType": "String", "StringValue": value}
    return {"DataType": "Binary", "BinaryValue": value}


def bytes_of(attribute):
    return attribute["BinaryValue"] if "BinaryValue" in attribute else attribute["StringValue"].encode()


def body_of(payload, attributes):
    """The body, which SQS wants to be text, and not empty."""
    if not payload:
        attributes["anybroker-encoding"] = attribute("empty")
        return "-"
    try:
        text = payload.decode()
        if not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", text):
            return text
    except UnicodeDecodeError:
        pass
    attributes["anybroker-encoding"] = attribute("base64")
    return base64.b64encode(payload).decode()


def payload_of(message):
    body, attributes = message["Body"], message.get("MessageAttributes", {})
    encoding = attributes.get("anybroker-encoding", {}).get("StringValue")
    if encoding == "empty":
        return b""
    return base64.b64decode(body) if encoding == "base64" else body.encode()


# The most attributes of a message.
MOST = 10


def put_headers(headers, attributes):
    """Headers as attributes of their names; where that does not say everything, in the list `anybroker-headers`."""
    names = [name for name, _ in headers]
    sorted_once = names == sorted(set(names))
    if sorted_once and all(fits(*header) for header in headers) and len(attributes) + len(headers) <= MOST:
        attributes.update({name: attribute(text_or_bytes(value)) for name, value in headers})
        return
    listed = []
    # An event's attributes that find no place are in the list too.
    for name in sorted(attributes, reverse=True):
        if len(attributes) >= MOST and name.startswith("ce_") and name not in PLACED:
            listed.append([name, attributes.pop(name)["StringValue"]])
    for name, value in headers:
        value = text_or_bytes(value)
        listed.append([name, value] if isinstance(value, str) else [name, None, base64.b64encode(value).decode()])
    attributes["anybroker-headers"] = attribute(json.dumps(listed))


# Attributes that always have a place of their own.
PLACED = ("ce_id", "ce_type", "ce_source", "ce_specversion", "ce_time", "ce_schemaversion")


def fits(name, value):
    """Whether SQS takes the header as an attribute."""
    ours = name == "content-type" or name.startswith(("anybroker-", "ce_"))
    reserved = name.lower().startswith(("aws.", "amazon."))
    return bool(value) and not ours and not reserved and re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name)


def text_or_bytes(value):
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def everything_in(message):
    """Headers in order, repeated ones too, and an event's attributes."""
    attributes = message.get("MessageAttributes", {})
    left = {
        name: bytes_of(value)
        for name, value in sorted(attributes.items())
        if name != "content-type" and not name.startswith("anybroker-")
    }
    found = []
    for listed in json.loads(attributes.get("anybroker-headers", {}).get("StringValue", "[]")):
        if isinstance(listed, str):
            # It stands for the attribute of that name.
            found.append((listed, left.pop(listed)))
        else:
            name, text, *encoded = listed
            found.append((name, base64.b64decode(encoded[0]) if encoded else text.encode()))
    return found + list(left.items())


def headers_of(message):
    """The application's own headers."""
    return [(name, value) for name, value in everything_in(message) if not name.startswith("ce_")]


def attributes_of(message):
    """anybroker's attributes, some of which every message of it has: `id`, `type`, `source`, `time`, …"""
    return {name[3:]: value.decode() for name, value in everything_in(message) if name.startswith("ce_")}


def content_type_of(message):
    return message.get("MessageAttributes", {}).get("content-type", {}).get("StringValue")


def event_of(message):
    """The CloudEvent that the message is, in binary or structured mode, or None."""
    attributes, content_type = attributes_of(message), content_type_of(message)
    headers = {f"ce_{name}": value.encode() for name, value in attributes.items()}
    if content_type:
        headers["content-type"] = content_type.encode()
    found = KafkaMessage(headers=headers, key=key_of(message), value=payload_of(message))
    if (content_type or "").startswith("application/cloudevents"):
        return from_structured_event(found)
    return from_binary_event(found) if "specversion" in attributes else None


def receive(sqs, queue):
    """Waits for a message."""
    while True:
        answer = sqs.receive_message(
            QueueUrl=queue, MessageAttributeNames=["All"], AttributeNames=["MessageGroupId"], WaitTimeSeconds=5
        )
        if messages := answer.get("Messages"):
            return messages[0]


def main(verb, region, endpoint, topic, count=0):
    sqs = boto3.client("sqs", region_name=region, endpoint_url=endpoint or None)
    queue = queue_of(sqs, topic)
    if verb == "publish":
        for wanted in lines.read():
            if event := wanted.get("event"):
                sent = publish_event(sqs, queue, event, wanted["headers"], wanted["mode"] == "structured")
            else:
                message = (wanted["key"], wanted["headers"], wanted["payload"], wanted["content_type"])
                sent = publish(sqs, queue, *message)
            lines.published(id=sent["MessageId"])
        return
    for _ in range(int(count)):
        message = receive(sqs, queue)
        lines.received(
            key=key_of(message),
            headers=headers_of(message),
            payload=payload_of(message),
            content_type=content_type_of(message),
            attributes=attributes_of(message),
            event=event_of(message),
        )
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    main(*sys.argv[1:])
