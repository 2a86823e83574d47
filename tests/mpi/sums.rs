//! The laws of `AllReduce` on MPI, at lengths on both sides of the size of a buffer.

use wasserflow::mpi::topology::SimpleCommunicator;
use wasserflow::mpi::traits::{Communicator, Equivalence};
use wasserflow::prelude::*;
use wasserflow::ranks::MpiRanks;

const LENGTHS: [usize; 9] = [0, 1, 2, 3, 7, 1000, 65_537, (1 << 20) - 1, (1 << 20) + 3];

pub fn laws(mut double: MpiRanks<f64>, mut second: MpiRanks<f64>) {
    let world = SimpleCommunicator::world();
    let mut single = MpiRanks::<f32>::new(&world).unwrap();
    assert_eq!(
        (double.rank(), double.size()),
        (world.rank() as usize, world.size() as usize)
    );
    of_sums(&mut double, f64::to_bits);
    of_sums(&mut single, |x| x.to_bits().into());
    of_gather(&mut double);
    // In the order of the ranks, on another thread, beside calls by other communicators.
    let mut ordered = MpiRanks::new(&world).unwrap().in_rank_order();
    let mut ordered_single = MpiRanks::<f32>::new(&world).unwrap().in_rank_order();
    std::thread::spawn(move || {
        of_sums(&mut ordered, f64::to_bits);
        of_sums(&mut ordered_single, |x| x.to_bits().into());
        for len in LENGTHS {
            let x = numbers(len, ordered.rank());
            let mut sum = x.clone();
            ordered.sum(&mut sum);
            let all = ordered.gather(&x);
            for l in 0..len {
                let terms = (0..ordered.size()).map(|rank| all[rank * len + l]);
                let expected = terms.reduce(|sum, term| sum + term).unwrap();
                assert_eq!(sum[l].to_bits(), expected.to_bits(), "number {l} of {len}");
            }
        }
    })
    .join()
    .unwrap();
    of_sums(&mut second, f64::to_bits);
}

/// Numbers in `-1..1` of which sums are rounded.
fn numbers(len: usize, rank: usize) -> Vec<f64> {
    (0..len)
        .map(|l| f64::sin((rank * 5_000_011 + l) as f64))
        .collect()
}

fn of_sums<T: Real + Equivalence>(ranks: &mut MpiRanks<T>, bits: impl Fn(T) -> u64)
where
    MpiRanks<T>: AllReduce<T>,
{
    let (rank, size) = (ranks.rank(), ranks.size());
    for len in LENGTHS {
        // Whole numbers have an exact sum.
        let mut x: Vec<T> = (0..len).map(|l| real((l % 100 + rank) as f64)).collect();
        ranks.sum(&mut x);
        for (l, &x) in x.iter().enumerate() {
            let expected = size * (l % 100) + size * (size - 1) / 2;
            assert_eq!(x, real(expected as f64), "number {l} of {len}");
        }
        // Random numbers are rounded to the same bits on all ranks.
        let mut x: Vec<T> = numbers(len, rank).into_iter().map(real).collect();
        ranks.sum(&mut x);
        let all = ranks.gather(&x);
        assert_eq!(all.len(), size * len);
        for other in all.chunks(len.max(1)) {
            let same = other.iter().zip(&x).all(|(&a, &b)| bits(a) == bits(b));
            assert!(same, "length {len}: ranks have different bits");
        }
    }
}

/// Vectors of different lengths, empty ones and those beyond a buffer included, to the bit.
fn of_gather(ranks: &mut MpiRanks<f64>) {
    const SPECIAL: [f64; 6] = [
        -0.0,
        f64::NAN,
        f64::NEG_INFINITY,
        5e-324,
        f64::MAX,
        -1.0 / 3.0,
    ];
    let number = |rank: usize, l: usize| match SPECIAL.get(l % 1000) {
        Some(&x) => x,
        None => (rank * 10_000_000 + l) as f64,
    };
    for base in [0, 1, 5, 1000, 1 << 20] {
        let length = |rank: usize| {
            if rank % 3 == 1 {
                0
            } else {
                base * (rank + 1) + rank / 2
            }
        };
        let numbers = |rank: usize| (0..length(rank)).map(move |l| number(rank, l));
        let all = ranks.gather(&numbers(ranks.rank()).collect::<Vec<_>>());
        let expected: Vec<_> = (0..ranks.size()).flat_map(numbers).collect();
        assert_eq!(all.len(), expected.len());
        let same = all
            .iter()
            .zip(&expected)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "vectors of {base} numbers and more");
    }
}
