//! What a process uses, from `/proc`.

use std::{fs, time::Duration};

use crate::program;

/// Processor time that a process has used so far.
///
/// # Panics
/// When the process is gone.
pub fn cpu_time(pid: u32) -> Duration {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_else(|_| panic!("process {pid} is gone"));
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th field behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 =
        fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number of ticks")).sum();
    Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64)
}

/// Memory that a process occupies now, in bytes.
///
/// # Panics
/// When the process is gone.
pub fn resident_bytes(pid: u32) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_else(|_| panic!("process {pid} is gone"));
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a living process has a size");
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kilobytes")
}

/// Bytes that went in and out of all interfaces but loopback, out of the text of `/proc/net/dev`.
pub fn network_bytes(dev: &str) -> u64 {
    dev.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.trim() != "lo")
        .map(|(_, counts)| {
            let counts: Vec<u64> = counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
            counts.first().unwrap_or(&0) + counts.get(8).unwrap_or(&0)
        })
        .sum()
}

/// UDP datagrams over IPv4 that arrived, whether or not a socket was there, out of the text of `/proc/net/snmp`.
///
/// # Panics
/// When there is no such text; likewise below.
pub fn udp_received(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: ")).map(str::split_whitespace);
    let (names, counts) = lines.next().zip(lines.next()).expect("a line of names and a line of counts");
    let arrived = ["InDatagrams", "NoPorts", "InErrors"];
    let counts = names.zip(counts).filter(|(name, _)| arrived.contains(name));
    counts.map(|(_, count)| count.parse::<u64>().expect("a number of datagrams")).sum()
}

/// Bytes of the kernel that wait in the UDP sockets bound to this port, out of the text of `/proc/net/udp`.
pub fn udp_waiting(udp: &str, port: u16) -> u64 {
    let waiting = |fields: Vec<&str>| {
        let (_, waiting) = fields[4].split_once(':').expect("two queues");
        u64::from_str_radix(waiting, 16).expect("a hexadecimal number")
    };
    sockets_at(udp, port).map(waiting).sum()
}

/// Datagrams for which they had no room, out of the same text.
pub fn udp_dropped(udp: &str, port: u16) -> u64 {
    let dropped = |fields: Vec<&str>| fields[12].parse::<u64>().expect("a number of datagrams");
    sockets_at(udp, port).map(dropped).sum()
}

fn sockets_at(udp: &str, port: u16) -> impl Iterator<Item = Vec<&str>> {
    let local = format!(":{port:04X}");
    let lines = udp.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(move |fields| fields[1].ends_with(&local))
}

fn ticks_per_second() -> u64 {
    program::run("getconf", &["CLK_TCK"]).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time_and_memory() {
        let me = std::process::id();
        let start = std::time::Instant::now();
        while cpu_time(me) < Duration::from_millis(50) {
            assert!(start.elapsed() < Duration::from_secs(20), "no processor time is counted");
        }
        assert!(resident_bytes(me) > 100_000);
    }

    #[test]
    fn datagrams_are_counted() {
        let snmp = "Ip: A\nIp: 9\nUdp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 5 1 2 70\nUdpLite: InDatagrams\n";
        assert_eq!(udp_received(snmp), 8);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        let waiting = || udp_waiting(&fs::read_to_string("/proc/net/udp").expect("a file"), address.port());
        assert_eq!(waiting(), 0);
        socket.send_to(&[1], address).expect("sent");
        assert!(waiting() > 0);
        assert_eq!(udp_dropped(&fs::read_to_string("/proc/net/udp").expect("a file"), address.port()), 0);
        socket.recv(&mut [0]).expect("received");
        assert_eq!(waiting(), 0);
    }

    #[test]
    fn loopback_does_not_count() {
        let dev = "face |bytes\n    lo: 99 1 0 0 0 0 0 0 99 1\n  eth0: 10 1 0 0 0 0 0 0 5 1 0 0\n";
        assert_eq!(network_bytes(dev), 15);
    }
}
