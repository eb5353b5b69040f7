//! The same against a router that others wrote: miniupnpd, which speaks UPnP, NAT-PMP and PCP.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use tagio_testkit::{Namespace, Program, TempDir, skipped, wait_until};
use tagio_transport::MappedBy;

use crate::home::{Home, PATIENCE};

const MINIUPNPD: &str = "/usr/sbin/miniupnpd";
/// The router's side in the Internet, and somebody there.
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);
const STRANGER: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 9);
const ANY_V4: &str = "0.0.0.0:0";

/// What miniupnpd's own set-up script makes: chains that it fills.
const TABLES: &str = "
table inet filter {
  chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
";

/// The Internet, a home, and miniupnpd between them.
struct World {
    home: Home,
    stranger: Namespace,
    router: Program,
    _folder: TempDir,
}

impl World {
    fn new(settings: &str) -> Option<Self> {
        if !Path::new(MINIUPNPD).exists() {
            skipped("miniupnpd is not installed");
            return None;
        }
        let home = Home::new()?;
        let stranger = Namespace::new("internet")?;
        let net = &home.router_net;
        stranger.join(STRANGER, net, EXTERNAL).expect("a cable to the Internet");
        let folder = TempDir::new();
        let tables = folder.path().join("tables.nft");
        fs::write(&tables, TABLES).expect("a file");
        // The table of a new namespace lets nothing through.
        net.run(&["nft", "delete", "table", "inet", "tagio"]).expect("a table to go");
        net.run(&["nft", "-f", tables.to_str().expect("a plain path")]).expect("tables to come");
        net.run(&["sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
            .expect("a router that forwards");
        let v6 = |net: &Namespace, command: &str| {
            let command = [&["ip", "-6"], &command.split(' ').collect::<Vec<_>>()[..]].concat();
            net.run(&command).expect("IPv6")
        };
        v6(net, "address add 2001:db8:77::1/64 dev to-77-2 nodad");
        v6(net, "address add 2001:db8:3::1/64 dev to-3-9 nodad");
        v6(&home.net, "address add 2001:db8:77::2/64 dev to-77-1 nodad");
        v6(&home.net, "route add default via 2001:db8:77::1");
        v6(&stranger, "address add 2001:db8:3::9/64 dev to-3-4 nodad");
        v6(&stranger, "route add default via 2001:db8:3::1");
        let config = folder.path().join("miniupnpd.conf");
        let uuid = "uuid=b5b5a5a4-1111-4222-8333-123456789abc";
        let lines = [
            "ext_ifname=to-3-9",
            "ext_ifname6=to-3-9",
            "listening_ip=to-77-2",
            "secure_mode=yes",
            uuid,
            settings,
        ];
        fs::write(&config, lines.join("\n")).expect("a file");
        let mut command = Command::new(MINIUPNPD);
        command.arg("-d").arg("-f").arg(&config).arg("-P").arg(folder.path().join("pid"));
        let router = Program::start("miniupnpd", &mut net.inside(&command));
        // It has joined the groups in which clients search, as the kernel writes them.
        let is_up = || {
            let (v4, v6) = (net.read("/proc/net/igmp"), net.read("/proc/net/igmp6"));
            v4.contains("FAFFFFEF") && v6.contains("ff02000000000000000000000000000c")
        };
        wait_until("miniupnpd listens", PATIENCE, is_up);
        Some(Self { home, stranger, router, _folder: folder })
    }

    /// A packet from the Internet to `external` arrives at `socket`.
    #[track_caller]
    fn leads_to(&self, external: SocketAddr, socket: &UdpSocket) {
        let from = thread::scope(|scope| {
            let bind = || {
                self.stranger.enter().expect("a thread may enter the network");
                let any: IpAddr = match external {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                UdpSocket::bind((any, 0)).expect("a socket in the Internet")
            };
            scope.spawn(bind).join().expect("no panic")
        });
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
        let mut buffer = [0; 16];
        wait_until("a packet from the Internet", PATIENCE, || {
            from.send_to(b"knock", external).expect("the router can be reached");
            socket.recv(&mut buffer).is_ok_and(|length| &buffer[..length] == b"knock")
        });
    }

    /// How many packets' ways in miniupnpd has opened.
    fn rules(&self) -> usize {
        let rules = self.home.router_net.run(&["nft", "list", "chain", "inet", "filter", "miniupnpd"]);
        rules.expect("the rules of miniupnpd").matches("accept").count()
    }
}

#[track_caller]
fn lets_packets_in(settings: &str, bound: &str, external: IpAddr, by: MappedBy) {
    let Some(mut world) = World::new(settings) else { return };
    let mapped = world.home.map(&[bound]);
    let external = SocketAddr::new(external, mapped.port());
    mapped.wait(external, by);
    assert_eq!(world.rules(), 1);
    world.leads_to(external, &mapped.sockets[0]);
    // A renewal leaves it in place.
    mapped.mapping.look_again();
    thread::sleep(Duration::from_secs(1));
    mapped.wait(external, by);
    world.leads_to(external, &mapped.sockets[0]);
    world.home.close(mapped);
    assert_eq!(world.rules(), 0, "it was given back");
    assert!(world.router.is_running());
}

#[test]
fn miniupnpd_maps_by_pcp() {
    lets_packets_in("enable_upnp=yes\nenable_natpmp=yes", ANY_V4, EXTERNAL.into(), MappedBy::Pcp);
}

#[test]
fn miniupnpd_maps_by_upnp() {
    lets_packets_in("enable_upnp=yes\nenable_natpmp=no", ANY_V4, EXTERNAL.into(), MappedBy::Upnp);
}

#[test]
fn miniupnpd_maps_by_upnp_of_the_first_version() {
    lets_packets_in(
        "enable_upnp=yes\nenable_natpmp=no\nforce_igd_desc_v1=yes",
        ANY_V4,
        EXTERNAL.into(),
        MappedBy::Upnp,
    );
}

#[test]
fn miniupnpd_opens_its_ipv6_firewall() {
    let own = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 2);
    lets_packets_in("enable_upnp=yes", "[::]:0", own.into(), MappedBy::Ipv6Pinhole);
}
