//! The spans and events of the feature `tracing`.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::Checkpoint;
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;

/// Writes the spans entered, `name(`, their ends, `)`, and the events.
#[derive(Clone)]
struct Log {
    level: Level,
    text: Arc<Mutex<String>>,
    ids: Arc<AtomicU64>,
    names: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn new(level: Level) -> Self {
        Self {
            level,
            text: Arc::default(),
            ids: Arc::default(),
            names: Arc::default(),
        }
    }

    /// The text of a run. An earlier run registers the spans: one that another test registers at the
    /// same moment, without a subscriber, could stay disabled.
    fn of(level: Level, run: impl Fn()) -> String {
        tracing::subscriber::with_default(Self::new(level), &run);
        let log = Self::new(level);
        tracing::subscriber::with_default(log.clone(), || {
            tracing::callsite::rebuild_interest_cache();
            run();
        });
        let text = log.text.lock().unwrap();
        text.clone()
    }

    fn write(&self, text: &str) {
        self.text.lock().unwrap().push_str(text);
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes() // the level differs from test to test
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wasserflow") && *metadata.level() <= self.level
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(span.metadata().name().to_owned());
        span.record(&mut fields);
        self.names.lock().unwrap().push(fields.0);
        Id::from_u64(1 + self.ids.fetch_add(1, Ordering::Relaxed))
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.write(&format!("[{}]", fields.0.trim_start()));
    }
    fn enter(&self, span: &Id) {
        let name = self.names.lock().unwrap()[span.into_u64() as usize - 1].clone();
        self.write(&format!("({name} "));
    }
    fn exit(&self, _: &Id) {
        self.write(")");
    }
}

fn network() -> impl optimality::Certifiable<f64> {
    let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
    let risk = EmpiricalRisk::new(Square, x, DVector::from_element(2, 1.0)).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap();
    energy.regularized(WeightDecay::new(0.1).unwrap())
}

fn two() -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, -1.0, 1.0, 1.0])).unwrap()
}

#[test]
fn runs_and_steps() {
    let run = || {
        let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
        let mut flow = ParticleFlow::new(energy, Euler, 0.5).unwrap();
        let one = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap();
        let mut state = flow.start(one).unwrap();
        flow.run(&mut state, 1, &mut ()).unwrap();
        flow.run_until(&mut state, 0.75, &mut ()).unwrap();
    };
    let first = "(run step=0 steps=1 ";
    let stopped = "[message=stopped reason=Steps step=1 time=0.5 energy=0.125])";
    let second = "(run step=1 until=0.75 ";
    let arrived = "[message=stopped reason=Time step=2 time=0.75 energy=0.0703125])";
    assert_eq!(
        Log::of(Level::INFO, run),
        format!("{first}{stopped}{second}{arrived}")
    );
    let step = "(step step=0 dt=0.5 [message=completed taken=0.5 energy=0.125 dissipation=0.25])";
    let text = Log::of(Level::TRACE, run);
    assert!(
        text.starts_with(&format!("{first}{step}{stopped}")),
        "{text}"
    );
    assert_eq!(text.matches("(step ").count(), 2);
    assert_eq!(Log::of(Level::WARN, run), "");
}

#[test]
fn certificates_solves_and_checkpoints() {
    let path = std::env::temp_dir().join(format!("wasserflow-spans-{}.npz", std::process::id()));
    let text = Log::of(Level::TRACE, || {
        let mut flow = ParticleFlow::new(network(), Jko::default(), 1.0).unwrap();
        let mut state = flow.start(two()).unwrap();
        let mut checkpoint = Checkpoint::every_steps(&path, 1).unwrap();
        flow.run(&mut state, 1, &mut checkpoint).unwrap();
        sparse::run_until_optimal(&mut flow, &mut state, 1e-8, 10, 1000).unwrap();
        let (mut energy, mut mu) = (network(), two());
        FrankWolfe::Corrective
            .run(&mut energy, &mut mu, 1e-8, 10)
            .unwrap();
    });
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text.matches('(').count(), text.matches(')').count());
    for part in [
        "(checkpoint path=",
        "(step step=0 dt=1.0 (proximal step dt=1.0 (inner solve inv_gamma=1.0 [message=minimised converged=true iterations=",
        "[message=solved taken=1.0 residual=",
        "(run until optimal gap=1e-8 every=10 steps=1000 (run step=1 steps=0 [message=stopped",
        "(certificate particles=2 [message=certified energy=",
        "bound=Some(Exact)]",
        "(Frank-Wolfe gap=1e-8 steps=10 (certificate",
        "[message=stopped reason=GloballyOptimal { gap: ",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
