//! What a saga is made of, and how it is started and told of events.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Bytes, Error, Kind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::State;
use super::instances::{self, NewInstance, millis};
use super::step::{self, Step};
use super::store::{Connection, Store};
use crate::schema::Upcasters;

/// A saga without its data's type.
#[derive(Clone)]
pub(crate) struct Definition<D: Store> {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) upcasters: Upcasters,
    pub(crate) deadline: Option<Duration>,
    /// Steps of one stage run at once.
    pub(crate) stages: Vec<Vec<step::Definition<D>>>,
    /// What failed is parked, since there is no way back.
    pub(crate) forward_only: bool,
    pub(crate) decodes: fn(&str) -> serde_json::Result<()>,
}

impl<D: Store> Definition<D> {
    pub(crate) fn steps(&self) -> impl Iterator<Item = &step::Definition<D>> {
        self.stages.iter().flatten()
    }

    pub(crate) fn step(&self, name: &str) -> Option<&step::Definition<D>> {
        self.steps().find(|step| step.name == name)
    }

    /// Data of any version that it can read, as its own version.
    pub(crate) fn data(&self, version: i64, data: &str) -> Result<String> {
        let failed = |text: String| {
            Error::new(Kind::Decode, "read a saga's data", text)
                .advice("run a program that reads it, or add an upcaster; then: anybroker saga retry")
        };
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        let upcasters = self.upcasters.clone().current(&self.name, self.version);
        let upcast = upcasters.upcast(&self.name, version, &Bytes::copy_from_slice(data.as_bytes()));
        let (_, data) = upcast.map_err(|error| failed(error.to_string()))?;
        let data = String::from_utf8(data.to_vec()).map_err(|error| failed(error.to_string()))?;
        (self.decodes)(&data).map_err(|error| failed(format!("the data does not decode: {error}")))?;
        Ok(data)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |text: String| {
            Err(Error::new(Kind::InvalidConfiguration, "define a saga", text).on(self.name.clone()))
        };
        if self.stages.iter().any(Vec::is_empty) {
            return wrong("a group has no steps".into());
        }
        let mut names = std::collections::BTreeSet::new();
        for step in self.steps() {
            if !names.insert(&step.name) {
                return wrong(format!("two steps are called `{}`", step.name));
            }
            if step.wait.as_ref().is_some_and(|wait| wait.names.is_empty()) {
                return wrong(format!("step `{}` waits for no event", step.name));
            }
        }
        Ok(())
    }
}

/// A saga: steps that are done one after the other, and undone in reverse if one of them does not succeed.
pub struct Saga<T, D: Store> {
    store: D,
    pub(crate) definition: Arc<Definition<D>>,
    data: PhantomData<fn(T)>,
}

/// What starting an instance came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It is started when the transaction commits.
    New,
    /// It had been started before, and stands so; its data is as it was.
    Already(State),
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// It is noted when the transaction commits.
    Noted,
    /// An event of this name was noted before.
    Again,
    /// The instance goes back, is parked or has ended: the event changes nothing. The history says that it came.
    TooLate(State),
    /// There is no such instance.
    Unknown,
}

impl<T: Serialize + DeserializeOwned + Send + 'static, D: Store> Saga<T, D> {
    /// A saga without steps. `version` is that of the shape of its data.
    pub fn new(store: D, name: impl Into<String>, version: u32) -> Self {
        let definition = Definition {
            name: name.into(),
            version,
            upcasters: Upcasters::new(),
            deadline: None,
            stages: Vec::new(),
            forward_only: false,
            decodes: |text| serde_json::from_str::<T>(text).map(drop),
        };
        Saga { store, definition: Arc::new(definition), data: PhantomData }
    }

    /// Adds a step, to be begun when the steps before it are done.
    pub fn step(self, step: Step<T, D>) -> Self {
        self.together([step])
    }

    /// Adds steps that run at once. Each works on the data as it was before them; they must not change the same fields.
    pub fn together(mut self, steps: impl IntoIterator<Item = Step<T, D>>) -> Self {
        let steps = steps.into_iter().map(|step| step.definition).collect();
        self.change().stages.push(steps);
        self
    }

    /// How long an instance may take from its start on. Then it goes back.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.change().deadline = Some(deadline);
        self
    }

    /// Reads data of older versions; the type is the saga's name.
    pub fn upcasters(mut self, upcasters: Upcasters) -> Self {
        self.change().upcasters = upcasters;
        self
    }

    pub(crate) fn forward_only(mut self) -> Self {
        self.change().forward_only = true;
        self
    }

    fn change(&mut self) -> &mut Definition<D> {
        Arc::make_mut(&mut self.definition)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// Starts an instance in the caller's transaction, once: an instance of the same id stays as it is.
    ///
    /// # Errors
    /// `InvalidConfiguration` (the data is no JSON), `NotFound` (no tables), `Throttled`, `Disconnected`. The transaction
    /// can only be rolled back then.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn start(&self, connection: &mut Connection<D>, id: &str, data: &T) -> Result<Started> {
        let text = serde_json::to_string(data).map_err(|error| {
            Error::new(Kind::InvalidConfiguration, "start a saga", error.to_string()).on(id)
        })?;
        let definition = &self.definition;
        let instance = NewInstance {
            saga: &definition.name,
            id,
            version: definition.version,
            data: &text,
            deadline: definition.deadline.map(millis),
        };
        instances::start(&self.store, connection, instance).await
    }

    /// Notes an event for an instance in the caller's transaction: that of the inbox, if it came as a message. An event of
    /// a name is noted once. An event may come before its step waits for it.
    ///
    /// The instance's row is locked until the transaction ends: signal late, and keep the transaction short.
    ///
    /// # Errors
    /// `NotFound` (no tables), `Throttled` (the transaction must be done again), `Disconnected`.
    ///
    /// # Cancel safety
    /// Not cancel safe: roll the transaction back.
    pub async fn signal(
        &self,
        connection: &mut Connection<D>,
        id: &str,
        name: &str,
        payload: &[u8],
    ) -> Result<Signalled> {
        instances::signal(&self.store, connection, &self.definition.name, id, name, payload).await
    }
}

impl<T, D: Store> Clone for Saga<T, D> {
    fn clone(&self) -> Self {
        Saga { store: self.store.clone(), definition: self.definition.clone(), data: PhantomData }
    }
}

impl<T, D: Store> fmt::Debug for Saga<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saga").field("name", &self.definition.name).finish_non_exhaustive()
    }
}
