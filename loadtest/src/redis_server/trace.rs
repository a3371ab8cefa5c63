//! What a trace of system calls says about a file: how much of it was on disk at the end.
//!
//! Pure. Reads the output of `strace -f -y -e trace=write,fdatasync,fsync`: each call with the path of its descriptor, and one
//! that another thread's call interrupts in two lines (`<unfinished ...>`, `resumed>`).

use std::collections::HashMap;

/// Bytes of the file whose path ends with `path` that had been written when its last completed sync began; `before` were there,
/// and on disk, at the start. None when it was never synced.
pub(super) fn bytes_on_disk(trace: &str, path: &str, before: u64) -> Option<u64> {
    let mark = format!("{path}>");
    let mut written = before;
    let mut on_disk = None;
    // By thread: what was written when its sync began; or that it writes to the file.
    let mut open: HashMap<&str, Option<u64>> = HashMap::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        let began = if call.contains(&mark) {
            Some(is_sync(call).then_some(written))
        } else if call.starts_with("<...") {
            open.remove(thread)
        } else {
            None
        };
        let Some(began) = began else { continue };
        if call.ends_with("<unfinished ...>") {
            open.insert(thread, began);
            continue;
        }
        match (began, result(call)) {
            (Some(begun), Some(0)) => on_disk = Some(on_disk.unwrap_or(0).max(begun)),
            (None, Some(bytes)) => written += bytes,
            _ => {}
        }
    }
    on_disk
}

fn is_sync(call: &str) -> bool {
    call.starts_with("fdatasync(") || call.starts_with("fsync(")
}

/// What the call returned; none for an error.
fn result(call: &str) -> Option<u64> {
    call.rsplit_once("= ")?.1.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_when_the_last_completed_sync_began_is_on_disk() {
        let trace = "\
10  write(7</d/a.aof>, \"\"..., 100) = 100
10  write(5</dev/null>, \"\"..., 900) = 900
10  fdatasync(7</d/a.aof>) = 0
10  write(7</d/a.aof>, \"\"..., 20) = 20
11  fdatasync(7</d/a.aof> <unfinished ...>
10  write(7</d/a.aof>, \"\"..., 3 <unfinished ...>
10  <... write resumed>)             = 3
11  <... fdatasync resumed>)          = 0
10  write(7</d/a.aof>, \"\"..., 4) = 4
";
        assert_eq!(bytes_on_disk(trace, "d/a.aof", 1_000), Some(1_120));
        let failed =
            trace.to_owned() + "10  fdatasync(7</d/a.aof>) = -1 EIO (Input/output error)\n";
        assert_eq!(bytes_on_disk(&failed, "d/a.aof", 0), Some(120));
        let cut = trace.to_owned() + "11  fdatasync(7</d/a.aof> <unfinished ...>\n";
        assert_eq!(bytes_on_disk(&cut, "d/a.aof", 0), Some(120));
        assert_eq!(bytes_on_disk(trace, "d/b.aof", 0), None);
    }
}
