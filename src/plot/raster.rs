//! A scene as pixels, with the text in an embedded subset of DejaVu Sans.

use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint as Brush, Path, PathBuilder, Pixmap, Shader, Stroke as Pen,
    StrokeDash, Transform,
};
use ttf_parser::{Face, OutlineBuilder};

use super::failure::PlotError;
use super::scene::{Anchor, DASHES, Item, Paint, Pixel, Scene, Text};
use super::style::Colour;
use super::text::{EM, text_width};
use crate::error::ParameterError;

const FONT: &[u8] = include_bytes!("font/sans.ttf");

/// The limits of a picture.
const LARGEST_SCALE: f64 = 10.0;
const MOST_PIXELS: f64 = 1e8;

/// The size of a scene in pixels of the picture.
pub(super) fn picture_size(scene: &Scene, scale: f64) -> Result<[u32; 2], PlotError> {
    let holds = scale > 0.0 && scale <= LARGEST_SCALE;
    ParameterError::check(holds, "scale", "positive and at most 10", scale)?;
    let [width, height] = scene.size.map(|x| (x * scale).round().max(1.0));
    let requirement = "at most 10^8";
    let pixels = width * height;
    ParameterError::check(
        pixels <= MOST_PIXELS,
        "number of pixels",
        requirement,
        pixels,
    )?;
    Ok([width as u32, height as u32])
}

/// The pixels of a scene on white, as red, green and blue.
pub(super) fn pixels(scene: &Scene, scale: f64) -> Result<Vec<u8>, PlotError> {
    let failed = |reason: &str| PlotError::Encoding {
        reason: reason.to_owned(),
    };
    let [width, height] = picture_size(scene, scale)?;
    let mut pixmap = Pixmap::new(width, height).ok_or_else(|| failed("no memory"))?;
    pixmap.fill(tiny_skia::Color::WHITE);
    let face = Face::parse(FONT, 0).map_err(|error| failed(&error.to_string()))?;
    let mut canvas = Canvas {
        pixmap,
        face,
        transform: Transform::from_scale(scale as f32, scale as f32),
    };
    for item in scene.groups.iter().flat_map(|(_, items)| items) {
        canvas.draw(item);
    }
    let opaque = canvas.pixmap.pixels().iter();
    Ok(opaque
        .flat_map(|p| [p.red(), p.green(), p.blue()])
        .collect())
}

struct Canvas {
    pixmap: Pixmap,
    face: Face<'static>,
    transform: Transform,
}

impl Canvas {
    fn draw(&mut self, item: &Item) {
        match item {
            Item::Lines(lines, paint) => {
                let mut builder = PathBuilder::new();
                for line in lines.iter().filter(|line| line.len() > 1) {
                    for (i, &[x, y]) in line.iter().enumerate() {
                        let (x, y) = (x as f32, y as f32);
                        if i == 0 {
                            builder.move_to(x, y)
                        } else {
                            builder.line_to(x, y)
                        }
                    }
                }
                self.paint(builder.finish(), *paint);
            }
            Item::Circles(circles, paint) => {
                for &([x, y], r) in circles {
                    let circle = PathBuilder::from_circle(x as f32, y as f32, r as f32);
                    self.paint(circle, *paint);
                }
            }
            Item::Text(text) => self.text(text),
        }
    }

    fn paint(&mut self, path: Option<Path>, paint: Paint) {
        let Some(path) = path else { return };
        match paint {
            Paint::Fill(colour, opacity) => {
                let rule = FillRule::EvenOdd;
                let brush = brush(colour, opacity);
                self.pixmap
                    .fill_path(&path, &brush, rule, self.transform, None);
            }
            Paint::Stroke(stroke) => {
                let dashes = DASHES.map(|length| length as f32).to_vec();
                let pen = Pen {
                    width: stroke.width as f32,
                    line_cap: LineCap::Butt,
                    line_join: LineJoin::Round,
                    dash: if stroke.dashed {
                        StrokeDash::new(dashes, 0.0)
                    } else {
                        None
                    },
                    ..Pen::default()
                };
                let brush = brush(stroke.colour, stroke.opacity);
                self.pixmap
                    .stroke_path(&path, &brush, &pen, self.transform, None);
            }
        }
    }

    fn text(&mut self, text: &Text) {
        let before = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => text_width(&text.text, text.size) / 2.0,
            Anchor::End => text_width(&text.text, text.size),
        };
        let mut outline = Outline {
            builder: PathBuilder::new(),
            text,
            along: -before,
            scale: text.size / f64::from(EM),
        };
        for c in text.text.chars() {
            let glyph = self.face.glyph_index(c).unwrap_or_default();
            self.face.outline_glyph(glyph, &mut outline);
            outline.along += text_width(c.encode_utf8(&mut [0; 4]), text.size);
        }
        let Some(path) = outline.builder.finish() else {
            return;
        };
        let brush = brush(text.colour, 1.0);
        self.pixmap
            .fill_path(&path, &brush, FillRule::Winding, self.transform, None);
    }
}

fn brush(colour: Colour, opacity: f64) -> Brush<'static> {
    let Colour { red, green, blue } = colour;
    let alpha = (opacity * 255.0).round() as u8;
    Brush {
        shader: Shader::SolidColor(tiny_skia::Color::from_rgba8(red, green, blue, alpha)),
        ..Brush::default()
    }
}

/// The outline of a text, glyph by glyph.
struct Outline<'a> {
    builder: PathBuilder,
    text: &'a Text,
    /// The position of the glyph along the text, from its anchor.
    along: f64,
    /// Pixels of a unit of the font.
    scale: f64,
}

impl Outline<'_> {
    /// The position of a point of the glyph.
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let along = self.along + f64::from(x) * self.scale;
        let up = f64::from(y) * self.scale;
        let [left, baseline]: Pixel = self.text.at;
        let (x, y) = if self.text.rotated {
            (left - up, baseline - along)
        } else {
            (left + along, baseline - up)
        };
        (x as f32, y as f32)
    }
}

impl OutlineBuilder for Outline<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.builder.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.builder.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.builder.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.builder.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.builder.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::advances::ADVANCES;
    use super::*;

    #[test]
    fn the_table_of_widths_is_that_of_the_font() {
        let face = Face::parse(FONT, 0).unwrap();
        assert_eq!(face.units_per_em(), EM);
        for (first, widths) in ADVANCES {
            for (c, &width) in (*first..).zip(*widths) {
                let glyph = face.glyph_index(c).unwrap();
                assert_eq!(face.glyph_hor_advance(glyph), Some(width), "{c}");
            }
        }
    }
}
