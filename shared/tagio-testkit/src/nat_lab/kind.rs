//! What may stand between a home and the internet.

use std::{fmt, str::FromStr};

use super::nat::{Behaviour, Dependence, Ports, UDP_TIMEOUT};

/// What stands between a home and the internet. Mapping and filtering in the words of RFC 4787.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing: a public address.
    None,
    /// A public address behind a firewall that lets in answers only.
    Firewall,
    /// One mapping for all, and anybody may answer.
    FullCone,
    /// One mapping for all; addresses that were sent to may answer.
    AddressCone,
    /// One mapping for all; exactly who was sent to may answer.
    PortCone,
    /// The same, with ports that say nothing of those inside.
    PortConeRandom,
    /// A plain Linux router: masquerading, and its own address drops what is not asked for.
    Linux,
    /// The same with an open address of its own: what is not asked for is remembered, and stands in the way.
    LinuxOpen,
    /// A mapping for each remote end, with ports one after the other.
    SymmetricSequential,
    /// A mapping for each remote address, with random ports.
    SymmetricAddress,
    /// A mapping for each remote end, with random ports.
    Symmetric,
    /// A port-restricted home behind a carrier that is the same, with random ports.
    CarrierPortCone,
    /// A port-restricted home behind a symmetric carrier.
    CarrierSymmetric,
    /// A company: nothing leaves but TCP to port 443.
    UdpBlocked,
}

/// How a home's router treats IPv4.
#[derive(Clone, Copy, Debug)]
pub(super) enum Home {
    /// By forwarding; a firewall lets in answers only.
    Routed { has_firewall: bool },
    /// By the kernel's masquerading.
    Masquerade { is_open: bool, passes_udp: bool },
    /// By a NAT of ours.
    Nat(Behaviour),
}

impl Kind {
    /// All of them, in the order of the matrix.
    pub const ALL: [Self; 14] = [
        Self::None,
        Self::Firewall,
        Self::FullCone,
        Self::AddressCone,
        Self::PortCone,
        Self::PortConeRandom,
        Self::Linux,
        Self::LinuxOpen,
        Self::SymmetricSequential,
        Self::SymmetricAddress,
        Self::Symmetric,
        Self::CarrierPortCone,
        Self::CarrierSymmetric,
        Self::UdpBlocked,
    ];

    /// Each with each and with itself, once: 105 pairs.
    pub fn pairs() -> impl Iterator<Item = (Self, Self)> {
        Self::ALL.into_iter().enumerate().flat_map(|(at, a)| Self::ALL[at..].iter().map(move |b| (a, *b)))
    }

    /// The short name, as in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Firewall => "fw",
            Self::FullCone => "fullcone",
            Self::AddressCone => "addr",
            Self::PortCone => "port",
            Self::PortConeRandom => "portrand",
            Self::Linux => "linux",
            Self::LinuxOpen => "linuxopen",
            Self::SymmetricSequential => "symseq",
            Self::SymmetricAddress => "symadm",
            Self::Symmetric => "sym",
            Self::CarrierPortCone => "cgn-port",
            Self::CarrierSymmetric => "cgn-sym",
            Self::UdpBlocked => "udpblock",
        }
    }

    pub(super) const fn home(self) -> Home {
        use Dependence::{Address, AddressAndPort, Nothing};
        use Ports::{Preserve, Random, Sequential};
        match self {
            Self::None => Home::Routed { has_firewall: false },
            Self::Firewall => Home::Routed { has_firewall: true },
            Self::FullCone => nat(Nothing, Nothing, Preserve),
            Self::AddressCone => nat(Nothing, Address, Preserve),
            Self::PortCone | Self::CarrierPortCone | Self::CarrierSymmetric => {
                nat(Nothing, AddressAndPort, Preserve)
            }
            Self::PortConeRandom => nat(Nothing, AddressAndPort, Random),
            Self::Linux => Home::Masquerade { is_open: false, passes_udp: true },
            Self::LinuxOpen => Home::Masquerade { is_open: true, passes_udp: true },
            Self::SymmetricSequential => nat(AddressAndPort, AddressAndPort, Sequential),
            Self::SymmetricAddress => nat(Address, AddressAndPort, Random),
            Self::Symmetric => nat(AddressAndPort, AddressAndPort, Random),
            Self::UdpBlocked => Home::Masquerade { is_open: false, passes_udp: false },
        }
    }

    /// The NAT behind the home's, where there are two.
    pub(super) const fn carrier(self) -> Option<Behaviour> {
        match self {
            Self::CarrierPortCone => {
                Some(behaviour(Dependence::Nothing, Dependence::AddressAndPort, Ports::Random))
            }
            Self::CarrierSymmetric => {
                Some(behaviour(Dependence::AddressAndPort, Dependence::AddressAndPort, Ports::Random))
            }
            Self::None
            | Self::Firewall
            | Self::FullCone
            | Self::AddressCone
            | Self::PortCone
            | Self::PortConeRandom
            | Self::Linux
            | Self::LinuxOpen
            | Self::SymmetricSequential
            | Self::SymmetricAddress
            | Self::Symmetric
            | Self::UdpBlocked => None,
        }
    }
}

const fn nat(mapping: Dependence, filtering: Dependence, ports: Ports) -> Home {
    Home::Nat(behaviour(mapping, filtering, ports))
}

const fn behaviour(mapping: Dependence, filtering: Dependence, ports: Ports) -> Behaviour {
    Behaviour { mapping, filtering, ports, has_hairpin: false, udp_timeout: UDP_TIMEOUT }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(" ");
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("no kind `{text}`; there are: {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_105_pairs_of_kinds_with_names() {
        assert_eq!(Kind::pairs().count(), 105);
        assert!(Kind::ALL.into_iter().all(|kind| kind.name().parse() == Ok(kind)));
        assert!("cone".parse::<Kind>().is_err_and(|error| error.contains("fullcone")));
    }
}
