//! Ticks of axes and their labels.

use super::scale::Scale;
use super::text::{decimal, power, short, text_width};

/// The size of the labels of ticks, in pixels.
pub(super) const LABEL_SIZE: f64 = 11.0;
/// Space between neighbouring labels, in pixels.
const SPACE: f64 = 10.0;
/// Space between neighbouring ticks of a vertical axis, in pixels.
const ROW: f64 = 26.0;
/// Space between minor ticks, in pixels.
const MINOR: f64 = 2.5;

/// The direction of an axis, and its length in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub(super) vertical: bool,
    pub(super) length: f64,
}

/// The ticks of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    /// Numbers in increasing order with their labels.
    pub(super) major: Vec<(f64, String)>,
    pub(super) minor: Vec<f64>,
    /// The labels are in units of `10^exponent`.
    pub(super) exponent: i32,
}

impl Ticks {
    /// The ticks of a scale.
    pub(super) fn new(scale: &Scale, line: Line) -> Self {
        if scale.log {
            logarithmic(scale, line)
        } else {
            linear(scale, line)
        }
    }

    /// The given ticks, without those outside the range, and without labels that would overlap.
    pub(super) fn custom(ticks: &[(f64, String)], scale: &Scale, line: Line) -> Self {
        let inside = |x: f64| {
            scale
                .fraction(x)
                .is_some_and(|f| (-1e-9..=1.0 + 1e-9).contains(&f))
        };
        let mut major: Vec<(f64, String)> = ticks
            .iter()
            .filter(|tick| inside(tick.0))
            .cloned()
            .collect();
        major.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut shown: Vec<(f64, String)> = Vec::new();
        for tick in &mut major {
            let next = [shown.last(), Some(tick)].into_iter().flatten().cloned();
            if fit(&next.collect::<Vec<_>>(), scale, line) {
                shown.push(tick.clone());
            } else {
                tick.1.clear();
            }
        }
        Self {
            major,
            minor: Vec::new(),
            exponent: 0,
        }
    }
}

/// Returns true if neighbouring labels do not overlap.
fn fit(ticks: &[(f64, String)], scale: &Scale, line: Line) -> bool {
    let at = |x: f64| line.length * scale.fraction(x).unwrap_or(0.0);
    ticks.windows(2).all(|pair| {
        let distance = at(pair[1].0) - at(pair[0].0);
        let half = |label: &str| text_width(label, LABEL_SIZE) / 2.0;
        if line.vertical {
            distance >= LABEL_SIZE * 1.4
        } else {
            distance >= half(&pair[0].1) + half(&pair[1].1) + SPACE
        }
    })
}

/// Ticks at multiples of 1, 2 or 5 times a power of ten.
///
/// Source: P. Heckbert, Nice numbers for graph labels, Graphics Gems, 1990.
fn linear(scale: &Scale, line: Line) -> Ticks {
    let largest = scale.low.abs().max(scale.high.abs());
    let order = libm::floor(libm::log10(largest)) as i32;
    // Labels have at most 5 digits before the point, and few zeros after it.
    let exponent = if (-2..5).contains(&order) { 0 } else { order };
    let relative = scale.high / largest - scale.low / largest; // at most 2
    let most = line.length / if line.vertical { ROW } else { 2.0 * SPACE };
    let finest = libm::floor(libm::log10(relative / most.max(1.0))) as i32 + order - 1;
    let mut coarsest = Vec::new();
    for e in finest..=order + 1 {
        for multiple in [1, 2, 5] {
            let number = |n: i64| -> f64 { format!("{n}e{e}").parse().unwrap_or(f64::NAN) };
            let step = number(multiple);
            let (first, last) = ((scale.low / step).ceil(), (scale.high / step).floor());
            if step == 0.0 || last - first > most + 1.0 {
                continue;
            }
            let ticks = (first as i64..=last as i64)
                .map(|i| i * multiple)
                .map(|n| (number(n), decimal(n, e - exponent)))
                .filter(|tick| (scale.low..=scale.high).contains(&tick.0));
            let ticks: Vec<(f64, String)> = ticks.collect();
            if fit(&ticks, scale, line) && ticks.len() as f64 <= most {
                return Ticks {
                    major: ticks,
                    minor: Vec::new(),
                    exponent,
                };
            }
            coarsest = ticks;
        }
    }
    coarsest.truncate(1);
    Ticks {
        major: coarsest,
        minor: Vec::new(),
        exponent,
    }
}

/// `n 10^k`, correctly rounded.
fn multiple(n: i32, k: i32) -> f64 {
    format!("{n}e{k}").parse().unwrap_or(f64::NAN)
}

/// Ticks at powers of ten, and minor ticks between them.
fn logarithmic(scale: &Scale, line: Line) -> Ticks {
    /// A range that ends at a power of ten, up to rounding, includes it.
    const ROUNDING: f64 = 1e-9;
    /// The number of labels of a horizontal and of a vertical axis is at most this.
    const LABELS: [usize; 2] = [9, 8];
    const STRIDES: [i32; 11] = [1, 2, 3, 4, 5, 10, 20, 25, 50, 100, 200];
    const COARSEST: i32 = 400;
    let (first, last) = (
        (scale.low - ROUNDING).ceil() as i32,
        (scale.high + ROUNDING).floor() as i32,
    );
    let per_decade = line.length / (scale.high - scale.low);
    let multiples = |wanted: &'static [i32]| {
        let all = (first - 1..=last).flat_map(move |k| wanted.iter().map(move |&n| (n, k)));
        let inside = |x: f64| {
            let x = libm::log10(x);
            (scale.low - ROUNDING..=scale.high + ROUNDING).contains(&x)
        };
        all.map(|(n, k)| multiple(n, k)).filter(move |&x| inside(x))
    };
    let few = |ticks: &[(f64, String)]| ticks.len() <= LABELS[usize::from(line.vertical)];
    let between = |major: &[(f64, String)], stride: i32| {
        let minor: Vec<f64> = if stride == 1 && per_decade >= 8.0 * MINOR {
            multiples(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).collect()
        } else {
            let visible = |s: &i32| stride % s == 0 && f64::from(*s) * per_decade >= MINOR;
            let stride = STRIDES.into_iter().find(visible).unwrap_or(stride);
            let decades = (first..=last).filter(|k| k % stride == 0);
            decades.map(|k| multiple(1, k)).collect()
        };
        let is_major = |x: &f64| major.iter().any(|tick| tick.0 == *x);
        minor.into_iter().filter(|x| !is_major(x)).collect()
    };
    let ticks = |major: Vec<(f64, String)>, stride| Ticks {
        minor: between(&major, stride),
        major,
        exponent: 0,
    };
    if last - first < 1 {
        // A narrow range that the user chose: labels between the powers of ten.
        for wanted in [&[1, 2, 3, 4, 5, 6, 7, 8, 9][..], &[1, 2, 5], &[1, 3], &[1]] {
            let major: Vec<_> = multiples(wanted).map(|x| (x, short(x))).collect();
            if few(&major) && fit(&major, scale, line) {
                return ticks(major, 1);
            }
        }
    }
    let powers = |stride: i32| -> Vec<(f64, String)> {
        let decades = (first..=last).filter(|k| k % stride == 0);
        decades.map(|k| (multiple(1, k), power(k))).collect()
    };
    let fits = |stride: &i32| {
        let major = powers(*stride);
        few(&major) && fit(&major, scale, line)
    };
    let stride = STRIDES.into_iter().find(fits).unwrap_or(COARSEST);
    ticks(powers(stride), stride)
}
