//! Which ports a viewer may use in one session, and when the host's user is asked.

use tagio_wire::{
    port::{PortRefusal, PortTarget},
    session::Permission,
};

/// What a host says about ports before anybody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortPolicy {
    /// Nobody uses any.
    #[default]
    Off,
    /// Its user is asked, once in a session: about its own ports, and again about other computers.
    Ask,
    /// The host's own ports, and no others.
    Own,
    /// All that the host reaches.
    Any,
}

/// What was allowed in a session, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortAccess {
    /// Nothing so far.
    #[default]
    Nothing,
    /// The host's own ports.
    Own,
    /// All that the host reaches.
    Any,
}

/// What to do about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortDecision {
    /// Connect.
    Allow,
    /// Ask the host's user, then tell [`PortRights::answer`].
    Ask,
    /// Say no.
    Refuse(PortRefusal),
}

/// The rights of one viewer.
#[derive(Clone, Copy, Debug)]
pub struct PortRights {
    policy: PortPolicy,
    permission: Permission,
    access: PortAccess,
    /// The least that the user said no to: nobody is asked twice.
    declined: Option<PortAccess>,
}

impl PortRights {
    /// A session that begins; `access` is what was allowed at the door, or before its connection was lost.
    pub fn new(policy: PortPolicy, permission: Permission, access: PortAccess) -> Self {
        Self { policy, permission, access, declined: None }
    }

    /// What to do about `target`.
    pub fn decide(&self, target: &PortTarget) -> PortDecision {
        if !target.is_sound() {
            return PortDecision::Refuse(PortRefusal::BadTarget);
        }
        if self.permission == Permission::View {
            return PortDecision::Refuse(PortRefusal::ViewOnly);
        }
        let needed = needed(target);
        match self.policy {
            PortPolicy::Off => PortDecision::Refuse(PortRefusal::NotAllowed),
            PortPolicy::Any => PortDecision::Allow,
            PortPolicy::Own if needed == PortAccess::Own => PortDecision::Allow,
            PortPolicy::Own => PortDecision::Refuse(PortRefusal::NotAllowed),
            PortPolicy::Ask if needed <= self.access => PortDecision::Allow,
            PortPolicy::Ask if self.declined.is_some_and(|declined| declined <= needed) => {
                PortDecision::Refuse(PortRefusal::Declined)
            }
            PortPolicy::Ask => PortDecision::Ask,
        }
    }

    /// The user's answer to a question about `target`; it holds for the session. Returns what is allowed now.
    pub fn answer(&mut self, target: &PortTarget, is_allowed: bool) -> PortAccess {
        let needed = needed(target);
        if is_allowed {
            self.access = self.access.max(needed);
        } else {
            self.declined = Some(self.declined.map_or(needed, |declined| declined.min(needed)));
        }
        self.access
    }

    /// What the viewer may do has changed.
    pub fn set_permission(&mut self, permission: Permission) {
        self.permission = permission;
    }
}

fn needed(target: &PortTarget) -> PortAccess {
    if target.is_own() { PortAccess::Own } else { PortAccess::Any }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> PortTarget {
        PortTarget { host: host.to_owned(), port: 5432 }
    }

    fn rights(policy: PortPolicy) -> PortRights {
        PortRights::new(policy, Permission::Control, PortAccess::Nothing)
    }

    #[test]
    fn a_policy_says_what_goes_without_a_question() {
        use PortDecision::{Allow, Ask, Refuse};
        let no = Refuse(PortRefusal::NotAllowed);
        for (policy, own, other) in [
            (PortPolicy::Off, no, no),
            (PortPolicy::Ask, Ask, Ask),
            (PortPolicy::Own, Allow, no),
            (PortPolicy::Any, Allow, Allow),
        ] {
            let rights = rights(policy);
            assert_eq!(
                (rights.decide(&target("localhost")), rights.decide(&target("10.0.0.1"))),
                (own, other)
            );
        }
    }

    #[test]
    fn an_answer_holds_for_the_session_and_for_no_more_than_was_asked() {
        let mut rights = rights(PortPolicy::Ask);
        assert_eq!(rights.answer(&target("localhost"), true), PortAccess::Own);
        assert_eq!(rights.decide(&target("127.0.0.1")), PortDecision::Allow);
        assert_eq!(rights.decide(&target("db.lan")), PortDecision::Ask);
        assert_eq!(rights.answer(&target("db.lan"), false), PortAccess::Own);
        assert_eq!(rights.decide(&target("www.lan")), PortDecision::Refuse(PortRefusal::Declined));
        assert_eq!(rights.decide(&target("localhost")), PortDecision::Allow);
    }

    #[test]
    fn who_was_denied_the_least_is_not_offered_more() {
        let mut rights = rights(PortPolicy::Ask);
        rights.answer(&target("localhost"), false);
        for host in ["localhost", "db.lan"] {
            assert_eq!(rights.decide(&target(host)), PortDecision::Refuse(PortRefusal::Declined));
        }
    }

    #[test]
    fn who_may_look_only_gets_no_port_whatever_was_allowed() {
        let mut rights = PortRights::new(PortPolicy::Any, Permission::Control, PortAccess::Any);
        rights.set_permission(Permission::View);
        assert_eq!(rights.decide(&target("localhost")), PortDecision::Refuse(PortRefusal::ViewOnly));
        rights.set_permission(Permission::Ports);
        assert_eq!(rights.decide(&target("localhost")), PortDecision::Allow);
        assert_eq!(rights.decide(&target("a b")), PortDecision::Refuse(PortRefusal::BadTarget));
    }
}
