//! System calls that no library of the workspace has: many datagrams at once, and options of UDP.
#![allow(unsafe_code, reason = "recvmmsg, sendmmsg and setsockopt are called as the system wants it")]

use std::{
    io, mem,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    ptr,
};

use libc::{
    AF_INET, MSG_WAITFORONE, SOL_UDP, c_int, in_addr, iovec, mmsghdr, sa_family_t, sockaddr_in, socklen_t,
};

/// Datagrams at once.
const BATCH: usize = 64;
/// Of a datagram at most.
const BYTES: usize = 2048;

/// Datagrams that were received, to be sent to somebody else.
pub(crate) struct Batch {
    bytes: Vec<[u8; BYTES]>,
    addrs: Vec<sockaddr_in>,
    parts: Vec<iovec>,
    /// INVARIANT: their pointers are into the three above, which never grow.
    messages: Vec<mmsghdr>,
    len: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let mut bytes = vec![[0; BYTES]; BATCH];
        let empty =
            sockaddr_in { sin_family: 0, sin_port: 0, sin_addr: in_addr { s_addr: 0 }, sin_zero: [0; 8] };
        let mut addrs = vec![empty; BATCH];
        let part = |bytes: &mut [u8; BYTES]| iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: BYTES };
        let mut parts: Vec<_> = bytes.iter_mut().map(part).collect();
        let message = |(addr, part): (&mut sockaddr_in, &mut iovec)| {
            // SAFETY: all zeros are a message without anything.
            let mut message: mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_name = ptr::from_mut(addr).cast();
            message.msg_hdr.msg_namelen = size_of::<sockaddr_in>() as socklen_t;
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        };
        let messages = addrs.iter_mut().zip(&mut parts).map(message).collect();
        Self { bytes, addrs, parts, messages, len: 0 }
    }

    /// Waits for one and takes all that are there.
    pub(crate) fn recv(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.parts.iter_mut().for_each(|part| part.iov_len = BYTES);
        // SAFETY: the pointers are good, see the invariant; there are BATCH messages.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                BATCH as u32,
                MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        self.len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        Ok(())
    }

    /// Asks for each whom to send it to; who is nobody gets it back.
    pub(crate) fn keep(&mut self, mut target: impl FnMut(&[u8], SocketAddrV4) -> Option<SocketAddrV4>) {
        for index in 0..self.len {
            let len = self.messages[index].msg_len as usize;
            let addr = &mut self.addrs[index];
            let from = SocketAddrV4::new(
                Ipv4Addr::from_bits(u32::from_be(addr.sin_addr.s_addr)),
                u16::from_be(addr.sin_port),
            );
            self.parts[index].iov_len = len;
            if let Some(target) = target(&self.bytes[index][..len], from) {
                addr.sin_family = AF_INET as sa_family_t;
                addr.sin_addr.s_addr = target.ip().to_bits().to_be();
                addr.sin_port = target.port().to_be();
            }
        }
    }

    /// Sends all of them.
    pub(crate) fn send(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.len {
            // SAFETY: the pointers are good, see the invariant; of BATCH messages at least `len - sent` are left.
            let now = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.messages[sent..].as_mut_ptr(),
                    (self.len - sent) as u32,
                    0,
                )
            };
            sent += usize::try_from(now).map_err(|_| io::Error::last_os_error())?;
        }
        Ok(())
    }
}

/// Options of udp(7).
#[derive(Clone, Copy)]
pub(crate) enum SocketOption {
    /// What is sent at once is cut into datagrams of so many bytes.
    Segment(usize),
    /// Datagrams of the same sender and length may be received at once.
    Join,
}

pub(crate) fn set_option(socket: &UdpSocket, option: SocketOption) -> io::Result<()> {
    let (name, value) = match option {
        SocketOption::Segment(bytes) => (libc::UDP_SEGMENT, bytes as c_int),
        SocketOption::Join => (libc::UDP_GRO, 1),
    };
    // SAFETY: the value is a c_int, and so long.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            SOL_UDP,
            name,
            ptr::from_ref(&value).cast(),
            size_of::<c_int>() as socklen_t,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
