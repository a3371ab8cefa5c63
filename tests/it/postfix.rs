//! A real Postfix of its own: configuration, queue and mailboxes in a folder
//! that goes with it, a port on loopback, nothing that leaves the machine.
//!
//! Needs root and the Debian package `postfix` (`make setup`), as Postfix
//! gives each of its parts its own user.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use araldo_loadtest::simulator::Credentials;
use araldo_loadtest::simulator::credentials::file;
use tempfile::TempDir;

/// Who owns the mailboxes: `nobody`.
const OWNER: u32 = 65_534;
/// How long starting, stopping or a delivery may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Postfix; stopped when dropped.
pub(crate) struct Postfix {
    pub(crate) address: SocketAddr,
    folder: TempDir,
    master: Child,
}

impl Postfix {
    /// Starts one that takes mail for `addresses`, offers STARTTLS, and
    /// refuses every other address of their domains as unknown.
    pub(crate) fn start(addresses: &[String]) -> Self {
        assert!(
            Path::new("/usr/sbin/postfix").exists(),
            "Postfix is not installed: run `make setup` as root"
        );
        let folder = tempfile::tempdir().unwrap();
        let address = free_port();
        write_configuration(folder.path(), address, addresses);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let master = postfix(folder.path(), "start-fg")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self { address, folder, master };
        running.wait_until_up();
        running
    }

    /// The certificate authority of its certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join(file::CA)
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The mails delivered to `address` so far, oldest first.
    pub(crate) fn mails(&self, address: &str) -> Vec<Vec<u8>> {
        let new = self.folder.path().join("mail").join(address).join("new");
        let Ok(entries) = fs::read_dir(new) else { return Vec::new() };
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.metadata().unwrap().modified().unwrap(), entry.path()))
            .collect();
        files.sort();
        files.into_iter().map(|(_, path)| fs::read(path).unwrap()).collect()
    }

    /// Waits until `address` has `count` mails.
    pub(crate) async fn wait_for(&self, address: &str, count: usize) -> Vec<Vec<u8>> {
        let mut waited = Duration::ZERO;
        loop {
            let mails = self.mails(address);
            if mails.len() >= count {
                return mails;
            }
            assert!(waited < PATIENCE, "{} of {count} mails; {}", mails.len(), self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
            waited += Duration::from_millis(50);
        }
    }

    fn wait_until_up(&mut self) {
        let begin = now();
        while TcpStream::connect(self.address).is_err() {
            let gone = self.master.try_wait().unwrap();
            assert!(gone.is_none(), "Postfix ended ({gone:?}): {}", self.log());
            assert!(begin.elapsed() < PATIENCE, "Postfix does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = postfix(self.folder.path(), "stop")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let begin = now();
        while begin.elapsed() < PATIENCE {
            if !matches!(self.master.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

#[allow(clippy::disallowed_methods, reason = "waits for a real process")]
fn now() -> Instant {
    Instant::now()
}

fn postfix(folder: &Path, command: &str) -> Command {
    let mut postfix = Command::new("/usr/sbin/postfix");
    postfix.arg("-c").arg(folder.join("etc")).arg(command);
    postfix
}

/// A port nobody listens on now.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn write_configuration(folder: &Path, address: SocketAddr, addresses: &[String]) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["etc", "queue", "data", "mail"] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    chown(folder.join("mail"), Some(OWNER), Some(OWNER)).unwrap();
    let (user, group) = user("postfix");
    chown(folder.join("data"), Some(user), Some(group)).unwrap();
    let credentials = Credentials::generate().unwrap();
    credentials.write(folder).unwrap();
    // A Maildir per address, named after it.
    let boxes = addresses.iter().fold(String::new(), |mut out, address| {
        writeln!(out, "{address} {address}/").unwrap();
        out
    });
    fs::write(folder.join("etc/mailboxes"), boxes).unwrap();
    fs::write(folder.join("etc/main.cf"), main_cf(folder, addresses)).unwrap();
    fs::write(folder.join("etc/master.cf"), master_cf(address)).unwrap();
}

fn main_cf(folder: &Path, addresses: &[String]) -> String {
    let mut domains: Vec<_> =
        addresses.iter().filter_map(|a| a.rsplit_once('@')).map(|a| a.1).collect();
    domains.sort_unstable();
    domains.dedup();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {folder}/queue\n\
         data_directory = {folder}/data\n\
         maillog_file = /dev/stdout\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         myhostname = relay.test\n\
         mydestination =\n\
         mynetworks = 127.0.0.0/8\n\
         alias_maps =\n\
         local_recipient_maps =\n\
         default_transport = error:nothing leaves this machine\n\
         virtual_transport = virtual\n\
         virtual_mailbox_domains = {domains}\n\
         virtual_mailbox_base = {folder}/mail\n\
         virtual_mailbox_maps = texthash:{folder}/etc/mailboxes\n\
         virtual_uid_maps = static:{OWNER}\n\
         virtual_gid_maps = static:{OWNER}\n\
         smtpd_tls_security_level = may\n\
         smtpd_tls_cert_file = {folder}/{certificate}\n\
         smtpd_tls_key_file = {folder}/{key}\n\
         smtpd_tls_received_header = yes\n",
        folder = folder.display(),
        domains = domains.join(" "),
        certificate = file::SERVER_CERTIFICATE,
        key = file::SERVER_KEY,
    )
}

/// The parts of Postfix that take and deliver mail here, none in a chroot
/// (master(5)).
fn master_cf(address: SocketAddr) -> String {
    let mut master = format!("{address} inet n - n - - smtpd\n");
    for (name, kind, rights, wakeup, limit, command) in [
        ("cleanup", "unix", "n -", "-", "0", "cleanup"),
        ("qmgr", "unix", "n -", "300", "1", "qmgr"),
        ("pickup", "unix", "n -", "60", "1", "pickup"),
        ("tlsmgr", "unix", "- -", "1000?", "1", "tlsmgr"),
        ("rewrite", "unix", "- -", "-", "-", "trivial-rewrite"),
        ("bounce", "unix", "- -", "-", "0", "bounce"),
        ("defer", "unix", "- -", "-", "0", "bounce"),
        ("trace", "unix", "- -", "-", "0", "bounce"),
        ("verify", "unix", "- -", "-", "1", "verify"),
        ("flush", "unix", "n -", "1000?", "0", "flush"),
        ("proxymap", "unix", "- -", "-", "-", "proxymap"),
        ("showq", "unix", "n -", "-", "-", "showq"),
        ("error", "unix", "- -", "-", "-", "error"),
        ("retry", "unix", "- -", "-", "-", "error"),
        // Takes on the rights of each mailbox's owner.
        ("virtual", "unix", "- n", "-", "-", "virtual"),
        ("anvil", "unix", "- -", "-", "1", "anvil"),
        ("scache", "unix", "- -", "-", "1", "scache"),
        ("postlog", "unix-dgram", "n -", "-", "1", "postlogd"),
    ] {
        writeln!(master, "{name} {kind} {rights} n {wakeup} {limit} {command}").unwrap();
    }
    master
}

/// User and group number of `name`.
fn user(name: &str) -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let fields: Vec<&str> = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|f| f[0] == name)
        .unwrap();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
