//! How long what STUN has said is believed. Pure.

use std::time::Duration;

use tagio_wire::nat::Mapping;

/// An answer, while nothing changes.
const ANSWER: Duration = Duration::from_secs(300);
/// The first silence: it may be an outage's, or of the moment after one in which the system still looks for its router.
/// Each further one is believed for twice as long, up to [`ANSWER`].
const FIRST_SILENCE: Duration = Duration::from_secs(5);

/// What has come of the questions so far.
#[derive(Debug, Default)]
pub(super) struct Belief {
    /// Questions in a row that nobody answered.
    silences: u32,
}

impl Belief {
    /// How long the newest report, of this mapping, is believed.
    pub(super) fn lasts(&mut self, mapping: Mapping) -> Duration {
        if mapping != Mapping::Blocked {
            self.silences = 0;
            return ANSWER;
        }
        let doubled = FIRST_SILENCE * 2u32.saturating_pow(self.silences.min(16));
        self.silences += 1;
        doubled.min(ANSWER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a question and its repetitions take where nobody answers.
    const SILENCE: Duration = Duration::from_secs(1);

    /// Asks from now on, where UDP is blocked for so long; when each of the questions of so much time was sent, up to
    /// the first that was answered.
    fn questions(blocked: Duration, watched: Duration) -> Vec<Duration> {
        let (mut belief, mut now, mut sent) = (Belief::default(), Duration::ZERO, Vec::new());
        while now < watched {
            sent.push(now);
            if now >= blocked {
                assert_eq!(belief.lasts(Mapping::EndpointIndependent), ANSWER);
                break;
            }
            now += SILENCE + belief.lasts(Mapping::Blocked);
        }
        sent
    }

    #[test]
    fn a_silence_right_after_an_outage_is_soon_doubted() {
        assert_eq!(questions(Duration::from_millis(1), 60 * SILENCE).last(), Some(&(6 * SILENCE)));
        for blocked in (1..300).map(|seconds| seconds * SILENCE) {
            let answered = *questions(blocked, 3600 * SILENCE).last().expect("the first one");
            assert!(
                answered >= blocked && answered <= blocked * 2 + 2 * FIRST_SILENCE,
                "{blocked:?}: {answered:?}"
            );
        }
    }

    #[test]
    fn where_udp_is_blocked_for_good_questions_become_as_rare_as_elsewhere() {
        let sent = questions(Duration::MAX, 3600 * SILENCE);
        assert!(sent.len() < 20, "{sent:?}");
        let pauses: Vec<_> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.is_sorted() && pauses.last() == Some(&(ANSWER + SILENCE)), "{pauses:?}");
    }

    #[test]
    fn an_answer_makes_the_next_silence_the_first_one() {
        let mut belief = Belief::default();
        assert_eq!(
            [Mapping::Blocked; 3].map(|silence| belief.lasts(silence)),
            [1, 2, 4].map(|n| n * FIRST_SILENCE)
        );
        assert_eq!(belief.lasts(Mapping::Random), ANSWER);
        assert_eq!(belief.lasts(Mapping::Blocked), FIRST_SILENCE);
    }
}
