//! H.264's units: between start codes, as encoders write them, or behind their length, as MP4 keeps them.

/// Bytes of a length in our files.
pub(super) const LENGTH_BYTES: usize = 4;

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;

/// What a decoder must know before the first picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    /// The sequence parameter set.
    pub sequence: Vec<u8>,
    /// The picture parameter set.
    pub picture: Vec<u8>,
}

impl ParameterSets {
    /// Those of a stream that has them; `None` unless it has both.
    pub fn find(stream: &[u8]) -> Option<Self> {
        let of_kind = |kind| units(stream).find(|unit| kind_of(unit) == kind).map(<[u8]>::to_vec);
        Some(Self { sequence: of_kind(SEQUENCE_PARAMETERS)?, picture: of_kind(PICTURE_PARAMETERS)? })
    }

    /// As a decoder wants them.
    pub fn to_stream(&self) -> Vec<u8> {
        [&START_CODE, self.sequence.as_slice(), &START_CODE, self.picture.as_slice()].concat()
    }
}

/// A stream as a sample of a file: lengths instead of start codes, without the parameter sets, which the file's
/// header has.
pub(super) fn sample_of(stream: &[u8]) -> Vec<u8> {
    let mut sample = Vec::with_capacity(stream.len() + LENGTH_BYTES);
    for unit in units(stream) {
        if !matches!(kind_of(unit), SEQUENCE_PARAMETERS | PICTURE_PARAMETERS) {
            // A unit is a part of one picture's bytes in memory, far below 4 GB.
            sample.extend_from_slice(&(unit.len() as u32).to_be_bytes());
            sample.extend_from_slice(unit);
        }
    }
    sample
}

/// The way back, behind `before`. `None` when a length leads out of the sample.
pub(super) fn stream_of(sample: &[u8], before: &[u8]) -> Option<Vec<u8>> {
    let mut stream = Vec::with_capacity(before.len() + sample.len());
    stream.extend_from_slice(before);
    let mut rest = sample;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (unit, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        stream.extend_from_slice(&START_CODE);
        stream.extend_from_slice(unit);
        rest = behind;
    }
    Some(stream)
}

/// The units between the start codes of a stream, none of them empty.
fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream).unwrap_or_default();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.windows(3).position(|bytes| bytes == [0, 0, 1]);
        let unit = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |end| &rest[end + 3..]);
        // The zero of a four-byte start code belongs to it; a unit never ends with a zero.
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&unit[..length])
    })
    .filter(|unit| !unit.is_empty())
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    let start = stream.windows(3).position(|bytes| bytes == [0, 0, 1])?;
    Some(&stream[start + 3..])
}

fn kind_of(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |first| first & 0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        &[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 9, 0, 9, 0, 0, 0, 1, 0x41, 7];

    #[test]
    fn a_sample_has_lengths_and_no_parameter_sets() {
        assert_eq!(sample_of(STREAM), [0, 0, 0, 4, 0x65, 9, 0, 9, 0, 0, 0, 2, 0x41, 7]);
        let sets = ParameterSets::find(STREAM).unwrap();
        assert_eq!((sets.sequence, sets.picture), (vec![0x67, 1, 2], vec![0x68, 3]));
        assert_eq!(ParameterSets::find(&STREAM[7..]), None);
    }

    #[test]
    fn streams_come_back_and_lies_do_not() {
        let sample = sample_of(STREAM);
        let stream = stream_of(&sample, &[]).unwrap();
        assert_eq!(stream, [0, 0, 0, 1, 0x65, 9, 0, 9, 0, 0, 0, 1, 0x41, 7]);
        for cut in [1, 5, sample.len() - 1] {
            assert_eq!(stream_of(&sample[..cut], &[]), None, "{cut}");
        }
        assert!(sample_of(&[1, 2, 3]).is_empty());
    }
}
