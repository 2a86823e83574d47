//! Figures: the laws of their layout, read from the SVG and PNG files.

use std::convert::Infallible;
use std::f64::consts::{PI, TAU};

use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use roxmltree::{Document, Node};
use wasserflow::observe::Trace;
use wasserflow::plot::{
    self, Animation, BLUE, Figure, GREEN, PALETTE, PlotError, SaveError, Style, VERMILION,
    text_width,
};
use wasserflow::prelude::*;
use wasserflow::study::Width;

/// `[left, top, right, bottom]`.
type Rectangle = [f64; 4];

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

fn of_class<'a>(document: &'a Document<'_>, class: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    let groups = document
        .descendants()
        .filter(move |node| node.attribute("class") == Some(class));
    groups.flat_map(|group| group.descendants())
}

/// The subpaths of a path.
fn lines(node: Node<'_, '_>) -> Vec<Vec<[f64; 2]>> {
    let numbers = |line: &str| -> Vec<f64> {
        line.split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect()
    };
    let data = node.attribute("d").unwrap();
    let lines = data.split('M').skip(1).map(numbers);
    lines.map(|line| line.as_chunks::<2>().0.to_vec()).collect()
}

/// The rectangles of all texts, with their texts.
fn texts(document: &Document<'_>) -> Vec<(Rectangle, String)> {
    let root = document.root_element();
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text"));
    let text = |node: Node<'_, '_>| {
        let size = node.attribute("font-size").or(root.attribute("font-size"));
        let size: f64 = size.unwrap().parse().unwrap();
        let text = node.text().unwrap_or_default().to_owned();
        let width = text_width(&text, size);
        let (x, y) = (number(node, "x"), number(node, "y"));
        let before = match node.attribute("text-anchor") {
            None => 0.0,
            Some("middle") => width / 2.0,
            Some(_) => width,
        };
        let (up, down) = (0.76 * size, 0.24 * size);
        let rectangle = match node.attribute("transform") {
            None => [x - before, y - up, x - before + width, y + down],
            Some(_) => [x - up, y + before - width, x + down, y + before],
        };
        (rectangle, text)
    };
    texts.map(text).collect()
}

fn frames(document: &Document<'_>) -> Vec<Rectangle> {
    let paths = of_class(document, "frame").filter(|node| node.has_tag_name("path"));
    let frame = |node| {
        let corners = &lines(node)[0];
        [corners[0][0], corners[0][1], corners[2][0], corners[2][1]]
    };
    paths.map(frame).collect()
}

/// Checks what holds for every figure.
fn check(svg: &str, context: &str) {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{context}: {error}"));
    let root = document.root_element();
    let (width, height) = (number(root, "width"), number(root, "height"));
    let frames = frames(&document);
    assert!(!frames.is_empty(), "{context}");
    let overlap = |a: &Rectangle, b: &Rectangle| {
        a[0] + 0.2 < b[2] && b[0] + 0.2 < a[2] && a[1] + 0.2 < b[3] && b[1] + 0.2 < a[3]
    };
    let texts = texts(&document);
    for (i, (a, text)) in texts.iter().enumerate() {
        let inside = a[0] >= -0.5 && a[1] >= -0.5 && a[2] <= width + 0.5 && a[3] <= height + 0.5;
        assert!(inside, "{context}: `{text}` at {a:?} leaves the page");
        for (b, other) in &texts[i + 1..] {
            assert!(
                !overlap(a, b),
                "{context}: `{text}` {a:?} and `{other}` {b:?} overlap"
            );
        }
        for frame in &frames {
            assert!(
                !overlap(a, frame),
                "{context}: `{text}` {a:?} covers data {frame:?}"
            );
        }
    }
    let inside = |[x, y]: [f64; 2]| {
        frames.iter().any(|f| {
            (f[0] - 0.11..=f[2] + 0.11).contains(&x) && (f[1] - 0.11..=f[3] + 0.11).contains(&y)
        })
    };
    for node in of_class(&document, "series") {
        let points = match node.tag_name().name() {
            "path" => lines(node).concat(),
            "circle" => vec![[number(node, "cx"), number(node, "cy")]],
            _ => Vec::new(),
        };
        for point in points {
            assert!(
                inside(point),
                "{context}: {point:?} is outside of {frames:?}"
            );
        }
    }
}

const WORDS: [&str; 10] = [
    "F(μₜ)",
    "a<b & \"c\"",
    "particles",
    "∫ |v|² dμ",
    "x",
    "excess",
    "gap ≤ 10⁻⁶",
    "of",
    "漢字",
    "W₂",
];

fn sentence(rng: &mut ChaCha8Rng, most: usize) -> String {
    let words = rng.random_range(0..=most);
    let words: Vec<&str> = (0..words)
        .map(|_| WORDS[rng.random_range(0..WORDS.len())])
        .collect();
    words.join(" ")
}

/// A panel of random data of any magnitude.
fn random_panel(rng: &mut ChaCha8Rng) -> Figure {
    let mut figure = Figure::new();
    let log = [rng.random_bool(0.5), rng.random_bool(0.5)];
    let size = [0, 1].map(|_| 10f64.powf(rng.random_range(-300.0..300.0)));
    let spread = [0, 1].map(|_| {
        let largest = [0.01, 2.0, 200.0][rng.random_range(0..3)];
        rng.random_range(0.0..largest)
    });
    let coordinate = |rng: &mut ChaCha8Rng, axis: usize| {
        let x = rng.random_range(-1.0..1.0);
        if log[axis] {
            (size[axis] * 10f64.powf(spread[axis] * x)).clamp(1e-300, 1e300)
        } else {
            size[axis] * (1.0 + spread[axis] * x)
        }
    };
    for series in 0..rng.random_range(1..4) {
        let count = rng.random_range(1..60);
        let points: Vec<[f64; 2]> = (0..count)
            .map(|_| [coordinate(rng, 0), coordinate(rng, 1)])
            .collect();
        let style = Style::new(PALETTE[series]).label(sentence(rng, 4));
        figure = match rng.random_range(0..4) {
            0 => figure.line(points, style),
            1 => figure.points(points, style),
            2 => figure.bubbles(points.into_iter().map(|point| (point, 2.0)), style),
            _ => figure.band(points.iter().map(|&[x, y]| [x, y / 2.0, y]), style),
        };
    }
    figure = if log[0] { figure.log_x() } else { figure };
    figure = if log[1] { figure.log_y() } else { figure };
    figure
        .title(sentence(rng, 8))
        .note(sentence(rng, 5))
        .x_label(sentence(rng, 6))
        .y_label(sentence(rng, 6))
}

#[test]
fn labels_do_not_overlap_and_data_are_inside_their_axes() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for case in 0..400 {
        let panels = rng.random_range(1..6);
        let figures: Vec<Figure> = (0..panels).map(|_| random_panel(&mut rng)).collect();
        let figure = figures.into_iter().reduce(Figure::beside).unwrap();
        let figure = figure
            .heading(sentence(&mut rng, 20))
            .columns(rng.random_range(1..5));
        let svg = figure
            .svg()
            .unwrap_or_else(|error| panic!("case {case}: {error}"));
        check(&svg, &format!("case {case}"));
        assert_eq!(svg, figure.svg().unwrap(), "case {case}");
    }
}

#[test]
fn points_outside_the_ranges_are_not_drawn_and_lines_end_at_the_border() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for case in 0..100 {
        let mut point = || [rng.random_range(-3.0..3.0), rng.random_range(-3.0..3.0)];
        let points: Vec<[f64; 2]> = (0..40).map(|_| point()).collect();
        let figure = Figure::new()
            .line(points.clone(), BLUE)
            .points(points.clone(), BLUE)
            .band(points.iter().map(|&[x, y]| [x, y, y + 1.0]), GREEN)
            .horizontal(9.0, GREEN)
            .x_range(-1.0, 1.0)
            .y_range(-1.0, 1.0);
        let svg = figure.svg().unwrap();
        check(&svg, &format!("case {case}"));
        let visible = points
            .iter()
            .filter(|p| p.iter().all(|x| x.abs() <= 1.0))
            .count();
        assert_eq!(svg.matches("<circle").count(), visible, "case {case}");
    }
}

/// The exponent of a label such as 10⁻³.
fn exponent(label: &str) -> i32 {
    match label {
        "1" => return 0,
        "10" => return 1,
        _ => {}
    }
    let superscript = label.strip_prefix("10").unwrap();
    let digit = |c| match c {
        '⁻' => '-',
        c => char::from_digit(
            "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|d| d == c).unwrap() as u32,
            10,
        )
        .unwrap(),
    };
    superscript
        .chars()
        .map(digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

#[test]
fn ticks_of_logarithmic_axes_are_powers_of_ten_at_their_positions() {
    for (low, high) in [
        (-300, 300),
        (-300, -299),
        (-3, 0),
        (0, 1),
        (-12, 4),
        (299, 300),
        (-16, 2),
        (-40, 40),
    ] {
        let ends = [low, high].map(|k| format!("1e{k}").parse::<f64>().unwrap());
        let svg = Figure::new()
            .line([[ends[0]; 2], [ends[1]; 2]], BLUE)
            .log_x()
            .log_y();
        let svg = svg.svg().unwrap();
        let document = Document::parse(&svg).unwrap();
        let labels: Vec<Node<'_, '_>> = of_class(&document, "labels")
            .filter(|node| node.has_tag_name("text"))
            .collect();
        // The line leads from the first to the last power.
        let line = of_class(&document, "series")
            .find(|node| node.has_tag_name("path"))
            .unwrap();
        let (start, end) = (lines(line)[0][0], *lines(line)[0].last().unwrap());
        for (axis, name, shift) in [(0, "x", 0.0), (1, "y", -0.36 * 11.0)] {
            let is_x = |node: &&Node<'_, '_>| node.attribute("text-anchor") == Some("middle");
            let ticks = labels.iter().filter(|node| is_x(node) == (axis == 0));
            let ticks: Vec<(i32, f64)> = ticks
                .map(|node| (exponent(node.text().unwrap()), number(*node, name) + shift))
                .collect();
            assert!(ticks.len() >= 2, "{low} {high}: {ticks:?}");
            for &(k, position) in &ticks {
                let fraction = f64::from(k - low) / f64::from(high - low);
                let expected = start[axis] + fraction * (end[axis] - start[axis]);
                assert!(
                    (position - expected).abs() < 0.2,
                    "{low} {high}: {k} at {position}"
                );
            }
            assert!(
                ticks.windows(2).all(|pair| pair[0].0 < pair[1].0),
                "{ticks:?}"
            );
        }
        let minor = of_class(&document, "ticks").filter(|node| node.has_tag_name("path"));
        let marks: usize = minor.map(|node| lines(node).len()).sum();
        assert!(marks > labels.len(), "{low} {high}: no minor ticks");
    }
}

#[test]
fn units_are_equal_where_space_is_drawn() {
    let angles = || (0..=720).map(|i| f64::from(i) * TAU / 720.0);
    for [a, b] in [
        [1.0, 1.0],
        [3.0, 1.0],
        [1.0, 2.0],
        [1e-200, 3e-200],
        [1e5, 1e5],
    ] {
        let ellipse = angles().map(|t| [a * t.cos(), b * t.sin()]);
        for figure in [Figure::new(), Figure::new().size(500.0, 300.0)] {
            let svg = figure.line(ellipse.clone(), BLUE).equal().svg().unwrap();
            check(&svg, "ellipse");
            let document = Document::parse(&svg).unwrap();
            let line = of_class(&document, "series")
                .find(|n| n.has_tag_name("path"))
                .unwrap();
            let points = lines(line).concat();
            let length = |axis: usize| {
                let low = points.iter().map(|p| p[axis]).fold(f64::INFINITY, f64::min);
                points.iter().map(|p| p[axis]).fold(0.0, f64::max) - low
            };
            let ratio = length(0) / length(1) * b / a;
            assert!((ratio - 1.0).abs() < 0.01, "{a} {b}: {ratio}");
        }
    }
}

/// The sum of the lengths of all lines of the series, in pixels.
fn total_length(svg: &str) -> f64 {
    let document = Document::parse(svg).unwrap();
    let paths = of_class(&document, "series").filter(|node| node.has_tag_name("path"));
    let lines = paths.flat_map(lines);
    let length = |line: Vec<[f64; 2]>| -> f64 {
        line.windows(2)
            .map(|p| f64::hypot(p[1][0] - p[0][0], p[1][1] - p[0][1]))
            .sum()
    };
    lines.map(length).sum()
}

#[test]
fn the_contour_of_a_circle_has_its_length() {
    let norm = |x: &DMatrix<f64>| -> Result<_, Infallible> {
        Ok(DMatrix::from_fn(1, x.ncols(), |_, j| {
            x.column(j).norm_squared()
        }))
    };
    let window = [[-2.0, 2.0], [-2.0, 2.0]];
    for radius in [0.5_f64, 1.0, 1.7] {
        let figure = Figure::new()
            .x_range(-2.0, 2.0)
            .y_range(-2.0, 2.0)
            .equal()
            .level_lines(norm, window, &[radius * radius], VERMILION);
        let svg = figure.svg().unwrap();
        let frame = frames(&Document::parse(&svg).unwrap())[0];
        let expected = TAU * radius * (frame[2] - frame[0]) / 4.0;
        let length = total_length(&svg);
        // Coordinates are rounded to tenths, and chords are shorter than arcs.
        assert!(
            (length / expected - 1.0).abs() < 0.01,
            "{radius}: {length} for {expected}"
        );
    }
    // Beyond the corners: four arcs, each of angle pi / 2 - 2 acos(2 / r).
    let figure = Figure::new()
        .x_range(-2.0, 2.0)
        .y_range(-2.0, 2.0)
        .equal()
        .level_lines(norm, window, &[2.4 * 2.4], VERMILION);
    let svg = figure.svg().unwrap();
    let frame = frames(&Document::parse(&svg).unwrap())[0];
    let arcs = 4.0 * (PI / 2.0 - 2.0 * (2.0_f64 / 2.4).acos()) * 2.4;
    let expected = arcs * (frame[2] - frame[0]) / 4.0;
    assert!((total_length(&svg) / expected - 1.0).abs() < 0.02);
}

/// The area of the outlines of each region, by the even-odd rule for nested ones that do not cross.
fn areas(svg: &str) -> Vec<f64> {
    let document = Document::parse(svg).unwrap();
    let is_region = |n: &Node<'_, '_>| n.attribute("fill").is_some_and(|fill| fill != "none");
    let paths = of_class(&document, "series").filter(|n| n.has_tag_name("path") && is_region(n));
    let area = |line: &Vec<[f64; 2]>| -> f64 {
        line.windows(2)
            .map(|p| (p[0][0] * p[1][1] - p[1][0] * p[0][1]) / 2.0)
            .sum()
    };
    paths
        .map(|node| {
            lines(node)
                .iter()
                .map(area)
                .fold(0.0, |sum: f64, a| sum.abs() - a.abs())
                .abs()
        })
        .collect()
}

#[test]
fn decision_regions_cover_the_window_with_their_areas() {
    let window = [[-2.0, 2.0], [-2.0, 2.0]];
    let disc = |x: &DMatrix<f64>| -> Result<_, Infallible> {
        Ok(DMatrix::from_fn(1, x.ncols(), |_, j| {
            1.0 - x.column(j).norm_squared()
        }))
    };
    let svg = plot::decision(disc, window).svg().unwrap();
    check(&svg, "disc");
    let frame = frames(&Document::parse(&svg).unwrap())[0];
    let unit = ((frame[2] - frame[0]) / 4.0).powi(2);
    let areas_of_disc: Vec<f64> = areas(&svg).iter().map(|a| a / unit).collect();
    assert!(
        (areas_of_disc[0] - (16.0 - PI)).abs() < 0.1,
        "{areas_of_disc:?}"
    );
    assert!((areas_of_disc[1] - PI).abs() < 0.1, "{areas_of_disc:?}");

    // Three outputs: the sectors of three directions.
    let sectors = |x: &DMatrix<f64>| -> Result<_, Infallible> {
        let directions = DMatrix::from_fn(3, 2, |l, axis| {
            let angle = 0.3 + TAU * l as f64 / 3.0;
            [angle.cos(), angle.sin()][axis]
        });
        Ok(directions * x)
    };
    let svg = plot::decision(sectors, window).svg().unwrap();
    check(&svg, "sectors");
    let sum: f64 = areas(&svg).iter().map(|a| a / unit).sum();
    assert_eq!(areas(&svg).len(), 3);
    assert!((sum - 16.0).abs() < 0.2, "{sum}");
}

#[test]
fn invalid_data_are_typed_errors() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let figures = [
            Figure::new().line([[0.0, 1.0], [1.0, value]], BLUE),
            Figure::new().points([[0.0, 1.0], [value, 1.0]], BLUE),
            Figure::new().bubbles([([0.0, 1.0], 1.0), ([value, 1.0], 1.0)], BLUE),
            Figure::new().segments(
                [([[0.0; 2]; 2], 1.0), ([[0.0, value], [0.0; 2]], 1.0)],
                BLUE,
            ),
            Figure::new().band([[0.0; 3], [0.0, value, 0.0]], BLUE),
        ];
        for figure in figures {
            let error = figure.svg().unwrap_err();
            assert!(
                matches!(error, PlotError::Value { index: 1, .. }),
                "{error}"
            );
        }
        let figure = Figure::new()
            .line([[0.0, 1.0]], BLUE)
            .horizontal(value, BLUE);
        assert!(matches!(figure.svg(), Err(PlotError::Value { .. })));
        let ranges = Figure::new().line([[0.0, 1.0]], BLUE).x_range(0.0, value);
        assert!(matches!(
            ranges.svg(),
            Err(PlotError::Axis { axis: "x", .. })
        ));
    }
    let none: [[f64; 2]; 0] = [];
    assert!(matches!(Figure::new().svg(), Err(PlotError::Empty { .. })));
    assert!(matches!(
        Figure::new().line(none, BLUE).svg(),
        Err(PlotError::Empty { .. })
    ));
    assert!(matches!(
        plot::energy(&Trace::<f64>::new()).svg(),
        Err(PlotError::Empty { .. })
    ));
    let negative = Figure::new().line([[0.0, 0.0], [1.0, -1.0]], BLUE).log_y();
    assert!(matches!(
        negative.svg(),
        Err(PlotError::Axis { axis: "y", .. })
    ));
    let equal = Figure::new()
        .line([[1.0, 1.0], [2.0, 2.0]], BLUE)
        .log_x()
        .equal();
    assert!(matches!(
        equal.svg(),
        Err(PlotError::Axis { axis: "x", .. })
    ));
    let line = Figure::new().line([[1.0, 1.0], [2.0, 2.0]], BLUE);
    assert!(matches!(
        line.clone().size(40.0, 40.0).svg(),
        Err(PlotError::Parameter(_))
    ));
    assert!(matches!(
        line.save("figure"),
        Err(SaveError::Extension { .. })
    ));
    assert!(matches!(
        line.save("/none/figure.svg"),
        Err(SaveError::File(_))
    ));
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(4, 1, 1.0)).unwrap();
    assert!(matches!(plot::neurons(&mu).svg(), Err(PlotError::Shape(_))));
    let f = |_: &DMatrix<f64>| Err("not defined");
    let failed = plot::decision(f, [[0.0, 1.0], [0.0, 1.0]])
        .svg()
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "the function cannot be evaluated: not defined"
    );
}

#[test]
fn values_that_are_not_positive_leave_gaps_on_a_logarithmic_axis() {
    let values = [1.0, 0.1, 0.0, 0.01, 0.001].into_iter().enumerate();
    let points: Vec<[f64; 2]> = values.map(|(i, y)| [i as f64, y]).collect();
    let svg = Figure::new()
        .line(points.clone(), BLUE)
        .points(points, BLUE)
        .log_y()
        .svg()
        .unwrap();
    check(&svg, "gap");
    assert_eq!(svg.matches("<circle").count(), 4);
    let document = Document::parse(&svg).unwrap();
    let line = of_class(&document, "series")
        .find(|node| node.has_tag_name("path"))
        .unwrap();
    assert_eq!(lines(line).len(), 2);
}

#[test]
fn a_long_trace_is_a_small_file_that_keeps_its_extremes() {
    let wave = |i: u32| {
        [
            f64::from(i),
            if i == 77_777 {
                5.0
            } else {
                (f64::from(i) * 0.7).sin()
            },
        ]
    };
    let svg = Figure::new()
        .line((0..200_000).map(wave), BLUE)
        .svg()
        .unwrap();
    assert!(svg.len() < 60_000, "{} bytes", svg.len());
    let document = Document::parse(&svg).unwrap();
    let line = of_class(&document, "series")
        .find(|node| node.has_tag_name("path"))
        .unwrap();
    let highest = lines(line)[0]
        .iter()
        .map(|p| p[1])
        .fold(f64::INFINITY, f64::min);
    let frame = frames(&document)[0];
    // The spike is 4 % of the range below the upper end.
    assert!((highest - frame[1]) / (frame[3] - frame[1]) < 0.05);
}

#[test]
fn figures_of_the_crates_objects_have_legible_layouts() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let neurons = init::gaussian::<f64>(3, 40, 1.0, &mut rng).unwrap();
    let teacher = init::sphere::<f64>(3, 5, &mut rng).unwrap();
    let planes = plot::neurons(&vec![neurons.clone(), teacher.clone(), neurons.clone()]);
    check(
        &planes.teacher(&teacher).title("Neurons").svg().unwrap(),
        "neurons",
    );

    let mu = init::gaussian::<f32>(2, 20, 1.0, &mut rng).unwrap();
    let nu =
        EmpiricalMeasure::weighted(mu.points() * 2.0, DVector::from_element(20, 0.05)).unwrap();
    let coupling = transport::w2(&mu, &nu).unwrap();
    let svg = plot::coupling(&mu, &nu, &coupling).svg().unwrap();
    check(&svg, "coupling");
    assert_eq!(svg.matches("<circle").count(), 40 + 2); // and the legend

    let width = |m: usize| Width {
        particles: m,
        values: (1..6)
            .map(|k| f64::from(k) / m as f64)
            .chain([f64::NAN])
            .collect(),
    };
    let study: Vec<Width> = [5, 10, 15, 20, 25, 30, 40, 60, 100].map(width).into();
    check(
        &plot::widths(&[("flow", &study[..])]).svg().unwrap(),
        "widths",
    );
}

/// Width, height, and the frames in red, green, blue and opacity.
fn decode(bytes: &[u8]) -> (u32, u32, Vec<Vec<u8>>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let info = reader.info();
    let frames = info
        .animation_control()
        .map_or(1, |control| control.num_frames);
    let (width, height) = info.size();
    let palette = info.palette.clone().map(|palette| palette.into_owned());
    // The first colour of the palette is transparent.
    assert_eq!(info.trns.as_deref(), palette.is_some().then_some(&[0][..]));
    let opaque = |bytes: &[u8]| -> Vec<u8> {
        let colours = bytes.as_chunks::<3>().0.iter();
        colours.flat_map(|&[r, g, b]| [r, g, b, 255]).collect()
    };
    let frame = |_| {
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        let Some(palette) = &palette else {
            return opaque(&bytes);
        };
        let mut palette = opaque(palette);
        palette[3] = 0;
        let colours = palette.as_chunks::<4>().0;
        bytes
            .iter()
            .flat_map(|&index| colours[usize::from(index)])
            .collect()
    };
    (width, height, (0..frames).map(frame).collect())
}

#[test]
fn pictures_have_the_requested_size_and_show_the_figure() {
    let line = |style: Style| {
        Figure::new()
            .line([[0.0, 0.0], [1.0, 1.0]], style)
            .size(320.0, 240.0)
    };
    for (scale, size) in [(1.0, (320, 240)), (2.0, (640, 480)), (0.5, (160, 120))] {
        let figure = line(Style::new(BLUE).width(4.0).label("label"));
        let bytes = figure.png(scale).unwrap();
        let (width, height, frames) = decode(&bytes);
        assert_eq!((width, height), size);
        assert_eq!(bytes, figure.png(scale).unwrap());
        let pixels = frames[0].as_chunks::<4>().0;
        let count = |[r, g, b]: [u8; 3]| pixels.iter().filter(|&&p| p == [r, g, b, 255]).count();
        let white = count([255; 3]);
        assert!(white > pixels.len() / 2 && white < pixels.len());
        // The line has a width of 4 pixels and a length of some 290.
        let blue = count([0x00, 0x72, 0xb2]) as f64 / (scale * scale);
        assert!(blue > 400.0 && blue < 1600.0, "{blue}");
        assert!(
            pixels
                .iter()
                .any(|pixel| pixel[..3].iter().all(|&c| c < 0x60)),
            "no text or frame"
        );
    }
    for scale in [0.0, -1.0, f64::NAN, 11.0] {
        assert!(matches!(
            line(BLUE.into()).png(scale),
            Err(PlotError::Parameter(_))
        ));
    }
}

#[test]
fn the_frames_of_an_animation_add_up_to_the_figures() {
    let figure = |i: u32| {
        let point = [f64::from(i), f64::from(i * i)];
        let figure = Figure::new()
            .points([point], VERMILION)
            .title(format!("frame {i}"));
        figure
            .x_range(-1.0, 5.0)
            .y_range(-1.0, 20.0)
            .size(200.0, 160.0)
    };
    let animation = Animation::new((0..4).map(figure));
    let (width, height, frames) = decode(&animation.bytes().unwrap());
    assert_eq!((width, height, frames.len()), (200, 160, 4));
    let mut canvas = vec![[0; 4]; 200 * 160];
    for (i, frame) in (0..).zip(frames) {
        for (pixel, new) in canvas.iter_mut().zip(frame.as_chunks::<4>().0) {
            match new[3] {
                0 => {}
                255 => *pixel = *new,
                alpha => panic!("opacity {alpha}"),
            }
        }
        let (_, _, expected) = decode(&figure(i).png(1.0).unwrap());
        // Few colours: none is replaced by another.
        assert!(canvas.as_flattened() == expected[0], "frame {i}");
    }
    let other = figure(0).size(300.0, 160.0);
    let mixed = Animation::new([figure(0), other]).bytes();
    assert!(matches!(mixed, Err(PlotError::Shape(_))));
    assert!(matches!(
        Animation::new([]).bytes(),
        Err(PlotError::Empty { .. })
    ));
}
