//! Scores over splits: the options `--json`, `--smoke` and `--help`, and the report.

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
    pub fn report<const K: usize>(&self, score: &str, models: [(&str, Vec<f64>); K]) {
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
            return;
        }
        println!(
            "{score} on the test parts, mean +- standard deviation, splits: {}",
            self.splits
        );
        for (model, scores) in models {
            let (mean, deviation) = statistics(&scores);
            println!("{model:<8} {mean:.3} +- {deviation:.3}");
        }
    }
}
