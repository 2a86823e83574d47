//! Scores over splits: the options `--json`, `--smoke` and `--help`, the report, and with the feature
//! `plot` a figure in `target`.

use std::error::Error;

#[path = "args.rs"]
mod args;

/// The options of the command line.
pub struct Options {
    /// The number of splits: 10, or 1 with `--smoke`.
    pub splits: usize,
    json: bool,
}

impl Options {
    /// Reads the options; `--help` prints the usage.
    pub fn read() -> Self {
        let name = env!("CARGO_CRATE_NAME");
        let help = format!(
            "Usage: cargo run --release --features csv --example {name} -- [OPTIONS]\n\n  \
             --json   one line of JSON\n  --smoke  one split, as a test of the program\n  \
             --help   this text\n"
        );
        args::Args::read(&help, |args| {
            let (mut splits, mut json) = (10, false);
            while let Some(option) = args.option() {
                match option.as_str() {
                    "--json" => json = true,
                    "--smoke" => splits = 1,
                    _ => return Err(args.unknown()),
                }
            }
            Ok(Self { splits, json })
        })
    }

    /// Prints the scores of each model on the test parts of the splits: mean and standard deviation,
    /// the square root of `sum_s (score_s - mean)^2 / (splits - 1)`.
    pub fn report<const K: usize>(
        &self,
        score: &str,
        models: [(&str, Vec<f64>); K],
    ) -> Result<(), Box<dyn Error>> {
        #[cfg(feature = "plot")]
        figure(score, &models)?;
        let statistics = |scores: &[f64]| {
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let square = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
            (mean, (square / (scores.len() as f64 - 1.0)).sqrt())
        };
        if self.json {
            let models = models.map(|(model, scores)| {
                let (mean, deviation) = statistics(&scores);
                let deviation = Some(deviation).filter(|d| d.is_finite());
                let deviation = deviation.map_or("null".into(), |d| d.to_string());
                format!(
                    "{{\"model\": \"{model}\", \"mean\": {mean}, \"deviation\": {deviation}, \"scores\": {scores:?}}}"
                )
            });
            let models = models.join(", ");
            println!(
                "{{\"score\": \"{score}\", \"splits\": {}, \"models\": [{models}]}}",
                self.splits
            );
            return Ok(());
        }
        println!(
            "{score} on the test parts, mean +- standard deviation, splits: {}",
            self.splits
        );
        for (model, scores) in models {
            let (mean, deviation) = statistics(&scores);
            println!("{model:<8} {mean:.3} +- {deviation:.3}");
        }
        Ok(())
    }
}

/// Writes the scores of all splits to `target/NAME.svg`, the mean of each model as a dashed line.
#[cfg(feature = "plot")]
fn figure(score: &str, models: &[(&str, Vec<f64>)]) -> Result<(), Box<dyn Error>> {
    use wasserflow::plot::{Figure, PALETTE, Style};
    let mut figure = Figure::new()
        .x_label("split")
        .y_label(format!("{score} on the test part"));
    for (i, ((model, scores), colour)) in models.iter().zip(PALETTE).enumerate() {
        let style = Style::new(colour);
        // Equal scores of two models stay visible side by side.
        let shift = 0.2 * (i as f64 - 0.5 * (models.len() as f64 - 1.0));
        let points = scores.iter().enumerate();
        let points = points.map(|(s, &y)| [s as f64 + 1.0 + shift, y]);
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        figure = figure
            .points(points, style.clone().label(*model))
            .horizontal(mean, style.dashed());
    }
    let path = format!("target/{}.svg", env!("CARGO_CRATE_NAME"));
    Ok(figure.save(path)?)
}
