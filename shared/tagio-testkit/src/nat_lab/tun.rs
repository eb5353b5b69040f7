//! A box that packets go through: a TUN device in a namespace, and a thread of this process that reads and writes it.

use std::{
    fs::{File, OpenOptions},
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, ioctl_fionbio},
    ioctl::{Opcode, Updater, ioctl, opcode},
    thread::set_current_timer_slack,
};

use super::{nat::Nat, packet::change_hops, wan::Wan};
use crate::Namespace;

/// More than a cable's packet has.
const PACKET_BYTES_MAX: usize = 65_536;
/// Packets read before those are written that are due.
const READS_AT_ONCE: usize = 64;
/// By how much the kernel may wake it later than asked: no delay here is meant more exactly.
const TIMER_SLACK: NonZeroU64 = NonZeroU64::new(10_000).expect("not 0");

/// What is done with packets. Pure: `now` counts from the box's beginning.
pub(super) trait Middlebox: Send + 'static {
    /// Takes a packet; what it returns goes on at once.
    fn receive(&mut self, packet: Vec<u8>, now: Duration) -> Option<Vec<u8>>;

    /// The next packet whose time has come.
    fn next(&mut self, _now: Duration) -> Option<Vec<u8>> {
        None
    }

    /// When the next packet's time comes.
    fn due(&self) -> Option<Duration> {
        None
    }
}

impl Middlebox for Nat {
    fn receive(&mut self, mut packet: Vec<u8>, now: Duration) -> Option<Vec<u8>> {
        // The kernel forwards it to the device and again from it, but this is one router.
        (change_hops(&mut packet, 1) && self.pass(&mut packet, now)).then_some(packet)
    }
}

impl Middlebox for Wan {
    fn receive(&mut self, packet: Vec<u8>, now: Duration) -> Option<Vec<u8>> {
        Self::receive(self, packet, now);
        None
    }

    fn next(&mut self, now: Duration) -> Option<Vec<u8>> {
        Self::next(self, now)
    }

    fn due(&self) -> Option<Duration> {
        Self::due(self)
    }
}

/// A box at work; its thread ends with it.
#[derive(Debug)]
pub(super) struct TunBox<B> {
    middlebox: Arc<Mutex<B>>,
    /// Dropped, it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl<B: Middlebox> TunBox<B> {
    /// Makes a device of this name in a namespace, not up yet, and begins.
    pub(super) fn start(net: &Namespace, device: &str, middlebox: B) -> Result<Self> {
        let tun = net.on_thread(|| open_tun(device))?;
        let (ended, stop) = io::pipe()?;
        let middlebox = Arc::new(Mutex::new(middlebox));
        let shared = Arc::clone(&middlebox);
        let pump = Pump { tun, ended, start: Instant::now() };
        let thread = thread::Builder::new().name(device.to_owned()).spawn(move || pump.run(&shared))?;
        Ok(Self { middlebox, stop: Some(stop), thread: Some(thread) })
    }

    /// The box itself, between two packets.
    pub(super) fn lock(&self) -> MutexGuard<'_, B> {
        lock(&self.middlebox)
    }
}

impl<B> Drop for TunBox<B> {
    fn drop(&mut self) {
        self.stop = None;
        // It has said itself what went wrong, if anything did.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn lock<B>(middlebox: &Mutex<B>) -> MutexGuard<'_, B> {
    middlebox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread has.
struct Pump {
    tun: File,
    ended: PipeReader,
    start: Instant,
}

impl Pump {
    fn run<B: Middlebox>(self, middlebox: &Mutex<B>) {
        // Without it packets are late by 50 µs, which does no harm.
        let _ = set_current_timer_slack(Some(TIMER_SLACK));
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        loop {
            let due = lock(middlebox).due();
            match self.wait(due) {
                Ok(true) => self.step(middlebox, &mut buffer),
                Ok(false) => return,
                Err(error) => panic!("a network device cannot be waited for: {error}"),
            }
        }
    }

    /// Waits for a packet or for a time; `false`: until the end.
    fn wait(&self, due: Option<Duration>) -> io::Result<bool> {
        let limit = due.map(|due| timespec(due.saturating_sub(self.start.elapsed())));
        let mut fds = [PollFd::new(&self.tun, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) => Ok(fds[1].revents().is_empty()),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn step<B: Middlebox>(&self, middlebox: &Mutex<B>, buffer: &mut [u8]) {
        let mut middlebox = lock(middlebox);
        for _ in 0..READS_AT_ONCE {
            // No more to read, or a device that is down: there is nothing to do but wait.
            let Ok(count) = (&self.tun).read(buffer) else { break };
            if let Some(packet) = middlebox.receive(buffer[..count].to_vec(), self.start.elapsed()) {
                self.write(&packet);
            }
        }
        while let Some(packet) = middlebox.next(self.start.elapsed()) {
            self.write(&packet);
        }
    }

    fn write(&self, packet: &[u8]) {
        // What the kernel does not take is lost, as packets are.
        let _ = (&self.tun).write(packet);
    }
}

fn timespec(duration: Duration) -> Timespec {
    let tv_sec = duration.as_secs().try_into().unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: i64::from(duration.subsec_nanos()) }
}

/// `struct ifreq` of `linux/if.h` as TUNSETIFF uses it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// `IFF_TUN | IFF_NO_PI`: packets as they are.
const TUN_WITHOUT_HEADER: u16 = 0x1001;

const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);

/// Makes a device in this thread's network; it goes when the file is closed.
fn open_tun(name: &str) -> Result<File> {
    let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun").context("no /dev/net/tun")?;
    let mut request = InterfaceRequest { name: [0; 16], flags: TUN_WITHOUT_HEADER, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    attach(&tun, &mut request).with_context(|| format!("no device {name}"))?;
    ioctl_fionbio(&tun, true)?;
    Ok(tun)
}

#[expect(unsafe_code, reason = "the one call by which a TUN device is made has no safe form")]
fn attach(tun: &File, request: &mut InterfaceRequest) -> rustix::io::Result<()> {
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, whose 40 bytes on 64-bit Linux `InterfaceRequest` has.
    let update = unsafe { Updater::<{ TUNSETIFF }, InterfaceRequest>::new(request) };
    // SAFETY: the request is as the kernel expects it, and borrowed until the call returns.
    unsafe { ioctl(tun, update) }
}
