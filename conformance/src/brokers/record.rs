//! What is remembered of a broker between two commands.

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};

use super::{Error, Mode, Ports, ProcessId};

const FILE: &str = "record.json";

/// How a broker was last started. The ports outlive its end, so that it comes back where clients look for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) mode: Mode,
    pub(crate) ports: Ports,
    /// The native process; none in a container.
    pub(crate) process: Option<ProcessId>,
}

impl Record {
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map(Some)
                .map_err(|reason| Error::Record { path, reason: reason.to_string() }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", path)(error)),
        }
    }

    /// Replaces the file at once, so that a reader never sees half of it.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Error> {
        let (path, new) = (folder.join(FILE), folder.join("record.new"));
        let json = serde_json::to_vec_pretty(self)
            .map_err(|reason| Error::Record { path: path.clone(), reason: reason.to_string() })?;
        fs::write(&new, json).and_then(|()| fs::rename(&new, &path)).map_err(Error::file("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_told_apart_from_absence() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Record::load(folder.path()).unwrap(), None);
        let process = Some(ProcessId { pid: 7, start_time: 8 });
        let record = Record { mode: Mode::Native, ports: Ports::from([("client", 9092)]), process };
        record.save(folder.path()).unwrap();
        assert_eq!(Record::load(folder.path()).unwrap(), Some(record));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(matches!(Record::load(folder.path()), Err(Error::Record { .. })));
    }
}
