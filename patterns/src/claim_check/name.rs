//! What blobs are called: `<prefix>/<day>/<UUID v7>`. The name says when it was made, and nothing of what is in it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::path::Path;
use uuid::Uuid;

/// A new name.
pub(super) fn new(prefix: &Path) -> Path {
    let id = Uuid::now_v7();
    prefix.clone().join(day(made(&id).unwrap_or(UNIX_EPOCH))).join(id.to_string())
}

/// The day of a time, in UTC, as folders are called: `2026-11-27`. They sort by age.
pub(super) fn day(time: SystemTime) -> String {
    // Past 9999 there is no such form.
    let time = time.clamp(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(253_402_300_799));
    let mut text = humantime::format_rfc3339_seconds(time).to_string();
    text.truncate(10);
    text
}

/// Whether a folder is one of these.
pub(super) fn is_day(name: &str) -> bool {
    humantime::parse_rfc3339(&format!("{name}T00:00:00Z")).is_ok()
}

/// When the blob of that name was made, if it is one of these.
pub(super) fn time(location: &Path) -> Option<SystemTime> {
    made(&Uuid::try_parse(location.filename()?).ok()?)
}

fn made(id: &Uuid) -> Option<SystemTime> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    Some(UNIX_EPOCH + Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_day_and_time() {
        let before = SystemTime::now() - Duration::from_millis(1);
        let name = new(&Path::from("claims/eu"));
        let made = time(&name).unwrap();
        assert!(before <= made && made <= SystemTime::now());
        let parts: Vec<_> = name.parts().map(|part| part.as_ref().to_owned()).collect();
        assert_eq!(parts[..3], ["claims".to_owned(), "eu".to_owned(), day(made)]);
        assert!(is_day(&parts[2]) && !is_day("2026-13-01") && !is_day("today"));
        assert_eq!(time(&Path::from("claims/2026-01-01/readme.txt")), None);
    }
}
