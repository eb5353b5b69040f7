//! Tickets with which a viewer comes back after a lost connection, without a secret and without a question.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rand::CryptoRng;
use sha2::{Digest, Sha256};
use tagio_wire::{
    PublicKey,
    session::{AuthRefusal, Permission},
};

use crate::ports::PortAccess;

/// How long a ticket is good after its session was lost: a train's tunnel, a laptop carried to a meeting.
const RESUME_WINDOW: Duration = Duration::from_secs(10 * 60);

/// Most tickets kept: several times the sessions that a host can serve. The oldest goes first.
const TICKETS_MAX: usize = 64;

/// Names a ticket, and so the session that it belongs to, without giving it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(u64);

/// A new ticket.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The host's name for it.
    pub id: TicketId,
    /// For the viewer, in the session's terms.
    pub token: [u8; 32],
}

/// A ticket that was good. It is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// Which it was. Its session may still seem alive to the host, and is to be closed then.
    pub id: TicketId,
    /// What the viewer was allowed to do.
    pub permission: Permission,
    /// Which ports it was allowed.
    pub ports: PortAccess,
}

#[derive(Debug)]
struct Ticket {
    id: TicketId,
    /// Only the hash is kept and compared: a timing tells nothing about the token.
    token_hash: [u8; 32],
    viewer: PublicKey,
    permission: Permission,
    ports: PortAccess,
    /// When its session was lost; `None` while it runs.
    lost_at: Option<Instant>,
}

/// All tickets of a host.
#[derive(Debug, Default)]
pub struct ResumeTickets {
    /// Oldest first; INVARIANT: at most [`TICKETS_MAX`].
    tickets: VecDeque<Ticket>,
    next_id: u64,
}

impl ResumeTickets {
    /// No tickets.
    pub fn new() -> Self {
        Self::default()
    }

    /// A ticket for a session that starts now.
    pub fn issue(&mut self, viewer: PublicKey, permission: Permission, rng: &mut impl CryptoRng) -> Issued {
        if self.tickets.len() == TICKETS_MAX {
            // Those of lost sessions before those of running ones.
            let dropped = self.tickets.iter().position(|ticket| ticket.lost_at.is_some()).unwrap_or(0);
            self.tickets.remove(dropped);
        }
        let mut token = [0; 32];
        rng.fill_bytes(&mut token);
        let id = TicketId(self.next_id);
        self.next_id += 1;
        let token_hash = Sha256::digest(token).into();
        let ports = PortAccess::Nothing;
        self.tickets.push_back(Ticket { id, token_hash, viewer, permission, ports, lost_at: None });
        Issued { id, token }
    }

    /// What the viewer may do has changed, and stays so after a resume.
    pub fn set_permission(&mut self, id: TicketId, permission: Permission) {
        if let Some(ticket) = self.find(id) {
            ticket.permission = permission;
        }
    }

    /// Which ports were allowed, which stays so after a resume.
    pub fn set_ports(&mut self, id: TicketId, ports: PortAccess) {
        if let Some(ticket) = self.find(id) {
            ticket.ports = ports;
        }
    }

    /// The session's connection was lost: its ten minutes begin.
    pub fn session_lost(&mut self, id: TicketId, now: Instant) {
        if let Some(ticket) = self.find(id) {
            ticket.lost_at.get_or_insert(now);
        }
    }

    /// The session was ended on purpose, by either side: nobody comes back with its ticket.
    pub fn revoke(&mut self, id: TicketId) {
        self.tickets.retain(|ticket| ticket.id != id);
    }

    /// No session may be resumed any more: the host stops sharing.
    pub fn revoke_all(&mut self) {
        self.tickets.clear();
    }

    /// Uses up the ticket with this token, if it is `viewer`'s and still good.
    pub fn redeem(
        &mut self,
        viewer: &PublicKey,
        token: &[u8; 32],
        now: Instant,
    ) -> Result<Redeemed, AuthRefusal> {
        self.tickets.retain(|ticket| ticket.lost_at.is_none_or(|at| now < at + RESUME_WINDOW));
        let token_hash: [u8; 32] = Sha256::digest(token).into();
        let found = self
            .tickets
            .iter()
            .position(|ticket| ticket.token_hash == token_hash && ticket.viewer == *viewer)
            .and_then(|index| self.tickets.remove(index));
        let ticket = found.ok_or(AuthRefusal::ResumeExpired)?;
        Ok(Redeemed { id: ticket.id, permission: ticket.permission, ports: ticket.ports })
    }

    fn find(&mut self, id: TicketId) -> Option<&mut Ticket> {
        self.tickets.iter_mut().find(|ticket| ticket.id == id)
    }
}
