//! Where one broker of one set lives.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Error, Options, Progress, Step};

pub(crate) type Reporter = Arc<dyn Fn(&Progress) + Send + Sync>;

/// The folders of one broker of one set, and what its commands may do.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) broker: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) options: Arc<Options>,
    pub(crate) reporter: Reporter,
}

impl Site {
    pub(crate) fn report(&self, step: Step) {
        (self.reporter)(&Progress { broker: self.broker, step });
    }

    /// Where the broker keeps what it must not forget.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What its encrypted listeners are set up with.
    pub(crate) fn tls(&self) -> PathBuf {
        self.folder.join("tls")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("broker.log")
    }

    /// What tells this broker's processes from all others, also from the same broker's of another set.
    pub(crate) fn mark(&self) -> String {
        self.folder.display().to_string()
    }

    pub(crate) fn create(&self, folder: &Path) -> Result<(), Error> {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))
    }

    /// Writes a configuration file into the broker's folder and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        Ok(path)
    }
}

/// Fills in a template: `@name@` becomes the name's value.
pub(crate) fn render<'a>(template: &str, values: impl IntoIterator<Item = (&'a str, String)>) -> String {
    values
        .into_iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_in() {
        let values = [("port", "9092".to_owned()), ("data", "/d".to_owned())];
        assert_eq!(render("a=@port@ b=@data@ c=@port@", values), "a=9092 b=/d c=9092");
    }
}
