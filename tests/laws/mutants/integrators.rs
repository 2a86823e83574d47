//! Mistakes in integrators.

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::strategies::seeds;
use wasserflow::testing::{check_integrator, check_jko, check_momentum_integrator};

use super::mutant;

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    Weight,
    Stage,
    OrderTooHigh,
    DoesNotMove,
    LongerThanRequested,
    ShorterThanReported,
    KeepsState,
    NormUnweighted,
    NormOfThisRank,
    FirstParticleOnly,
    Ascends,
    WeightlessAtRest,
    ProposalsShrink,
}

/// The classical Runge-Kutta method with a mistake.
struct Classical {
    mistake: Mistake,
    steps: usize,
}

impl Classical {
    fn new(mistake: Mistake) -> Self {
        Self { mistake, steps: 0 }
    }
}

impl<T: Real> Integrator<T> for Classical {
    fn order(&self) -> u32 {
        if self.mistake == Mistake::OrderTooHigh {
            5
        } else {
            4
        }
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let start = state.measure().clone();
        let moment = start.points().dot(start.points()) / real(start.len() as f64);
        let local = start.second_moment();
        let mut taken = match self.mistake {
            Mistake::KeepsState if self.steps % 2 == 1 => dt * real(0.5),
            Mistake::LongerThanRequested => dt * real(1.001),
            Mistake::NormUnweighted => dt / (T::one() + moment),
            Mistake::NormOfThisRank => dt / (T::one() + local),
            Mistake::Ascends => -dt,
            _ => dt,
        };
        self.steps += 1;
        let a = if self.mistake == Mistake::Stage {
            0.51
        } else {
            0.5
        };
        let b = if self.mistake == Mistake::Weight {
            0.333
        } else {
            1.0 / 3.0
        };
        let mut k = vec![state.velocity().clone()];
        for c in [a, 0.5, 1.0] {
            let mut mu = start.clone();
            mu.displace(taken * real(c), &k[k.len() - 1]);
            let mut v = DMatrix::zeros(mu.dim(), mu.len());
            energy.velocity(&mu, &mut v);
            k.push(v);
        }
        let mu = state.measure_mut();
        for (k, c) in k.iter_mut().zip([1.0 / 6.0, b, b, 1.0 / 6.0]) {
            if self.mistake == Mistake::FirstParticleOnly {
                k.columns_range_mut(1..).fill(T::zero());
            }
            if self.mistake == Mistake::WeightlessAtRest {
                for i in (0..start.len()).filter(|&i| start.weight(i) == T::zero()) {
                    k.column_mut(i).fill(T::zero());
                }
            }
            if self.mistake != Mistake::DoesNotMove {
                mu.displace(taken * real(c), k);
            }
        }
        match self.mistake {
            Mistake::ShorterThanReported => taken *= real(0.5),
            Mistake::Ascends => taken = dt,
            _ => {}
        }
        let shrinks = self.mistake == Mistake::ProposalsShrink;
        let next = shrinks.then_some(taken * real(0.9));
        Ok(Step { taken, next })
    }
}

/// The flow of another equation, `w'' = v - w'`, as a method of order 1: its first step, from an
/// empty memory, is a step of Euler.
struct Momentum;

impl<T: Real> Integrator<T> for Momentum {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let v = state.velocity().clone();
        let memory = state.memory_mut();
        let first = memory.scalars.is_empty();
        memory.scalars.resize(1, T::one());
        let momentum = memory.field(0, v.shape());
        if first {
            momentum.copy_from(&v);
        }
        let direction = momentum.clone();
        *momentum += (v - &direction) * dt;
        state.measure_mut().displace(dt, &direction);
        Ok(Step::new(dt))
    }
}

/// The heavy ball with a mistake, for friction 1.
#[derive(Clone, PartialEq)]
enum Ball {
    FrictionDoubled,
    KicksDoubled,
    FirstOrder,
    LastKickForgotten,
}

/// The momentum is hidden in the method, not in the memory of the state.
struct Hidden<T>(Vec<T>);

impl<T: Real> Integrator<T> for Hidden<T> {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let v = state.velocity().clone();
        self.0.resize(v.len(), T::zero());
        for (u, &v) in self.0.iter_mut().zip(&v) {
            *u += dt * (v - *u);
        }
        let u = DMatrix::from_column_slice(v.nrows(), v.ncols(), &self.0);
        state.measure_mut().displace(dt, &u);
        Ok(Step::new(dt))
    }
}

impl<T: Real> Integrator<T> for Ball {
    fn order(&self) -> u32 {
        2
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let half = dt * real(0.5);
        let friction = real(if *self == Self::FrictionDoubled {
            2.0
        } else {
            1.0
        });
        let damping = (-(half * friction)).exp();
        let kick = if *self == Self::KicksDoubled {
            dt
        } else {
            half
        };
        let v = state.velocity().clone();
        let mut u = state.memory_mut().field(0, v.shape()).clone();
        if *self == Self::FirstOrder {
            u = u * (T::one() - dt * friction) + v * dt;
            state.measure_mut().displace(dt, &u);
        } else {
            u = u * damping + v * kick;
            state.measure_mut().displace(dt, &u);
            state.evaluate(energy);
            if *self != Self::LastKickForgotten {
                u += state.velocity() * kick;
            }
            u *= damping;
        }
        state.memory_mut().field(0, u.shape()).copy_from(&u);
        Ok(Step::new(dt))
    }
}

/// Euler, with a mistake in `step_from`.
#[derive(Clone, Copy)]
enum FromBefore {
    Longer,
    OldVelocity,
    ClockForgotten,
}

impl<T: Real> Integrator<T> for FromBefore {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        Euler.step(energy, state, dt)
    }
    fn step_from(
        &mut self,
        energy: &mut dyn Energy<T>,
        before: &State<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        match self {
            Self::Longer => {
                Euler.step_from(energy, before, state, dt * real(1.0 + 1e-6))?;
            }
            Self::OldVelocity => {
                let old = state.velocity().clone();
                state.clone_from(before);
                if old.shape() == before.velocity().shape() {
                    state.measure_mut().displace(dt, &old);
                } else {
                    state.measure_mut().displace(dt, before.velocity());
                }
            }
            Self::ClockForgotten => {
                let mu = before.measure().clone();
                *state = State::new(mu);
                state.measure_mut().displace(dt, before.velocity());
                state.memory_mut().scalars.push(dt);
            }
        }
        Ok(Step::new(dt))
    }
}

#[test]
fn overrides_of_step_from() {
    for mistake in [
        FromBefore::Longer,
        FromBefore::OldVelocity,
        FromBefore::ClockForgotten,
    ] {
        let violation = check_integrator::<f64, _>(|| mistake, 1).unwrap_err();
        let law = "step_from leaves the state of step, bit for bit";
        let resumes = "a run resumes from its state, bit for bit";
        assert!([law, resumes].contains(&violation.law), "{violation}");
    }
}

#[test]
fn methods_with_momentum() {
    for (name, mistake) in [
        ("momentum: friction doubled", Ball::FrictionDoubled),
        ("momentum: kicks doubled", Ball::KicksDoubled),
        ("momentum: of first order", Ball::FirstOrder),
        (
            "momentum: the second kick forgotten",
            Ball::LastKickForgotten,
        ),
    ] {
        mutant!(name, seeds(), seed => {
            check_momentum_integrator::<T, _>(|| mistake.clone(), 1.0, seed)
        });
    }
    mutant!("momentum: an Euler step", seeds(), seed => {
        check_momentum_integrator::<T, _>(|| Euler, 1.0, seed)
    });
    mutant!("integrator: the heavy ball as a gradient flow", seeds(), seed => {
        check_integrator::<T, _>(|| HeavyBall::new(1.0).unwrap(), seed)
    });
    // The law that fails is that of the mistake.
    let violation = check_integrator::<f64, _>(|| Hidden(Vec::new()), 1).unwrap_err();
    assert_eq!(violation.law, "a run resumes from its state, bit for bit");
}

#[test]
fn integrators() {
    mutant!("integrator: momentum, the flow of another equation", seeds(), seed => {
        check_integrator::<T, _>(|| Momentum, seed)
    });
    for (name, mistake) in [
        (
            "integrator: a weight of RK4 wrong in the fourth digit",
            Mistake::Weight,
        ),
        ("integrator: a stage of RK4 at 0.51", Mistake::Stage),
        ("integrator: order claimed too high", Mistake::OrderTooHigh),
        ("integrator: does not move", Mistake::DoesNotMove),
        (
            "integrator: takes a longer step than requested",
            Mistake::LongerThanRequested,
        ),
        (
            "integrator: takes a shorter step than reported",
            Mistake::ShorterThanReported,
        ),
        (
            "integrator: keeps state from step to step",
            Mistake::KeepsState,
        ),
        (
            "integrator: an unweighted norm controls the step",
            Mistake::NormUnweighted,
        ),
        (
            "integrator: a norm over one rank controls the step",
            Mistake::NormOfThisRank,
        ),
        (
            "integrator: moves the first particle only",
            Mistake::FirstParticleOnly,
        ),
        ("integrator: ascends", Mistake::Ascends),
        (
            "integrator: particles of weight 0 do not move",
            Mistake::WeightlessAtRest,
        ),
        (
            "integrator: proposals shrink, a run does not end",
            Mistake::ProposalsShrink,
        ),
    ] {
        mutant!(name, seeds(), seed => check_integrator::<T, _>(|| Classical::new(mistake), seed));
    }
}

/// A proximal step by gradient descent on `F(nu) + W2^2(nu, mu) / (2 gamma)`, with a mistake.
#[derive(Clone, Copy, PartialEq)]
enum Proximal {
    NotConverged,
    HalfTheDistance,
    Overshoots,
}

impl<T: Real> Integrator<T> for Proximal {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        gamma: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let start = state.measure().points().clone();
        let rate = if *self == Proximal::HalfTheDistance {
            real::<T>(2.0)
        } else {
            T::one()
        } / gamma;
        let length = T::one() / (rate + real(4.0));
        for _ in 0..if *self == Proximal::NotConverged {
            3
        } else {
            3000
        } {
            state.evaluate(energy);
            let pull = state.velocity() - (state.measure().points() - &start) * rate;
            state.measure_mut().displace(length, &pull);
        }
        if *self == Proximal::Overshoots {
            let path = state.measure().points() - &start;
            state.measure_mut().displace(T::one(), &path);
        }
        Ok(Step {
            taken: gamma,
            next: None,
        })
    }
}

#[test]
fn proximal_steps() {
    for (name, mistake) in [
        ("proximal: not converged", Proximal::NotConverged),
        (
            "proximal: half the squared distance",
            Proximal::HalfTheDistance,
        ),
        ("proximal: overshoots", Proximal::Overshoots),
    ] {
        mutant!(name, seeds(), seed => check_jko::<T, _>(|| mistake, seed));
    }
    mutant!("proximal: an Euler step", seeds(), seed => check_jko::<T, _>(|| Euler, seed));
    mutant!("proximal: an RK4 step", seeds(), seed => check_jko::<T, _>(|| Rk4, seed));
}
