//! Lets routers, or this system, cut what a socket sends, as with any program's: `noq-udp` forbids it, for QUIC's sake.
#![expect(unsafe_code, reason = "options of sockets for which no library has a safe form")]

use std::{io, mem, os::fd::AsRawFd};

use tokio::net::UdpSocket;

/// Takes back what `UdpSocketState::new` has set.
pub(super) fn allow(socket: &UdpSocket, is_v6: bool) -> io::Result<()> {
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0)?;
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT)?;
    }
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT)
}

fn set(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as the socket is borrowed, and the value lives, with its true length,
    // until the call is over.
    let code = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), len) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
