//! What the encrypted listeners of a local broker are set up with: a private certificate authority, what it has
//! signed, and another authority that nobody should trust. Made once for each broker of a set.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::Error;

/// The user who may log in, by password or by the client's certificate.
pub(crate) const USER: &str = "anybroker";
/// For listeners on the loopback that hold tests only.
pub(crate) const PASSWORD: &str = "correct-horse-7";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Makes the files of `folder` unless they are there.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn ensure(folder: &Path) -> Result<(), Error> {
    if folder.join("password").exists() {
        return Ok(());
    }
    let create = || fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    create().map_err(Error::file("create", folder))?;
    let made = files().map_err(|e| Error::file("make certificates in", folder)(std::io::Error::other(e)))?;
    made.into_iter().try_for_each(|(name, text)| write_private(&folder.join(name), &text).map(drop))
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<PathBuf, Error> {
    let write = || {
        // One that is there keeps its mode, so it is made anew.
        let _ = fs::remove_file(path);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(Error::file("write", path))?;
    Ok(path.to_owned())
}

/// The password comes last: with it, all are there.
fn files() -> Result<[(&'static str, String); 10], rcgen::Error> {
    let (ours, other) = (authority("anybroker test authority")?, authority("somebody else's authority")?);
    let (server, server_key) = signed(&ours, "127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth)?;
    let (client, client_key) = signed(&ours, USER, ExtendedKeyUsagePurpose::ClientAuth)?;
    let (stranger, stranger_key) = signed(&ours, "stranger", ExtendedKeyUsagePurpose::ClientAuth)?;
    Ok([
        ("ca.pem", ours.pem()),
        ("other-ca.pem", other.pem()),
        ("server-store.pem", format!("{server_key}{server}")),
        ("server.pem", server),
        ("server.key", server_key),
        ("client.pem", client),
        ("client.key", client_key),
        ("stranger.pem", stranger),
        ("stranger.key", stranger_key),
        ("password", PASSWORD.to_owned()),
    ])
}

fn authority(name: &str) -> Result<Authority, rcgen::Error> {
    let mut params = named(name, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Authority::self_signed(params, KeyPair::generate()?)
}

fn signed(
    authority: &Authority,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<(String, String), rcgen::Error> {
    let mut params = named(name, &["localhost", "127.0.0.1"])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, authority)?.pem(), key.serialize_pem()))
}

fn named(name: &str, addresses: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
    let mut params = CertificateParams::new(addresses)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 12, 31));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_files_are_made_once_and_only_their_owner_may_read_them() {
        let held = tempfile::tempdir().unwrap();
        let folder = held.path().join("tls");
        ensure(&folder).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let first = read("ca.pem");
        ensure(&folder).unwrap();
        assert_eq!(read("ca.pem"), first);
        assert_ne!(read("other-ca.pem"), first);
        for file in fs::read_dir(&folder).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(read("server-store.pem").contains("PRIVATE KEY"));
    }
}
