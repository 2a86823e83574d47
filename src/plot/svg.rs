//! A scene as SVG. Positions are written to a tenth of a pixel.

use std::fmt::Write;

use super::scene::{Anchor, DASHES, Item, Paint, Pixel, Scene, Text};
use super::style::INK;

/// The first of these that the viewer has. It is the widest: layouts for it hold for the others.
const FONTS: &str = "'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif";
/// The size of texts without a size, in pixels.
const FONT_SIZE: f64 = 12.0;

/// The document of a scene.
pub(super) fn document(scene: &Scene) -> String {
    let [width, height] = scene.size.map(tenths);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FONTS}\" \
         font-size=\"{FONT_SIZE}\" fill=\"{}\">\n<title>{}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n",
        INK.hex(),
        escaped(&scene.description),
    );
    for (class, items) in &scene.groups {
        let _ = writeln!(out, "<g class=\"{class}\">");
        items.iter().for_each(|item| write_item(&mut out, item));
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn write_item(out: &mut String, item: &Item) {
    match item {
        Item::Lines(lines, paint) => {
            let data = path_data(lines);
            if !data.is_empty() {
                let _ = writeln!(out, "<path d=\"{data}\" {}/>", attributes(*paint));
            }
        }
        Item::Circles(circles, paint) => {
            if circles.is_empty() {
                return;
            }
            let _ = writeln!(out, "<g {}>", attributes(*paint));
            for &([x, y], r) in circles {
                let [x, y, r] = [x, y, r].map(tenths);
                let _ = writeln!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>");
            }
            out.push_str("</g>\n");
        }
        Item::Text(text) => write_text(out, text),
    }
}

fn write_text(out: &mut String, text: &Text) {
    let [x, y] = text.at.map(tenths);
    let _ = write!(out, "<text x=\"{x}\" y=\"{y}\"");
    match text.anchor {
        Anchor::Start => {}
        Anchor::Middle => out.push_str(" text-anchor=\"middle\""),
        Anchor::End => out.push_str(" text-anchor=\"end\""),
    }
    if text.size != FONT_SIZE {
        let _ = write!(out, " font-size=\"{}\"", tenths(text.size));
    }
    if text.colour != INK {
        let _ = write!(out, " fill=\"{}\"", text.colour.hex());
    }
    if text.rotated {
        let _ = write!(out, " transform=\"rotate(-90 {x} {y})\"");
    }
    let _ = writeln!(out, ">{}</text>", escaped(&text.text));
}

fn attributes(paint: Paint) -> String {
    let opacity = |name: &str, opacity: f64| match opacity {
        1.0 => String::new(),
        _ => format!(" {name}-opacity=\"{opacity}\""),
    };
    match paint {
        Paint::Fill(colour, alpha) => {
            let alpha = opacity("fill", alpha);
            format!("fill=\"{}\"{alpha} fill-rule=\"evenodd\"", colour.hex())
        }
        Paint::Stroke(stroke) => {
            let (colour, width) = (stroke.colour.hex(), tenths(stroke.width));
            let mut out = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"");
            out.push_str(&opacity("stroke", stroke.opacity));
            if stroke.dashed {
                let _ = write!(out, " stroke-dasharray=\"{} {}\"", DASHES[0], DASHES[1]);
            }
            out.push_str(" stroke-linejoin=\"round\"");
            out
        }
    }
}

/// The data of a path. After the first pair of a subpath SVG reads all pairs as line segments.
fn path_data(lines: &[Vec<Pixel>]) -> String {
    let mut data = String::new();
    for line in lines.iter().filter(|line| line.len() > 1) {
        for (i, &point) in line.iter().enumerate() {
            let [x, y] = point.map(tenths);
            let _ = write!(data, "{}{x} {y}", if i == 0 { 'M' } else { ' ' });
        }
    }
    data
}

/// The number, rounded to a tenth, with as few characters as possible.
fn tenths(x: f64) -> String {
    let tenths = (x * 10.0).round() as i64;
    let (sign, size) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
    match size % 10 {
        0 => format!("{sign}{}", size / 10),
        digit => format!("{sign}{}.{digit}", size / 10),
    }
}

/// The text with the characters that XML reserves escaped, and those that it excludes replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
