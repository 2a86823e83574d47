//! Text: widths, line breaks and numbers.

use super::advances::ADVANCES;

/// The width of a line of text in DejaVu Sans, in pixels, for a font of `size` pixels.
///
/// DejaVu Sans is wider than Verdana, Helvetica and Arial, with which a viewer without it replaces
/// it. Characters that the font subset of this crate does not have count as one em.
///
/// ```
/// use wasserflow::plot::text_width;
///
/// assert_eq!(text_width("−10⁻³", 0.0), 0.0);
/// assert!((text_width("10", 12.0) - 15.27).abs() < 0.01);
/// ```
pub fn text_width(text: &str, size: f64) -> f64 {
    let units: f64 = text.chars().map(|c| f64::from(advance(c))).sum();
    size * units / f64::from(EM)
}

/// The units of an em.
pub(super) const EM: u16 = 2048;

fn advance(c: char) -> u16 {
    let run = ADVANCES.partition_point(|run| run.0 <= c);
    let width = run.checked_sub(1).and_then(|run| {
        let (first, widths) = ADVANCES[run];
        widths.get(c as usize - first as usize)
    });
    width.copied().unwrap_or(EM)
}

/// The text in lines of at most `width` pixels, broken at spaces, and inside words that are longer.
pub(super) fn wrap(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = if line.is_empty() {
            word.to_owned()
        } else {
            format!("{line} {word}")
        };
        if text_width(&longer, size) <= width {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if text_width(&line, size) > width && line.chars().nth(1).is_some() {
                line.pop();
                lines.push(std::mem::replace(&mut line, c.to_string()));
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `10^k`, as in 10⁻³.
pub(super) fn power(k: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let superscript = |c: char| c.to_digit(10).map_or('⁻', |d| DIGITS[d as usize]);
    match k {
        0 => "1".to_owned(),
        1 => "10".to_owned(),
        _ => "10"
            .chars()
            .chain(k.to_string().chars().map(superscript))
            .collect(),
    }
}

/// The number `x` with `digits` decimals (at most 16) and a power of ten, as in 1.3·10⁻⁴.
///
/// ```
/// use wasserflow::plot::scientific;
///
/// assert_eq!(scientific(0.000127, 1), "1.3·10⁻⁴");
/// assert_eq!((scientific(1e-6, 0), scientific(-2.5, 1)), ("10⁻⁶".to_owned(), "−2.5".to_owned()));
/// ```
pub fn scientific(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return x.to_string().replace('-', "−").replace("inf", "∞");
    }
    let digits = digits.min(16);
    let text = format!("{x:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let k = exponent.parse().unwrap_or(0);
    let text = match (mantissa, k) {
        (_, 0) => mantissa.to_owned(),
        ("1", _) => power(k),
        ("-1", _) => format!("-{}", power(k)),
        _ => format!("{mantissa}·{}", power(k)),
    };
    text.replace('-', "−")
}

/// `n 10^exponent` in decimal notation, as in −0.25 for (−25, −2).
pub(super) fn decimal(n: i64, exponent: i32) -> String {
    let sign = if n < 0 { "−" } else { "" };
    let digits = n.unsigned_abs().to_string();
    if exponent >= 0 {
        let zeros = if n == 0 { 0 } else { exponent as usize };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    }
    let decimals = exponent.unsigned_abs() as usize;
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{sign}{whole}.{fraction}")
}

/// A positive number with as few digits as it needs: 0.2, 50, 2·10⁻⁵.
pub(super) fn short(x: f64) -> String {
    if (1e-3..1e5).contains(&x) {
        x.to_string()
    } else {
        let text = format!("{x:e}");
        let digits = text.split_once('e').map_or(0, |(mantissa, _)| {
            mantissa
                .split_once('.')
                .map_or(0, |(_, decimals)| decimals.len())
        });
        scientific(x, digits)
    }
}
