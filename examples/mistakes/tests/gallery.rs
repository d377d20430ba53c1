//! Every mistake is found, and no mended form fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use mistakes::gallery::GALLERY;

#[test]
fn every_mistake_is_found_with_a_short_story() {
    for mistake in GALLERY {
        let failure = mistake.find().unwrap_or_else(|| panic!("{} is not found", mistake.name));
        assert!(failure.steady, "{}: {failure}", mistake.name);
        let deeds = failure.schedule.only.as_ref().map_or(0, |only| only.len());
        assert!(deeds <= 3, "{}: {deeds} deeds\n{failure}", mistake.name);
        println!("{}: {} seeds, {deeds} deeds", mistake.name, failure.seeds);
    }
}

#[test]
fn every_mended_form_survives() {
    for mistake in GALLERY {
        if let Some(failure) = mistake.mended(200) {
            panic!("{}: {failure}", mistake.name);
        }
    }
}
