//! One command at a time on one broker, also across processes.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::Error;

const INTERVAL: Duration = Duration::from_millis(50);

/// Waits for the lock in `folder`. It is held until the file returned is dropped, or the process ends.
pub(crate) async fn hold(folder: &Path, within: Duration) -> Result<File, Error> {
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let path = folder.join("lock");
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    let deadline = Instant::now() + within;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(INTERVAL).await,
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { lock: path, within }),
            Err(TryLockError::Error(source)) => return Err(Error::file("lock", path)(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_command_waits_and_then_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let held = hold(folder.path(), Duration::ZERO).await.unwrap();
        let refused = hold(folder.path(), Duration::from_millis(60)).await.unwrap_err();
        assert!(matches!(refused, Error::Busy { .. }), "{refused}");
        drop(held);
        hold(folder.path(), Duration::ZERO).await.unwrap();
    }
}
