//! Memory and CPU time of a process of this machine, read from `/proc`. Owns nothing.

/// Memory and CPU time of a process, from `/proc`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Resident now, bytes.
    pub resident_bytes: u64,
    /// Resident at its peak (`VmHWM`), bytes.
    pub peak_bytes: u64,
    /// CPU time in user and kernel mode, seconds.
    pub cpu_seconds: f64,
}

/// Memory and CPU time of any process of this machine.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "ticks of a run")]
    let cpu_seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some(Usage {
        resident_bytes: kilobytes("VmRSS:")? * 1_024,
        peak_bytes: kilobytes("VmHWM:")? * 1_024,
        cpu_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_this_process_is_read() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.resident_bytes > 500_000 && usage.peak_bytes >= usage.resident_bytes);
    }
}
