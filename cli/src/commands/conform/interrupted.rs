//! A run that was given up leaves the broker as it was.

use anybroker_conformance::run::{self, Options};
use anybroker_conformance::subject::Subject;

use super::Watched;
use crate::failure::Failure;
use crate::output;

/// Brings the broker back, and says where the run stood.
pub(super) async fn restore(subject: &Subject, options: &Options, watched: &Watched) -> Failure {
    watched.finish();
    if subject.faults().is_ok() {
        output::note("interrupted: seeing that the broker is as it was");
    }
    let broker = match run::restore(subject).await {
        Ok(()) => String::new(),
        Err(error) => format!("; the broker did not come back: {error}"),
    };
    Failure::new(format!(
        "interrupted {}; nothing is proved by what ran. Topics may be left behind. --seed {} repeats it{broker}",
        watched.stands(),
        options.seed
    ))
}
