//! What the numbers were measured on: one line that goes with every result.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Machine {
    pub(in crate::cli) cpu: String,
    pub(in crate::cli) cores: usize,
    pub(in crate::cli) memory_gb: u64,
    pub(in crate::cli) kernel: String,
}

impl Machine {
    pub(in crate::cli) fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
        let kilobytes: u64 = fs::read_to_string("/proc/meminfo")
            .unwrap_or_default()
            .lines()
            .find_map(|line| {
                line.strip_prefix("MemTotal:")?.split_ascii_whitespace().next()?.parse().ok()
            })
            .unwrap_or(0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: kilobytes / 1_048_576,
            kernel: kernel.trim().to_owned(),
        }
    }

    pub(in crate::cli) fn line(&self) -> String {
        format!("{}, {} cores, {} GB, Linux {}", self.cpu, self.cores, self.memory_gb, self.kernel)
    }
}
