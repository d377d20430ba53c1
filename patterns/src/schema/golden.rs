//! Golden payloads: what every version has written, kept, and read by today's program.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anybroker_core::{Bytes, Event};

use super::directory::{create, entries, read_json, version};
use super::registry::{differences, pretty};
use super::{Directory, RegistryError, Upcasters};

/// What [`Directory::golden`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Golden {
    /// Files that were written now, to be committed.
    pub written: Vec<PathBuf>,
    /// Payloads of all versions that were read, those just written included.
    pub read: usize,
}

/// A stored payload that today's program does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its file, or the folder that has none.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// Why the golden payloads do not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// Payloads that today's program does not read: all there are.
    #[error("{} golden payloads of {event_type} do not hold\n{}", unreadable.len(), Lines(unreadable))]
    Unreadable {
        /// The event's type.
        event_type: &'static str,
        /// Which, and why.
        unreadable: Vec<Unreadable>,
    },
    /// The directory cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

struct Lines<'a>(&'a [Unreadable]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|it| writeln!(f, "  {}: {}", it.path.display(), it.reason))
    }
}

impl Directory {
    /// Proves that today's `E` reads what every version of it has written. To be called in a test.
    ///
    /// Each sample is written once, to `<type>/<version>.golden/<name>.json` of `E`'s version, and must be written the same
    /// ever after: a payload that changes needs a new version. Then every stored payload, of this version and of all
    /// before, must come through the upcasters into an `E`. Samples must be the same in each run: no clock, no random ids.
    ///
    /// ```
    /// # use anybroker_core::Event;
    /// use anybroker_patterns::schema::{Directory, Upcasters};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct OrderPlaced { cents: u64 }
    /// # impl Event for OrderPlaced { const TYPE: &'static str = "order.placed"; }
    /// // #[test]
    /// fn old_events_are_still_read() {
    /// #   let place = tempfile::tempdir().unwrap();
    /// #   let schemas = place.path();
    ///     let golden = Directory::new(schemas).golden(&Upcasters::new(), &[("usual", OrderPlaced { cents: 250 })]);
    ///     assert_eq!(golden.unwrap().read, 1);
    /// }
    /// # old_events_are_still_read();
    /// ```
    ///
    /// # Errors
    /// All payloads that are not read; a version that has a schema and no payload, since nothing is proved of it; files that
    /// are no payloads.
    pub fn golden<E: Event>(
        &self,
        upcasters: &Upcasters,
        samples: &[(&str, E)],
    ) -> Result<Golden, GoldenError> {
        let folder = self.folder(E::TYPE)?;
        let mut found = Found::default();
        for (name, sample) in samples {
            found.sample(&folder, name, sample)?;
        }
        found.stored::<E>(&folder, upcasters)?;
        if !found.unreadable.is_empty() {
            return Err(GoldenError::Unreadable { event_type: E::TYPE, unreadable: found.unreadable });
        }
        Ok(found.golden)
    }

    /// Whether there are golden payloads of a version.
    pub fn has_golden(&self, event_type: &str, version: u32) -> bool {
        let payloads = |folder: PathBuf| entries(&folder.join(format!("{version}.golden")));
        self.folder(event_type).and_then(payloads).is_ok_and(|payloads| !payloads.is_empty())
    }
}

#[derive(Default)]
struct Found {
    golden: Golden,
    unreadable: Vec<Unreadable>,
}

impl Found {
    fn fail(&mut self, path: &Path, reason: impl Into<String>) {
        self.unreadable.push(Unreadable { path: path.to_owned(), reason: reason.into() });
    }

    /// Writes a sample, or compares it to what was written.
    fn sample<E: Event>(&mut self, folder: &Path, name: &str, sample: &E) -> Result<(), RegistryError> {
        let path = folder.join(format!("{}.golden", E::VERSION)).join(format!("{name}.json"));
        let simple = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(simple) {
            let reason = "a sample's name has letters, digits, `-` and `_`".to_owned();
            return Err(RegistryError::Unreadable { path, reason });
        }
        let value = match serde_json::to_value(sample) {
            Ok(value) => value,
            Err(error) => {
                self.fail(&path, format!("the sample cannot be written as JSON: {error}"));
                return Ok(());
            }
        };
        if create(&path, &pretty(&value))? {
            self.golden.written.push(path);
            return Ok(());
        }
        if let [first, rest @ ..] = &differences(&read_json(&path)?, &value)[..] {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            let place = if first.pointer.is_empty() { "as a whole" } else { &first.pointer };
            self.fail(&path, format!(
                "version {} is written differently now ({place}{more}); give the change a new version, or make the sample the same in each run",
                E::VERSION
            ));
        }
        Ok(())
    }

    /// Reads all that is stored.
    fn stored<E: Event>(&mut self, folder: &Path, upcasters: &Upcasters) -> Result<(), RegistryError> {
        if !folder.exists() {
            return Ok(());
        }
        let (mut schemas, mut proved) = (BTreeSet::new(), BTreeSet::new());
        for path in entries(folder)? {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => drop(schemas.insert(version(&path)?)),
                Some("golden") => {
                    let of = version(&path)?;
                    let payloads = entries(&path)?;
                    if !payloads.is_empty() {
                        proved.insert(of);
                    }
                    for payload in payloads {
                        self.read::<E>(&payload, of, upcasters)?;
                    }
                }
                _ => {}
            }
        }
        for missing in schemas.difference(&proved) {
            let reason = "this version has a schema and no golden payload, so nothing is proved of it";
            self.fail(&folder.join(format!("{missing}.golden")), reason);
        }
        Ok(())
    }

    fn read<E: Event>(&mut self, path: &Path, of: u32, upcasters: &Upcasters) -> Result<(), RegistryError> {
        // The stored bytes have passed through JSON already: what is published is as compact.
        let data = Bytes::from(read_json(path)?.to_string());
        let read = match upcasters.upcast(E::TYPE, of, &data) {
            Ok((version, data)) if version == E::VERSION => {
                serde_json::from_slice::<E>(&data).map(drop).map_err(|error| error.to_string())
            }
            Ok((version, _)) => Err(format!(
                "the upcasters make version {version} of it, and the program reads {}",
                E::VERSION
            )),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(()) => self.golden.read += 1,
            Err(reason) => self.fail(path, reason),
        }
        Ok(())
    }
}
