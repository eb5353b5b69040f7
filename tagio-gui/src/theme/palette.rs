//! Colours of the light and the dark theme.

use eframe::egui::Color32;

/// Every colour by what it is for.
#[derive(Debug)]
pub struct Palette {
    /// Behind everything.
    pub page: Color32,
    /// Cards.
    pub surface: Color32,
    /// Things on cards: fields, quiet buttons.
    pub raised: Color32,
    /// The same under the pointer.
    pub raised_hover: Color32,
    /// Thin lines around cards and fields.
    pub line: Color32,
    /// Text.
    pub text: Color32,
    /// Text that explains other text.
    pub text_weak: Color32,
    /// The one colour that says "here".
    pub accent: Tone,
    /// It worked, it is safe.
    pub good: Tone,
    /// Look at this.
    pub warn: Tone,
    /// It failed, or it ends something.
    pub danger: Tone,
    /// Parts of a whole in a chart, told apart also by those who see few colours.
    pub series: [Color32; 5],
    /// Shadows.
    pub shadow: Color32,
    /// Behind a question that must be answered, and over a picture that is not live.
    pub veil: Color32,
    /// Around the remote picture.
    pub letterbox: Color32,
    /// Text straight on the letterbox or the veil.
    pub on_veil: Color32,
}

/// A meaning in the four ways that it is shown.
#[derive(Debug)]
pub struct Tone {
    /// A button's face.
    pub fill: Color32,
    /// The same under the pointer.
    pub fill_hover: Color32,
    /// Text on that face.
    pub on_fill: Color32,
    /// Text and icons on a page, a card or `soft`.
    pub text: Color32,
    /// Background of a notice.
    pub soft: Color32,
}

impl Palette {
    /// The dark or the light one.
    pub fn of(dark: bool) -> &'static Self {
        if dark { &DARK } else { &LIGHT }
    }
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

static LIGHT: Palette = Palette {
    page: rgb(0xf3f5f9),
    surface: rgb(0xffffff),
    raised: rgb(0xf0f2f7),
    raised_hover: rgb(0xe3e8f1),
    line: rgb(0xdce1ea),
    text: rgb(0x141922),
    text_weak: rgb(0x525d70),
    accent: Tone {
        fill: rgb(0x2159d6),
        fill_hover: rgb(0x1a49b5),
        on_fill: rgb(0xffffff),
        text: rgb(0x1d50c4),
        soft: rgb(0xe8effd),
    },
    good: Tone {
        fill: rgb(0x147a46),
        fill_hover: rgb(0x0f6438),
        on_fill: rgb(0xffffff),
        text: rgb(0x116b3d),
        soft: rgb(0xe4f5ec),
    },
    warn: Tone {
        fill: rgb(0x8a5300),
        fill_hover: rgb(0x704300),
        on_fill: rgb(0xffffff),
        text: rgb(0x7d4b00),
        soft: rgb(0xfff3dc),
    },
    danger: Tone {
        fill: rgb(0xc22e23),
        fill_hover: rgb(0xa3231a),
        on_fill: rgb(0xffffff),
        text: rgb(0xb3261c),
        soft: rgb(0xfdecea),
    },
    series: [rgb(0x2b8cc4), rgb(0x00508a), rgb(0xb87700), rgb(0x007a58), rgb(0xb0558a)],
    shadow: Color32::from_black_alpha(24),
    veil: Color32::from_black_alpha(150),
    letterbox: rgb(0x0c0e12),
    on_veil: rgb(0xf3f5f9),
};

static DARK: Palette = Palette {
    page: rgb(0x101318),
    surface: rgb(0x191e26),
    raised: rgb(0x242b36),
    raised_hover: rgb(0x303947),
    line: rgb(0x2e3643),
    text: rgb(0xedf0f5),
    text_weak: rgb(0xa3adbd),
    accent: Tone {
        fill: rgb(0x2e69e2),
        fill_hover: rgb(0x2259c9),
        on_fill: rgb(0xffffff),
        text: rgb(0x86aeff),
        soft: rgb(0x1b2a48),
    },
    good: Tone {
        fill: rgb(0x187f4b),
        fill_hover: rgb(0x13693d),
        on_fill: rgb(0xffffff),
        text: rgb(0x5fd69a),
        soft: rgb(0x163426),
    },
    warn: Tone {
        fill: rgb(0xf0bd5a),
        fill_hover: rgb(0xffcf70),
        on_fill: rgb(0x1c1503),
        text: rgb(0xf3c568),
        soft: rgb(0x362b12),
    },
    danger: Tone {
        fill: rgb(0xce3a2f),
        fill_hover: rgb(0xb02e24),
        on_fill: rgb(0xffffff),
        text: rgb(0xff8f84),
        soft: rgb(0x42201d),
    },
    series: [rgb(0x56b4e9), rgb(0x4a86d8), rgb(0xe69f00), rgb(0x14b485), rgb(0xd88bb5)],
    shadow: Color32::from_black_alpha(96),
    veil: Color32::from_black_alpha(170),
    letterbox: rgb(0x08090c),
    on_veil: rgb(0xf3f5f9),
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What WCAG 2 asks for text of normal size.
    const CONTRAST_MIN: f32 = 4.5;

    /// And of charts.
    const GRAPHIC_CONTRAST_MIN: f32 = 3.0;

    fn luminance(color: Color32) -> f32 {
        let [r, g, b] = [color.r(), color.g(), color.b()].map(|channel| {
            let value = f32::from(channel) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn contrast(text: Color32, behind: Color32) -> f32 {
        let (a, b) = (luminance(text), luminance(behind));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn check(what: &str, text: Color32, behind: Color32) {
        let contrast = contrast(text, behind);
        assert!(contrast >= CONTRAST_MIN, "{what}: {contrast:.2}");
    }

    #[test]
    fn text_can_be_read_everywhere() {
        for (theme, palette) in [("light", &LIGHT), ("dark", &DARK)] {
            let p = palette;
            for behind in [p.page, p.surface, p.raised, p.raised_hover] {
                check(&format!("{theme} text"), p.text, behind);
            }
            for behind in [p.page, p.surface, p.raised] {
                check(&format!("{theme} weak text"), p.text_weak, behind);
            }
            let tones = [("accent", &p.accent), ("good", &p.good), ("warn", &p.warn), ("danger", &p.danger)];
            for (name, tone) in tones {
                check(&format!("{theme} {name} button"), tone.on_fill, tone.fill);
                check(&format!("{theme} {name} hovered button"), tone.on_fill, tone.fill_hover);
                for behind in [p.page, p.surface, p.raised, tone.soft] {
                    check(&format!("{theme} {name} text"), tone.text, behind);
                }
                check(&format!("{theme} text on {name} notice"), p.text, tone.soft);
                check(&format!("{theme} weak text on {name} notice"), p.text_weak, tone.soft);
            }
            for (at, color) in p.series.into_iter().enumerate() {
                let contrast = contrast(color, p.surface);
                assert!(contrast >= GRAPHIC_CONTRAST_MIN, "{theme} series {at}: {contrast:.2}");
            }
            check(&format!("{theme} text on the letterbox"), p.on_veil, p.letterbox);
        }
    }
}
