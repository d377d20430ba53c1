//! Secrets and TLS, under the same parameter names on every backend.

use std::path::{Path, PathBuf};

use super::{BrokerUrl, Parameters, Secret};
use crate::error::{Error, Kind, Result};

/// The files that TLS is configured with: `tls_ca`, `tls_certificate` and `tls_key` in every backend's URL, each the
/// path of a PEM file. There is no parameter that turns verification off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain.
    pub certificate: Option<PathBuf>,
    /// The key of the client's certificate.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Whether nothing is stated.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses them on a connection that is not encrypted; `encrypted` names the scheme that is.
    ///
    /// # Errors
    /// `InvalidConfiguration` names the parameters and the scheme.
    pub fn need_encryption(&self, is_encrypted: bool, encrypted: &str) -> Result<()> {
        if is_encrypted || self.is_empty() {
            return Ok(());
        }
        let text = "tls_ca, tls_certificate and tls_key are for encrypted connections, and this one is not";
        Err(Error::new(Kind::InvalidConfiguration, "connect", text)
            .advice(format!("use the scheme {encrypted}, or leave them out")))
    }

    /// Reads one of the files.
    ///
    /// # Errors
    /// `InvalidConfiguration` names the file and why it cannot be read.
    pub fn read(path: &Path) -> Result<Vec<u8>> {
        std::fs::read(path).map_err(|error| unreadable(path, error))
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::InvalidConfiguration, "connect", format!("{} cannot be read", path.display()))
        .with_source(error)
        .advice("check the path and who may read it")
}

impl Parameters {
    /// Takes `tls_ca`, `tls_certificate` and `tls_key`.
    ///
    /// # Errors
    /// `InvalidConfiguration` if a certificate is given without its key or the other way round, or if a file is not there.
    pub fn tls(&mut self) -> Result<TlsFiles> {
        let [ca, certificate, key] =
            ["tls_ca", "tls_certificate", "tls_key"].map(|name| self.text(name).map(PathBuf::from));
        if certificate.is_some() != key.is_some() {
            return Err(self.error("tls_certificate and tls_key go together".to_owned()));
        }
        for path in [&ca, &certificate, &key].into_iter().flatten() {
            std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
        }
        Ok(TlsFiles { ca, certificate, key })
    }

    /// Takes the secret `name`: its text by `name=`, from a file by `name_file=PATH` (without its last line break), or
    /// from the environment by `name_env=VARIABLE`.
    ///
    /// # Errors
    /// `InvalidConfiguration` if it is given in two ways, or the file or variable cannot be read.
    pub fn secret(&mut self, name: &'static str) -> Result<Option<Secret>> {
        let text = self.text(name).map(Secret::new);
        self.secret_or(name, text)
    }

    /// The secret `name`, which may also have been `given` elsewhere in the URL.
    pub(super) fn secret_or(&mut self, name: &'static str, given: Option<Secret>) -> Result<Option<Secret>> {
        let (file, variable) = (self.text(format!("{name}_file")), self.text(format!("{name}_env")));
        let ways = [given.is_some(), file.is_some(), variable.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(self.error(format!("the {name} is given in two ways")));
        }
        if let Some(path) = file {
            let path = PathBuf::from(path);
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            return Ok(Some(Secret::new(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r'))));
        }
        if let Some(variable) = variable {
            let text = std::env::var(&variable)
                .map_err(|_| self.error(format!("the environment variable {variable} is not set")))?;
            return Ok(Some(Secret::new(text)));
        }
        Ok(given)
    }
}

impl BrokerUrl {
    /// The password: the one of `user:password@`, or that of `password_file=` or `password_env=`.
    ///
    /// # Errors
    /// As [`Parameters::secret`].
    pub fn password(&self, parameters: &mut Parameters) -> Result<Option<Secret>> {
        parameters.secret_or("password", self.password.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> BrokerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_comes_from_the_url_a_file_or_the_environment() {
        let file = std::env::temp_dir().join(format!("anybroker-secret-{}", std::process::id()));
        std::fs::write(&file, "hunter2\n").unwrap();
        let by_file = url(&format!("kafka://u@h?password_file={}", file.display()));
        // CARGO_PKG_NAME is set by cargo for every test.
        for (given, expected) in [
            (url("kafka://u:hunter2@h"), "hunter2"),
            (by_file, "hunter2"),
            (url("kafka://u@h?password_env=CARGO_PKG_NAME"), "anybroker-core"),
        ] {
            let mut parameters = given.parameters();
            assert_eq!(given.password(&mut parameters).unwrap().unwrap().expose(), expected);
            parameters.finish().unwrap();
        }
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (given, part) in [
            ("kafka://u:hunter2@h?password_env=HOME", "two ways"),
            ("kafka://u@h?password_env=NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE"),
            ("kafka://u@h?password_file=/no/such/file", "/no/such/file"),
        ] {
            let given = url(given);
            let error = given.password(&mut given.parameters()).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
        for (given, part) in
            [("kafka://h?tls_key=/x", "go together"), ("kafka://h?tls_ca=/no/such/ca", "/no/such/ca")]
        {
            let error = url(given).parameters().tls().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
