//! Messages that are not what was published (P1).

use anybroker_core::{Headers, IntoValue, Message};

use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::Count;
use super::super::tell::{delivers, each};
use super::without_positions;
use crate::properties::Property::*;

/// Delivers every message changed.
macro_rules! changed {
    ($change:expr) => {
        || {
            each(|_, mut handed| {
                handed.change($change);
                Some(handed)
            })
        }
    };
}

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new("truncates-at-4-kib", P1, "cuts a payload off after 4 KiB", changed!(|m| cut(m, 4 << 10))),
        Liar::new("truncates-at-16-bytes", P1, "cuts a payload off after 16 bytes", changed!(|m| cut(m, 16))),
        Liar::new("flips-a-byte", P1, "changes one byte of every fiftieth payload", || {
            let count = Count::default();
            each(move |_, mut handed| {
                if count.every(50) {
                    handed.change(flip);
                }
                Some(handed)
            })
        }),
        Liar::new(
            "keeps-one-header",
            P1,
            "keeps the first header and drops the others",
            changed!(|m| {
                let first = m.headers.iter().next().map(|(name, value)| (name.to_owned(), value.clone()));
                m.headers = headers(first);
            }),
        ),
        Liar::new(
            "sorts-headers",
            P1,
            "puts the headers into the order of their names",
            changed!(|m| {
                let mut all: Vec<_> = m.headers.iter().map(|(n, v)| (n.to_owned(), v.clone())).collect();
                all.sort();
                m.headers = headers(all);
            }),
        ),
        Liar::new(
            "headers-as-text",
            P1,
            "takes header values for UTF-8, and mends what is not",
            changed!(|m| {
                let lossy = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                m.headers =
                    headers(m.headers.iter().map(|(n, v)| (n.to_owned(), lossy(v))).collect::<Vec<_>>());
            }),
        ),
        Liar::new(
            "drops-the-content-type",
            P1,
            "forgets the content type",
            changed!(|m| m.content_type = None),
        ),
        Liar::new("invents-a-message", P1, "delivers now and then what nobody published", || {
            let count = Count::default();
            delivers(move |_, mut batch| {
                if let Some(first) = batch.first().filter(|_| count.every(20)) {
                    let mut phantom = Handed { attempt: 1, redelivered: false, ..first.again() };
                    phantom.change(|m| m.id = "phantom".into());
                    phantom.offset += 1 << 32;
                    batch.push(phantom);
                }
                batch
            })
        }),
        Liar::new("letters-without-a-key", P1, "drops the key of a dead letter", || {
            delivers(|_, mut batch| {
                batch.iter_mut().filter(|it| it.is_dead_letter()).for_each(|it| it.change(|m| m.key = None));
                batch
            })
        })
        .needs(&["delivery_limit"]),
    ];
    all.into_iter().map(|liar| liar.promises(without_positions).or_needs(&["order_per_key"])).collect()
}

fn headers<V: IntoValue>(all: impl IntoIterator<Item = (String, V)>) -> Headers {
    let mut headers = Headers::new();
    all.into_iter().for_each(|(name, value)| headers.append(name, value));
    headers
}

fn cut(message: &mut Message, bytes: usize) {
    message.payload.truncate(bytes);
}

fn flip(message: &mut Message) {
    let mut payload = message.payload.to_vec();
    if let Some(first) = payload.first_mut() {
        *first ^= 1;
    }
    message.payload = payload.into();
}
