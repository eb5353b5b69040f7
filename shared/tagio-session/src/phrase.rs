//! The safety phrase: four words that are the same on both screens unless someone sits in between.

use std::fmt;

use sha2::{Digest, Sha256};

/// Separates the phrase from any other use of the transcript.
const LABEL: &[u8] = b"tagio safety phrase 1";

/// Words of a phrase: 32 bits, as much as people compare aloud.
const PHRASE_WORDS: usize = 4;

/// How often the transcript's hash goes into the digest: 1 MiB of SHA-256, some milliseconds for the two
/// ends. One in the middle who tries handshakes until two different ones show the same phrase has to do
/// that 2^32 times while people wait.
const REPEATS: usize = 32 * 1024;

/// Repeats that are digested at once.
const REPEATS_AT_ONCE: usize = 128;

/// Four words that two people can compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SafetyPhrase([u8; PHRASE_WORDS]);

impl SafetyPhrase {
    /// The phrase of the finished handshake with this hash.
    pub(crate) fn from_transcript(hash: &[u8]) -> Self {
        let mut digest = Sha256::new().chain_update(LABEL);
        let chunk = hash.repeat(REPEATS_AT_ONCE);
        for _ in 0..REPEATS / REPEATS_AT_ONCE {
            digest.update(&chunk);
        }
        let mut indexes = [0; PHRASE_WORDS];
        indexes.copy_from_slice(&digest.finalize()[..PHRASE_WORDS]);
        Self(indexes)
    }

    /// Its words.
    pub fn words(self) -> [&'static str; PHRASE_WORDS] {
        self.0.map(|index| WORDS[usize::from(index)])
    }
}

impl fmt::Display for SafetyPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

impl fmt::Debug for SafetyPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafetyPhrase({self})")
    }
}

/// Short, common, easy to tell apart when spoken.
#[rustfmt::skip]
const WORDS: [&str; 256] = [
    "acorn", "actor", "album", "alley", "almond", "amber", "anchor", "apple", "apron", "arrow", "artist", "atlas",
    "autumn", "badge", "baker", "bamboo", "banjo", "barrel", "basket", "beach", "beaver", "bench", "berry", "bicycle",
    "bird", "blanket", "blossom", "boat", "bottle", "branch", "bread", "brick", "bridge", "brook", "bucket", "butter",
    "button", "cabin", "cactus", "camel", "camera", "candle", "canoe", "canyon", "carpet", "carrot", "castle", "cedar",
    "cello", "chair", "chalk", "cherry", "circle", "citrus", "clock", "cloud", "clover", "coast", "cobalt", "coffee",
    "comet", "copper", "coral", "cotton", "cradle", "crane", "cricket", "crown", "crystal", "curtain", "daisy", "dance",
    "desert", "diamond", "dinner", "doctor", "dolphin", "donkey", "dragon", "drum", "eagle", "earth", "easel", "echo",
    "elbow", "elephant", "emerald", "engine", "envelope", "falcon", "farmer", "feather", "fern", "fiddle", "field", "finger",
    "flag", "flute", "forest", "fossil", "fountain", "fox", "galaxy", "garden", "garlic", "gecko", "ginger", "giraffe",
    "glacier", "globe", "glove", "goblet", "grape", "guitar", "hammer", "harbor", "harvest", "hazel", "helmet", "hill",
    "honey", "horizon", "house", "igloo", "island", "ivory", "jacket", "jasmine", "jewel", "jigsaw", "judge", "jungle",
    "kayak", "kettle", "kitchen", "kitten", "koala", "ladder", "lake", "lantern", "laptop", "lemon", "letter", "library",
    "lily", "lion", "lobster", "magnet", "mango", "maple", "marble", "market", "meadow", "melon", "mirror", "mitten",
    "monkey", "moon", "mountain", "muffin", "museum", "napkin", "needle", "nephew", "notebook", "nutmeg", "oasis", "ocean",
    "olive", "onion", "orange", "orchid", "otter", "oyster", "paddle", "palace", "panda", "paper", "parrot", "peanut",
    "pebble", "pencil", "pepper", "piano", "picnic", "pillow", "pilot", "planet", "pocket", "pony", "potato", "pumpkin",
    "puzzle", "quartz", "quilt", "rabbit", "radio", "rainbow", "raven", "ribbon", "river", "robin", "rocket", "ruby",
    "saddle", "sailor", "salmon", "sandal", "school", "shadow", "shell", "shovel", "silver", "singer", "snow", "spider",
    "spoon", "spring", "squirrel", "stable", "station", "stone", "summer", "sunset", "swan", "table", "tailor", "teapot",
    "temple", "theater", "thunder", "ticket", "tiger", "timber", "tomato", "tower", "tractor", "tulip", "tunnel", "turtle",
    "umbrella", "uncle", "valley", "velvet", "village", "violin", "volcano", "wagon", "walnut", "water", "whale", "whistle",
    "willow", "window", "winter", "zebra",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_is_there_once_and_short() {
        assert_eq!(WORDS.iter().collect::<BTreeSet<_>>().len(), WORDS.len());
        assert!(
            WORDS.iter().all(|w| (3..=8).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase()))
        );
    }

    #[test]
    fn the_phrase_follows_from_the_transcript() {
        let phrase = SafetyPhrase::from_transcript(b"transcript");
        assert_eq!(phrase, SafetyPhrase::from_transcript(b"transcript"));
        assert_ne!(phrase, SafetyPhrase::from_transcript(b"another"));
        assert_eq!(phrase.to_string().split(' ').count(), PHRASE_WORDS);
    }
}
