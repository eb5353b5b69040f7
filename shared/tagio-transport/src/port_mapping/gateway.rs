//! The default gateway, as the system's routing table names it. Sends nothing.

use std::net::Ipv4Addr;

/// Where packets to nowhere in particular go; `None` without a network.
#[cfg(target_os = "linux")]
pub(super) fn default_gateway() -> Option<Ipv4Addr> {
    // The thread's own view: a thread may be in another network namespace than its process.
    let table = std::fs::read_to_string("/proc/thread-self/net/route").ok()?;
    from_table(&table)
}

/// Where packets to nowhere in particular go; `None` without a network.
#[cfg(not(target_os = "linux"))]
pub(super) fn default_gateway() -> Option<Ipv4Addr> {
    netdev::get_default_gateway().ok()?.ipv4.first().copied()
}

/// The route to everywhere with the smallest metric. Addresses are in hexadecimal, in the order that they
/// have in memory.
#[cfg(target_os = "linux")]
fn from_table(table: &str) -> Option<Ipv4Addr> {
    const UP_AND_GATEWAY: u16 = 3;
    const EVERYWHERE: &str = "00000000";
    let routes = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (destination, gateway, flags) = (columns.next()?, columns.next()?, columns.next()?);
        let (metric, mask) = (columns.nth(2)?, columns.next()?);
        let flags = u16::from_str_radix(flags, 16).ok()?;
        if destination != EVERYWHERE || mask != EVERYWHERE || flags & UP_AND_GATEWAY != UP_AND_GATEWAY {
            return None;
        }
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        Some((metric.parse::<u32>().ok()?, Ipv4Addr::from(gateway.to_ne_bytes())))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, gateway)| gateway)
}

#[cfg(all(test, target_os = "linux", target_endian = "little"))]
mod tests {
    use super::*;

    const TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
";

    #[test]
    fn the_gateway_with_the_smallest_metric_counts() {
        assert_eq!(from_table(TABLE), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(from_table(""), None);
        assert_eq!(from_table("Iface\nnonsense\n\t\t\neth0\tx\ty\tz\n"), None);
    }
}
