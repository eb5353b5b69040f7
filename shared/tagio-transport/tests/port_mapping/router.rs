//! A small router for tests: what it knows, how it behaves, and its threads.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tagio_testkit::Namespace;

use crate::{igd, port_control};

/// How long a thread of the router waits for packets before it looks whether it should stop.
pub(crate) const PATIENCE: Duration = Duration::from_millis(50);

/// How it behaves from now on.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    pub(crate) pcp: bool,
    pub(crate) nat_pmp: bool,
    pub(crate) upnp: bool,
    pub(crate) external: Ipv4Addr,
    /// The most that it gives.
    pub(crate) lifetime_secs: u32,
    /// External ports that belong to somebody else.
    pub(crate) taken: Vec<u16>,
    /// UPnP: refuses mappings that end (error 725).
    pub(crate) only_permanent: bool,
    /// UPnP: knows `AddAnyPortMapping`.
    pub(crate) any_port: bool,
    pub(crate) malice: Option<Malice>,
}

/// Ways in which a router means harm, or is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malice {
    /// Every answer is noise.
    Noise,
    /// Every answer is cut short in the middle.
    Short,
    /// Grants port 0.
    PortZero,
    /// Answers to SOAP never end.
    Endless,
    /// The description of the device never ends.
    EndlessDescription,
    /// Answers to SOAP are a tower of elements.
    DeepXml,
    /// Takes questions by SOAP and says nothing.
    Mute,
}

/// What is mapped to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) internal: SocketAddr,
    pub(crate) lifetime_secs: u32,
    /// How often it was asked for.
    pub(crate) asked: u32,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) manners: Manners,
    pub(crate) entries: BTreeMap<u16, Entry>,
    pub(crate) given_back: u32,
    /// Questions of any kind.
    pub(crate) asked: u32,
    pub(crate) since: Instant,
}

pub(crate) struct Router {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Manners {
    /// Knows nothing at all.
    pub(crate) fn none() -> Self {
        Self {
            pcp: false,
            nat_pmp: false,
            upnp: false,
            external: Ipv4Addr::new(1, 2, 3, 4),
            lifetime_secs: 7200,
            taken: Vec::new(),
            only_permanent: false,
            any_port: false,
            malice: None,
        }
    }

    pub(crate) fn pcp() -> Self {
        Self { pcp: true, ..Self::none() }
    }

    pub(crate) fn nat_pmp() -> Self {
        Self { nat_pmp: true, ..Self::none() }
    }

    pub(crate) fn upnp() -> Self {
        Self { upnp: true, ..Self::none() }
    }
}

impl State {
    /// Gives `wanted` or the next free port to `internal`, and notes it.
    pub(crate) fn add(&mut self, wanted: u16, internal: SocketAddr, lifetime_secs: u32) -> (u16, u32) {
        let own = self.entries.iter().find(|(_, entry)| entry.internal == internal).map(|(port, _)| *port);
        let mut port = own.unwrap_or_else(|| if wanted == 0 { internal.port() } else { wanted });
        while self.is_taken(port, internal) {
            port += 1;
        }
        (port, self.enter(port, internal, lifetime_secs))
    }

    pub(crate) fn is_taken(&self, port: u16, internal: SocketAddr) -> bool {
        let by_another = self.entries.get(&port).is_some_and(|entry| entry.internal != internal);
        by_another || self.manners.taken.contains(&port)
    }

    pub(crate) fn enter(&mut self, port: u16, internal: SocketAddr, lifetime_secs: u32) -> u32 {
        let lifetime_secs = lifetime_secs.min(self.manners.lifetime_secs);
        let entry = self.entries.entry(port).or_insert(Entry { internal, lifetime_secs, asked: 0 });
        entry.asked += 1;
        entry.lifetime_secs = lifetime_secs;
        lifetime_secs
    }

    pub(crate) fn remove(&mut self, is_meant: impl Fn(u16, &Entry) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|port, entry| !is_meant(*port, entry));
        let is_removed = self.entries.len() < before;
        self.given_back += u32::from(is_removed);
        is_removed
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.since.elapsed().as_secs() as u32
    }
}

impl Router {
    /// Starts its services in `net`, where it has the address `lan`.
    pub(crate) fn start(net: &Namespace, lan: Ipv4Addr, manners: Manners) -> Self {
        let state = Arc::new(Mutex::new(State {
            manners,
            entries: BTreeMap::new(),
            given_back: 0,
            asked: 0,
            since: Instant::now(),
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let sockets = in_namespace(net, || {
            Ok::<_, io::Error>((port_control::bind(lan)?, igd::bind_search(lan)?, igd::bind_http(lan)?))
        });
        let (port_control, search, http) = sockets.expect("the router's sockets");
        let mut router = Self { state, stop, threads: Vec::new() };
        router.spawn(move |state| port_control::serve(&port_control, state));
        router.spawn(move |state| igd::serve_search(&search, lan, state));
        router.spawn(move |state| igd::serve_http(&http, state));
        router
    }

    fn spawn(&mut self, serve: impl Fn(&Mutex<State>) + Send + 'static) {
        let (state, stop) = (Arc::clone(&self.state), Arc::clone(&self.stop));
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                serve(&state);
            }
        }));
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the router has panicked")
    }

    pub(crate) fn behave(&self, manners: Manners) {
        self.state().manners = manners;
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a thread of the router has panicked");
        }
    }
}

/// Runs `work` on a thread of its own inside, whose sockets stay there.
fn in_namespace<T: Send>(net: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            net.enter().expect("a thread may enter the router's network");
            work()
        });
        thread.join().expect("the thread has not panicked")
    })
}
