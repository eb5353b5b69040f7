//! Icons, drawn with lines so that no font has to contain them.

use std::f32::consts::TAU;

use eframe::egui::{Color32, Painter, Pos2, Rect, Stroke, StrokeKind, pos2, vec2};

/// What an icon shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the whole meaning")]
pub enum Icon {
    Copy,
    Check,
    Renew,
    Gear,
    Close,
    Back,
    Arrow,
    Eye,
    FullScreen,
    Fit,
    Original,
    Keyboard,
    Shield,
    Pointer,
    Screen,
    Leave,
    Sliders,
    Record,
    RecordingNow,
    Figures,
    Ports,
    Tunnel,
    Play,
    Stop,
    Plus,
}

/// The grid that every icon is drawn on.
const GRID: f32 = 16.0;

/// Paints an icon into the middle of `rect`, as large as its shorter side.
pub fn paint(painter: &Painter, rect: Rect, icon: Icon, color: Color32) {
    let side = rect.width().min(rect.height());
    let square = Rect::from_center_size(rect.center(), vec2(side, side));
    Pen { painter, square, stroke: Stroke::new(side / GRID * 1.5, color) }.draw(icon);
}

struct Pen<'a> {
    painter: &'a Painter,
    square: Rect,
    stroke: Stroke,
}

impl Pen<'_> {
    fn draw(&self, icon: Icon) {
        match icon {
            Icon::Copy => {
                self.frame(5.5, 5.5, 8.5, 8.5);
                self.line(&[(3.5, 10.5), (2.0, 10.5), (2.0, 2.0), (10.5, 2.0), (10.5, 3.5)]);
            }
            Icon::Check => self.line(&[(2.5, 8.5), (6.5, 12.5), (13.5, 4.0)]),
            Icon::Renew => self.renew(),
            Icon::Gear => self.gear(),
            Icon::Close => {
                self.line(&[(3.5, 3.5), (12.5, 12.5)]);
                self.line(&[(12.5, 3.5), (3.5, 12.5)]);
            }
            Icon::Back => {
                self.line(&[(8.0, 3.0), (3.0, 8.0), (8.0, 13.0)]);
                self.line(&[(3.0, 8.0), (13.5, 8.0)]);
            }
            Icon::Arrow => {
                self.line(&[(8.5, 3.5), (13.0, 8.0), (8.5, 12.5)]);
                self.line(&[(3.0, 8.0), (13.0, 8.0)]);
            }
            Icon::Eye => {
                self.arc((8.0, 14.0), 9.0, 0.635, 0.865);
                self.arc((8.0, 2.0), 9.0, 0.135, 0.365);
                self.circle(8.0, 8.0, 2.0);
            }
            Icon::FullScreen => {
                for (x, y, dx, dy) in [
                    (2.0, 2.0, 1.0, 1.0),
                    (14.0, 2.0, -1.0, 1.0),
                    (2.0, 14.0, 1.0, -1.0),
                    (14.0, 14.0, -1.0, -1.0),
                ] {
                    self.line(&[(x + 4.0 * dx, y), (x, y), (x, y + 4.0 * dy)]);
                }
            }
            Icon::Fit => {
                self.frame(1.5, 3.0, 13.0, 10.0);
                self.line(&[(4.5, 8.0), (11.5, 8.0)]);
                self.line(&[(6.5, 6.0), (4.5, 8.0), (6.5, 10.0)]);
                self.line(&[(9.5, 6.0), (11.5, 8.0), (9.5, 10.0)]);
            }
            Icon::Original => {
                self.line(&[(2.5, 5.5), (4.5, 4.0), (4.5, 12.0)]);
                self.line(&[(10.5, 5.5), (12.5, 4.0), (12.5, 12.0)]);
                self.dot(8.0, 6.5);
                self.dot(8.0, 10.0);
            }
            Icon::Keyboard => {
                self.frame(1.0, 4.0, 14.0, 8.5);
                for x in [4.0, 8.0, 12.0] {
                    self.dot(x, 7.0);
                }
                self.line(&[(5.0, 10.0), (11.0, 10.0)]);
            }
            Icon::Shield => {
                let edge =
                    [(8.0, 1.5), (13.5, 3.5), (13.0, 8.5), (8.0, 14.5), (3.0, 8.5), (2.5, 3.5), (8.0, 1.5)];
                self.line(&edge);
                self.line(&[(5.5, 7.5), (7.5, 9.5), (10.5, 5.5)]);
            }
            Icon::Pointer => {
                self.line(&[(4.0, 2.0), (4.0, 13.0), (7.0, 10.0), (11.5, 10.0), (4.0, 2.0)]);
                self.line(&[(7.5, 10.5), (9.0, 14.0)]);
            }
            Icon::Screen => {
                self.frame(1.5, 2.5, 13.0, 8.5);
                self.line(&[(8.0, 11.0), (8.0, 13.5)]);
                self.line(&[(5.0, 13.5), (11.0, 13.5)]);
            }
            Icon::Leave => {
                self.line(&[(9.5, 2.5), (2.5, 2.5), (2.5, 13.5), (9.5, 13.5)]);
                self.line(&[(6.0, 8.0), (14.0, 8.0)]);
                self.line(&[(11.0, 5.0), (14.0, 8.0), (11.0, 11.0)]);
            }
            Icon::Sliders => {
                for (y, knob) in [(3.5, 10.5), (8.0, 5.5), (12.5, 9.0)] {
                    self.line(&[(1.5, y), (knob - 1.8, y)]);
                    self.line(&[(knob + 1.8, y), (14.5, y)]);
                    self.circle(knob, y, 1.8);
                }
            }
            Icon::Record => {
                self.circle(8.0, 8.0, 6.0);
                self.disc(8.0, 8.0, 3.2);
            }
            Icon::RecordingNow => self.disc(8.0, 8.0, 5.0),
            Icon::Figures => {
                for (x, top) in [(3.5, 9.0), (8.0, 3.0), (12.5, 6.0)] {
                    self.line(&[(x, 13.5), (x, top)]);
                }
            }
            Icon::Ports => {
                self.line(&[(2.0, 5.0), (13.5, 5.0)]);
                self.line(&[(10.5, 2.0), (13.5, 5.0), (10.5, 8.0)]);
                self.line(&[(14.0, 11.0), (2.5, 11.0)]);
                self.line(&[(5.5, 8.0), (2.5, 11.0), (5.5, 14.0)]);
            }
            Icon::Tunnel => {
                self.arc((8.0, 8.5), 6.5, 0.5, 1.0);
                self.line(&[(1.5, 8.5), (1.5, 14.0), (14.5, 14.0), (14.5, 8.5)]);
                self.arc((8.0, 9.5), 2.8, 0.5, 1.0);
                self.line(&[(5.2, 9.5), (5.2, 14.0)]);
                self.line(&[(10.8, 9.5), (10.8, 14.0)]);
            }
            Icon::Play => self.line(&[(4.5, 2.5), (13.0, 8.0), (4.5, 13.5), (4.5, 2.5)]),
            Icon::Stop => self.frame(3.5, 3.5, 9.0, 9.0),
            Icon::Plus => {
                self.line(&[(8.0, 2.5), (8.0, 13.5)]);
                self.line(&[(2.5, 8.0), (13.5, 8.0)]);
            }
        }
    }

    fn renew(&self) {
        self.arc((8.0, 8.0), 5.5, -0.05, 0.42);
        self.arc((8.0, 8.0), 5.5, 0.45, 0.92);
        self.line(&[(13.9, 2.6), (13.3, 6.4), (9.7, 5.6)]);
        self.line(&[(2.1, 13.4), (2.7, 9.6), (6.3, 10.4)]);
    }

    fn gear(&self) {
        self.circle(8.0, 8.0, 2.2);
        self.circle(8.0, 8.0, 4.8);
        for tooth in 0..8 {
            let (sin, cos) = (tooth as f32 / 8.0 * TAU).sin_cos();
            self.line(&[(8.0 + 4.8 * cos, 8.0 + 4.8 * sin), (8.0 + 6.8 * cos, 8.0 + 6.8 * sin)]);
        }
    }

    fn at(&self, (x, y): (f32, f32)) -> Pos2 {
        pos2(
            self.square.left() + x / GRID * self.square.width(),
            self.square.top() + y / GRID * self.square.height(),
        )
    }

    fn line(&self, points: &[(f32, f32)]) {
        self.painter.line(points.iter().map(|point| self.at(*point)).collect(), self.stroke);
    }

    fn frame(&self, x: f32, y: f32, width: f32, height: f32) {
        let rect = Rect::from_two_pos(self.at((x, y)), self.at((x + width, y + height)));
        self.painter.rect_stroke(rect, self.stroke.width * 1.5, self.stroke, StrokeKind::Middle);
    }

    fn circle(&self, x: f32, y: f32, r: f32) {
        self.painter.circle_stroke(self.at((x, y)), r / GRID * self.square.width(), self.stroke);
    }

    fn disc(&self, x: f32, y: f32, r: f32) {
        self.painter.circle_filled(self.at((x, y)), r / GRID * self.square.width(), self.stroke.color);
    }

    fn dot(&self, x: f32, y: f32) {
        self.painter.circle_filled(self.at((x, y)), self.stroke.width * 0.8, self.stroke.color);
    }

    /// Part of a circle, from one turn to another (0 is right, 0.25 is down).
    fn arc(&self, (x, y): (f32, f32), r: f32, from: f32, to: f32) {
        const STEPS: u8 = 16;
        let points = (0..=STEPS).map(|step| {
            let (sin, cos) = ((from + (to - from) * f32::from(step) / f32::from(STEPS)) * TAU).sin_cos();
            self.at((x + r * cos, y + r * sin))
        });
        self.painter.line(points.collect(), self.stroke);
    }
}
