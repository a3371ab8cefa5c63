//! Free ports of loopback, low enough that no client of this machine gets one by chance: who listens on it may be killed
//! and come back to it.
//!
//! Owns a counter. A port is free when it is given; whoever takes it first has it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Lowest port given; clients get theirs from 32,768 on (`ip_local_port_range`).
const FIRST: u32 = 12_000;
/// Processes that run at once have ports of their own, as far as they go.
const PROCESSES: u32 = 180;
const PORTS_OF_A_PROCESS: u32 = 100;

/// An address on loopback that nobody listens on now.
///
/// # Errors
/// None of this process's ports is free.
pub fn free_address() -> std::io::Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = FIRST + std::process::id() % PROCESSES * PORTS_OF_A_PROCESS;
    for _ in 0..PORTS_OF_A_PROCESS {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS_OF_A_PROCESS;
        let address = (Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap_or(0)).into();
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(std::io::Error::new(
        std::io::ErrorKind::AddrInUse,
        format!("no port from {base} to {} is free", base + PORTS_OF_A_PROCESS - 1),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_low_free_and_different() {
        let (one, other) = (free_address().unwrap(), free_address().unwrap());
        assert_ne!(one, other);
        assert!(one.port() >= 12_000 && one.port() < 32_768);
        TcpListener::bind(one).unwrap();
    }
}
