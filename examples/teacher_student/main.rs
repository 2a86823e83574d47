//! Success rate of the gradient flow of two-layer networks in the plane, against their number of
//! neurons m.
//!
//! A teacher of 5 rectifier neurons labels samples, and students of m neurons learn it by the flow
//! of the square loss. A student of zero loss exists for all `m >= 5`. For m = 20, 50 and 100 the
//! flow approaches zero loss on all 20 seeds, for m = 10 on half of them, and for m = 5 on none.
//!
//! ```sh
//! cargo run --release --features plot --example teacher_student
//! ```
//!
//! Source of the experiment: L. Chizat and F. Bach, On the global convergence of gradient descent
//! for over-parameterized models using optimal transport, 2018; of the figure: F. Bach, Gradient
//! descent for wide two-layer neural networks, I, 2020.

#[path = "../common/args.rs"]
mod args;
mod experiment;
mod figure;

use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;

use args::Args;
use experiment::{Failure, Protocol, Students, TEACHER, Task};

const HELP: &str = "\
Success rate of students of m neurons that learn a teacher of 5.

Usage: cargo run --release --features plot --example teacher_student -- [OPTIONS]

  --seed N      first of the seeds, each with its own teacher (default 0); the third is drawn
  --m LIST      sizes of the students (default 5,10,20,50,100)
  --json        one JSON object on standard output, nothing else
  --smoke       a short run, as a test of the program
  --help        this text

Writes target/teacher_student.svg.
";

#[derive(Debug)]
struct Options {
    protocol: Protocol,
    sizes: Vec<usize>,
    json: bool,
}

fn options(args: &mut Args) -> Result<Options, String> {
    let mut options = Options {
        protocol: Protocol::FULL,
        sizes: vec![5, 10, 20, 50, 100],
        json: false,
    };
    let mut seed = 0;
    while let Some(option) = args.option() {
        match option.as_str() {
            "--seed" => seed = args.value("a whole number below 2^32", |&seed| seed < 1 << 32)?,
            "--m" => {
                options.sizes = args.values("whole numbers from 1 to 1000, as in 5,10", |m| {
                    (1..=1000).contains(m)
                })?
            }
            "--json" => options.json = true,
            "--smoke" => options.protocol = Protocol::SMOKE,
            _ => return Err(args.unknown()),
        }
    }
    options.protocol.first = seed;
    options.sizes.sort_unstable();
    options.sizes.dedup();
    Ok(options)
}

fn main() -> Result<(), Failure> {
    let Options {
        protocol,
        sizes,
        json,
    } = Args::read(HELP, options);
    let students = experiment::run(&protocol, &sizes)?;
    let teacher = Task::new(&protocol, protocol.first + protocol.drawn)?.teacher;
    let path = Path::new("target/teacher_student.svg");
    std::fs::create_dir_all("target")?;
    figure::draw(&protocol, &teacher, &students).save(path)?;
    let report = if json {
        object(&protocol, &students, path)
    } else {
        let drawn = protocol.first + protocol.drawn;
        format!(
            "{}\nFigure, of seed {drawn}: {}\n",
            table(&protocol, &students),
            path.display()
        )
    };
    write!(std::io::stdout().lock(), "{report}")?;
    Ok(())
}

/// The report as text.
fn table(protocol: &Protocol, students: &[Students]) -> String {
    let Protocol {
        samples,
        seeds,
        first,
        radius,
        dt,
        time,
        threshold,
        ..
    } = protocol;
    let mut out = format!(
        "Teacher   {TEACHER} neurons a (b.x)_+ in the plane: a = 1, -1, 1, -1, 1 around the unit circle, b at intervals of 72 degrees\n          \
         with a jitter of 18 each, randomly rotated; h = (1/{TEACHER}) sum a (b.x)_+\n\
         Students  m neurons, h = (1/m) sum a (b.x)_+, both layers are trained; start |a| = |b| = {radius} in random directions\n\
         Risk      F = (1/n) sum_j (h(x_j) - y_j)^2 / 2 on n = {samples} samples x ~ N(0, I) without noise; R(0) is that of h = 0\n\
         Flow      Euler, dt = {dt}, to T = {time}; seeds {first} to {}, each a teacher, samples, and a student of every size\n\
         Reached   F(T) <= {threshold:e} R(0); the interval of the rate is Wilson's, 95 %\n\n\
         {:>4}  {:>16}  {:>7}  {:>4}  {:>12}  {:>7}\n",
        first + seeds - 1,
        "m",
        "median F(T)/R(0)",
        "reached",
        "rate",
        "interval",
        "seconds",
    );
    for students in students {
        let (rate, low, high) = students.width.success_rate(*threshold);
        let reached = format!("{}/{seeds}", students.width.successes(*threshold));
        let (m, [_, median, _], seconds) = (
            students.width.particles,
            students.last(),
            students.seconds(),
        );
        let _ = writeln!(
            out,
            "{m:>4}  {median:>16.1e}  {reached:>7}  {rate:>4.2}  [{low:.2}, {high:.2}]  {seconds:>7.2}"
        );
    }
    out
}

/// The report as a JSON object.
fn object(protocol: &Protocol, students: &[Students], figure: &Path) -> String {
    let Protocol {
        samples,
        seeds,
        first,
        radius,
        dt,
        time,
        threshold,
        ..
    } = protocol;
    let rows = students.iter().map(|students| {
        let (rate, low, high) = students.width.success_rate(*threshold);
        let (m, reached) = (students.width.particles, students.width.successes(*threshold));
        let ([lower, median, upper], seconds) = (students.last(), students.seconds());
        format!(
            "{{\"m\": {m}, \"median\": {median:e}, \"quartiles\": [{lower:e}, {upper:e}], \"reached\": {reached}, \
             \"rate\": {rate}, \"interval\": [{low:.4}, {high:.4}], \"seconds\": {seconds:.3}}}"
        )
    });
    format!(
        "{{\"teacher\": {TEACHER}, \"samples\": {samples}, \"seeds\": {seeds}, \"first_seed\": {first}, \"radius\": {radius}, \
         \"integrator\": \"Euler\", \"dt\": {dt}, \"time\": {time}, \"threshold\": {threshold:e}, \
         \"figure\": \"{}\", \"students\": [{}]}}\n",
        figure.display(),
        rows.collect::<Vec<_>>().join(", ")
    )
}
