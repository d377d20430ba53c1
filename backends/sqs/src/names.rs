//! What the queues of a topic are called: `<prefix><topic>.fifo`, or `<prefix><topic>___<group>.fifo` with fan-out.
//!
//! SQS allows letters, digits, `-` and `_`, 80 characters in all. A `.` is written `__`, and the group follows
//! `___`. So that every queue's name reads back as one topic, names with two of `.` and `_` in a row, or with one
//! of them at an end, are refused.

use anybroker_core::{Error, Group, Kind, Result, Topic};

pub(crate) const SUFFIX: &str = ".fifo";
const DOT: &str = "__";
const GROUP: &str = "___";
const MOST: usize = 80;

/// The queue of a topic, or of one group of it.
pub(crate) fn queue(prefix: &str, topic: &Topic, group: Option<&Group>) -> Result<String> {
    let mut name = format!("{prefix}{}", written("topic", topic.as_str())?);
    if let Some(group) = group {
        name = format!("{name}{GROUP}{}", written("group", group.as_str())?);
    }
    name.push_str(SUFFIX);
    if name.len() > MOST {
        let text = format!("the queue would be `{name}`, {} characters; SQS allows {MOST}", name.len());
        return Err(Error::new(Kind::InvalidConfiguration, "open", text)
            .advice("use shorter names, or a shorter prefix="));
    }
    Ok(name)
}

fn written(what: &str, name: &str) -> Result<String> {
    let special = |byte: Option<&u8>| byte.is_none_or(|byte| matches!(byte, b'.' | b'_'));
    let bytes = name.as_bytes();
    let unclear = (0..bytes.len()).any(|at| {
        special(bytes.get(at)) && (at == 0 || special(bytes.get(at - 1)) || special(bytes.get(at + 1)))
    });
    if unclear {
        let text = format!(
            "the {what} name `{name}` cannot be a queue's: `.` and `_` may not be at an end or follow each other"
        );
        return Err(Error::new(Kind::InvalidConfiguration, "open", text)
            .advice("in queue names `.` is written `__`, and the group follows `___`"));
    }
    Ok(name.replace('.', DOT))
}

/// The topic and group of a queue; none for a queue that is not one of these.
pub(crate) fn read(prefix: &str, queue: &str) -> Option<(Topic, Option<Group>)> {
    let name = queue.strip_prefix(prefix)?.strip_suffix(SUFFIX)?;
    let (topic, group) = name.split_once(GROUP).map_or((name, None), |(topic, group)| (topic, Some(group)));
    let topic = Topic::new(topic.replace(DOT, ".")).ok()?;
    let group = group.map(|group| Group::new(group.replace(DOT, "."))).transpose().ok()?;
    // What does not come out again as the same name is another program's.
    let same = self::queue(prefix, &topic, group.as_ref()).is_ok_and(|again| again == queue);
    same.then_some((topic, group))
}

/// The name at the end of a queue's URL.
pub(crate) fn of_url(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(topic: &str, group: Option<&str>) -> Result<String> {
        queue("p-", &topic.parse().unwrap(), group.map(|group| group.parse().unwrap()).as_ref())
    }

    #[test]
    fn names_read_back() {
        for (topic, group, expected) in [
            ("orders", None, "p-orders.fifo"),
            ("orders.v1_eu-2", None, "p-orders__v1_eu-2.fifo"),
            ("orders.v1", Some("billing"), "p-orders__v1___billing.fifo"),
            ("a-b", Some("c.d"), "p-a-b___c__d.fifo"),
        ] {
            let queue = name(topic, group).unwrap();
            assert_eq!(queue, expected);
            let (read_topic, read_group) = read("p-", &queue).unwrap();
            assert_eq!((read_topic.as_str(), read_group.as_ref().map(Group::as_str)), (topic, group));
        }
    }

    #[test]
    fn names_that_would_not_read_back_are_refused() {
        for bad in ["_a", "a.", "a..b", "a._b", "a__b", &"x".repeat(74)] {
            assert_eq!(name(bad, None).unwrap_err().kind(), Kind::InvalidConfiguration, "{bad}");
        }
        assert!(name(&"x".repeat(73), None).is_ok());
        for foreign in ["p-a____b.fifo", "p-_.fifo", "p-a", "a.fifo", "p-a___b___c.fifo", "p-.fifo"] {
            assert_eq!(read("p-", foreign), None, "{foreign}");
        }
    }
}
