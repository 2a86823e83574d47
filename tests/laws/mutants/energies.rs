//! Mistakes in energies and sums over ranks.

use wasserflow::feature::Breakpoint;
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::problems::smooth_network;
use wasserflow::testing::strategies::{cases, seeds};
use wasserflow::testing::{
    Case, Rank, check_all_reduce, check_convexity, check_distributed, check_energy,
    check_energy_within,
};

use super::mutant;

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    VelocityWeighted,
    VelocitySign,
    VelocityOffByOneThousandth,
    ProbesDoNotMove,
    ValueOfTheVelocityDoubled,
    FirstParticleTwice,
    MeanUnweighted,
    VariationOff,
    DescentSign,
    VariationWithoutPotential,
    OutputNotOverwritten,
    CurvatureWeighted,
    CurvatureNegative,
    InnerUnweighted,
    NotConvex,
}

/// A smooth network with weight decay 1/2, and a mistake.
struct Network<T: Real> {
    energy: MeanFieldRisk<Ridge<Tanh>, EmpiricalRisk<Square, T>, T>,
    mistake: Mistake,
}

impl<T: Real> Network<T> {
    fn new(case: Case, mistake: Mistake) -> Self {
        Self {
            energy: smooth_network(case),
            mistake,
        }
    }

    /// `(1/2) int |w|^2 dmu`, minus twice its square if the energy must not be convex, and the
    /// factor of its velocity.
    fn decay(&self, mu: &EmpiricalMeasure<T>) -> (T, T) {
        let decay = mu.second_moment() * real(0.5);
        if self.mistake == Mistake::NotConvex {
            (
                decay - decay * decay * real(20.0),
                T::one() - decay * real(40.0),
            )
        } else {
            (decay, T::one())
        }
    }

    /// The measure that the mistaken energy evaluates.
    fn evaluated(&self, mu: &EmpiricalMeasure<T>) -> EmpiricalMeasure<T> {
        let (mut mu, m) = (mu.clone(), mu.len() as f64);
        match self.mistake {
            Mistake::FirstParticleTwice => mu.weights_mut()[0] *= real(2.0),
            Mistake::MeanUnweighted => mu.weights_mut().fill(real(1.0 / m)),
            _ => {}
        }
        mu
    }
}

impl<T: Real> Energy<T> for Network<T> {
    fn particle_dim(&self) -> usize {
        self.energy.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        let mu = self.evaluated(mu);
        self.energy.value(&mu) + self.decay(&mu).0
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        let (old, evaluated) = (out.clone(), self.evaluated(mu));
        let (decay, factor) = self.decay(&evaluated);
        let value = self.energy.velocity(&evaluated, out) + decay;
        *out -= mu.points() * factor;
        for (i, mut v) in out.column_iter_mut().enumerate() {
            let c = mu.weight(i);
            match self.mistake {
                Mistake::VelocityWeighted => v *= c,
                Mistake::VelocitySign => v *= -T::one(),
                Mistake::VelocityOffByOneThousandth => v *= real(1.001),
                Mistake::ProbesDoNotMove if c == T::zero() => v.fill(T::zero()),
                Mistake::OutputNotOverwritten => v += old.column(i),
                _ => {}
            }
        }
        if self.mistake == Mistake::ValueOfTheVelocityDoubled {
            value + value
        } else {
            value
        }
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        let evaluated = self.evaluated(mu);
        let (decay, factor) = self.decay(&evaluated);
        let value = self
            .energy
            .first_variation(&evaluated, at, values, descent)?;
        *descent -= at * factor;
        for (value, w) in values.iter_mut().zip(at.column_iter()) {
            if self.mistake != Mistake::VariationWithoutPotential {
                *value += w.norm_squared() * real(0.5) * factor;
            }
            if self.mistake == Mistake::VariationOff {
                *value *= real(1.001);
            }
        }
        if self.mistake == Mistake::DescentSign {
            descent.neg_mut();
        }
        Some(value + decay)
    }
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        self.energy.curvature(mu, v, out)?;
        *out += v;
        for (i, mut out) in out.column_iter_mut().enumerate() {
            match self.mistake {
                Mistake::CurvatureWeighted => out *= mu.weight(i),
                Mistake::CurvatureNegative => out *= -T::one(),
                _ => {}
            }
        }
        Some(())
    }
    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        match self.mistake {
            Mistake::InnerUnweighted => u.dot(v) / real(mu.len() as f64),
            _ => self.energy.inner(mu, u, v),
        }
    }
}

#[test]
fn energies() {
    for (name, mistake) in [
        (
            "energy: velocity times the weight (1/m dropped)",
            Mistake::VelocityWeighted,
        ),
        ("energy: velocity of the wrong sign", Mistake::VelocitySign),
        (
            "energy: velocity off by 1e-3",
            Mistake::VelocityOffByOneThousandth,
        ),
        (
            "energy: particles of weight 0 do not move",
            Mistake::ProbesDoNotMove,
        ),
        (
            "energy: value returned with the velocity doubled",
            Mistake::ValueOfTheVelocityDoubled,
        ),
        (
            "energy: the first particle counts twice",
            Mistake::FirstParticleTwice,
        ),
        ("energy: unweighted mean", Mistake::MeanUnweighted),
        ("energy: first variation off by 1e-3", Mistake::VariationOff),
        (
            "energy: descent direction of the wrong sign",
            Mistake::DescentSign,
        ),
        (
            "energy: first variation without the potential",
            Mistake::VariationWithoutPotential,
        ),
        (
            "energy: velocity adds to its output",
            Mistake::OutputNotOverwritten,
        ),
        (
            "energy: curvature times the weight",
            Mistake::CurvatureWeighted,
        ),
        ("energy: curvature negative", Mistake::CurvatureNegative),
        ("energy: unweighted inner product", Mistake::InnerUnweighted),
    ] {
        mutant!(name, cases(), case => check_energy::<T>(&mut Network::new(case, mistake), case));
    }
    mutant!("energy: not convex in the measure", cases(), case => {
        check_convexity::<T>(&mut Network::new(case, Mistake::NotConvex), case)
    });
}

/// Mistakes of a sum over ranks.
#[derive(Clone, Copy, PartialEq)]
enum WrongSum {
    None,
    Largest,
    FirstNumberOnly,
    GatherOfOneRank,
    GatherWithoutSigns,
    EqualNumbers,
}

struct Sum<T> {
    rank: Rank<T>,
    wrong: WrongSum,
}

impl<T: Real> AllReduce<T> for Sum<T> {
    fn rank(&self) -> usize {
        if self.wrong == WrongSum::EqualNumbers {
            return 0;
        }
        self.rank.rank()
    }
    fn size(&self) -> usize {
        self.rank.size()
    }
    fn sum(&mut self, x: &mut [T]) {
        let mut sum = x.to_vec();
        self.rank.sum(&mut sum);
        match self.wrong {
            WrongSum::None => {}
            WrongSum::GatherOfOneRank | WrongSum::GatherWithoutSigns | WrongSum::EqualNumbers => {
                x.copy_from_slice(&sum)
            }
            WrongSum::Largest => x.iter_mut().zip(sum).for_each(|(x, sum)| *x = x.max(sum)),
            WrongSum::FirstNumberOnly => {
                x.iter_mut().zip(sum).take(1).for_each(|(x, sum)| *x = sum)
            }
        }
    }
    fn gather(&mut self, x: &[T]) -> Vec<T> {
        let all = self.rank.gather(x);
        match self.wrong {
            WrongSum::GatherOfOneRank => x.to_vec(),
            WrongSum::GatherWithoutSigns => all.into_iter().map(|x| x + T::zero()).collect(),
            _ => all,
        }
    }
}

/// An energy that does not sum `inner` over the ranks.
struct Local<E>(E);

impl<T: Real, E: Energy<T>> Energy<T> for Local<E> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.0.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        self.0.velocity(mu, out)
    }
}

#[test]
fn ranks() {
    for (name, wrong) in [
        ("reduce: does nothing", WrongSum::None),
        ("reduce: the largest instead of the sum", WrongSum::Largest),
        ("reduce: only the first number", WrongSum::FirstNumberOnly),
        ("gather: of one rank", WrongSum::GatherOfOneRank),
        ("gather: -0 becomes 0", WrongSum::GatherWithoutSigns),
        ("ranks: equal numbers", WrongSum::EqualNumbers),
    ] {
        mutant!(name, seeds(), seed => {
            let ranks = Rank::<T>::group(3).into_iter().map(|rank| Sum { rank, wrong }).collect();
            check_all_reduce::<T, _>(ranks, seed)
        });
    }
    mutant!("energy on ranks: inner not summed", cases(), case => {
        let parts = Rank::group(2).into_iter().map(|rank| Local(smooth_network::<T>(case).distributed(rank)));
        check_distributed::<T, _>(&mut Local(smooth_network::<T>(case)), parts.collect(), case)
    });
    mutant!("energy on ranks: predictions not summed", cases(), case => {
        let parts = (0..2).map(|_| smooth_network::<T>(case));
        check_distributed::<T, _>(&mut smooth_network::<T>(case), parts.collect(), case)
    });
}

/// Mistakes of the kinks and second derivatives of an energy.
#[derive(Clone, Copy, PartialEq)]
enum WrongKink {
    JumpOff,
    HessianOff,
    HessianTransposed,
    RelaxedTooMuch,
    NotRestored,
}

/// A rectifier network with the hinge loss, and a mistake.
struct Kinked<T: Real> {
    energy: MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Hinge, T>, T>,
    wrong: WrongKink,
}

impl<T: Real> Kinked<T> {
    fn new(case: Case, wrong: WrongKink) -> Self {
        let risk = EmpiricalRisk::with_outputs(Hinge, case.inputs(), case.signs()).unwrap();
        let map = Ridge::with_outputs(Relu, case.d, case.k);
        let energy = MeanFieldRisk::new(map, risk).unwrap();
        Self { energy, wrong }
    }
}

impl<T: Real> Energy<T> for Kinked<T> {
    fn particle_dim(&self) -> usize {
        self.energy.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.energy.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        self.energy.velocity(mu, out)
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        self.energy.hessians(mu, remainder, included)?;
        match self.wrong {
            WrongKink::HessianOff => remainder.iter_mut().for_each(|h| *h *= real(1.05)),
            WrongKink::HessianTransposed => remainder.reverse(),
            _ => {}
        }
        Some(())
    }
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        let off = if self.wrong == WrongKink::JumpOff {
            real(1.01)
        } else {
            T::one()
        };
        self.energy.breakpoints(mu, v, margin, &mut |b| {
            let jump = b.jump * off;
            visit(&Breakpoint { jump, ..*b });
        });
    }
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        if self.wrong == WrongKink::NotRestored && at.is_none() {
            return None;
        }
        let gap = self.energy.relax(at)?;
        Some(if self.wrong == WrongKink::RelaxedTooMuch {
            gap * real(1.01)
        } else {
            gap
        })
    }
}

#[test]
fn kinks() {
    for (name, wrong) in [
        ("energy: jump at a kink off by 1e-2", WrongKink::JumpOff),
        ("energy: Hessians off by 5e-2", WrongKink::HessianOff),
        (
            "energy: Hessians in reverse order",
            WrongKink::HessianTransposed,
        ),
        (
            "energy: gap of a relaxation off by 1e-2",
            WrongKink::RelaxedTooMuch,
        ),
        ("energy: relaxation not undone", WrongKink::NotRestored),
    ] {
        mutant!(name, cases(), case => check_energy::<T>(&mut Kinked::new(case, wrong), case));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum NotFrozen {
    Velocity,
    Descent,
    CurvatureOfAll,
    Hessian,
    Normal,
}

type Rectifiers<T> = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, T>, T>;

/// A network with frozen output weights, one method of which is that of all coordinates.
struct PartlyFrozen<T: Real> {
    frozen: Frozen<Rectifiers<T>, T>,
    wrong: NotFrozen,
}

impl<T: Real> PartlyFrozen<T> {
    fn new(case: Case, wrong: NotFrozen) -> Self {
        let risk = EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap();
        let map = Ridge::with_outputs(Relu, case.d, case.k);
        let energy = MeanFieldRisk::new(map, risk).unwrap();
        Self {
            frozen: Frozen::new(energy, 0..case.k).unwrap(),
            wrong,
        }
    }

    /// The energy without frozen coordinates, for a wrong method.
    fn energy(&mut self, wrong: NotFrozen) -> &mut dyn Energy<T> {
        if self.wrong == wrong {
            self.frozen.energy_mut()
        } else {
            &mut self.frozen
        }
    }
}

impl<T: Real> Energy<T> for PartlyFrozen<T> {
    fn particle_dim(&self) -> usize {
        self.frozen.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.frozen.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        self.energy(NotFrozen::Velocity).velocity(mu, out)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        self.energy(NotFrozen::Descent)
            .first_variation(mu, at, values, descent)
    }
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        self.frozen.curvature(mu, v, out)?;
        if self.wrong == NotFrozen::CurvatureOfAll {
            // P C instead of P C P, which is not symmetric.
            let projected = out.clone();
            self.frozen.energy_mut().curvature(mu, v, out)?;
            for (i, out) in out.iter_mut().enumerate() {
                if self.frozen.is_frozen(i % mu.dim()) {
                    *out = projected[i];
                }
            }
        }
        Some(())
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        self.energy(NotFrozen::Hessian)
            .hessians(mu, remainder, included)
    }
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        if self.wrong != NotFrozen::Normal {
            return self.frozen.breakpoints(mu, v, margin, visit);
        }
        // A normal with an entry in a frozen coordinate.
        self.frozen.breakpoints(mu, v, margin, &mut |b| {
            let mut normal = b.normal.to_vec();
            normal[0] = normal[normal.len() - 1];
            visit(&Breakpoint {
                normal: &normal,
                ..*b
            });
        });
    }
}

#[test]
fn frozen_coordinates() {
    for (name, wrong) in [
        ("frozen: velocity of all coordinates", NotFrozen::Velocity),
        ("frozen: descent of all coordinates", NotFrozen::Descent),
        ("frozen: curvature P C", NotFrozen::CurvatureOfAll),
        ("frozen: Hessians of all coordinates", NotFrozen::Hessian),
        ("frozen: normals of all coordinates", NotFrozen::Normal),
    ] {
        mutant!(name, cases(), case => {
            let trained: Vec<usize> = (case.k..case.k + case.d).collect();
            check_energy_within::<T>(&mut PartlyFrozen::new(case, wrong), &trained, case)
        });
    }
}
