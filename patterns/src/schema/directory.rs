//! A directory of files, to be committed and reviewed with the code: `<type>/<version>.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::registry::{differences, pretty};
use super::{Registered, Registry, RegistryError, Schema};

/// What stands in file names as it is; all else is percent-encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// Schemas in files: `<directory>/<type>/<version>.json`, and beside them [golden payloads](Self::golden) in
/// `<version>.golden/`. What begins with a dot, and files that do not end in `.json`, are others'.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The registry in this directory, which is made with the first schema.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Directory { root: root.into() }
    }

    /// Adds a schema.
    ///
    /// # Errors
    /// As [`Registry::register`].
    pub fn register(&self, schema: &Schema) -> Result<Registered, RegistryError> {
        let folder = self.folder(&schema.event_type)?;
        let path = folder.join(format!("{}.json", schema.version));
        if create(&path, &pretty(&schema.document))? {
            return Ok(Registered::New);
        }
        let differences = differences(&read_json(&path)?, &schema.document);
        if differences.is_empty() {
            return Ok(Registered::Unchanged);
        }
        let Schema { event_type, version, .. } = schema.clone();
        Err(RegistryError::Changed { event_type, version, differences })
    }

    /// All schemas, by type and version.
    ///
    /// # Errors
    /// A directory that is not there, and a file in it that is no schema.
    pub fn schemas(&self) -> Result<Vec<Schema>, RegistryError> {
        let mut schemas = Vec::new();
        for folder in entries(&self.root)?.into_iter().filter(|path| path.is_dir()) {
            let event_type = event_type(&folder)?;
            let files = entries(&folder)?
                .into_iter()
                .filter(|path| path.extension().is_some_and(|extension| extension == "json"));
            for path in files {
                let version = version(&path)?;
                let document = read_json(&path)?;
                if !(document.is_object() || document.is_boolean()) {
                    let reason = "a JSON Schema is an object, or true or false".to_owned();
                    return Err(RegistryError::Unreadable { path, reason });
                }
                schemas.push(Schema::new(event_type.clone(), version, document));
            }
        }
        schemas.sort_by(|one, other| (&one.event_type, one.version).cmp(&(&other.event_type, other.version)));
        Ok(schemas)
    }

    /// The folder of an event type.
    pub(super) fn folder(&self, event_type: &str) -> Result<PathBuf, RegistryError> {
        let name = utf8_percent_encode(event_type, PLAIN).to_string();
        if name.is_empty() || name.starts_with('.') || name.len() > 200 {
            let reason = format!(
                "`{event_type:.60}` cannot be the name of a folder: empty, too long, or with a dot first"
            );
            return Err(RegistryError::Unreadable { path: self.root.clone(), reason });
        }
        Ok(self.root.join(name))
    }
}

#[async_trait]
impl Registry for Directory {
    async fn register(&self, schema: &Schema) -> Result<Registered, RegistryError> {
        Directory::register(self, schema)
    }

    async fn schemas(&self) -> Result<Vec<Schema>, RegistryError> {
        Directory::schemas(self)
    }
}

/// Writes a file that is not there yet, whole or not at all, and says whether it was so.
pub(super) fn create(path: &Path, text: &str) -> Result<bool, RegistryError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if path.exists() {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let draft = folder.join(format!(".{}-{number}.draft", std::process::id()));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&draft, text)).and_then(|()| {
        // A link, and no rename, which would replace what another program has written meanwhile.
        match fs::hard_link(&draft, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(_) => fs::rename(&draft, path).map(|()| true),
        }
    });
    let _ = fs::remove_file(&draft);
    written.map_err(|source| RegistryError::Io { path: path.to_owned(), source })
}

/// What is in a folder, in order, without what begins with a dot.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let fail = |source| RegistryError::Io { path: folder.to_owned(), source };
    let read = fs::read_dir(folder).map_err(fail)?;
    let mut paths: Vec<_> =
        read.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(fail)?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort_unstable();
    Ok(paths)
}

pub(super) fn read_json(path: &Path) -> Result<Value, RegistryError> {
    let bytes = fs::read(path).map_err(|source| RegistryError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|error| RegistryError::Unreadable {
        path: path.to_owned(),
        reason: format!("it is no JSON: {error}"),
    })
}

/// The version that a file or folder is of: `12.json`, `12.golden`.
pub(super) fn version(path: &Path) -> Result<u32, RegistryError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match stem.parse::<u32>() {
        Ok(version) if version.to_string() == stem => Ok(version),
        _ => {
            let reason = format!("`{stem}` is no version: name it by a whole number");
            Err(RegistryError::Unreadable { path: path.to_owned(), reason })
        }
    }
}

fn event_type(folder: &Path) -> Result<String, RegistryError> {
    let decoded = percent_decode_str(&name(folder)).decode_utf8().map(|text| text.into_owned());
    decoded.map_err(|_| RegistryError::Unreadable {
        path: folder.to_owned(),
        reason: "its name is no event type".to_owned(),
    })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
