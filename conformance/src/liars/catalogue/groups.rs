//! Groups that do not each get everything: P14.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use anybroker_core::{Subscription, Topic};

use super::super::aside::{Aside, lock};
use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::{Count, Lie};
use super::super::tell::each;
use super::without_positions;
use crate::properties::Property::*;

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new("skips-one-group", P14, "one group of several misses every twentieth message", || {
            let count = Count::default();
            each(move |group, handed| {
                unless(group.name == "group-1" && handed.is_fresh() && count.every(20), handed)
            })
        }),
        Liar::new(
            "one-group-misses-a-key",
            P14,
            "one group of several misses the messages of some keys",
            || {
                each(|group, handed| {
                    let missed = handed.record.key().is_some_and(|key| key.ends_with(b"7"));
                    unless(group.name == "group-2" && missed, handed)
                })
            },
        ),
        Liar::new("one-group-stops", P14, "one group of several gets a hundred messages and no more", || {
            let count = Count::default();
            each(move |group, handed| {
                unless(group.name == "group-2" && handed.is_fresh() && count.next() > 100, handed)
            })
        }),
        Liar::new("groups-compete", P14, "several groups share what each should get", || {
            Box::new(Compete::default())
        }),
    ];
    all.into_iter()
        .map(|liar| {
            liar.promises(without_positions)
                .needs(&["members_share_and_groups_fan_out"])
                .implies(&[(P3, "once drained, what did not reach its group is lost")])
        })
        .collect()
}

fn unless(missed: bool, mut handed: Handed) -> Option<Handed> {
    if missed {
        handed.forget();
        return None;
    }
    Some(handed)
}

/// The groups of each topic.
#[derive(Default)]
struct Compete {
    groups: Mutex<HashMap<Topic, HashSet<String>>>,
}

impl Lie for Compete {
    fn open(&self, subscription: &mut Subscription) {
        let mut groups = lock(&self.groups);
        groups.entry(subscription.topic.clone()).or_default().insert(subscription.group.to_string());
    }

    fn deliver(&self, group: &Aside, batch: Vec<Handed>) -> Vec<Handed> {
        let mut groups: Vec<_> =
            lock(&self.groups).get(&group.topic).into_iter().flatten().cloned().collect();
        groups.sort();
        let others = |handed: &Handed| {
            let mut hasher = DefaultHasher::new();
            handed.id().hash(&mut hasher);
            groups.get(hasher.finish() as usize % groups.len().max(1)) != Some(&group.name)
        };
        batch.into_iter().filter_map(|handed| unless(groups.len() > 1 && others(&handed), handed)).collect()
    }
}
