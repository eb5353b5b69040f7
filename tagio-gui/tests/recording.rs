//! A made-up session into a file and back, by our own reader and by FFmpeg's; and files that are cut or lie.
#![allow(clippy::unwrap_used, reason = "a test says no by failing")]

#[path = "../../shared/tagio-media/tests/desktop/mod.rs"]
mod desktop;

use std::{
    fs,
    io::{self, Cursor, Write},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use desktop::{CODE_PANE, Desktop, FULL_HD, film::photo, film::psnr, random::Random};
use tagio_gui::recording::{
    Destination, RecordError, Recorder,
    film::{Film, FilmError},
    mp4::{Index, ReadError, Reader},
};
use tagio_media::{Framebuffer, Region, codec::h264::H264Decoder};
use tagio_testkit::{Seeded, TempDir, ffprobe};
use tagio_wire::{Rect, Size};

/// Where the made-up desktop shows black letters on white paper.
const PROSE: Rect = Rect::new(1480, 60, 430, 960);
const FILM: Rect = Rect::new(400, 200, 640, 360);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A recording of these pictures, shown from these times on, until `end`.
fn record(pictures: &[(Framebuffer, Duration)], end: Duration) -> Vec<u8> {
    let mut film = Film::new(Cursor::new(Vec::new()), pictures[0].0.size()).unwrap();
    for (picture, at) in pictures {
        film.picture(picture, *at).unwrap();
    }
    film.finish(end).unwrap().into_inner()
}

fn reader(file: &[u8]) -> Reader<Cursor<&[u8]>> {
    Reader::open(Cursor::new(file)).unwrap()
}

/// All pictures of a recording.
fn play(file: &[u8]) -> Vec<Framebuffer> {
    let mut reader = reader(file);
    let samples = reader.index().samples.clone();
    let mut decoder = H264Decoder::new().unwrap();
    let decode = |sample| {
        let mut picture = Framebuffer::default();
        decoder.decode_whole(&reader.stream(sample).unwrap(), &mut picture).unwrap();
        picture
    };
    samples.iter().map(decode).collect()
}

/// Typing, a scroll and a film, with their times.
fn session() -> Vec<(Framebuffer, Duration)> {
    let (mut desktop, mut random) = (Desktop::new(FULL_HD, 7), Random::new(3));
    let mut pictures = vec![(desktop.frame.clone(), ms(0))];
    for letter in 0..6 {
        desktop.type_letter(letter, 3, letter as usize);
        pictures.push((desktop.frame.clone(), ms(150 + 170 * u64::from(letter))));
    }
    for line in 1..=4 {
        desktop.draw_code(line);
        pictures.push((desktop.frame.clone(), ms(3000 + 33 * line)));
    }
    for frame in 0..4 {
        photo(&mut desktop.frame, FILM, frame as f32 / 30.0, &mut random);
        pictures.push((desktop.frame.clone(), ms(9000 + 33 * frame)));
    }
    pictures
}

/// A small screen whose recording has several fragments and few bytes.
fn small_file() -> Vec<u8> {
    let mut picture = Framebuffer::new(Size::new(64, 48));
    let pictures: Vec<_> = (0..12_u32)
        .map(|step| {
            let rect = Rect::new(step * 4, step * 3, 8, 6);
            picture.rows_mut(rect).for_each(|row| row.fill(40 + step as u8 * 15));
            (picture.clone(), ms(u64::from(step) * 900))
        })
        .collect();
    record(&pictures, ms(12_000))
}

#[test]
fn a_session_comes_back_sharp_and_in_time() {
    let pictures = session();
    let file = record(&pictures, ms(12_345));
    let index = reader(&file).index().clone();
    assert_eq!((index.size, index.is_cut), (FULL_HD, false));
    assert_eq!(index.duration(), ms(12_345));
    let times: Vec<_> = index.samples.iter().map(|sample| sample.start).collect();
    assert_eq!(times, pictures.iter().map(|(_, at)| *at).collect::<Vec<_>>());
    assert!(index.samples.windows(2).all(|pair| pair[0].end == pair[1].start), "no gaps");
    assert!(index.samples[0].is_key && index.samples.iter().skip(1).any(|sample| sample.is_key));

    for (number, ((drawn, _), shown)) in pictures.iter().zip(play(&file)).enumerate() {
        let prose = psnr(drawn, &shown, PROSE);
        assert!(prose >= 38.0, "letters of picture {number}: {prose:.1} dB");
        let all = psnr(drawn, &shown, FULL_HD.rect());
        assert!(all >= 30.0, "picture {number}: {all:.1} dB");
    }
}

#[test]
fn a_still_screen_costs_nearly_nothing_and_is_in_the_file() {
    let picture = Desktop::new(FULL_HD, 1).frame;
    let mut film = Film::new(Cursor::new(Vec::new()), FULL_HD).unwrap();
    film.picture(&picture, ms(0)).unwrap();
    film.still(&picture, ms(2000)).unwrap();
    let first = film_bytes(&picture, 2);
    let more = film_bytes(&picture, 12);
    let still = (more - first) / 10;
    assert!(still < 1500, "{still} bytes for two seconds of nothing");
    drop(film);
}

/// Bytes of a film in which nothing happens after the first picture.
fn film_bytes(picture: &Framebuffer, stills: u64) -> usize {
    let mut film = Film::new(Cursor::new(Vec::new()), picture.size()).unwrap();
    film.picture(picture, ms(0)).unwrap();
    for still in 1..=stills {
        film.still(picture, ms(still * 2000)).unwrap();
    }
    film.finish(ms(stills * 2000 + 1000)).unwrap().into_inner().len()
}

#[test]
fn odd_sides_grow_to_even_ones() {
    let mut picture = Framebuffer::new(Size::new(65, 33));
    picture.bytes_mut().fill(180);
    let file = record(&[(picture, ms(0))], ms(500));
    assert_eq!(reader(&file).index().size, Size::new(66, 34));
    let shown = play(&file).remove(0);
    assert!(shown.bytes().chunks_exact(4).all(|pixel| pixel[..3].iter().all(|byte| byte.abs_diff(180) < 4)));
}

#[test]
fn cut_anywhere_the_whole_fragments_are_played() {
    let file = small_file();
    let whole = reader(&file).index().clone();
    for cut in 0..file.len() {
        let Ok(index) = Index::read(&mut Cursor::new(&file[..cut])) else { continue };
        assert_eq!(index.samples, whole.samples[..index.samples.len()], "cut at {cut}");
        let next = whole.samples.get(index.samples.len());
        assert!(next.is_none_or(
            |next| next.offset + u64::from(next.size) > cut as u64 || !is_first(&whole, next.start)
        ));
    }
    let last = whole.samples.last().unwrap();
    let cut = (last.offset + u64::from(last.size)) as usize - 1;
    let index = Index::read(&mut Cursor::new(&file[..cut])).unwrap();
    assert!(index.is_cut && index.samples.len() > whole.samples.len() / 2, "{} samples", index.samples.len());
    assert_eq!(play(&file[..cut]).len(), index.samples.len());
}

/// Whether a sample of this time is the last of its fragment: two seconds and keys end one.
fn is_first(index: &Index, start: Duration) -> bool {
    let at = index.at(start);
    index
        .samples
        .get(at + 1)
        .is_none_or(|next| next.offset != index.samples[at].offset + u64::from(index.samples[at].size))
}

#[test]
fn what_is_no_recording_is_refused_with_a_reason() {
    let read = |bytes: &[u8]| Index::read(&mut Cursor::new(bytes)).unwrap_err();
    assert!(matches!(read(b""), ReadError::Empty));
    assert!(matches!(read(b"%PDF-1.7 and so on, a page of words"), ReadError::NotMp4));
    assert!(matches!(read(&[0; 4096]), ReadError::NotMp4));
    let file = small_file();
    let place = |kind: &[u8]| file.windows(4).position(|bytes| bytes == kind).unwrap();
    let mut other = file.clone();
    other[place(b"avc1").max(40)..][..4].copy_from_slice(b"avc1");
    let sample_entry = file.windows(4).rposition(|bytes| bytes == b"avc1").unwrap();
    other[sample_entry..][..4].copy_from_slice(b"hvc1");
    assert_eq!(
        read(&other).to_string(),
        "this is no recording of TagIO (it is not H.264); another player may show it"
    );
    let mut plain = file.clone();
    plain[place(b"mvex")..][..4].copy_from_slice(b"free");
    assert!(matches!(read(&plain), ReadError::NotOurs("it has no fragments")));
}

#[test]
fn hostile_bytes_do_no_harm() {
    let (file, mut seeded) = (small_file(), Seeded::new(42));
    for round in 0..6000 {
        let mut bytes = file.clone();
        for _ in 0..=seeded.below(4) {
            let at = seeded.below(bytes.len());
            bytes[at] = seeded.byte();
        }
        let Ok(mut reader) = Reader::open(Cursor::new(&bytes[..])) else { continue };
        if round % 20 == 0 {
            let mut decoder = H264Decoder::new().unwrap();
            for sample in reader.index().samples.clone() {
                let mut picture = Framebuffer::default();
                // Whatever comes out: only no panic.
                reader.stream(&sample).map(|stream| decoder.decode_whole(&stream, &mut picture).is_ok()).ok();
            }
        }
    }
}

#[test]
fn boxes_in_boxes_cannot_exhaust_the_stack() {
    // A `moov` of nothing but a `moov`, and so on, then the same of `traf`s.
    for kind in [b"moov", b"trak", b"traf", b"meta"] {
        let mut nested: Vec<u8> = Vec::new();
        for depth in (1..=100_000_u32).rev() {
            nested.extend_from_slice(&(8 * (100_001 - depth)).to_be_bytes());
            nested.extend_from_slice(kind);
        }
        let headers: Vec<u8> = nested.chunks_exact(8).rev().flatten().copied().collect();
        let file = small_file();
        let ftyp = u32::from_be_bytes(file[..4].try_into().unwrap()) as usize;
        let mut bytes = file[..ftyp].to_vec();
        bytes.extend_from_slice(&(8 + headers.len() as u32).to_be_bytes());
        bytes.extend_from_slice(b"moov");
        bytes.extend_from_slice(&headers);
        assert!(Index::read(&mut Cursor::new(&bytes)).is_err());
    }
}

/// A disk with so much room.
struct Disk(Vec<u8>, usize);

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.1 - self.0.len());
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_costs_only_the_end() {
    let whole = small_file();
    let mut disk = Disk(Vec::new(), whole.len() * 2 / 3);
    let mut picture = Framebuffer::new(Size::new(64, 48));
    let mut film = Film::new(&mut disk, picture.size()).unwrap();
    let failed = (0..200_u32).find_map(|step| {
        picture.bytes_mut()[step as usize * 40..][..40].fill(200);
        film.picture(&picture, ms(u64::from(step) * 900)).err()
    });
    assert!(matches!(failed, Some(FilmError::Write(_))), "{failed:?}");
    drop(film);
    let index = reader(&disk.0).index().clone();
    assert!(index.duration() > ms(1500), "{:?}", index.duration());
}

fn to(folder: &Path) -> Destination {
    Destination { folder: folder.to_owned(), name: "TagIO test".to_owned() }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_recorder_writes_what_it_is_handed_and_begins_a_new_file_for_another_size() {
    let folder = TempDir::new();
    let start = Instant::now();
    let recorder = Recorder::start(to(folder.path()), start).unwrap();
    let tap = recorder.tap();
    let hand_in = |size: Size, value: u8, at: Duration| {
        let mut picture = Framebuffer::new(size);
        picture.bytes_mut().fill(value);
        tap.frame(&picture, &Region::whole(size), start + at);
        std::thread::sleep(ms(250));
    };
    hand_in(Size::new(320, 200), 50, ms(0));
    hand_in(Size::new(320, 200), 150, ms(1000));
    hand_in(Size::new(200, 320), 90, ms(3000));
    let second = recorder.file();
    assert_eq!(recorder.problem(), None);
    assert_eq!(recorder.stop(start + ms(4500)).unwrap(), second);
    assert_eq!(names(folder.path()), ["TagIO test (2).mp4", "TagIO test.mp4"]);

    let first = fs::read(folder.path().join("TagIO test.mp4")).unwrap();
    assert_eq!(reader(&first).index().duration(), ms(3000), "until the size changed");
    assert!(play(&first).last().unwrap().bytes()[0].abs_diff(150) < 4);
    let index = reader(&fs::read(second).unwrap()).index().clone();
    assert_eq!((index.size, index.duration()), (Size::new(200, 320), ms(1500)));
    tap.frame(&Framebuffer::new(Size::new(64, 64)), &Region::new(), Instant::now());
}

#[test]
fn a_recorder_that_got_nothing_leaves_nothing() {
    let folder = TempDir::new();
    let recorder = Recorder::start(to(folder.path()), Instant::now()).unwrap();
    assert!(recorder.file().exists());
    assert!(matches!(recorder.stop(Instant::now()), Err(RecordError::Nothing)));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn trouble_is_told_once_and_in_words() {
    let folder = TempDir::new();
    let missing = Recorder::start(to(&folder.path().join("nowhere")), Instant::now()).unwrap_err();
    assert!(missing.to_string().contains("choose another one"), "{missing}");

    let recorder = Recorder::start(to(folder.path()), Instant::now()).unwrap();
    let huge = Framebuffer::new(Size::new(4096, 16));
    recorder.tap().frame(&huge, &Region::new(), Instant::now());
    let problem = tagio_testkit::eventually(ms(10_000), || recorder.problem());
    assert_eq!(
        problem.as_deref(),
        Some(
            "The recording has stopped: a screen of 4096 x 16 pixels cannot be recorded; the largest is 3840 x 2160."
        )
    );
    assert!(recorder.stop(Instant::now()).is_err());
    assert!(names(folder.path()).is_empty(), "no empty file");
}

#[test]
fn ffmpeg_agrees_on_size_time_colours_and_pixels() {
    let folder = TempDir::new();
    let path = folder.path().join("a.mp4");
    let pictures = session();
    fs::write(&path, record(&pictures, ms(12_345))).unwrap();
    let entries = "stream=codec_name,width,height,nb_read_frames,color_range,color_space,color_primaries,\
                   color_transfer,pix_fmt:format=duration";
    let Some(said) = ffprobe(&path, entries) else { return };
    for line in [
        "codec_name=h264",
        "width=1920",
        "height=1080",
        "color_range=pc",
        "color_space=bt709",
        "color_primaries=bt709",
        "color_transfer=iec61966-2-1",
        &format!("nb_read_frames={}", pictures.len()),
        "duration=12.345000",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is missing in:\n{said}");
    }

    let (last_shown, last_at) = pictures.last().unwrap();
    let picture = folder.path().join("last.bgr");
    let shown = Command::new("ffmpeg")
        .args(["-v", "error", "-ss", &last_at.as_secs_f64().to_string(), "-i"])
        .arg(&path)
        .args(["-frames:v", "1", "-pix_fmt", "bgr0", "-f", "rawvideo"])
        .arg(&picture)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stderr), "", "seeking works without a word");
    let mut last = Framebuffer::new(FULL_HD);
    last.bytes_mut().copy_from_slice(&fs::read(&picture).unwrap());
    let prose = psnr(last_shown, &last, PROSE);
    assert!(prose >= 38.0, "{prose:.1} dB as FFmpeg shows it");
}

/// Not a test: the figures of `docs/RECORDING.md`.
/// `cargo test --release -p tagio-gui --test recording -- --ignored --nocapture figures`
#[test]
#[ignore = "takes a minute and tells figures"]
fn figures() {
    type Draw = fn(&mut Desktop, u64, &mut Random);
    let scenes: [(&str, u64, Draw); 4] = [
        ("typing, 8 letters a second", 125, |desktop, step, _| {
            let column = step as u32 % (CODE_PANE.width / 8 - 1);
            desktop.type_letter(column, 5 + step as u32 / 100, step as usize % 60);
        }),
        ("scrolling, 30 pictures a second", 33, |desktop, step, _| desktop.draw_code(step)),
        ("film of 640x360, 30 pictures a second", 33, |desktop, step, random| {
            photo(&mut desktop.frame, FILM, step as f32 / 30.0, random);
        }),
        ("nothing", 2000, |_, _, _| {}),
    ];
    for (name, interval, draw) in scenes {
        let (mut desktop, mut random) = (Desktop::new(FULL_HD, 7), Random::new(3));
        let mut film = Film::new(Cursor::new(Vec::new()), FULL_HD).unwrap();
        let (seconds, mut busy, mut worst) = (10, Duration::ZERO, f64::MAX);
        let steps = seconds * 1000 / interval;
        for step in 0..steps {
            draw(&mut desktop, step, &mut random);
            let begun = Instant::now();
            film.picture(&desktop.frame, ms(step * interval)).unwrap();
            busy += begun.elapsed();
        }
        let file = film.finish(ms(seconds * 1000)).unwrap().into_inner();
        let shown = play(&file).pop().unwrap();
        worst = worst.min(psnr(&desktop.frame, &shown, FULL_HD.rect()));
        eprintln!(
            "{name}: {:.2} MB a minute, {:.1} ms a picture, {:.0} % of a processor, {worst:.1} dB",
            file.len() as f64 * 6.0 / 1e6,
            busy.as_secs_f64() * 1000.0 / steps as f64,
            busy.as_secs_f64() * 100.0 / seconds as f64,
        );
    }
}
