//! A data directory on a disk without room: what is there is served, what is new is refused, nothing is halved.
//!
//! The disk is a small tmpfs, so this needs root.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Result;
use common::{Client, Keys, hello, http};
use tagio_testkit::skipped;
use tagio_wire::{PeerId, PublicKey};
use tempfile::{TempDir, tempdir};
use tokio::net::TcpStream;

/// A fresh relay's files are a quarter of it.
const DISK: &str = "size=8m";
/// IDs that fit into what the file has already; more are never needed to fill it.
const NEWCOMERS_MAX: usize = 20_000;
/// Longer than the relay waits before it tries the disk again.
const PATIENCE: Duration = Duration::from_secs(30);
const FILLING: &str = "filling";

/// A small disk.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Option<Self> {
        let dir = tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tagio-test"]).arg(dir.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(dir));
        }
        skipped("a disk of its own needs root, and mount");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        let mut file = File::create(self.path().join(FILLING)).unwrap();
        // The last write takes what is left, byte by byte if need be.
        for step in [1 << 16, 1 << 12, 1] {
            while let Ok(written) = file.write(&vec![0; step])
                && written > 0
            {}
        }
        assert_eq!(file.write(&[0]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        let path = self.path().join(FILLING);
        // Emptied first: a removed file lives on for as long as somebody has it open, a program just forked included.
        File::create(&path).unwrap();
        fs::remove_file(path).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

struct Relay {
    child: Child,
    addr: SocketAddr,
    key: PublicKey,
    log: mpsc::Receiver<String>,
}

impl Relay {
    fn start(disk: &Disk, config: &Path) -> Self {
        let mut child = program(disk, config).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let (addr, key) = (words[1].parse().unwrap(), words[3].parse().unwrap());
        let (lines, log) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // Ends with the program.
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        Self { child, addr, key, log }
    }

    async fn id_of(&self, keys: &Keys) -> Result<PeerId> {
        let stream = TcpStream::connect(self.addr).await?;
        Ok(Client::ik_over(stream, self.key, keys, &hello()).await?.id())
    }

    /// Waits for a line of the log with all of `words` in it.
    fn wait_logged(&self, words: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.log.recv_timeout(deadline - Instant::now());
            let line = line.unwrap_or_else(|_| panic!("no line with {words:?}"));
            if words.iter().all(|word| line.contains(word)) {
                return;
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(disk: &Disk, config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagio_relay_server"));
    command.args(["-b", "127.0.0.1:0", "--metrics-bind", "off", "--config"]).arg(config);
    command.env("TAGIO_DATA_DIR", disk.path());
    for variable in ["PORT", "PUBLIC_IP", "AUTH_SECRET", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit status and stderr of a program that ends by itself.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// One address may try as often as it likes.
fn config(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("relay.toml");
    let limits = "[limits]\nhandshake-burst = 1000000\nnew-id-burst = 1000000\n";
    fs::write(&path, format!("stun-port = 0\n{limits}")).unwrap();
    path
}

#[tokio::test]
async fn a_full_disk_keeps_out_newcomers_only_and_for_as_long_as_it_is_full() {
    let Some(disk) = Disk::mount() else { return };
    let dir = tempdir().unwrap();
    let config = config(dir.path());
    let relay = Relay::start(&disk, &config);
    let mut known = vec![Keys::new()];
    let mut ids = vec![relay.id_of(&known[0]).await.unwrap()];
    disk.fill();
    let refused = loop {
        let keys = Keys::new();
        match relay.id_of(&keys).await {
            Ok(id) => {
                known.push(keys);
                ids.push(id);
            }
            Err(_) => break keys,
        }
        assert!(known.len() < NEWCOMERS_MAX, "the disk is not full");
    };
    println!("{} newcomers before the disk was full", known.len());
    relay.wait_logged(&["no new IDs", "relay-ids.redb", "No space left"]);
    assert!(http(relay.addr, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    for (keys, id) in known.iter().zip(&ids) {
        assert_eq!(relay.id_of(keys).await.unwrap(), *id, "who has an ID is served");
    }

    drop(relay);
    let relay = Relay::start(&disk, &config);
    for (keys, id) in known.iter().zip(&ids) {
        assert_eq!(relay.id_of(keys).await.unwrap(), *id, "also after a restart on the full disk");
    }
    assert!(relay.id_of(&refused).await.is_err());

    disk.free();
    let deadline = Instant::now() + PATIENCE;
    let id = loop {
        match relay.id_of(&refused).await {
            Ok(id) => break id,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    relay.wait_logged(&["new IDs again"]);
    assert!(!ids.contains(&id), "nobody's ID is given twice");
    drop(relay);
    let relay = Relay::start(&disk, &config);
    assert_eq!(relay.id_of(&refused).await.unwrap(), id);
    assert_eq!(relay.id_of(&known[0]).await.unwrap(), ids[0]);
}

#[test]
fn a_relay_that_cannot_write_its_first_files_says_so_and_starts_once_it_can() {
    let Some(disk) = Disk::mount() else { return };
    let dir = tempdir().unwrap();
    let config = config(dir.path());
    // Kilobytes: for nothing, for the relay's key, then for the certificate and its key.
    for room in [0, 4, 8] {
        disk.fill();
        let filling = File::options().write(true).open(disk.path().join(FILLING)).unwrap();
        filling.set_len(filling.metadata().unwrap().len() - room * 1024).unwrap();
        let (status, stderr) = ended(program(&disk, &config).spawn().unwrap());
        assert_eq!((status, stderr.lines().count()), (Some(1), 1), "{room} kB left: {stderr}");
        assert!(
            stderr.contains("No space left") && stderr.contains(&*disk.path().to_string_lossy()),
            "{stderr}"
        );
        disk.free();
    }
    let relay = Relay::start(&disk, &config);
    let mut names = fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().ends_with(".tmp")), "nothing half-written is left");
    drop(relay);
}
