//! Figures of invalid and extreme data.

use std::fs;

use nalgebra::DMatrix;
use wasserflow::observe::{Snapshots, Trace};
use wasserflow::plot::{
    self, Animation, BLUE, Figure, PALETTE, Runs, Style, Trajectory, scientific, text_width,
};
use wasserflow::prelude::*;
use wasserflow::study::Width;

use crate::measures::{extreme_measures, invalid_measures};
use crate::suite::{COUNTS, NUMBERS, Suite};

pub fn calls(suite: &Suite<'_>) {
    texts(suite);
    series(suite);
    options(suite);
    recipes::<f32>(suite);
    recipes::<f64>(suite);
    decisions(suite);
    animations(suite);
    files(suite);
}

const TEXTS: [&str; 7] = [
    "",
    " ",
    "a<b>&\"'",
    "\u{0}\u{1b}\u{fffe}\u{ffff}\u{202e}",
    "\u{10ffff}\u{1f600}",
    "\n\t",
    "an unreasonably long label without a single line break, which must not leave the page at all",
];

fn drawn(suite: &Suite<'_>, at: impl std::fmt::Debug, figure: Option<Figure>) {
    let Some(figure) = figure else { return };
    let svg = suite.call("Figure::svg", &at, || figure.svg());
    let Some(Ok(svg)) = svg else { return };
    let finite = !svg.contains("NaN") && !svg.contains("inf\"") && !svg.contains("inf ");
    suite.check(finite, "coordinates are numbers", &at);
}

fn texts(suite: &Suite<'_>) {
    for text in TEXTS {
        for x in NUMBERS {
            suite.call("plot::text_width", (text, x), || text_width(text, x));
        }
        let line = || Figure::new().line([[0.0, 0.0], [1.0, 1.0]], Style::new(BLUE).label(text));
        drawn(
            suite,
            text,
            suite.call("Figure::heading", text, || line().heading(text)),
        );
        drawn(
            suite,
            text,
            suite.call("Figure::title", text, || line().title(text)),
        );
        drawn(
            suite,
            text,
            suite.call("Figure::note", text, || line().note(text)),
        );
        drawn(
            suite,
            text,
            suite.call("Figure::x_label", text, || line().x_label(text)),
        );
        drawn(
            suite,
            text,
            suite.call("Figure::y_label", text, || line().y_label(text)),
        );
        suite.call("Style::label", text, || Style::new(BLUE).label(text));
        for x in NUMBERS {
            let ticks = [(x, text), (0.5, text), (0.5, text), (f64::NAN, text)];
            let figure = suite.call("Figure::x_ticks", (text, x), || line().x_ticks(ticks));
            drawn(suite, (text, x), figure);
            let figure = suite.call("Figure::y_ticks", (text, x), || line().y_ticks(ticks));
            drawn(suite, (text, x), figure);
        }
    }
    for x in NUMBERS {
        for digits in COUNTS {
            suite.call("plot::scientific", (x, digits), || scientific(x, digits));
        }
    }
    for colour in PALETTE {
        suite.call("Colour::hex", colour, || colour.hex());
        suite.call("Style::new", colour, || Style::new(colour));
        suite.call("Style::colour", colour, || Style::new(colour).colour());
        suite.call("Style::dashed", colour, || Style::new(colour).dashed());
        suite.call("Style::hollow", colour, || Style::new(colour).hollow());
    }
    suite.call("Figure::new", (), || Figure::new().svg().is_err());
}

/// All series with a pair of numbers, on all kinds of axes.
fn series(suite: &Suite<'_>) {
    for x in NUMBERS {
        for y in NUMBERS {
            let at = (x, y);
            let figures = [
                suite.call("Figure::line", at, || {
                    Figure::new().line([[x, y], [y, x]], BLUE)
                }),
                suite.call("Figure::lines", at, || {
                    Figure::new().lines([vec![], vec![[x, y]], vec![[1.0, 1.0], [x, y]]], BLUE)
                }),
                suite.call("Figure::points", at, || {
                    Figure::new().points([[x, y], [1.0, 2.0]], BLUE)
                }),
                suite.call("Figure::bubbles", at, || {
                    Figure::new().bubbles([([1.0, 1.0], x), ([2.0, 2.0], y)], BLUE)
                }),
                suite.call("Figure::segments", at, || {
                    Figure::new().segments([([[x, 1.0], [1.0, y]], 1.0), ([[1.0; 2]; 2], x)], BLUE)
                }),
                suite.call("Figure::band", at, || {
                    Figure::new().band([[0.0, x, y], [1.0, y, x], [y, x, x]], BLUE)
                }),
                suite.call("Figure::horizontal", at, || {
                    Figure::new()
                        .line([[1.0, y], [2.0, y]], BLUE)
                        .horizontal(x, BLUE)
                }),
                suite.call("Figure::vertical", at, || {
                    Figure::new()
                        .line([[y, 1.0], [y, 2.0]], BLUE)
                        .vertical(x, BLUE)
                }),
            ];
            for figure in figures.into_iter().flatten() {
                let log_x = suite.call("Figure::log_x", at, || figure.clone().log_x());
                let log_y = suite.call("Figure::log_y", at, || figure.clone().log_y());
                let equal = suite.call("Figure::equal", at, || figure.clone().equal());
                let beside = suite.call("Figure::beside", at, || {
                    figure.clone().log_x().log_y().beside(figure.clone())
                });
                let same = suite.call("Figure::same_ranges", at, || {
                    figure.clone().log_x().beside(figure.clone()).same_ranges()
                });
                for figure in [log_x, log_y, equal, beside, same, Some(figure)] {
                    drawn(suite, at, figure);
                }
            }
        }
    }
}

fn options(suite: &Suite<'_>) {
    let line = || Figure::new().line([[1.0, 1.0], [2.0, 3.0]], BLUE);
    for x in NUMBERS {
        for y in NUMBERS {
            let at = (x, y);
            drawn(
                suite,
                at,
                suite.call("Figure::size", at, || line().size(x, y)),
            );
            drawn(
                suite,
                at,
                suite.call("Figure::x_range", at, || line().x_range(x, y)),
            );
            drawn(
                suite,
                at,
                suite.call("Figure::y_range", at, || line().y_range(x, y)),
            );
            drawn(
                suite,
                at,
                Some(line().x_range(x, y).y_range(x, y).log_x().log_y()),
            );
            drawn(suite, at, Some(line().x_range(x, y).y_range(x, y).equal()));
        }
        let style = suite.call("Style::width", x, || Style::new(BLUE).width(x));
        drawn(
            suite,
            x,
            style.map(|style| line().line([[1.0; 2], [2.0; 2]], style)),
        );
        let style = suite.call("Style::radius", x, || Style::new(BLUE).radius(x).hollow());
        drawn(
            suite,
            x,
            style.map(|style| line().points([[1.0; 2]], style)),
        );
        let style = suite.call("Style::opacity", x, || Style::new(BLUE).opacity(x));
        drawn(
            suite,
            x,
            style.map(|style| line().points([[1.0; 2]], style)),
        );
        let png = suite.call("Figure::png", x, || line().size(100.0, 100.0).png(x));
        let valid = x > 0.0 && x <= 10.0;
        suite.check(png.is_some_and(|png| png.is_ok() == valid), "scales", x);
    }
    for count in COUNTS {
        let two = line().beside(line());
        drawn(
            suite,
            count,
            suite.call("Figure::columns", count, || two.columns(count)),
        );
    }
}

fn recipes<T: Real>(suite: &Suite<'_>) {
    for p in [1, 2, 3, 4] {
        let measures = extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures::<T>(p));
        for mu in measures.step_by(2) {
            let at = (mu.dim(), mu.len(), mu.points()[0], mu.weight(0));
            let neurons = suite.call("plot::neurons", at, || plot::neurons(&mu));
            let Some(neurons) = neurons else { continue };
            let teacher = suite.call("Figure::teacher", at, || neurons.clone().teacher(&mu));
            drawn(suite, at, teacher);
            drawn(suite, at, Some(neurons));
            suite.call("Trajectory::measures", at, || mu.measures().len());
            let other = EmpiricalMeasure::uniform(DMatrix::from_element(p, 3, T::one())).unwrap();
            let path = vec![other.clone(), mu.clone(), mu.clone()];
            drawn(
                suite,
                at,
                suite.call("plot::neurons", at, || plot::neurons(&path)),
            );
            let animation = suite.call("Animation::neurons", at, || {
                Animation::neurons(&path, Some(&other))
                    .map(|animation| animation.map(|_, f| f.size(200.0, 200.0)))
            });
            if let (true, Some(Ok(animation))) = (mu.len() == 1, animation) {
                suite.call("Animation::bytes", at, || animation.bytes().is_ok());
            }
            if let Ok(coupling) = transport::w2(&other, &other) {
                let figure = suite.call("plot::coupling", at, || {
                    plot::coupling(&mu, &other, &coupling)
                });
                drawn(suite, at, figure);
            }
        }
    }
    drawn(suite, "none", Some(plot::neurons(&Snapshots::<T>::new())));
    let trace = Trace::<T>::new();
    suite.call("Runs::runs", (), || trace.runs().len());
    drawn(
        suite,
        (),
        suite.call("plot::energy", (), || plot::energy(&trace)),
    );
    let mut flow = ParticleFlow::new(
        PotentialEnergy::new(WeightDecay::new(real(0.5)).unwrap(), 1),
        Euler,
        real(0.5),
    )
    .unwrap();
    let start = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, T::one())).unwrap();
    let (mut state, mut trace) = (flow.start(start).unwrap(), Trace::new());
    flow.run(&mut state, 3, &mut trace).unwrap();
    for x in NUMBERS {
        let curve = |record: &observe::Record<T>| [record.step as f64, x];
        let figure = suite.call("plot::records", x, || {
            plot::records(&[("run", &trace)], curve)
        });
        drawn(suite, x, figure.clone());
        drawn(suite, x, figure.map(Figure::log_y));
    }
    for particles in COUNTS {
        for x in NUMBERS {
            for values in [vec![], vec![x], vec![x, 1.0, f64::NAN]] {
                let study = [
                    Width {
                        particles,
                        values: values.clone(),
                    },
                    Width {
                        particles: 5,
                        values,
                    },
                ];
                let figure = suite.call("plot::widths", (particles, x), || {
                    plot::widths(&[("", &study[..]), ("empty", &study[..0])])
                });
                drawn(suite, (particles, x), figure);
                drawn(
                    suite,
                    (particles, x),
                    Some(plot::widths(&[("study", &study[..])])),
                );
            }
        }
    }
}

fn decisions(suite: &Suite<'_>) {
    for x in NUMBERS {
        for y in NUMBERS {
            let window = [[x, y], [-1.0, 1.0]];
            let linear = |p: &DMatrix<f64>| {
                Ok::<_, String>(DMatrix::from_fn(1, p.ncols(), |_, j| p[(0, j)] - 0.1))
            };
            if (y - x).is_finite() && y - x > 1.0 || [x, y].contains(&1.0) {
                let figure =
                    suite.call("plot::decision", window, || plot::decision(linear, window));
                drawn(suite, window, figure);
            }
            let matrix = DMatrix::from_row_slice(2, 2, &[x, y, y, x]);
            suite.call("plot::window", (x, y), || plot::window(&matrix));
            let labels = Labels::new(["a", "b"]).unwrap();
            let samples = suite.call("Figure::samples", (x, y), || {
                Figure::new().samples(&matrix, &labels)
            });
            drawn(suite, (x, y), samples);
        }
        let window = [[-1.0, 1.0], [-1.0, 1.0]];
        for rows in [0, 1, 2] {
            let constant =
                |p: &DMatrix<f64>| Ok::<_, String>(DMatrix::from_element(rows, p.ncols(), x));
            let figure = suite.call("plot::decision", (x, rows), || {
                plot::decision(constant, window)
            });
            drawn(suite, (x, rows), figure);
            let levels = suite.call("Figure::level_lines", (x, rows), || {
                Figure::new().points([[0.0; 2]], BLUE).level_lines(
                    constant,
                    window,
                    &[x, 0.0],
                    BLUE,
                )
            });
            drawn(suite, (x, rows), levels);
        }
        let jump = |p: &DMatrix<f64>| {
            Ok::<_, String>(DMatrix::from_fn(1, p.ncols(), |_, j| {
                if p[(0, j)] > 0.1 { x } else { -x }
            }))
        };
        drawn(
            suite,
            x,
            suite.call("plot::decision", x, || plot::decision(jump, window)),
        );
    }
    let few = |_: &DMatrix<f32>| Ok::<_, String>(DMatrix::from_element(1, 3, 0.0));
    drawn(suite, "few", Some(plot::decision(few, [[0.0, 1.0]; 2])));
    for (rows, columns) in [(0, 0), (1, 2), (3, 2), (2, 0), (2, 3)] {
        let matrix = DMatrix::<f64>::zeros(rows, columns);
        suite.call("plot::window", (rows, columns), || plot::window(&matrix));
        let labels = Labels::new(["a", "b"]).unwrap();
        let at = (rows, columns);
        drawn(
            suite,
            at,
            suite.call("Figure::samples", at, || {
                Figure::new().samples(&matrix, &labels)
            }),
        );
    }
}

fn animations(suite: &Suite<'_>) {
    let figure = || Figure::new().points([[0.0; 2]], BLUE).size(120.0, 120.0);
    for x in NUMBERS {
        let animation = suite.call("Animation::new", x, || Animation::new([figure(), figure()]));
        let Some(animation) = animation else { continue };
        let changed = [
            suite.call("Animation::delay", x, || animation.clone().delay(x)),
            suite.call("Animation::pause", x, || animation.clone().pause(x)),
            suite.call("Animation::scale", x, || animation.clone().scale(x)),
            suite.call("Animation::map", x, || {
                animation.clone().map(|_, f| f.size(x, x))
            }),
        ];
        for animation in changed.into_iter().flatten() {
            suite.call("Animation::bytes", x, || animation.bytes().is_ok());
        }
    }
}

fn files(suite: &Suite<'_>) {
    let folder = std::env::temp_dir().join(format!("wasserflow-plots-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let figure = Figure::new().points([[0.0; 2]], BLUE).size(120.0, 120.0);
    let animation = Animation::new([figure.clone()]);
    for name in [
        "",
        ".",
        "..",
        "x",
        "x.svg",
        "x.SVG",
        "x.png",
        "x.apng",
        "none/x.svg",
        ".svg",
        "x\0.svg",
    ] {
        let path = folder.join(name);
        let saved = suite.call("Figure::save", &path, || figure.save(&path).is_ok());
        let valid = ["x.svg", "x.SVG", "x.png"].contains(&name);
        suite.check(saved == Some(valid), "figures are saved", &path);
        let saved = suite.call("Animation::save", &path, || animation.save(&path).is_ok());
        let valid = ["x.png", "x.apng"].contains(&name);
        suite.check(saved == Some(valid), "animations are saved", &path);
    }
    fs::remove_dir_all(&folder).unwrap();
}
