//! What befalls a life: where both sides are, how the lines are, and what goes wrong when.

use std::time::Duration;

use tagio_testkit::{Seeded, nat_lab::Kind};

use super::net::{Net, Weather};
use crate::paths::Side;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Something that happens to the network or to a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing leaves a side, or reaches it, or does again.
    CutOut(Side, bool),
    CutIn(Side, bool),
    /// Nothing passes between the sides directly, or does again.
    CutDirect(bool),
    /// Direct packets over this size vanish.
    Mtu(u16),
    Reboot(Side),
    Move(Side),
    RelayDown,
    RelayUp,
    /// A side falls asleep, or wakes.
    Sleeps(Side, bool),
    /// So many of 1000 packets are lost everywhere.
    Loss(usize),
}

impl Turn {
    pub(super) fn apply(self, net: &mut Net) {
        match self {
            Self::CutOut(side, is_cut) => net.place(side).cut_out = is_cut,
            Self::CutIn(side, is_cut) => net.place(side).cut_in = is_cut,
            Self::CutDirect(is_cut) => net.direct_cut = is_cut,
            Self::Mtu(mtu) => net.mtu = mtu,
            Self::Reboot(side) => net.place(side).reboot(),
            Self::Move(_) => {}
            Self::RelayDown => {
                net.relay_up = false;
                net.restart_relay();
            }
            Self::RelayUp => net.relay_up = true,
            Self::Sleeps(side, sleeps) => net.place(side).asleep = sleeps,
            Self::Loss(lost) => {
                net.direct.lost_of_1000 = lost;
                net.to_relay.iter_mut().for_each(|line| line.lost_of_1000 = lost);
            }
        }
    }
}

/// All that a life meets with.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) kinds: [Kind; 2],
    pub(super) direct: Weather,
    pub(super) to_relay: [Weather; 2],
    pub(super) turns: Vec<(Duration, Turn)>,
    /// From then on nothing goes wrong any more.
    pub(super) calm_at: Duration,
}

impl Fate {
    /// What chance makes of it.
    pub(super) fn any(chance: &mut Seeded) -> Self {
        let kinds = [(); 2].map(|()| Kind::ALL[chance.below(Kind::ALL.len())]);
        let mut fate = Self::quiet(kinds);
        let (lost, doubled) = (chance.below(40), chance.below(30));
        let mut weather = |delay_max: usize| Weather {
            delay: MS * (1 + chance.below(delay_max)) as u32,
            jitter: MS * chance.below(12) as u32,
            lost_of_1000: lost,
            doubled_of_1000: doubled,
        };
        fate.direct = weather(120);
        fate.to_relay = [weather(80), weather(80)];
        let mut calm_at = SECOND;
        for _ in 0..chance.below(7) {
            let begins = MS * chance.below(20_000) as u32;
            let long = if chance.below(12) == 0 { 60_000 } else { 6_000 };
            let ends = begins + MS * (100 + chance.below(long)) as u32;
            fate.trouble(begins, ends, chance);
            calm_at = calm_at.max(ends);
        }
        fate.calm_at = calm_at;
        fate.turns.push((calm_at, Turn::Loss(0)));
        fate
    }

    /// A life in which nothing goes wrong.
    pub(super) fn quiet(kinds: [Kind; 2]) -> Self {
        let weather = Weather { delay: 20 * MS, ..Weather::default() };
        Self { kinds, direct: weather, to_relay: [weather; 2], turns: Vec::new(), calm_at: Duration::ZERO }
    }

    pub(super) fn set_weather(&self, net: &mut Net) {
        (net.direct, net.to_relay) = (self.direct, self.to_relay);
    }

    fn trouble(&mut self, begins: Duration, ends: Duration, chance: &mut Seeded) {
        let side = [Side::Viewer, Side::Host][chance.below(2)];
        let on_and_off = match chance.below(10) {
            0 => vec![(Turn::CutOut(side, true), Turn::CutOut(side, false))],
            1 => vec![(Turn::CutIn(side, true), Turn::CutIn(side, false))],
            2 => vec![
                (Turn::CutOut(side, true), Turn::CutOut(side, false)),
                (Turn::CutIn(side, true), Turn::CutIn(side, false)),
            ],
            3 | 4 => vec![(Turn::CutDirect(true), Turn::CutDirect(false))],
            5 => vec![(Turn::Mtu(500 + chance.below(1000) as u16), Turn::Mtu(u16::MAX))],
            6 => vec![(Turn::RelayDown, Turn::RelayUp)],
            7 => vec![(Turn::Sleeps(side, true), Turn::Sleeps(side, false))],
            8 => vec![(Turn::Loss(100 + chance.below(300)), Turn::Loss(10))],
            _ => {
                let once = if chance.below(2) == 0 { Turn::Reboot(side) } else { Turn::Move(side) };
                return self.turns.push((begins, once));
            }
        };
        for (on, off) in on_and_off {
            self.turns.extend([(begins, on), (ends, off)]);
        }
    }
}

/// Whether two kinds meet without a guess: both have one mapping for everybody, or the one that has not is let in by
/// whoever lets in all ports of an address that it has sent to.
pub(super) fn meet(a: Kind, b: Kind) -> bool {
    use Kind::{
        AddressCone, CarrierSymmetric, FullCone, None, Symmetric, SymmetricAddress, SymmetricSequential,
    };
    let hides = |kind| matches!(kind, SymmetricSequential | SymmetricAddress | Symmetric | CarrierSymmetric);
    let lets_in = |kind| matches!(kind, None | FullCone | AddressCone);
    let is_blocked = [a, b].contains(&Kind::UdpBlocked);
    !is_blocked
        && match (hides(a), hides(b)) {
            (false, false) => true,
            (true, false) => lets_in(b),
            (false, true) => lets_in(a),
            (true, true) => false,
        }
}
