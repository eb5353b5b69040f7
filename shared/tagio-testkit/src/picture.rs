//! Pictures to compare: read from a screen or a file, or made up from a seed.

use std::{fmt, fs::File, io::BufReader, path::Path};

use anyhow::{Context as _, Result, ensure};

use crate::Seeded;

/// RGB, 8 bits each, row by row.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `width * height` of them.
    pub pixels: Vec<[u8; 3]>,
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Never 0.
    pub width: usize,
    /// Never 0.
    pub height: usize,
}

impl Picture {
    /// One colour everywhere.
    pub fn plain(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, pixels: vec![colour; width * height] }
    }

    /// What a desktop is made of, out of a seed: flat areas, lines of text-like dots, a gradient and pure noise.
    pub fn seeded(width: usize, height: usize, seed: u64) -> Self {
        let mut random = Seeded::new(seed);
        let mut picture = Self::plain(width, height, [random.byte(), random.byte(), random.byte()]);
        for _ in 0..24 {
            let area = picture.some_area(&mut random);
            let colour = [random.byte(), random.byte(), random.byte()];
            match random.below(4) {
                0 => picture.fill(area, colour),
                1 => picture.fill_with(area, |_, _| [random.byte(), random.byte(), random.byte()]),
                2 => picture.fill_with(area, |x, y| [x as u8, y as u8, (x + y) as u8]),
                _ => picture.write(area, colour, &mut random),
            }
        }
        picture
    }

    /// Reads a PNG.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("no picture {}", path.display()))?;
        let mut decoder = png::Decoder::new(BufReader::new(file));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info()?;
        let mut bytes = vec![0; reader.output_buffer_size().context("a picture too large for this machine")?];
        let info = reader.next_frame(&mut bytes)?;
        let samples = info.color_type.samples();
        ensure!(samples >= 3, "{} has no colours", path.display());
        let pixels = bytes[..info.buffer_size()].chunks_exact(samples).map(|p| [p[0], p[1], p[2]]).collect();
        Ok(Self { width: info.width as usize, height: info.height as usize, pixels })
    }

    /// Writes a PNG, for a person to look at after a failure.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut encoder = png::Encoder::new(File::create(path)?, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header()?.write_image_data(self.pixels.as_flattened())?;
        Ok(())
    }

    /// The whole of it.
    pub const fn whole(&self) -> Area {
        Area { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// A random area inside.
    pub fn some_area(&self, random: &mut Seeded) -> Area {
        let (x, y) = (random.below(self.width), random.below(self.height));
        let width = 1 + random.below(self.width - x);
        let height = 1 + random.below(self.height - y);
        Area { x, y, width, height }
    }

    /// One colour.
    pub fn fill(&mut self, area: Area, colour: [u8; 3]) {
        self.fill_with(area, |_, _| colour);
    }

    /// A colour for every pixel of the area.
    pub fn fill_with(&mut self, area: Area, mut colour: impl FnMut(usize, usize) -> [u8; 3]) {
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                self.pixels[y * self.width + x] = colour(x, y);
            }
        }
    }

    /// Fine dots in lines on plain ground: what blurs first when somebody cheats.
    fn write(&mut self, area: Area, ink: [u8; 3], random: &mut Seeded) {
        let paper = ink.map(|value| !value);
        self.fill_with(area, |_, y| if y % 14 < 9 && random.below(3) == 0 { ink } else { paper });
    }

    /// The difference to what was expected, in words; `None` when there is none.
    pub fn difference(&self, expected: &Self) -> Option<String> {
        if (self.width, self.height) != (expected.width, expected.height) {
            return Some(format!("{self:?} instead of {expected:?}"));
        }
        let wrong: Vec<usize> =
            (0..self.pixels.len()).filter(|&i| self.pixels[i] != expected.pixels[i]).collect();
        let first = *wrong.first()?;
        Some(format!(
            "{} of {} pixels differ; the first at {},{} is {:?} instead of {:?}",
            wrong.len(),
            self.pixels.len(),
            first % self.width,
            first / self.width,
            self.pixels[first],
            expected.pixels[first],
        ))
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a picture of {}x{}", self.width, self.height)
    }
}

/// # Panics
/// When a single pixel differs.
#[track_caller]
pub fn assert_same(seen: &Picture, expected: &Picture) {
    if let Some(difference) = seen.difference(expected) {
        panic!("{difference}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    #[test]
    fn a_seed_is_a_picture_and_survives_a_file() {
        let dir = TempDir::new();
        let picture = Picture::seeded(200, 100, 3);
        assert!(picture.difference(&Picture::seeded(200, 100, 4)).is_some());
        picture.save(&dir.path().join("a.png")).expect("saved");
        assert_same(&Picture::open(&dir.path().join("a.png")).expect("read"), &picture);
    }
}
