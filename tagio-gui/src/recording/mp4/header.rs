//! What stands before the first fragment: the kind of file, and how to decode its one track.

use mp4_atom::{
    Avc1, Avcc, AvccExt, Codec, Colr, Dinf, Dref, Encode as _, Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mvex,
    Mvhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url, Visual, Vmhd,
};
use tagio_wire::Size;

use super::{TIMESCALE, TRACK_ID};
use crate::recording::nal::ParameterSets;

/// The file's first bytes.
///
/// # Errors
/// `size` is larger than the format can say, or the parameter sets are no H.264 ones.
pub(super) fn encode(size: Size, sets: &ParameterSets) -> mp4_atom::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ftyp().encode(&mut bytes)?;
    moov(size, sets)?.encode(&mut bytes)?;
    Ok(bytes)
}

fn ftyp() -> Ftyp {
    Ftyp {
        major_brand: b"iso6".into(),
        minor_version: 0,
        compatible_brands: vec![b"iso6".into(), b"avc1".into(), b"mp41".into()],
    }
}

fn moov(size: Size, sets: &ParameterSets) -> mp4_atom::Result<Moov> {
    Ok(Moov {
        mvhd: Mvhd {
            timescale: TIMESCALE,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: TRACK_ID + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex {
            trex: vec![Trex { track_id: TRACK_ID, default_sample_description_index: 1, ..Trex::default() }],
            ..Mvex::default()
        }),
        trak: vec![trak(size, sets)?],
        ..Moov::default()
    })
}

fn trak(size: Size, sets: &ParameterSets) -> mp4_atom::Result<Trak> {
    let (width, height) = sides(size)?;
    Ok(Trak {
        tkhd: Tkhd {
            track_id: TRACK_ID,
            enabled: true,
            in_movie: true,
            width: width.into(),
            height: height.into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale: TIMESCALE, language: "und".to_owned(), ..Mdhd::default() },
            hdlr: Hdlr { handler: b"vide".into(), name: "TagIO".to_owned() },
            minf: Minf {
                vmhd: Some(Vmhd::default()),
                dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                stbl: Stbl {
                    stsd: Stsd { codecs: vec![sample_entry(width, height, sets)?] },
                    // The samples are in the fragments; the empty table is required all the same.
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    })
}

fn sample_entry(width: u16, height: u16, sets: &ParameterSets) -> mp4_atom::Result<Codec> {
    let entry = Avc1 {
        visual: Visual { data_reference_index: 1, width, height, ..Visual::default() },
        // The fields that the high profile asks for: 4:2:0 in 8 bits.
        avcc: Avcc { ext: Some(AvccExt::default()), ..Avcc::new(&sets.sequence, &sets.picture)? },
        colr: Some(Colr::Nclx {
            colour_primaries: BT_709,
            transfer_characteristics: SRGB,
            matrix_coefficients: BT_709,
            full_range_flag: true,
        }),
        ..Avc1::default()
    };
    Ok(entry.into())
}

/// BT.709 in the lists of primaries and of matrices of ITU-T H.273.
const BT_709: u16 = 1;
/// What screens do with numbers, in its list of transfer characteristics.
const SRGB: u16 = 13;

fn sides(size: Size) -> mp4_atom::Result<(u16, u16)> {
    let too_large = |_| mp4_atom::Error::InvalidSize;
    Ok((u16::try_from(size.width).map_err(too_large)?, u16::try_from(size.height).map_err(too_large)?))
}
