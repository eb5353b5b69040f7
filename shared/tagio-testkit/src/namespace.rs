//! Separate networks on one machine: Linux namespaces joined by virtual cables. For root only.

use std::{
    fs::File,
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsFd as _,
    path::Path,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    program::{run, run_fed},
    skipped,
};

/// What a limited cable lets through at once: a packet and some, as a modem does.
const QUEUE_BURST: &str = "4kb";
/// How long a packet may wait in front of a limited cable before it is dropped.
const QUEUE_LATENCY: &str = "400ms";

/// A network of its own: no interface but loopback, no way out until it is joined to another.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one. `None`, loudly, where that is not allowed.
    pub fn new(purpose: &str) -> Option<Self> {
        match Self::try_new(purpose) {
            Ok(namespace) => Some(namespace),
            Err(error) => {
                skipped(&format!("network namespaces need root, iproute2 and nftables: {error:#}"));
                None
            }
        }
    }

    /// One that a batch of `ip` is going to make under its name, without the wall that [`Namespace::new`] builds.
    pub(crate) fn planned(purpose: &str) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("tagio-{}-{number}-{purpose}", process::id()) }
    }

    fn try_new(purpose: &str) -> Result<Self> {
        let namespace = Self::planned(purpose);
        run("ip", &["netns", "add", &namespace.name])?;
        namespace.run(&["ip", "link", "set", "lo", "up"])?;
        // A guarantee of the tests below, so it must work: no packet passes through.
        namespace.run(&["nft", "add", "table", "inet", "tagio"])?;
        namespace.add_chain("forward", "drop")?;
        namespace.add_chain("output", "accept")?;
        Ok(namespace)
    }

    /// Joins two by a cable, each end with its address in one /24, and makes `router` the way out of `self`.
    pub fn join(&self, own: Ipv4Addr, router: &Self, router_address: Ipv4Addr) -> Result<()> {
        let (near, far) = (interface_to(router_address), interface_to(own));
        #[rustfmt::skip]
        run("ip", &["link", "add", &near, "netns", &self.name, "type", "veth", "peer", "name", &far, "netns", &router.name])?;
        for (namespace, interface, address) in [(self, &near, own), (router, &far, router_address)] {
            namespace.run(&["ip", "address", "add", &format!("{address}/24"), "dev", interface])?;
            namespace.run(&["ip", "link", "set", interface, "up"])?;
        }
        self.run(&["ip", "route", "add", "default", "via", &router_address.to_string()])?;
        Ok(())
    }

    /// Whether the system takes the cable to this neighbour for plugged in: it may say so a second after
    /// [`Self::join`].
    pub fn is_joined(&self, neighbour: Ipv4Addr) -> Result<bool> {
        let link = self.run(&["ip", "-o", "link", "show", "dev", &interface_to(neighbour)])?;
        Ok(link.contains(" state UP "))
    }

    /// Pulls the cable to this neighbour, who keeps its addresses and its routes.
    pub fn unplug(&self, neighbour: Ipv4Addr) -> Result<()> {
        self.run(&["ip", "link", "set", &interface_to(neighbour), "down"])?;
        Ok(())
    }

    /// Puts it back.
    pub fn plug_in(&self, neighbour: Ipv4Addr) -> Result<()> {
        self.run(&["ip", "link", "set", &interface_to(neighbour), "up"])?;
        Ok(())
    }

    /// From now on no more than this leaves by the cable to this neighbour; `None` is any number of bytes.
    pub fn limit_rate(&self, neighbour: Ipv4Addr, kilobits_per_second: Option<u32>) -> Result<()> {
        let interface = interface_to(neighbour);
        match kilobits_per_second {
            Some(rate) => {
                let rate = format!("{rate}kbit");
                let queue = ["burst", QUEUE_BURST, "latency", QUEUE_LATENCY];
                let limit = [
                    &["tc", "qdisc", "replace", "dev", &interface, "root", "tbf", "rate", &rate],
                    &queue[..],
                ];
                self.run(&limit.concat())?;
            }
            // It may have none.
            None => drop(self.run(&["tc", "qdisc", "delete", "dev", &interface, "root"])),
        }
        Ok(())
    }

    /// One more address, reachable over every cable.
    pub fn add_address(&self, address: Ipv4Addr) -> Result<()> {
        self.run(&["ip", "address", "add", &format!("{address}/32"), "dev", "lo"])?;
        Ok(())
    }

    /// From now on no UDP packet leaves, as behind many a company's firewall.
    pub fn block_udp(&self) -> Result<()> {
        self.run(&["nft", "add", "rule", "inet", "tagio", "output", "meta", "l4proto", "udp", "drop"])?;
        Ok(())
    }

    /// Runs a short command inside.
    pub fn run(&self, command: &[&str]) -> Result<String> {
        let args = [&["netns", "exec", &self.name], command].concat();
        run("ip", &args).with_context(|| format!("in network namespace {}", self.name))
    }

    /// Runs a script of the shell inside.
    pub(crate) fn script(&self, text: &str) -> Result<()> {
        run_fed("ip", &["netns", "exec", &self.name, "sh", "-es"], text)
            .with_context(|| format!("in network namespace {}:\n{text}", self.name))
    }

    /// A file as a process inside reads it, such as the counters below `/proc/net`.
    ///
    /// # Panics
    /// When it cannot be read.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        self.run(&["cat", path]).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// From now on the sockets that this thread opens are inside, and so are the threads that it starts.
    pub fn enter(&self) -> Result<()> {
        let path = Path::new("/run/netns").join(&self.name);
        let net = File::open(&path).with_context(|| format!("no {}", path.display()))?;
        move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// The result of this on a thread inside; what it opens stays inside, whoever uses it.
    pub fn on_thread<T: Send>(&self, open: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || self.enter().and_then(|()| open());
        thread::scope(|scope| scope.spawn(inside).join().expect("no panic inside"))
    }

    /// A UDP socket inside.
    pub fn udp_socket(&self, address: Ipv4Addr, port: u16) -> Result<UdpSocket> {
        self.on_thread(|| UdpSocket::bind((address, port)).with_context(|| format!("no {address}:{port}")))
    }

    /// The name that `ip netns` knows.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The same command, to be started inside.
    pub fn inside(&self, command: &Command) -> Command {
        let mut wrapped = Command::new("ip");
        wrapped.args(["netns", "exec", &self.name]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        wrapped
    }

    fn add_chain(&self, hook: &str, policy: &str) -> Result<()> {
        let definition = format!("{{ type filter hook {hook} priority 0; policy {policy}; }}");
        self.run(&["nft", "add", "chain", "inet", "tagio", hook, &definition])?;
        Ok(())
    }
}

/// The interface of a cable is called by who is at its other end.
fn interface_to(address: Ipv4Addr) -> String {
    format!("to-{}-{}", address.octets()[2], address.octets()[3])
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It goes by itself with the machine; a test cannot do more about it.
        let _ = run("ip", &["netns", "delete", &self.name]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr as Ip;

    #[test]
    fn neighbours_of_a_router_reach_it_but_not_each_other() {
        let (Some(router), Some(a), Some(b)) =
            (Namespace::new("r"), Namespace::new("a"), Namespace::new("b"))
        else {
            return;
        };
        a.join(Ip::new(10, 77, 1, 2), &router, Ip::new(10, 77, 1, 1)).expect("a cable");
        b.join(Ip::new(10, 77, 2, 2), &router, Ip::new(10, 77, 2, 1)).expect("a cable");
        router.add_address(Ip::new(10, 99, 0, 1)).expect("an address");
        let connects = |from: &Namespace, to: &str| {
            // Refused at once means: the packet got there.
            let script = format!("exec 3<>/dev/tcp/{to}/9");
            let error = from.run(&["timeout", "1", "bash", "-c", &script]).expect_err("nothing listens");
            format!("{error:#}").contains("refused")
        };
        assert!(connects(&a, "10.99.0.1") && connects(&b, "10.99.0.1"));
        assert!(!connects(&a, "10.77.2.2"));
        router.unplug(Ip::new(10, 77, 1, 2)).expect("unplugged");
        assert!(!connects(&a, "10.99.0.1") && connects(&b, "10.99.0.1"));
        router.plug_in(Ip::new(10, 77, 1, 2)).expect("plugged in");
        assert!(connects(&a, "10.99.0.1"));
    }
}
