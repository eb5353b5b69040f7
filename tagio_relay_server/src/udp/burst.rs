//! Datagrams to one client, one behind the other, for the system to cut apart (UDP GSO). Pure.

use tagio_relay_core::UdpPeer;

/// Most bytes that the system takes at once: what a UDP datagram over IPv4 can have.
const BYTES_MAX: usize = 65_507;

/// Datagrams of the same length; the last one may be shorter.
#[derive(Debug, Default)]
pub(super) struct Burst {
    to: Option<UdpPeer>,
    /// No memory before the first datagram.
    bytes: Vec<u8>,
    /// Length of the first datagram.
    segment: usize,
    segments: usize,
}

impl Burst {
    /// Adds a datagram, which is `head` and then `rest`, where it fits behind those that are there; whether it does.
    /// One always fits, `segments_max` of them at most.
    pub(super) fn push(&mut self, to: UdpPeer, head: &[u8], rest: &[u8], segments_max: usize) -> bool {
        let len = head.len() + rest.len();
        if self.segments == 0 {
            (self.to, self.segment) = (Some(to), len);
        } else if self.to != Some(to)
            || self.segments >= segments_max
            || len > self.segment
            || self.bytes.len() < self.segments * self.segment
            || self.bytes.len() + len > BYTES_MAX
        {
            return false;
        }
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(rest);
        self.segments += 1;
        true
    }

    /// To whom, what, and the length of each datagram in it; `None` when there is nothing.
    pub(super) fn contents(&self) -> Option<(UdpPeer, &[u8], usize)> {
        self.to.map(|to| (to, &self.bytes[..], self.segment))
    }

    /// Forgets everything, but keeps the memory.
    pub(super) fn clear(&mut self) {
        self.to = None;
        self.bytes.clear();
        self.segments = 0;
    }
}

#[cfg(test)]
mod tests {
    use tagio_relay_core::SocketIndex;

    use super::*;

    fn peer(port: u16) -> UdpPeer {
        UdpPeer { socket: SocketIndex(0), addr: ([192, 0, 2, 1], port).into() }
    }

    fn push(burst: &mut Burst, to: u16, len: usize) -> bool {
        burst.push(peer(to), &[1], &vec![2; len - 1], 64)
    }

    #[test]
    fn datagrams_of_one_length_gather_and_a_shorter_one_is_the_last() {
        let mut burst = Burst::default();
        assert_eq!(burst.contents(), None);
        assert!(push(&mut burst, 1, 3) && push(&mut burst, 1, 3) && push(&mut burst, 1, 2));
        assert_eq!(burst.contents(), Some((peer(1), &[1, 2, 2, 1, 2, 2, 1, 2][..], 3)));
        assert!(!push(&mut burst, 1, 2) && !push(&mut burst, 1, 3), "the last one is shorter");
        burst.clear();
        assert_eq!(burst.contents(), None);
        assert!(push(&mut burst, 2, 5));
        assert_eq!(burst.contents(), Some((peer(2), &[1, 2, 2, 2, 2][..], 5)));
    }

    #[test]
    fn another_client_or_a_longer_datagram_needs_another_burst() {
        let mut burst = Burst::default();
        assert!(push(&mut burst, 1, 3));
        assert!(!push(&mut burst, 2, 3) && !push(&mut burst, 1, 4));
        assert_eq!(burst.contents(), Some((peer(1), &[1, 2, 2][..], 3)));
    }

    #[test]
    fn there_are_no_more_than_the_system_takes() {
        let mut burst = Burst::default();
        let taken = (0..100).take_while(|_| burst.push(peer(1), &[], b"abc", 10)).count();
        assert_eq!(taken, 10);
        burst.clear();
        let taken = (0..100).take_while(|_| push(&mut burst, 1, 2000)).count();
        assert_eq!(taken, BYTES_MAX / 2000);
    }
}
