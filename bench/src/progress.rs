//! What is being done, on a terminal.

use std::time::Duration;

use indicatif::ProgressBar;

/// One line that changes; nothing where nobody looks.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    pub fn say(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
