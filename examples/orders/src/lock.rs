//! One process at a time works on a run.

use std::fs::{File, TryLockError};
use std::path::Path;

use anybroker::{Error, Kind, Result};

/// A lock beside the state, held for as long as the file is, however the process ends.
pub(crate) fn take(state: &Path) -> Result<File> {
    let failed = |e| Error::new(Kind::Unexpected, "orders", "its lock cannot be opened").with_source(e);
    let lock = File::options().create(true).truncate(false).write(true).open(state.with_extension("lock"));
    let lock = lock.map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let error =
                Error::new(Kind::InvalidConfiguration, "orders", "another process is running with it");
            let error = error.on(state.display().to_string());
            Err(error.advice("wait for its end, or give this one a file of its own with --state FILE"))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
