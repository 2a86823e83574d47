//! Near-optimal prices by auction, coarse to fine.
//!
//! Rows bid their mass for columns; the highest bids fill a column, and its price is the lowest of them. After D. P. Bertsekas and
//! D. A. Castanon, The auction algorithm for the transportation problem, Ann. Oper. Res. 20 (1989). Only the prices are
//! kept: they need not be optimal, since shortest paths finish the work exactly.

use super::cost::{Cost, padded};
use super::prices::Prices;

/// Points of a side below which it is not made coarser.
const COARSEST: usize = 64;
/// Neighbours that become one point of the next coarser level.
const GROUP: usize = 4;
/// Rows whose lists are made again together.
const BATCH: usize = 60;
/// Bids a row, on average, after which an auction is cut short.
const BIDS: usize = 50;

/// Points one after the other, in an order in which neighbours are close, with integer masses.
#[derive(Debug, Clone)]
pub(super) struct Cloud {
    pub(super) dim: usize,
    pub(super) points: Vec<f64>,
    pub(super) mass: Vec<i64>,
}

impl Cloud {
    pub(super) fn len(&self) -> usize {
        self.mass.len()
    }

    /// Each group of neighbours at its centre of mass.
    fn coarser(&self) -> Self {
        if self.len() <= COARSEST {
            return self.clone();
        }
        let mut mass = Vec::with_capacity(self.len().div_ceil(GROUP));
        let mut points = Vec::with_capacity(mass.capacity() * self.dim);
        for (x, c) in self
            .points
            .chunks(GROUP * self.dim)
            .zip(self.mass.chunks(GROUP))
        {
            let sum: i64 = c.iter().sum();
            let at = points.len();
            points.resize(at + self.dim, 0.0);
            for (x, &c) in x.chunks_exact(self.dim).zip(c) {
                let share = c as f64 / sum as f64;
                for (z, x) in points[at..].iter_mut().zip(x) {
                    *z += share * x;
                }
            }
            mass.push(sum);
        }
        Self {
            dim: self.dim,
            points,
            mass,
        }
    }
}

/// Prices of the columns `y` that a coarser problem suggests: `v_j = min_I c_Ij - u_I` over its rows.
pub(super) fn coarse_prices(x: &Cloud, y: &Cloud, p: f64, size: usize) -> Vec<f64> {
    if x.len().max(y.len()) <= COARSEST {
        return vec![0.0; y.len()];
    }
    let (xs, ys) = (x.coarser(), y.coarser());
    let v = coarse_prices(&xs, &ys, p, size);
    let cost = Cost::new(x.dim, &xs.points, &ys.points, p);
    let mut prices = Prices::new(&cost, v, size);
    ascend(&mut prices, &xs.mass, &ys.mass);
    let u = (0..xs.len()).map(|i| prices.best_now(i).value).collect();
    let columns: Vec<u32> = (0..y.len() as u32).collect();
    Cost::new(x.dim, &y.points, &xs.points, p).transform(&columns, &padded(u))
}

/// Auctions with falling `epsilon`, in units of the mean gap between a row's best and second best; in the plane, where
/// mass is displaced over long ways, one with a large `epsilon` first.
pub(super) fn ascend(prices: &mut Prices, supply: &[i64], demand: &[i64]) {
    let rows = supply.len();
    let gap = (0..rows)
        .map(|i| prices.best_now(i))
        .map(|best| best.second - best.value);
    let gap = gap.filter(|gap| gap.is_finite()).sum::<f64>() / rows as f64;
    let schedule: &[f64] = if prices.cost.dim() == 2 {
        &[2.0, 0.5]
    } else {
        &[0.5]
    };
    if gap > 0.0 {
        for epsilon in schedule {
            auction(prices, supply, demand, epsilon * gap);
        }
    }
    prices.version += 1;
    let stale: Vec<u32> = (0..rows as u32)
        .filter(|&i| !prices.ranks_enough(i as usize))
        .collect();
    prices.refresh(&stale);
}

/// Mass of a row in a column, and the price that it pays.
#[derive(Debug, Clone, Copy)]
struct Holding {
    row: u32,
    mass: i64,
    price: f64,
}

/// Lowers the prices until every row holds its supply in columns that are its best up to `epsilon`.
///
/// Holdings are not split: a column that is full lets go of the cheapest one when it is still full without.
fn auction(prices: &mut Prices, supply: &[i64], demand: &[i64], epsilon: f64) {
    let mut held: Vec<Vec<Holding>> = vec![Vec::new(); demand.len()];
    let (mut left, mut full) = (supply.to_vec(), vec![0; demand.len()]);
    let mut bidders: Vec<u32> = (0..supply.len() as u32).rev().collect();
    let mut stale = Vec::with_capacity(BATCH);
    for _ in 0..BIDS * supply.len() {
        let Some(row) = bidders.pop() else {
            if stale.is_empty() {
                break;
            }
            prices.refresh(&stale);
            bidders.append(&mut stale);
            continue;
        };
        let i = row as usize;
        let Some(best) = prices.best(i) else {
            stale.push(row);
            if stale.len() == BATCH {
                prices.refresh(&stale);
                bidders.append(&mut stale);
            }
            continue;
        };
        let j = best.arc.column as usize;
        let raise = if best.second.is_finite() {
            best.second - best.value
        } else {
            0.0
        };
        let price = prices.v[j] - raise - epsilon;
        let mass = left[i].min(demand[j]);
        left[i] -= mass;
        held[j].push(Holding { row, mass, price });
        full[j] += mass;
        while full[j] >= demand[j] {
            let cheapest =
                (0..held[j].len()).max_by(|&k, &l| held[j][k].price.total_cmp(&held[j][l].price));
            let Some(k) = cheapest else { break };
            let Holding { row, mass, price } = held[j][k];
            if full[j] - mass < demand[j] {
                prices.v[j] = prices.v[j].min(price);
                break;
            }
            held[j].swap_remove(k);
            full[j] -= mass;
            left[row as usize] += mass;
            bidders.push(row);
        }
        if left[i] > 0 {
            bidders.push(row);
        }
    }
}
