"""Messages as lines of JSON on stdin and stdout; bytes are base64, and events have CloudEvents' JSON format."""

import base64
import json
import sys

from cloudevents.core.formats.json import JSONFormat


def read():
    """Yields what each line of stdin asks to publish."""
    for line in sys.stdin:
        wanted = json.loads(line)
        if wanted.get("event"):
            wanted["event"] = JSONFormat().read(None, json.dumps(wanted["event"]))
        else:
            wanted["key"] = decoded(wanted["key"])
            wanted["payload"] = decoded(wanted["payload"])
        wanted["headers"] = [(name, decoded(value)) for name, value in wanted["headers"]]
        yield wanted


def published(**place):
    """Says that a message was confirmed, and where it is."""
    print(json.dumps(place), flush=True)


def received(key, headers, payload, content_type, attributes, event, **place):
    """Says what came: as the client shows it, and as the CloudEvents SDK reads it."""
    message = {
        "key": encoded(key),
        "headers": [[name, encoded(value)] for name, value in headers],
        "payload": encoded(payload),
        "content_type": content_type,
        "attributes": attributes,
        "event": event and json.loads(JSONFormat().write(event)),
    }
    print(json.dumps(message | place), flush=True)


def decoded(value):
    return None if value is None else base64.b64decode(value)


def encoded(value):
    if isinstance(value, str):
        value = value.encode()
    return None if value is None else base64.b64encode(value).decode()
