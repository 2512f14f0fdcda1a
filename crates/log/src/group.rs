//! Consumer groups: which member of a group reads which partitions. All members live in this process.
//!
//! Nothing here is stored: what a group has committed is in the log, who is a member is not.
//!
//! Partitions move one by one. When somebody joins or leaves, or topics come, each member gets a new *target*. A member
//! takes from its target what nobody owns, and gives up what is not in it any more: it hears so, and owns it until it polls
//! again, so that it can commit before. Partitions stay where they are as far as the shares are even.
//!
//! Invariant: a partition has at most one owner at a time, and the next one begins after the last commit of the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use walspring_config::java_regex::JavaRegex;
use walspring_connect::TopicPartition;

use crate::view::View;

pub(crate) type MemberId = u64;

/// What a member reads.
pub(crate) enum Subscription {
    Named(BTreeSet<String>),
    Matching(Box<JavaRegex>),
}

impl Subscription {
    fn includes(&self, topic: &str) -> bool {
        match self {
            Subscription::Named(names) => names.contains(topic),
            Subscription::Matching(pattern) => pattern.matches(topic).unwrap_or(false),
        }
    }
}

struct Member {
    subscription: Subscription,
    owned: BTreeSet<TopicPartition>,
    target: BTreeSet<TopicPartition>,
    /// Taken from it while it was away; it has not heard yet.
    lost: Vec<TopicPartition>,
    /// Since when it has not called; none while it is inside a call.
    away_since: Option<Instant>,
    away_max: Duration,
    /// Was away for too long: has no part until it calls again.
    expelled: bool,
}

/// The groups that have members.
#[derive(Default)]
pub(crate) struct Groups {
    groups: BTreeMap<String, Group>,
    next_member: MemberId,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<MemberId, Member>,
    /// Of the view, when targets were last made.
    topics_version: u64,
}

/// What a member has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    Given(Vec<TopicPartition>),
    Taken(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

impl Groups {
    pub fn join(&mut self, group: &str, subscription: Subscription, away_max: Duration, view: &View) -> MemberId {
        self.next_member += 1;
        let id = self.next_member;
        let member = Member {
            subscription,
            owned: BTreeSet::new(),
            target: BTreeSet::new(),
            lost: Vec::new(),
            away_since: Some(Instant::now()),
            away_max,
            expelled: false,
        };
        let group = self.groups.entry(group.to_owned()).or_default();
        group.members.insert(id, member);
        group.set_targets(view);
        id
    }

    pub fn leave(&mut self, name: &str, id: MemberId, view: &View) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.members.remove(&id);
        if group.members.is_empty() {
            self.groups.remove(name);
        } else {
            group.set_targets(view);
        }
    }

    pub fn has_members(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// A call of the member begins, which ends with [`Groups::went`]. Answers what it has lost while it was away.
    pub fn came(&mut self, name: &str, id: MemberId, view: &View) -> Option<Turn> {
        let group = self.groups.get_mut(name)?;
        let member = group.members.get_mut(&id)?;
        member.away_since = None;
        let lost = std::mem::take(&mut member.lost);
        if std::mem::replace(&mut member.expelled, false) {
            group.set_targets(view);
        }
        if lost.is_empty() { None } else { Some(Turn::Lost(lost)) }
    }

    /// A call of the member begins that is no poll.
    pub fn stay(&mut self, name: &str, id: MemberId) {
        if let Some(member) = self.groups.get_mut(name).and_then(|group| group.members.get_mut(&id)) {
            member.away_since = None;
        }
    }

    /// A call of the member has ended.
    pub fn went(&mut self, name: &str, id: MemberId) {
        if let Some(member) = self.groups.get_mut(name).and_then(|group| group.members.get_mut(&id)) {
            member.away_since = Some(Instant::now());
        }
    }

    /// What the member has to be told now. What is given it owns from here on; what is taken, until it gives it up.
    pub fn turn(&mut self, name: &str, id: MemberId, view: &View) -> Option<Turn> {
        let group = self.groups.get_mut(name)?;
        group.expel_the_absent(view);
        if group.topics_version != view.topics_version {
            group.set_targets(view);
        }
        let member = group.members.get(&id)?;
        let taken: Vec<_> = member.owned.difference(&member.target).cloned().collect();
        if !taken.is_empty() {
            return Some(Turn::Taken(taken));
        }
        let is_free = |partition: &&TopicPartition| !group.members.values().any(|m| m.owned.contains(*partition));
        let given: Vec<_> = member.target.difference(&member.owned).filter(is_free).cloned().collect();
        if given.is_empty() {
            return None;
        }
        group.members.get_mut(&id)?.owned.extend(given.iter().cloned());
        Some(Turn::Given(given))
    }

    pub fn give_up(&mut self, name: &str, id: MemberId, partitions: &[TopicPartition]) {
        if let Some(member) = self.groups.get_mut(name).and_then(|group| group.members.get_mut(&id)) {
            for partition in partitions {
                member.owned.remove(partition);
            }
        }
    }

    pub fn owns(&self, name: &str, id: MemberId, partition: &TopicPartition) -> bool {
        let member = self.groups.get(name).and_then(|group| group.members.get(&id));
        member.is_some_and(|member| member.owned.contains(partition))
    }
}

impl Group {
    /// Takes everything from members that have not called for too long, where somebody else could go on.
    fn expel_the_absent(&mut self, view: &View) {
        if self.members.len() < 2 {
            return;
        }
        let mut expelled = false;
        for member in self.members.values_mut().filter(|member| !member.expelled) {
            if member.away_since.is_some_and(|since| since.elapsed() > member.away_max) {
                member.expelled = true;
                member.lost = std::mem::take(&mut member.owned).into_iter().collect();
                expelled = true;
            }
        }
        if expelled {
            self.set_targets(view);
        }
    }

    /// Even shares; each member keeps what it owns, up to its share.
    fn set_targets(&mut self, view: &View) {
        self.topics_version = view.topics_version;
        for member in self.members.values_mut() {
            member.target.clear();
        }
        let mut open = Vec::new();
        let mut subscribers: BTreeMap<&str, Vec<MemberId>> = BTreeMap::new();
        for (name, topic) in &view.topics {
            let ids: Vec<_> = self
                .members
                .iter()
                .filter(|(_, member)| !member.expelled && member.subscription.includes(name))
                .map(|(id, _)| *id)
                .collect();
            if ids.is_empty() {
                continue;
            }
            let name_shared: std::sync::Arc<str> = name.as_str().into();
            let count = topic.partitions.len() as i32;
            open.extend((0..count).map(|partition| TopicPartition { topic: name_shared.clone(), partition }));
            subscribers.insert(name, ids);
        }
        let active = self.members.values().filter(|member| !member.expelled).count().max(1);
        let (share, rest) = (open.len() / active, open.len() % active);
        // So many members may have one more than the share.
        let mut larger = rest;
        for member in self.members.values_mut().filter(|member| !member.expelled) {
            let kept: Vec<_> = open.iter().filter(|partition| member.owned.contains(partition)).cloned().collect();
            let wanted = kept.iter().filter(|partition| member.subscription.includes(&partition.topic));
            let mut size_max = share;
            if larger > 0 && kept.len() > share {
                size_max += 1;
                larger -= 1;
            }
            member.target = wanted.take(size_max).cloned().collect();
        }
        let taken: BTreeSet<_> = self.members.values().flat_map(|member| member.target.iter().cloned()).collect();
        for partition in open.into_iter().filter(|partition| !taken.contains(partition)) {
            let ids = subscribers.get(&*partition.topic).map(Vec::as_slice).unwrap_or_default();
            let least = ids.iter().min_by_key(|id| self.members.get(id).map_or(usize::MAX, |m| m.target.len()));
            if let Some(member) = least.and_then(|id| self.members.get_mut(id)) {
                member.target.insert(partition);
            }
        }
    }
}
