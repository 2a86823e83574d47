//! Certificates, schedules and observers.

use std::time::Duration;

use wasserflow::observe::{Average, Checkpoint, UntilValidation, ValidationParts};
use wasserflow::optimality::{Bound, Certificate, Effort, Search, certify_within};

use super::*;

/// 2^53 + 1, which is not a double.
const LARGE: usize = (1 << 53) + 1;

#[test]
fn settings_of_a_training() {
    comes_back(HeavyBall::new(-0.0).unwrap(), r#"{"friction":-0.0}"#);
    comes_back(HeavyBall::new(5e-324).unwrap(), r#"{"friction":5e-324}"#);
    comes_back(Constant::new(5e-324).unwrap(), r#"{"dt":5e-324}"#);
    comes_back(Constant::new(0.1_f32).unwrap(), r#"{"dt":0.1}"#);
    comes_back(
        InverseSqrt::in_steps(0.5, 1e308).unwrap(),
        r#"{"eta":0.5,"scale":1e+308,"in_time":false}"#,
    );
    comes_back(
        WarmUp::new(3, Cosine::new(0.5, 0.1, LARGE).unwrap()),
        r#"{"steps":3,"schedule":{"first":0.5,"last":0.1,"steps":9007199254740993}}"#,
    );
    comes_back(
        Piecewise::new(1.0, vec![(LARGE - 1, 0.5), (LARGE, 0.25)]).unwrap(),
        r#"{"first":1.0,"changes":[[9007199254740992,0.5],[9007199254740993,0.25]]}"#,
    );
    comes_back(
        Effort::new(1e-6, LARGE)
            .unwrap()
            .with_time_limit(Duration::from_millis(1500)),
        r#"{"tolerance":1e-6,"cells":9007199254740993,"time_limit":{"secs":1,"nanos":500000000}}"#,
    );
    comes_back(
        Standardizer::from_parts(vec![-0.0, 5e-324], vec![1.0, 5e-324]).unwrap(),
        r#"{"mean":[-0.0,5e-324],"deviation":[1.0,5e-324]}"#,
    );
    comes_back(Bound::Truncated, r#""Truncated""#);
    comes_back(BirthDeath::new(2.0, 0.5), r#"{"alpha":2.0,"beta":0.5}"#);
    comes_back(
        Langevin::new(0.25, u64::MAX).unwrap().particles(3, 4),
        r#"{"temperature":{"dt":0.25},"noise":{"seed":18446744073709551615,"offset":3,"stride":4}}"#,
    );
    comes_back(
        KineticLangevin::new(0.25, 5e-324, 7).unwrap(),
        r#"{"temperature":{"dt":0.25},"friction":5e-324,"noise":{"seed":7,"offset":0,"stride":1}}"#,
    );
    comes_back(
        Svgd::new(Gaussian::new(2, 0.5_f32).unwrap(), 0.0_f32).unwrap(),
        r#"{"kernel":{"dim":2,"bandwidth":0.5},"temperature":0.0}"#,
    );
    comes_back(
        PowerLaw::new(-1.0, 1e308).unwrap(),
        r#"{"exponent":-1.0,"strength":1e+308}"#,
    );
    comes_back(
        GaussianInteraction::new(0.5, -2.0).unwrap(),
        r#"{"bandwidth":0.5,"strength":-2.0}"#,
    );
    comes_back(Riesz::new(0.5).unwrap(), r#"{"exponent":0.5}"#);
    comes_back(
        InverseMultiquadric::new(0.5_f32).unwrap(),
        r#"{"length":0.5}"#,
    );
    for (message, requirement) in [
        (
            error::<Riesz>(r#"{"exponent":2.0}"#),
            "exponent must be between 0 and 2",
        ),
        (
            error::<KineticLangevin<Constant<f64>>>(
                r#"{"temperature":{"dt":1.0},"friction":-1.0,"noise":{"seed":7,"offset":0,"stride":1}}"#,
            ),
            "friction must be",
        ),
        (
            error::<Langevin<Constant<f64>>>(
                r#"{"temperature":{"dt":0.0},"noise":{"seed":7,"offset":0,"stride":1}}"#,
            ),
            "dt must be positive",
        ),
        (
            error::<Langevin<Constant<f64>>>(
                r#"{"temperature":{"dt":1.0},"noise":{"seed":7,"offset":0,"stride":0}}"#,
            ),
            "stride of the particles must be at least 1, found 0",
        ),
        (
            error::<KineticLangevin<Constant<f64>>>(
                r#"{"temperature":{"dt":1.0},"friction":1.0,"noise":{"seed":7,"offset":0,"stride":0}}"#,
            ),
            "stride of the particles must be at least 1, found 0",
        ),
        (
            error::<Svgd<Gaussian<f64>, f64>>(
                r#"{"kernel":{"dim":1,"bandwidth":1.0},"temperature":-1.0}"#,
            ),
            "temperature must be",
        ),
        (
            error::<GaussianInteraction<f32>>(r#"{"bandwidth":1e-30,"strength":1.0}"#),
            "bandwidth must be large",
        ),
        (
            error::<InverseMultiquadric<f64>>(r#"{"length":-1.0}"#),
            "length must be positive",
        ),
        (
            error::<BirthDeath>(r#"{"alpha":-1.0,"beta":1.0}"#),
            "alpha must be",
        ),
        (
            error::<BirthDeath>(r#"{"alpha":1.0,"beta":-5e-324}"#),
            "beta must be",
        ),
        (
            error::<Conic>(r#"{"alpha":-1.0,"beta":1.0}"#),
            "alpha must be",
        ),
        (
            error::<Jko>(r#"{"tolerance":0.0,"iterations":1}"#),
            "tolerance must be",
        ),
        (
            error::<Jko>(r#"{"tolerance":1.0,"iterations":0}"#),
            "iterations must be at least 1",
        ),
        (
            error::<DormandPrince>(r#"{"rtol":0.0,"atol":0.0}"#),
            "rtol + atol must be positive",
        ),
        (
            error::<Huber>(r#"{"Huber":-1.0}"#),
            "the threshold of the Huber loss must be",
        ),
        (
            error::<Quantile>(r#"{"Quantile":1.5}"#),
            "the level of the quantile loss must be",
        ),
        (
            error::<SmoothHinge>(r#"{"SmoothHinge":0.0}"#),
            "the width of the smoothed hinge loss must be",
        ),
        (
            error::<ReluPower>(r#"{"ReluPower":1025}"#),
            "the exponent of the rectifier must be",
        ),
        (
            error::<LeakyRelu>(r#"{"LeakyRelu":1e400}"#),
            "number out of range",
        ),
        (
            error::<HeavyBall>(r#"{"friction":-1.0}"#),
            "friction must be >= 0",
        ),
        (
            error::<Constant<f64>>(r#"{"dt":0.0}"#),
            "dt must be positive",
        ),
        (
            error::<InverseSqrt<f64>>(r#"{"eta":1.0,"scale":-1.0,"in_time":true}"#),
            "scale must be positive",
        ),
        (
            error::<InverseSqrt<f32>>(r#"{"eta":0.0,"scale":1.0,"in_time":true}"#),
            "eta must be positive",
        ),
        (
            error::<Cosine<f64>>(r#"{"first":1.0,"last":0.0,"steps":1}"#),
            "last must be positive",
        ),
        (
            error::<WarmUp<Constant<f64>>>(r#"{"steps":1,"schedule":{"dt":-1.0}}"#),
            "dt must be positive",
        ),
        (
            error::<Piecewise<f64>>(r#"{"first":1.0,"changes":[[2,1.0],[2,1.0]]}"#),
            "the step of a change must be above",
        ),
        (
            error::<Effort>(r#"{"tolerance":1.0,"cells":1,"time_limit":null}"#),
            "tolerance must be >= 0 and below 1",
        ),
        (
            error::<Standardizer<f64>>(r#"{"mean":[0.0],"deviation":[0.0]}"#),
            "deviation must be positive",
        ),
        (
            error::<Standardizer<f64>>(r#"{"mean":[0.0],"deviation":[]}"#),
            "number of deviations must be 1",
        ),
    ] {
        assert!(message.starts_with(requirement), "{message}");
    }
}

#[test]
fn checkpoints_keep_their_path_and_period() {
    let steps = Checkpoint::every_steps("a/run.npz", LARGE).unwrap();
    let text = r#"{"path":"a/run.npz","period":{"Steps":9007199254740993}}"#;
    assert_eq!(json(&steps), text);
    assert_eq!(json(&read::<Checkpoint>(text).unwrap()), text);
    let time = Checkpoint::every_period("b.safetensors", Duration::from_nanos(7)).unwrap();
    let text = r#"{"path":"b.safetensors","period":{"Time":{"secs":0,"nanos":7}}}"#;
    assert_eq!(json(&time), text);
    assert_eq!(json(&read::<Checkpoint>(text).unwrap()), text);
    let message = error::<Checkpoint>(r#"{"path":"a.npz","period":{"Steps":0}}"#);
    assert!(message.contains("at least 1, found 0"), "{message}");
    let message = error::<Checkpoint>(r#"{"path":"a.txt","period":{"Steps":1}}"#);
    assert!(message.starts_with("a.txt"), "{message}");
}

fn energy() -> impl optimality::Certifiable<f64> {
    let x = DMatrix::from_fn(2, 7, |l, j| ((3 * l + 2 * j) as f64).sin());
    let y = DVector::from_fn(7, |j, _| (j as f64).cos());
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk).unwrap();
    energy.regularized(WeightDecay::new(0.01).unwrap())
}

/// That of bounds that contradict each other.
fn contradiction() -> Certificate<f64> {
    struct Wrong;
    impl Energy<f64> for Wrong {
        fn particle_dim(&self) -> usize {
            1
        }
        fn value(&mut self, _: &EmpiricalMeasure<f64>) -> f64 {
            1.0
        }
        fn velocity(&mut self, _: &EmpiricalMeasure<f64>, _: &mut DMatrix<f64>) -> f64 {
            1.0
        }
    }
    impl optimality::Certifiable<f64> for Wrong {
        fn certificate(&mut self, _: &EmpiricalMeasure<f64>, _: &mut Search) -> Certificate<f64> {
            Certificate::bounded(1.0, 2.0, None)
        }
    }
    let certificate = optimality::certify(&mut Wrong, &start());
    assert_eq!(certificate.contradiction(), Some(1.0));
    certificate
}

#[test]
fn certificates_come_back_in_full() {
    let (mut energy, mu) = (energy(), start());
    let infinite = Certificate::<f64>::bounded(f64::INFINITY, 0.0, None);
    let mut best = start();
    let run = FrankWolfe::Corrective.run(&mut energy, &mut best, 1e-6, 100);
    assert!(run.unwrap().1.gap() <= 1e-6);
    let computed = [
        optimality::certify(&mut energy, &mu),
        certify_within(&mut energy, &best, 1e-3), // a negative gap
        certify_within(&mut energy, &mu, f64::NAN),
        Search::new().certify(&mut energy, &mu),
        Certificate::bounded(5e-324, -0.0, Some(vec![-0.0, 5e-324])),
        Certificate::bounded(1.0, 0.0, Some(vec![])),
        contradiction(),
        infinite.clone(),
    ];
    assert!(computed[0].escape().is_some() && computed[0].bound() == Some(Bound::Exact));
    assert!(computed[2].gap().is_infinite());
    assert!(computed[1].gap() < 0.0 && computed[1].budget() == Some(1e-3));
    for certificate in computed {
        let back: Certificate<f64> = read(&json(&certificate)).unwrap();
        assert_eq!(back, certificate);
        let bits = |escape: Option<&[f64]>| {
            escape.map(|w| w.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        assert_eq!(bits(back.escape()), bits(certificate.escape()));
        assert_eq!(back.gap().to_bits(), certificate.gap().to_bits());
    }
    let text = r#"{"energy":null,"gap":null,"optimistic_gap":null,"maximum_bounds":null,"threshold":0.0,"bound":null,"escape":null}"#;
    comes_back(infinite, text);
    let with = |from: &str, to: &str| error::<Certificate<f64>>(&text.replace(from, to));
    for (message, requirement) in [
        (
            with(r#""gap":null"#, r#""gap":1.0"#),
            "optimistic gap must be at most the gap, found inf",
        ),
        (
            with(r#""escape":null"#, r#""escape":[]"#),
            "dimension of the escape must be at least 1, found 0",
        ),
        (
            with(r#""threshold":0.0"#, r#""threshold":-1.0"#),
            "threshold must be >= 0",
        ),
        (
            with(r#""maximum_bounds":null"#, r#""maximum_bounds":[2.0,1.0]"#),
            "lower bound of the maximum must be >= 0 and at most the upper one, found 2",
        ),
        (
            with(r#""bound":null"#, r#""bound":"Exact""#),
            "kind of the bound must be given with the bounds",
        ),
        (
            with(
                r#""energy":null,"gap":null,"optimistic_gap":null"#,
                r#""energy":1.0,"gap":-1.0,"optimistic_gap":-1.0"#,
            ),
            "gap of the certificate must be >= 0 up to rounding without a budget, found -1",
        ),
        (
            with(r#""escape":null"#, r#""escape":null,"contradiction":-1.0"#),
            "contradiction must be positive",
        ),
        (
            with(r#""escape":null"#, r#""escape":null,"budget":-1.0"#),
            "budget must be >= 0",
        ),
        (
            with(
                r#""optimistic_gap":null,"maximum_bounds":null,"threshold":0.0,"bound":null,"escape":null"#,
                r#""optimistic_gap":1.0,"maximum_bounds":null,"threshold":0.0,"bound":null,"escape":null,"contradiction":1.0"#,
            ),
            "gap of the certificate must be infinite beside a contradiction, found 1",
        ),
    ] {
        assert!(message.starts_with(requirement), "{message}");
    }
}

/// NaN has no JSON: values from another format.
#[test]
fn certificates_of_nan_are_errors() {
    let fields = |nan: &'static str| {
        let number = |name: &'static str, value| {
            let value = if name == nan { f64::NAN } else { value };
            (name, Node::Number(value))
        };
        let entries = vec![
            number("energy", 1.0),
            number("gap", 1.0),
            number("optimistic_gap", 1.0),
            number("threshold", 0.0),
        ];
        let entries = entries.into_iter();
        let entries = entries.map(|(key, node)| (StrDeserializer::<Error>::new(key), node));
        Certificate::<f64>::deserialize(MapDeserializer::new(entries))
    };
    assert_eq!(fields("").unwrap().gap(), 1.0);
    for name in ["energy", "gap", "optimistic_gap", "threshold"] {
        assert!(fields(name).is_err(), "{name}");
    }
}

/// run(30) = run(k), JSON, run(30 - k): the average and the early stopping continue.
#[test]
fn averages_and_validations_resume() {
    // Least at the start: the evaluations without improvement are a part of the progress.
    let value = |mu: &EmpiricalMeasure<f64>| mu.particle(0)[0].abs();
    let observers = || (Average::tail(4), UntilValidation::new(2, 50, value));
    for k in [0, 3, 4, 11] {
        let mut flow = flow(|| Box::new(HeavyBall::new(0.5).unwrap()));
        let mut straight = flow.start(start()).unwrap();
        let mut expected = observers();
        flow.run(&mut straight, 30, &mut expected).unwrap();

        let mut state = flow.start(start()).unwrap();
        let mut observed = observers();
        flow.run(&mut state, k, &mut observed).unwrap();
        let mut state: State<f64> = read(&json(&state)).unwrap();
        let average: Average<f64> = read(&json(&observed.0)).unwrap();
        assert_eq!(average, observed.0);
        let parts = observed.1.to_parts();
        assert_eq!(read::<ValidationParts<f64>>(&json(&parts)).unwrap(), parts);
        let validation = UntilValidation::from_parts(parts, value).unwrap();
        let mut observed = (average, validation);
        flow.run(&mut state, 30 - k, &mut observed).unwrap();
        assert_eq!(state.to_parts(), straight.to_parts());
        assert_eq!(json(&observed.0), json(&expected.0));
        assert_eq!(observed.1.to_parts(), expected.1.to_parts());
    }
}

#[test]
fn averages_are_validated() {
    let text = |count: &str, last: &str, lost: &str, weights: &str| {
        let matrix = |elements| format!(r#"{{"rows":1,"columns":1,"elements":[{elements}]}}"#);
        let (sum, lost) = (matrix("-0.0"), lost.replace("ONE", &matrix("5e-324")));
        format!(
            r#"{{"from":2,"count":{count},"last":{last},"sum":{sum},"lost":{lost},"weights":[{weights}]}}"#
        )
    };
    let valid = text("2", "3", "ONE", "1.0");
    assert_eq!(json(&read::<Average<f64>>(&valid).unwrap()), valid);
    for (text, requirement) in [
        (text("3", "3", "ONE", "1.0"), "count must be"),
        (text("0", "3", "ONE", "1.0"), "count must be"),
        (text("1", "null", "ONE", "1.0"), "count must be"),
        (text("1", "1", "ONE", "1.0"), "count must be"),
        (text("2", "3", "ONE", ""), "number of weights must be 1"),
        (text("2", "3", "ONE", "-1.0"), "a weight must be >= 0"),
        (
            text("2", "3", r#"{"rows":0,"columns":1,"elements":[]}"#, "1.0"),
            "rows of the lost parts must be 1",
        ),
    ] {
        let message = error::<Average<f64>>(&text);
        assert!(message.starts_with(requirement), "{message}");
    }
    let parts = ValidationParts {
        period: 1,
        patience: 1,
        best: Some((f64::NEG_INFINITY, 3, start())),
        without: usize::MAX,
        last: Some(3),
    };
    assert!(UntilValidation::from_parts(parts.clone(), |_: &_| 0.0).is_ok());
    for (change, requirement) in [
        (
            ValidationParts {
                period: 0,
                ..parts.clone()
            },
            "period must be at least 1",
        ),
        (
            ValidationParts {
                patience: 0,
                ..parts.clone()
            },
            "patience must be at least 1",
        ),
        (
            ValidationParts {
                last: None,
                ..parts.clone()
            },
            "the step of the least value must be",
        ),
        (
            ValidationParts {
                best: Some((f64::NAN, 3, start())),
                ..parts.clone()
            },
            "the least value must be a number",
        ),
    ] {
        let error = UntilValidation::from_parts(change, |_: &_| 0.0).unwrap_err();
        assert!(error.to_string().starts_with(requirement), "{error}");
    }
}
