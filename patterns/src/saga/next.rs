//! What is next for an instance: decided from its rows and its definition alone.

use super::definition::Definition;
use super::instances::millis;
use super::loaded::{Loaded, LoadedStep};
use super::state::{State, StepState};
use super::step;
use super::store::Store;

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// These steps, at once.
    Execute(Vec<String>),
    /// The end that a step has for events that did not come.
    Incomplete(String),
    /// A step is given up: it was cut off in its last attempt, or its events did not come.
    GiveUp(String, String),
    /// It goes back.
    Fail(String),
    /// This step is to be undone.
    Undo(String),
    /// It is well ended.
    End(State),
    /// It cannot go on by itself.
    Park(String),
    /// Nothing, until then or until an event comes.
    Wait(Option<i64>),
}

impl<D: Store> Definition<D> {
    pub(crate) fn next(&self, loaded: &Loaded) -> Next {
        match loaded.state {
            State::Running => self.forward(loaded),
            State::Compensating => self.back(loaded),
            _ => Next::Wait(None),
        }
    }

    fn forward(&self, loaded: &Loaded) -> Next {
        if let Some(reason) = self.misfit(loaded) {
            return Next::Park(reason);
        }
        let given_up = |it: &&LoadedStep| matches!(it.state, StepState::Failed | StepState::Unsure);
        if let Some((name, step)) = loaded.steps.iter().find(|(_, step)| given_up(step)) {
            return Next::Fail(format!("step `{name}`: {}", step.reason.as_deref().unwrap_or("given up")));
        }
        if loaded.deadline_at.is_some_and(|deadline| deadline <= loaded.now) {
            return Next::Fail("the deadline passed".into());
        }
        let done = |step: &step::Definition<D>| is(loaded, &step.name, StepState::Done);
        let Some(stage) = self.stages.iter().find(|stage| !stage.iter().all(done)) else {
            return Next::End(State::Completed);
        };
        let (mut ready, mut wait) = (Vec::new(), loaded.deadline_at);
        for step in stage.iter().filter(|step| !done(step)) {
            match self.due(step, loaded) {
                Next::Execute(names) => ready.extend(names),
                Next::Wait(at) => wait = wait.into_iter().chain(at).min(),
                other => return other,
            }
        }
        if ready.is_empty() { Next::Wait(wait) } else { Next::Execute(ready) }
    }

    fn due(&self, step: &step::Definition<D>, loaded: &Loaded) -> Next {
        let tried = loaded.steps.get(&step.name);
        if let Some(at) = tried.and_then(|tried| tried.due_at).filter(|at| *at > loaded.now) {
            return Next::Wait(Some(at));
        }
        if tried.is_some_and(|tried| tried.attempts >= step.retry.attempts) {
            return Next::GiveUp(step.name.clone(), "it was cut off in its last attempt".into());
        }
        let Some(wait) = &step.wait else { return Next::Execute(vec![step.name.clone()]) };
        let came = |name: &String| loaded.signals.iter().any(|signal| signal.name == *name);
        if if wait.all { wait.names.iter().all(came) } else { wait.names.iter().any(came) } {
            return Next::Execute(vec![step.name.clone()]);
        }
        let Some(timeout) = step.timeout else { return Next::Wait(None) };
        let until = self.waits_since(step, loaded).saturating_add(millis(timeout));
        if until > loaded.now {
            return Next::Wait(Some(until));
        }
        if step.incomplete.is_some() {
            return Next::Incomplete(step.name.clone());
        }
        let missing: Vec<_> = wait.names.iter().filter(|name| !came(name)).cloned().collect();
        let within = humantime::format_duration(timeout);
        Next::GiveUp(step.name.clone(), format!("no {} came within {within}", missing.join(" or ")))
    }

    /// When the stage before it ended.
    fn waits_since(&self, step: &step::Definition<D>, loaded: &Loaded) -> i64 {
        let before = self.stages.iter().take_while(|stage| !stage.iter().any(|it| it.name == step.name));
        let ended = before.flatten().filter_map(|it| loaded.steps.get(&it.name)).map(|it| it.changed_at);
        ended.max().unwrap_or(loaded.started_at)
    }

    fn back(&self, loaded: &Loaded) -> Next {
        let undo = |it: &&LoadedStep| matches!(it.state, StepState::Done | StepState::Unsure);
        let mut left: Vec<_> = loaded.steps.iter().filter(|(_, step)| undo(step)).collect();
        left.sort_by_key(|(name, step)| (step.place, *name));
        if let Some((name, step)) = left.iter().find(|(name, _)| self.step(name).is_none()) {
            return Next::Park(lost(name, step));
        }
        let Some((name, step)) = left.pop() else { return Next::End(State::Compensated) };
        if let Some(at) = step.due_at.filter(|at| *at > loaded.now) {
            return Next::Wait(Some(at));
        }
        let attempts = self.step(name).map_or(1, |definition| definition.retry.attempts);
        if step.undo_attempts >= attempts {
            return Next::Park(format!("the compensation of step `{name}` was cut off in its last attempt"));
        }
        Next::Undo(name.clone())
    }

    /// Why the instance cannot have come here with this definition.
    fn misfit(&self, loaded: &Loaded) -> Option<String> {
        if let Some((name, step)) = loaded.steps.iter().find(|(name, _)| self.step(name).is_none()) {
            return Some(lost(name, step));
        }
        let mut open: Option<&str> = None;
        for stage in &self.stages {
            let done = |step: &&step::Definition<D>| is(loaded, &step.name, StepState::Done);
            let tried = stage.iter().find(|step| loaded.steps.contains_key(&step.name));
            if let (Some(open), Some(tried)) = (open, tried) {
                let tried = &tried.name;
                return Some(format!(
                    "step `{open}` is not done, and `{tried}` after it was begun: the steps were added to or put in \
                     another order; run a program with the old order"
                ));
            }
            open = open.or_else(|| stage.iter().find(|step| !done(step)).map(|step| step.name.as_str()));
        }
        None
    }
}

fn is(loaded: &Loaded, name: &str, state: StepState) -> bool {
    loaded.steps.get(name).is_some_and(|step| step.state == state)
}

fn lost(name: &str, step: &LoadedStep) -> String {
    format!(
        "its step `{name}` ({}) is no longer in the program: run one that has it, and then: anybroker saga retry",
        step.state
    )
}
