//! Linux's word that addresses, links or routes have changed, by netlink (RFC 3549).

use std::{io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv,
        socket_with,
    },
};
use tokio::io::unix::AsyncFd;

/// What is heard of: links, addresses and routes of both families (`RTMGRP_…` of `linux/rtnetlink.h`).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// Messages that are read at once; their contents do not matter, as a look tells all.
const MESSAGES: usize = 64;
const MESSAGE_BYTES: usize = 8192;

/// Rings when the kernel says that something has changed.
#[derive(Debug)]
pub(super) struct Alarm(Option<AsyncFd<OwnedFd>>);

impl Alarm {
    pub(super) fn new() -> Self {
        let opened = open().inspect_err(|error| {
            tracing::info!(%error, "no word of network changes; looking every second");
        });
        Self(opened.ok())
    }

    /// Whether it will never ring.
    pub(super) fn is_deaf(&self) -> bool {
        self.0.is_none()
    }

    /// Waits for a change. Cancel safe.
    pub(super) async fn rung(&mut self) {
        let Some(socket) = &self.0 else { return std::future::pending().await };
        let Ok(mut ready) = socket.readable().await else {
            self.0 = None;
            return;
        };
        if is_drained(socket.get_ref()) {
            ready.clear_ready();
        }
    }
}

#[expect(unsafe_code, reason = "tokio cannot know that a descriptor stays the same while it waits for it")]
fn open() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    // No protocol is NETLINK_ROUTE, which is 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    // SAFETY: the descriptor is the socket's own, and nothing but the drop of the `AsyncFd` closes or replaces it.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// Reads what is there; whether that was all.
fn is_drained(socket: &OwnedFd) -> bool {
    let mut message = [0; MESSAGE_BYTES];
    (0..MESSAGES).any(|_| match recv(socket, &mut message, RecvFlags::empty()) {
        // An overrun only says that there was more.
        Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => false,
        Err(_) => true,
    })
}
