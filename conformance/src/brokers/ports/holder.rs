//! Who listens on a port, from Linux's `/proc`.

use std::{
    fs,
    path::{Path, PathBuf},
};

const LISTENING: &str = "0A";

/// The process that listens on this port, if this user may see it.
pub(crate) fn of(port: u16) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten().map(|process| process.path());
    processes.filter(|process| pid(process).is_some()).find(|process| has_any(process, &inodes)).map(named)
}

/// The sockets that listen on this port, by inode.
fn listening(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 9 && fields[1].ends_with(&suffix) && fields[3] == LISTENING)
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect()
}

fn has_any(process: &Path, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

fn named(process: PathBuf) -> String {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    format!("{} (pid {})", name.trim(), pid(&process).unwrap_or_default())
}

fn pid(process: &Path) -> Option<u32> {
    process.file_name()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_on_the_port_count() {
        let table = "  sl  local_address rem_address st tx rx tr tm retrnsmt uid timeout inode\n\
             0: 0100007F:2384 00000000:0000 0A 0:0 00:0 0 0 0 111 1\n\
             1: 0100007F:2384 0100007F:9999 01 0:0 00:0 0 0 0 222 1\n\
             2: 0100007F:2385 00000000:0000 0A 0:0 00:0 0 0 0 333 1\n";
        assert_eq!(listening(table, 0x2384), ["socket:[111]"]);
    }
}
