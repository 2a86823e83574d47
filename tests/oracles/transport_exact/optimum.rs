//! The exact optimum of a transportation problem: successive shortest paths in integers.
//!
//! Source: R. K. Ahuja, T. L. Magnanti and J. B. Orlin, Network Flows (1993), section 9.7. The
//! result carries its own proof: feasible potentials of the same value as the plan.

use num_bigint::BigInt;

use super::dyadic::Dyadic;

/// The least `sum_ij pi_ij c_ij` over plans with marginals `a` and `b` of equal sums; `c` row by
/// row.
///
/// `None` if more than `rounds` augmentations are necessary.
pub fn optimum(c: &[Dyadic], a: &[Dyadic], b: &[Dyadic], rounds: usize) -> Option<Dyadic> {
    let (n, m) = (a.len(), b.len());
    let (c, unit_of_cost) = Dyadic::integers(c);
    let (masses, unit_of_mass) = Dyadic::integers(&[a, b].concat());
    let (a, b) = masses.split_at(n);
    assert_eq!(a.iter().sum::<BigInt>(), b.iter().sum::<BigInt>());
    let (mut supply, mut demand) = (a.to_vec(), b.to_vec());
    let mut flow = vec![BigInt::ZERO; n * m];
    // c_ij - u_i - v_j >= 0, with equality where mass moves.
    let mut u: Vec<BigInt> = c
        .chunks(m)
        .map(|row| row.iter().min().unwrap().clone())
        .collect();
    let mut v = vec![BigInt::ZERO; m];
    let mut round = 0;
    while supply.iter().any(|a| *a > BigInt::ZERO) {
        round += 1;
        if round > rounds {
            return None;
        }
        let Paths { row, column, end } = shortest_paths(&c, &u, &v, &flow, &supply, &demand);
        let length = column[end].as_ref().unwrap().0.clone();
        for (u, d) in u.iter_mut().zip(&row) {
            if let Some((d, _)) = d
                && *d < length
            {
                *u += &length - d;
            }
        }
        for (v, d) in v.iter_mut().zip(&column) {
            if let Some((d, _)) = d
                && *d < length
            {
                *v -= &length - d;
            }
        }
        // The path from its end to its root: columns and the rows that reach them.
        let (mut path, mut j) = (Vec::new(), end);
        let root = loop {
            let i = column[j].as_ref().unwrap().1;
            let previous = row[i].as_ref().unwrap().1;
            path.push((i, j, previous));
            match previous {
                Some(previous) => j = previous,
                None => break i,
            }
        };
        let mut mass = supply[root].clone().min(demand[end].clone());
        for &(i, _, previous) in &path {
            if let Some(previous) = previous {
                mass = mass.min(flow[i * m + previous].clone());
            }
        }
        for &(i, j, previous) in &path {
            flow[i * m + j] += &mass;
            if let Some(previous) = previous {
                flow[i * m + previous] -= &mass;
            }
        }
        supply[root] -= &mass;
        demand[end] -= &mass;
    }
    let primal: BigInt = flow.iter().zip(&c).map(|(x, c)| x * c).sum();
    let dual = a.iter().zip(&u).chain(b.iter().zip(&v));
    assert_eq!(primal, dual.map(|(mass, u)| mass * u).sum::<BigInt>());
    for i in 0..n {
        assert!((0..m).all(|j| &u[i] + &v[j] <= c[i * m + j]));
    }
    Some(&(&Dyadic::from(primal) * &unit_of_cost) * &unit_of_mass)
}

/// Distances and predecessors: of a row the column before it, unless it is a root; of a column the
/// row before it. `end` is the nearest column with demand.
struct Paths {
    row: Vec<Option<(BigInt, Option<usize>)>>,
    column: Vec<Option<(BigInt, usize)>>,
    end: usize,
}

/// Dijkstra's algorithm for reduced costs, from the rows with supply to the first column with
/// demand. Arcs back along positive flow have reduced cost 0.
fn shortest_paths(
    c: &[BigInt],
    u: &[BigInt],
    v: &[BigInt],
    flow: &[BigInt],
    supply: &[BigInt],
    demand: &[BigInt],
) -> Paths {
    let (n, m) = (u.len(), v.len());
    let roots = supply
        .iter()
        .map(|a| (*a > BigInt::ZERO).then_some((BigInt::ZERO, None)));
    let mut row: Vec<Option<(BigInt, Option<usize>)>> = roots.collect();
    let mut column: Vec<Option<(BigInt, usize)>> = vec![None; m];
    let mut done = vec![false; m];
    let mut new: Vec<usize> = (0..n).filter(|&i| row[i].is_some()).collect();
    loop {
        for i in new.drain(..) {
            let (distance, _) = row[i].as_ref().unwrap();
            for j in 0..m {
                if done[j] {
                    continue;
                }
                let length = distance + (&c[i * m + j] - &u[i] - &v[j]);
                if column[j].as_ref().is_none_or(|(least, _)| length < *least) {
                    column[j] = Some((length, i));
                }
            }
        }
        let open = (0..m).filter(|&j| !done[j] && column[j].is_some());
        let j = open
            .min_by_key(|&j| &column[j].as_ref().unwrap().0)
            .expect("an augmenting path");
        if demand[j] > BigInt::ZERO {
            return Paths {
                row,
                column,
                end: j,
            };
        }
        done[j] = true;
        for i in 0..n {
            if row[i].is_none() && flow[i * m + j] > BigInt::ZERO {
                row[i] = Some((column[j].as_ref().unwrap().0.clone(), Some(j)));
                new.push(i);
            }
        }
    }
}

#[test]
fn the_optimum_of_known_problems() {
    let numbers = |x: &[f64]| x.iter().map(|&x| Dyadic::from(x)).collect::<Vec<_>>();
    // The greedy choice of the arc of cost 0 is wrong: 1 + 1 < 0 + 4.
    let c = numbers(&[0.0, 1.0, 1.0, 4.0]);
    let unit = numbers(&[1.0, 1.0]);
    assert_eq!(optimum(&c, &unit, &unit, 10), Some(Dyadic::from(2.0)));
    // 1/4 stays, 1/2 moves by 3 - 1, 1/4 by 3 - 0.
    let c = numbers(&[0.0, 9.0, 1.0, 4.0]);
    let (a, b) = (numbers(&[0.5, 0.5]), numbers(&[0.25, 0.75]));
    assert_eq!(
        optimum(&c, &a, &b, 10),
        Some(Dyadic::from(0.25 * 9.0 + 0.5 * 4.0))
    );
}
