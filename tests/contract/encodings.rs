//! Serde: values come back in full, and invalid ones are errors of the format.

use std::fmt::Debug;

use serde::de::value::{Error, MapDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{
    Every, LogSpaced, Record, Snapshots, Trace, UntilRising, UntilStationary, UntilTarget,
};
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;
use wasserflow::state::{Memory, StateParts};
use wasserflow::study::Width;

use crate::allocation::counting_bytes;

mod training;

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn read<V: DeserializeOwned>(text: &str) -> Result<V, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn error<V: DeserializeOwned + Debug>(text: &str) -> String {
    read::<V>(text).unwrap_err()
}

#[track_caller]
fn comes_back<V: Serialize + DeserializeOwned + PartialEq + Debug>(value: V, expected: &str) {
    let text = json(&value);
    assert_eq!(text, expected);
    assert_eq!(read::<V>(&text).unwrap(), value);
}

#[test]
fn settings_are_stored_with_their_names() {
    comes_back(Relu, r#""Relu""#);
    comes_back(LeakyRelu(0.1), r#"{"LeakyRelu":0.1}"#);
    comes_back(ReluPower(3), r#"{"ReluPower":3}"#);
    comes_back(
        (Abs, Identity, Softplus, Tanh),
        r#"["Abs","Identity","Softplus","Tanh"]"#,
    );
    comes_back(
        (Sigmoid, Erf, Gelu, Silu, Sine),
        r#"["Sigmoid","Erf","Gelu","Silu","Sine"]"#,
    );
    comes_back(
        (Square, Logistic, Exponential, Hinge),
        r#"["Square","Logistic","Exponential","Hinge"]"#,
    );
    comes_back(
        (Huber(1.0), Quantile(0.25), SmoothHinge(0.5)),
        r#"[{"Huber":1.0},{"Quantile":0.25},{"SmoothHinge":0.5}]"#,
    );
    comes_back((Euler, Heun, Rk4), r#"["Euler","Heun","Rk4"]"#);
    comes_back(DormandPrince::new(1e-6, 0.0), r#"{"rtol":1e-6,"atol":0.0}"#);
    comes_back(Jko::new(1e-6, 7), r#"{"tolerance":1e-6,"iterations":7}"#);
    comes_back(Conic::new(0.5, 2.0), r#"{"alpha":0.5,"beta":2.0}"#);
    comes_back(WeightDecay::new(0.5).unwrap(), r#"{"lambda":0.5}"#);
    comes_back(
        PotentialEnergy::new(WeightDecay::new(0.5_f32).unwrap(), 3),
        r#"{"potential":{"lambda":0.5},"particle_dim":3}"#,
    );
    comes_back(
        Gaussian::new(2, 0.5).unwrap(),
        r#"{"dim":2,"bandwidth":0.5}"#,
    );
    comes_back(WithOutputWeight(ArcCosine::new(2)), r#"{"input_dim":2}"#);
    comes_back(
        Ridge::with_outputs(LeakyRelu(0.5), 3, 2),
        r#"{"activation":{"LeakyRelu":0.5},"input_dim":3,"output_dim":2}"#,
    );
    comes_back(
        Radial::new(Tanh, 3),
        r#"{"activation":"Tanh","input_dim":3,"output_dim":1}"#,
    );
    comes_back(FrankWolfe::Sliding, r#""Sliding""#);
    comes_back(
        StopReason::Trapped { gap: 0.5 },
        r#"{"Trapped":{"gap":0.5}}"#,
    );
    let width = Width {
        particles: 5,
        values: vec![0.5],
    };
    comes_back(width, r#"{"particles":5,"values":[0.5]}"#);

    let message = error::<Relu>(r#""Tanh""#);
    assert!(
        message.starts_with("unknown variant `Tanh`, expected `Relu`"),
        "{message}"
    );
    let message = error::<Huber>(r#"{"Quantile":0.5}"#);
    assert!(
        message.starts_with("unknown variant `Quantile`, expected `Huber`"),
        "{message}"
    );
    assert!(read::<Relu>("null").is_err() && read::<Euler>("{}").is_err());
}

#[test]
fn settings_outside_their_ranges_are_errors() {
    for (message, requirement) in [
        (
            error::<WeightDecay<f64>>(r#"{"lambda":-1.0}"#),
            "lambda must be >= 0 and finite",
        ),
        (
            error::<Gaussian<f64>>(r#"{"dim":1,"bandwidth":0.0}"#),
            "bandwidth must be positive",
        ),
        (
            error::<Gaussian<f32>>(r#"{"dim":1,"bandwidth":1e-30}"#),
            "bandwidth must be large",
        ),
        (
            error::<UntilStationary<f64>>(r#"{"tolerance":-1.0}"#),
            "tolerance must be >= 0",
        ),
        (
            error::<UntilTarget<f32>>(r#"{"target":1e300}"#),
            "number out of range",
        ),
        (
            error::<UntilRising<f64>>(r#"{"factor":0.5,"run":null}"#),
            "factor must be at least 1",
        ),
        (
            error::<Every<Trace<f64>>>(r#"{"period":0,"observer":{"records":[]}}"#),
            "period must be",
        ),
        (
            error::<LogSpaced<Trace<f64>>>(r#"{"ratio":1.0}"#),
            "ratio must be above 1",
        ),
    ] {
        assert!(message.starts_with(requirement), "{message}");
    }
}

#[test]
fn measures_are_stored_by_shape_and_validated() {
    let points = DMatrix::from_column_slice(2, 1, &[0.1, -0.0]);
    let mu = EmpiricalMeasure::weighted(points, DVector::from_vec(vec![5e-324])).unwrap();
    comes_back(
        mu,
        r#"{"points":{"rows":2,"columns":1,"elements":[0.1,-0.0]},"weights":[5e-324]}"#,
    );
    let measure = |rows: &str, columns: &str, elements: &str, weights: &str| {
        error::<EmpiricalMeasure<f64>>(&format!(
            r#"{{"points":{{"rows":{rows},"columns":{columns},"elements":[{elements}]}},"weights":[{weights}]}}"#
        ))
    };
    for (message, expected) in [
        (
            measure("2", "1", "1.0,2.0", "-1.0"),
            "the weight of particle 0 must be finite and >= 0",
        ),
        (
            measure("2", "1", "1.0,2.0", "1.0,1.0"),
            "number of weights must be 1, found 2",
        ),
        (measure("2", "1", "1.0,null", "1.0"), "invalid type: null"),
        (measure("2", "1", "1.0,1e999", "1.0"), "number out of range"),
        (
            measure("2", "2", "1.0", "1.0"),
            "a matrix of 2 x 2 elements, found 1",
        ),
        (
            measure("0", "0", "", ""),
            "a measure needs a particle and a coordinate",
        ),
        (
            measure("0", "99999999999", "", ""),
            "a measure needs a particle and a coordinate",
        ),
        // The product of this shape is 0 in 64 bits.
        (
            measure("4294967296", "4294967296", "", ""),
            "a matrix of 4294967296 x 4294967296",
        ),
        (measure("-1", "1", "", ""), "invalid value"),
    ] {
        assert!(message.starts_with(expected), "{message}");
    }
    let large = r#"{"points":{"rows":1,"columns":1,"elements":[1e300]},"weights":[1.0]}"#;
    assert!(read::<EmpiricalMeasure<f64>>(large).is_ok());
    // The format does not round numbers beyond the range to infinity.
    assert!(error::<EmpiricalMeasure<f32>>(large).starts_with("number out of range"));
}

type Method = fn() -> Box<dyn Integrator<f64>>;

fn flow(method: Method) -> ParticleFlow<impl Energy<f64>, Box<dyn Integrator<f64>>, f64> {
    let x = DMatrix::from_fn(2, 7, |l, j| ((3 * l + 2 * j) as f64).sin());
    let y = DVector::from_fn(7, |j, _| (j as f64).cos());
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk).unwrap();
    ParticleFlow::new(energy, method(), 0.1).unwrap()
}

fn start() -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_fn(3, 5, |l, i| ((7 * l + i) as f64).sin())).unwrap()
}

/// run(20) = run(k), JSON, run(20 - k), in all bits; traces and snapshots continue as well.
#[test]
fn states_and_observers_resume_bit_for_bit() {
    let methods: [Method; 4] = [
        || Box::new(Euler),
        || Box::new(DormandPrince::default()),
        || Box::new(Conic::new(0.5, 0.5)),
        || Box::new(Jko::default()),
    ];
    for method in methods {
        for k in [0, 1, 7] {
            let mut flow = flow(method);
            let mut straight = flow.start(start()).unwrap();
            let observer = || {
                let spaced = LogSpaced::new(1.5, Trace::new()).unwrap();
                (Snapshots::new(), Every::new(3, Trace::new()), spaced)
            };
            let (mut expected, mut observed) = (observer(), observer());
            flow.run(&mut straight, 20, &mut expected).unwrap();

            let mut state = flow.start(start()).unwrap();
            flow.run(&mut state, k, &mut observed).unwrap();
            let mut state: State<f64> = read(&json(&state)).unwrap();
            let (snapshots, every, spaced) = &observed;
            let mut observed: (Snapshots<f64>, Every<Trace<f64>>, LogSpaced<Trace<f64>>) = (
                read(&json(snapshots)).unwrap(),
                read(&json(every)).unwrap(),
                read(&json(spaced)).unwrap(),
            );
            flow.run(&mut state, 20 - k, &mut observed).unwrap();
            assert_eq!(json(&state), json(&straight));
            assert_eq!(state.to_parts(), straight.to_parts());
            assert_eq!(observed.0, expected.0);
            assert_eq!(observed.1, expected.1);
            let records = |spaced: LogSpaced<Trace<f64>>| spaced.into_inner().records().len();
            // The state in which a run resumes is forwarded as its first one.
            let (found, once) = (records(observed.2), records(expected.2));
            assert!(
                found == once || found == once + 1,
                "{found} and {once} records"
            );
        }
    }
}

#[test]
fn the_format_of_a_state_is_that_of_its_parts() {
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 2.0)).unwrap();
    let mut state = State::new(mu);
    state.memory_mut().fields = vec![DMatrix::from_element(1, 1, 0.5)];
    state.memory_mut().scalars = vec![-0.0];
    let measure = r#"{"points":{"rows":1,"columns":1,"elements":[2.0]},"weights":[1.0]}"#;
    let memory = r#"{"fields":[{"rows":1,"columns":1,"elements":[0.5]}],"scalars":[-0.0]}"#;
    let rest = |time: &str, next: &str| {
        format!(
            r#"{{"measure":{measure},"evaluation":null,"time":{time},"lost":0.0,"step":0,"next":{next},"memory":{memory}}}"#
        )
    };
    assert_eq!(json(&state), rest("0.0", "null"));
    let parts: StateParts<f64> = read(&json(&state)).unwrap();
    assert_eq!(parts, state.to_parts());
    let resumed = State::try_from(parts).unwrap();
    assert!(resumed.is_stale() && StateParts::from(resumed) == state.to_parts());
    for (text, message) in [
        (
            rest("0.0", "-1.0"),
            "size of the next step must be positive and finite, found -1",
        ),
        (rest("null", "null"), "invalid type: null"),
        (
            rest("0.0", "null").replace("[0.5]", "[]"),
            "a matrix of 1 x 1 elements, found 0",
        ),
    ] {
        let found = error::<State<f64>>(&text);
        assert!(found.starts_with(message), "{found}");
    }
    let record = Record {
        step: 1,
        time: 0.5,
        energy: 2.0,
        dissipation: 0.25,
    };
    comes_back(
        record,
        r#"{"step":1,"time":0.5,"energy":2.0,"dissipation":0.25}"#,
    );
}

/// A deserialiser of a value of a binary format whose lengths are false.
#[derive(Clone, Copy)]
enum Node {
    Measure,
    Points,
    List,
    Number(f64),
}

impl<'de> IntoDeserializer<'de, Error> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A list that claims the largest length, and contains one element.
struct Endless(bool);

impl<'de> SeqAccess<'de> for Endless {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if std::mem::replace(&mut self.0, false) {
            seed.deserialize(Node::Number(1.0)).map(Some)
        } else {
            Ok(None)
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(usize::MAX)
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let map = |entries: Vec<(&'static str, Self)>, visitor: V| {
            let entries = entries.into_iter();
            let entries = entries.map(|(key, node)| (StrDeserializer::<Error>::new(key), node));
            MapDeserializer::new(entries).deserialize_any(visitor)
        };
        match self {
            Self::Measure => map(
                vec![("points", Self::Points), ("weights", Self::List)],
                visitor,
            ),
            Self::Points => map(
                vec![
                    ("rows", Self::Number(1.0)),
                    ("columns", Self::Number(1.0)),
                    ("elements", Self::List),
                ],
                visitor,
            ),
            Self::List => SeqAccessDeserializer::new(Endless(true)).deserialize_any(visitor),
            Self::Number(x) => visitor.visit_f64(x),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(1)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The bytes that serde reserves for a list of unknown length, with a margin.
const RESERVED: usize = 1 << 22;

#[test]
fn false_lengths_do_not_allocate() {
    let (mu, requested) = counting_bytes(|| EmpiricalMeasure::<f64>::deserialize(Node::Measure));
    assert_eq!(mu.unwrap().particle(0), &[1.0]);
    assert!(requested < RESERVED, "{requested} bytes");
}

/// Damaged texts are errors, or values that satisfy their checks.
#[test]
fn damaged_texts_do_not_panic() {
    let mut flow = flow(|| Box::new(DormandPrince::default()));
    let mut state = flow.start(start()).unwrap();
    flow.run(&mut state, 2, &mut ()).unwrap();
    let text = json(&state).into_bytes();
    let (mut seed, mut accepted) = (7_u64, 0);
    let mut below = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % n
    };
    const CASES: usize = 10_000;
    for _ in 0..CASES {
        let mut text = text.clone();
        for _ in 0..=below(3) {
            let at = below(text.len());
            match below(3) {
                0 => text[at] = b"0123456789-e.,[]{}\"n"[below(20)],
                1 => text.truncate(at.max(1)),
                _ => text.insert(at, b"0123456789-e.,[]{}\"n"[below(20)]),
            }
        }
        if let Ok(state) = serde_json::from_slice::<State<f64>>(&text) {
            accepted += 1;
            assert!(state.measure().check().is_ok() && state.time().is_finite());
        }
    }
    assert!(accepted > CASES / 100 && accepted < CASES, "{accepted}");
    let memory: Memory<f64> = read(r#"{"fields":[],"scalars":[]}"#).unwrap();
    assert_eq!(memory, Memory::default());
}
