//! Sockets beside the endpoint's own: many of them, opened for a while to get through a NAT that gives every
//! destination another port, and then the one that got through.
//!
//! An extra socket serves one peer. What the peer's packets come in by, the answers leave by.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tagio_wire::leg::PunchToken;

use super::udp::{Udp, unmapped};

const LOCK: &str = "no thread panics while it holds the extra sockets";

/// All extra sockets of an endpoint. Locks are held for a look-up only.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Whether there are any: most endpoints never have one, and look no further.
    any: AtomicBool,
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sockets: Vec<Extra>,
    /// By which one a peer's address was last heard.
    heard: HashMap<SocketAddr, Arc<Udp>>,
}

#[derive(Debug)]
struct Extra {
    /// The session's token.
    owner: PunchToken,
    peer: IpAddr,
    udp: Arc<Udp>,
}

impl Extras {
    /// Opens up to `count` sockets for a session with a peer; fewer where the system has no more to give.
    ///
    /// # Errors
    /// Not even one can be opened.
    pub(crate) fn open(&self, owner: PunchToken, peer: IpAddr, count: usize) -> io::Result<Vec<Arc<Udp>>> {
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let first = Arc::new(Udp::bind_small(any)?);
        let others = (1..count).map_while(|_| Udp::bind_small(any).ok().map(Arc::new));
        let sockets: Vec<Arc<Udp>> = std::iter::once(first).chain(others).collect();
        let mut table = self.table.write().expect(LOCK);
        table.sockets.extend(sockets.iter().map(|udp| Extra { owner, peer, udp: Arc::clone(udp) }));
        self.any.store(true, Ordering::Release);
        Ok(sockets)
    }

    /// Closes a session's sockets by which nothing has come.
    pub(crate) fn close_unheard(&self, owner: PunchToken) {
        self.close(|table, extra| {
            extra.owner == owner && !table.heard.values().any(|udp| Arc::ptr_eq(udp, &extra.udp))
        });
    }

    /// Closes all sockets of a session.
    pub(crate) fn close_all(&self, owner: PunchToken) {
        if self.any.load(Ordering::Acquire) {
            self.close(|_, extra| extra.owner == owner);
        }
    }

    fn close(&self, goes: impl Fn(&Table, &Extra) -> bool) {
        let mut guard = self.table.write().expect(LOCK);
        let mut table = std::mem::take(&mut *guard);
        let (gone, kept): (Vec<Extra>, Vec<Extra>) =
            std::mem::take(&mut table.sockets).into_iter().partition(|extra| goes(&table, extra));
        table.heard.retain(|_, udp| !gone.iter().any(|extra| Arc::ptr_eq(udp, &extra.udp)));
        table.sockets = kept;
        self.any.store(!table.sockets.is_empty(), Ordering::Release);
        *guard = table;
    }

    /// Every socket, to receive by.
    pub(crate) fn all(&self) -> Vec<Arc<Udp>> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.table.read().expect(LOCK).sockets.iter().map(|extra| Arc::clone(&extra.udp)).collect()
    }

    /// Something came from `from` by `udp`: what goes there leaves by it from now on. Only a socket's own peer can
    /// bring that about.
    pub(crate) fn heard(&self, from: SocketAddr, udp: &Arc<Udp>) {
        let is_known = |table: &Table| table.heard.get(&from).is_some_and(|known| Arc::ptr_eq(known, udp));
        let ip = unmapped(from).ip();
        if is_known(&self.table.read().expect(LOCK)) {
            return;
        }
        let mut table = self.table.write().expect(LOCK);
        if table.sockets.iter().any(|extra| Arc::ptr_eq(&extra.udp, udp) && extra.peer == ip) {
            table.heard.insert(from, Arc::clone(udp));
        }
    }

    /// The extra socket that packets to `to` leave by, if it is one.
    pub(crate) fn towards(&self, to: SocketAddr) -> Option<Arc<Udp>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.table.read().expect(LOCK).heard.get(&to).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: PunchToken = PunchToken([1; 8]);
    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    #[tokio::test]
    async fn answers_leave_by_the_socket_that_the_peer_was_heard_by_and_no_stranger_changes_that() {
        let extras = Extras::default();
        let sockets = extras.open(OWNER, PEER, 4).unwrap();
        let from = super::super::mapped(SocketAddr::new(PEER, 4000));
        assert!(extras.towards(from).is_none());
        extras.heard(from, &sockets[2]);
        assert!(Arc::ptr_eq(&extras.towards(from).unwrap(), &sockets[2]));
        let stranger = super::super::mapped("198.51.100.9:4000".parse().unwrap());
        extras.heard(stranger, &sockets[1]);
        assert!(extras.towards(stranger).is_none());

        extras.close_unheard(OWNER);
        assert_eq!(extras.all().len(), 1);
        assert!(extras.towards(from).is_some());
        extras.close_all(OWNER);
        assert!(extras.all().is_empty() && extras.towards(from).is_none());
    }
}
