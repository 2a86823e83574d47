//! Lines and outlines in pixels: clipped to a panel, without invisible points.

use super::scene::Pixel;

/// The rectangle `[left, top, right, bottom]`.
pub(super) type Rectangle = [f64; 4];

pub(super) fn contains([left, top, right, bottom]: Rectangle, [x, y]: Pixel) -> bool {
    (left..=right).contains(&x) && (top..=bottom).contains(&y)
}

/// The parts of a line inside a rectangle.
///
/// Source: Y.-D. Liang and B. A. Barsky, A new concept and method for line clipping, 1984.
pub(super) fn clip_line(line: &[Pixel], rectangle: Rectangle) -> Vec<Vec<Pixel>> {
    let mut parts: Vec<Vec<Pixel>> = Vec::new();
    let mut part: Vec<Pixel> = Vec::new();
    for pair in line.windows(2) {
        let Some((start, end, leaves)) = clip_segment(pair[0], pair[1], rectangle) else {
            parts.push(std::mem::take(&mut part));
            continue;
        };
        if part.last() != Some(&start) {
            parts.push(std::mem::take(&mut part));
            part.push(start);
        }
        part.push(end);
        if leaves {
            parts.push(std::mem::take(&mut part));
        }
    }
    parts.push(part);
    parts.retain(|part| part.len() > 1);
    parts
}

/// The part of a segment inside a rectangle, and whether the segment ends outside.
fn clip_segment(start: Pixel, end: Pixel, rectangle: Rectangle) -> Option<(Pixel, Pixel, bool)> {
    let [left, top, right, bottom] = rectangle;
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    let [dx, dy] = [end[0] - start[0], end[1] - start[1]];
    for (direction, distance) in [
        (-dx, start[0] - left),
        (dx, right - start[0]),
        (-dy, start[1] - top),
        (dy, bottom - start[1]),
    ] {
        if direction == 0.0 && distance < 0.0 {
            return None;
        }
        if direction < 0.0 {
            enter = enter.max(distance / direction);
        } else if direction > 0.0 {
            leave = leave.min(distance / direction);
        }
    }
    if enter > leave {
        return None;
    }
    // Rounding must not lead outside.
    let inside = |[x, y]: Pixel| [x.clamp(left, right), y.clamp(top, bottom)];
    let at = |t: f64| inside([start[0] + t * dx, start[1] + t * dy]);
    let start = if enter > 0.0 {
        at(enter)
    } else {
        inside(start)
    };
    Some((
        start,
        if leave < 1.0 { at(leave) } else { inside(end) },
        leave < 1.0,
    ))
}

/// The part of a closed outline inside a rectangle.
///
/// Source: I. E. Sutherland and G. W. Hodgman, Reentrant polygon clipping, 1974.
pub(super) fn clip_outline(outline: &[Pixel], rectangle: Rectangle) -> Vec<Pixel> {
    let mut outline = outline.to_vec();
    for (side, &bound) in rectangle.iter().enumerate() {
        let (axis, sign) = (side % 2, if side < 2 { 1.0 } else { -1.0 });
        let depth = |point: Pixel| sign * (point[axis] - bound);
        let mut clipped = Vec::with_capacity(outline.len());
        let mut previous = outline.last().copied();
        for &point in &outline {
            if let Some(last) = previous
                && (depth(last) < 0.0) != (depth(point) < 0.0)
            {
                let t = depth(last) / (depth(last) - depth(point));
                let mut crossing = [0, 1].map(|i| last[i] + t * (point[i] - last[i]));
                crossing[axis] = bound;
                clipped.push(crossing);
            }
            if depth(point) >= 0.0 {
                clipped.push(point);
            }
            previous = Some(point);
        }
        outline = clipped;
    }
    outline.extend(outline.first().copied());
    outline
}

/// The deviation of a simplified line, in pixels: below the rounding of its coordinates and half
/// the width of thin lines.
const DEVIATION: f64 = 0.25;
/// Lines are simplified in pieces of this number of points, for time linear in their number.
const PIECE: usize = 256;

/// The line without points that are invisible: it deviates by at most a quarter of a pixel, after
/// points between the extremes of each half pixel of the horizontal axis were removed.
pub(super) fn simplify(line: &[Pixel]) -> Vec<Pixel> {
    let columns = extremes(line);
    let mut kept = Vec::new();
    let mut first = 0;
    while first + 1 < columns.len() {
        let last = (first + PIECE).min(columns.len() - 1);
        kept.push(columns[first]);
        douglas_peucker(&columns[first..=last], &mut kept);
        first = last;
    }
    kept.extend(columns.last());
    kept
}

/// The first, the last, the highest and the lowest point of each run in one column of half a pixel.
fn extremes(line: &[Pixel]) -> Vec<Pixel> {
    let column = |point: &Pixel| (2.0 * point[0]).floor();
    let mut kept = Vec::new();
    for run in line.chunk_by(|a, b| column(a) == column(b)) {
        if run.len() <= 4 {
            kept.extend_from_slice(run);
            continue;
        }
        let by_height = |&i: &usize, &j: &usize| run[i][1].total_cmp(&run[j][1]);
        let lowest = (0..run.len()).min_by(by_height).unwrap_or(0);
        let highest = (0..run.len()).max_by(by_height).unwrap_or(0);
        let mut indices = [0, lowest, highest, run.len() - 1];
        indices.sort_unstable();
        for (i, &index) in indices.iter().enumerate() {
            if i == 0 || index != indices[i - 1] {
                kept.push(run[index]);
            }
        }
    }
    kept
}

/// Adds the inner points of a line that are needed.
///
/// Source: D. H. Douglas and T. K. Peucker, Algorithms for the reduction of the number of points,
/// 1973.
fn douglas_peucker(line: &[Pixel], kept: &mut Vec<Pixel>) {
    let mut needed = vec![false; line.len()];
    let mut stack = vec![(0, line.len() - 1)];
    while let Some((first, last)) = stack.pop() {
        let distance = |i: &usize| distance(line[*i], line[first], line[last]);
        let farthest = (first + 1..last).max_by(|i, j| distance(i).total_cmp(&distance(j)));
        if let Some(i) = farthest.filter(|i| distance(i) > DEVIATION) {
            needed[i] = true;
            stack.extend([(first, i), (i, last)]);
        }
    }
    kept.extend((0..line.len()).filter(|&i| needed[i]).map(|i| line[i]));
}

/// The distance of a point from a segment.
fn distance(point: Pixel, start: Pixel, end: Pixel) -> f64 {
    let [dx, dy] = [end[0] - start[0], end[1] - start[1]];
    let [px, py] = [point[0] - start[0], point[1] - start[1]];
    let square = dx * dx + dy * dy;
    let t = if square > 0.0 {
        ((px * dx + py * dy) / square).clamp(0.0, 1.0)
    } else {
        0.0
    };
    libm::hypot(px - t * dx, py - t * dy)
}
