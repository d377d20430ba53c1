//! What the host says of a path: its file system, and how much room is left.

use std::path::Path;

/// File systems that are shared by several hosts: neither locks nor shared memory are to be relied on there.
const NETWORK: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "afs",
    "ncpfs",
    "lustre",
];

/// Whether several hosts may share a file system of that type.
pub(crate) fn is_network(kind: &str) -> bool {
    NETWORK.contains(&kind)
}

/// The type of the file system that holds `path`, where the host tells (Linux).
pub(crate) fn file_system(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    kind_of(&mounts, path)
}

/// The mount that covers the path most closely, the last one of several at one place.
fn kind_of(mounts: &str, path: &Path) -> Option<String> {
    let covering = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        path.starts_with(&point).then_some((point.len(), right.split(' ').next()?))
    });
    covering.max_by_key(|(length, _)| *length).map(|(_, kind)| kind.to_owned())
}

/// Bytes that are free for this user on the disk that holds `path`.
#[cfg(unix)]
pub(crate) fn free(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

/// It cannot be asked here.
#[cfg(not(unix))]
pub(crate) fn free(_path: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_mount_counts() {
        let mounts = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:27 / /srv/shared\\040data rw shared:5 - nfs4 host:/export rw
32 22 0:28 / /srv rw - xfs /dev/vdb rw";
        let kind = |path: &str| kind_of(mounts, Path::new(path)).unwrap();
        assert_eq!(kind("/var/a.db"), "ext4");
        assert_eq!(kind("/srv/a.db"), "xfs");
        assert_eq!(kind("/srv/shared data/a.db"), "nfs4");
        assert!(is_network("nfs4") && !is_network("ext4"));
    }
}
