//! W3C Trace Context in messages.

use std::str;

use anybroker_core::{Message, Record};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// The bytes that a context adds to a message; a `tracestate` is up to 512 more.
pub(super) const SIZE: usize = PARENT.len() + 55;

/// The context in which a message was made, if it tells.
pub(super) fn of_record(record: &Record) -> Option<SpanContext> {
    let text = |name| {
        // The attribute first: it is the creator's, while others may have put theirs into the headers on the way.
        let attribute = record.extensions().find(|(of, _)| *of == name).map(|(_, value)| value);
        attribute.or_else(|| record.header(name)).and_then(|value| str::from_utf8(value).ok())
    };
    parse(text(PARENT)?, text(STATE))
}

/// The context that somebody has put into a message.
pub(super) fn of_message(message: &Message) -> Option<SpanContext> {
    let text = |name| {
        let attribute = message.extensions.iter().find(|(of, _)| *of == name).map(|(_, value)| &**value);
        attribute.or_else(|| str::from_utf8(message.headers.get(name)?).ok())
    };
    parse(text(PARENT)?, text(STATE))
}

/// Puts a context into a message that has none.
pub(super) fn put(context: &SpanContext, headers: bool, message: &mut Message) {
    let parent =
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8());
    let state = context.trace_state().header();
    for (name, value) in [(PARENT, parent), (STATE, state)] {
        if value.is_empty() {
            continue;
        }
        if headers {
            message.headers.append(name, value.as_str());
        }
        message.extensions.push((name.into(), value.into()));
    }
}

fn parse(parent: &str, state: Option<&str>) -> Option<SpanContext> {
    let parts: Vec<_> = parent.split('-').collect();
    let [version, trace, span, flags, rest @ ..] = parts.as_slice() else { return None };
    // Later versions may have more to say.
    if hex(version, 2)? == "ff" || (*version == "00" && !rest.is_empty()) {
        return None;
    }
    let trace = TraceId::from_hex(hex(trace, 32)?).ok()?;
    let span = SpanId::from_hex(hex(span, 16)?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(hex(flags, 2)?, 16).ok()?) & TraceFlags::SAMPLED;
    // A state that cannot be read does not make the parent invalid.
    let state = state.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    Some(SpanContext::new(trace, span, flags, true, state)).filter(SpanContext::is_valid)
}

/// Lower-case hexadecimal digits of that length.
fn hex(text: &str, length: usize) -> Option<&str> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == length && digits).then_some(text)
}

#[cfg(test)]
mod tests {
    use anybroker_core::RecordBuffer;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_comes_back_as_it_was_put() {
        let context = parse(VALID, Some("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")).unwrap();
        let mut message = Message::new("x");
        put(&context, false, &mut message);
        message.validate().unwrap();
        assert_eq!(message.extensions[0], (PARENT.into(), VALID.into()));
        assert_eq!(of_message(&message), Some(context.clone()));
        assert_eq!(of_record(&RecordBuffer::new().encode(&message)), Some(context.clone()));
        assert!(message.headers.is_empty());
        put(&context, true, &mut message);
        assert_eq!(message.headers.get(PARENT).unwrap(), VALID);
    }

    #[test]
    fn the_attribute_goes_before_the_header() {
        let other = "00-11111111111111111111111111111111-2222222222222222-00";
        let message = Message::new("x").with_header(PARENT, other);
        assert_eq!(of_message(&message).unwrap().trace_id().to_string(), "1".repeat(32));
        let message = message.with_extension(PARENT, VALID);
        assert_eq!(of_message(&message).unwrap().trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_is_no_context_is_none() {
        let [trace, span] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("ff-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01-more"),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-1"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-+{}-{span}-01", &trace[1..]),
        ] {
            assert_eq!(parse(&bad, None), None, "{bad}");
        }
        assert!(parse(&format!("01-{trace}-{span}-03-more"), Some("no state")).unwrap().is_sampled());
    }
}
