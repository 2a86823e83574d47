//! Near-optimal prices by the auction algorithm with epsilon-scaling, from coarse to fine.
//!
//! Rows bid their supply for columns. The highest bids fill a column, and the lowest of these sets
//! its price. Source: D. P. Bertsekas and D. A. Castanon, The auction algorithm for the
//! transportation problem, Ann. Oper. Res. 20 (1989). Prices that a coarser problem suggests start
//! the auction of each level; source: Q. Merigot, A multiscale approach to optimal transport,
//! Comput. Graph. Forum 30 (2011).
//!
//! Only the prices are kept. They need not be optimal, since an exact method starts from them.

use super::cloud::{Cloud, potentials_of_means};
use super::cost::{Cost, padded};
use super::masses::Mass;
use super::power::Power;
use super::prices::Prices;

/// Rows whose candidate lists are rebuilt together: ten tiles of 6 rows.
const BATCH: usize = 60;
/// Bids a row, on average, after which an auction is cut short, to bound its time.
const MAX_BIDS: usize = 50;
/// Values of epsilon, in units of the mean difference between a row's best and second best reduced
/// cost.
const EPSILONS: [f64; 1] = [0.5];
/// The same in the plane, where mass moves over long distances: a coarse auction comes first.
const EPSILONS_IN_THE_PLANE: [f64; 2] = [2.0, 0.5];
/// The last value for unequal masses on the finest level. It reduces the pivots of the network
/// simplex method by a fifth.
const LAST_EPSILON: f64 = 0.1;

/// Prices of the columns `y` from the next coarser problem: the c-transform
/// `v_j = min_I c_Ij - u_I` over its rows I.
pub(super) fn coarse_prices(x: &Cloud, y: &Cloud, power: Power, list_size: usize) -> Vec<f64> {
    if x.is_coarsest() && y.is_coarsest() {
        return potentials_of_means(x, y, power).1;
    }
    let (coarse_x, coarse_y) = (x.coarsen(), y.coarsen());
    let v = coarse_prices(&coarse_x, &coarse_y, power, list_size);
    let cost = Cost::new(x.dim, &coarse_x.points, &coarse_y.points, power);
    let mut prices = Prices::new(&cost, v, list_size);
    epsilon_scaling(&mut prices, &coarse_x.mass, &coarse_y.mass, false);
    let u = (0..coarse_x.len()).map(|i| prices.best(i).value).collect();
    let columns: Vec<u32> = (0..y.len() as u32).collect();
    Cost::new(x.dim, &y.points, &coarse_x.points, power).transform(&columns, &padded(u))
}

/// Runs auctions with decreasing epsilon, then rebuilds the lists that have lost most of their
/// order.
///
/// `is_last` adds one with [`LAST_EPSILON`]. Returns row and column of the bids accepted at the
/// end.
pub(super) fn epsilon_scaling(
    prices: &mut Prices,
    supply: &[Mass],
    demand: &[Mass],
    is_last: bool,
) -> Vec<(usize, usize)> {
    let rows = supply.len();
    let margins = (0..rows).map(|i| {
        let best = prices.best(i);
        best.second - best.value
    });
    let margin = margins.filter(|margin| margin.is_finite()).sum::<f64>() / rows as f64;
    let epsilons: &[f64] = if prices.cost.dim() == 2 {
        &EPSILONS_IN_THE_PLANE
    } else {
        &EPSILONS
    };
    let mut accepted = Vec::new();
    if margin > 0.0 {
        for epsilon in epsilons {
            accepted = auction(prices, supply, demand, epsilon * margin);
        }
        if is_last {
            accepted = auction(prices, supply, demand, LAST_EPSILON * margin);
        }
    }
    prices.version += 1;
    let stale: Vec<u32> = (0..rows as u32)
        .filter(|&i| !prices.has_enough_candidates(i as usize))
        .collect();
    prices.rebuild(&stale);
    let columns = accepted.into_iter().enumerate();
    let arcs = columns.flat_map(|(j, bids)| bids.into_iter().map(move |bid| (bid.row as usize, j)));
    arcs.collect()
}

/// An accepted bid: mass of a row in a column, and the price that the row pays.
#[derive(Debug, Clone, Copy)]
struct Bid {
    row: u32,
    mass: Mass,
    price: f64,
}

/// Lowers the prices until every row has assigned its supply to columns within `epsilon` of its
/// best, or until [`MAX_BIDS`] is exceeded.
///
/// Prices are subtracted from costs, so that a higher bid lowers `v_j`. Bids are not split: a full
/// column rejects its lowest bid if it remains full without that bid.
///
/// Returns the accepted bids of each column.
fn auction(prices: &mut Prices, supply: &[Mass], demand: &[Mass], epsilon: f64) -> Vec<Vec<Bid>> {
    let mut accepted: Vec<Vec<Bid>> = vec![Vec::new(); demand.len()];
    let (mut unassigned, mut received) = (supply.to_vec(), vec![0; demand.len()]);
    let mut bidders: Vec<u32> = (0..supply.len() as u32).rev().collect();
    let mut stale = Vec::with_capacity(BATCH);
    for _ in 0..MAX_BIDS * supply.len() {
        let Some(row) = bidders.pop() else {
            if stale.is_empty() {
                break;
            }
            prices.rebuild(&stale);
            bidders.append(&mut stale);
            continue;
        };
        let i = row as usize;
        let Some(best) = prices.best_of_list(i) else {
            stale.push(row);
            if stale.len() == BATCH {
                prices.rebuild(&stale);
                bidders.append(&mut stale);
            }
            continue;
        };
        let j = best.arc.column as usize;
        let margin = if best.second.is_finite() {
            best.second - best.value
        } else {
            0.0
        };
        let price = prices.v[j] - margin - epsilon;
        let mass = unassigned[i].min(demand[j]);
        unassigned[i] -= mass;
        accepted[j].push(Bid { row, mass, price });
        received[j] += mass;
        while received[j] >= demand[j] {
            let bids = &mut accepted[j];
            let lowest = (0..bids.len()).max_by(|&k, &l| bids[k].price.total_cmp(&bids[l].price));
            let Some(k) = lowest else { break };
            let Bid { row, mass, price } = bids[k];
            if received[j] - mass < demand[j] {
                prices.v[j] = prices.v[j].min(price);
                break;
            }
            bids.swap_remove(k);
            received[j] -= mass;
            unassigned[row as usize] += mass;
            bidders.push(row);
        }
        if unassigned[i] > 0 {
            bidders.push(row);
        }
    }
    accepted
}
