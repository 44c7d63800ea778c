//! Coordinates in which every point of a box is a surface without arbitrage (Mingone, arXiv
//! 2204.00312), with the derivatives of the slices by them.
//!
//! Per expiry i: rho_i; rise_i >= 0, so that theta_i = p_i theta_(i-1) + rise_i (theta_1 = rise_1);
//! and share_i in [0, 1], which places psi_i between the least that the calendar allows, p_i
//! psi_(i-1), and the most: psi_(i-1) theta_i / theta_(i-1), its own butterfly limit, and those of
//! all later expiries, which must stay within reach. Here p_i = max((1 + rho_(i-1)) / (1 + rho_i),
//! (1 - rho_(i-1)) / (1 - rho_i)) >= 1.
//!
//! Derivatives at the kinks of max and min are those of the branch taken; the search that uses them
//! accepts only steps that lower its cost.

use super::Slice;

/// Coordinates per expiry.
pub(super) const OWN: usize = 3;
/// The box: rho, and the least total variance of the first expiry.
const RHO_MOST: f64 = 0.998;
const RISE_LEAST: f64 = 1e-10;
/// Of the range for psi: the limits are reached but for rounding; the first psi can't be zero.
const SHARE_LEAST: f64 = 1e-4;
const SHARE_MOST: f64 = 1.0 - 1e-10;

/// The box of one coordinate.
pub(super) fn bounds(coordinate: usize) -> (f64, f64) {
    match (coordinate / OWN, coordinate % OWN) {
        (_, 0) => (-RHO_MOST, RHO_MOST),
        (0, 1) => (RISE_LEAST, f64::MAX),
        (_, 1) => (0.0, f64::MAX),
        (0, _) => (SHARE_LEAST, SHARE_MOST),
        (_, _) => (0.0, SHARE_MOST),
    }
}

/// Slices and their derivatives at one point of the box.
#[derive(Debug, Default, Clone)]
pub(super) struct Map {
    /// rho, rise, share of each expiry in turn.
    pub(super) point: Vec<f64>,
    pub(super) slices: Vec<Slice>,
    /// Derivatives of each theta and psi by the whole point, row by row.
    pub(super) by_theta: Vec<f64>,
    pub(super) by_psi: Vec<f64>,
    /// Of each expiry: p, and the most that its own and all later butterfly limits allow for psi.
    growth: Vec<Growth>,
    limit: Vec<f64>,
    by_limit: Vec<f64>,
}

/// p of two neighbours with its derivatives by the earlier and the later rho.
#[derive(Debug, Clone, Copy)]
struct Growth {
    ratio: f64,
    by_earlier: f64,
    by_later: f64,
}

impl Growth {
    const NONE: Self = Self { ratio: 1.0, by_earlier: 0.0, by_later: 0.0 };

    fn of(earlier: f64, later: f64) -> Self {
        let sign = if later <= earlier { 1.0 } else { -1.0 };
        let below = 1.0 + sign * later;
        let ratio = (1.0 + sign * earlier) / below;
        Self { ratio, by_earlier: sign / below, by_later: -sign * ratio / below }
    }
}

impl Map {
    /// Moves to the point of the box that comes closest to `wanted`, expiry by expiry. True if it
    /// is that surface, false if something had to be moved into the box.
    pub(super) fn start_at(&mut self, wanted: &[Slice]) -> bool {
        let mut exact = true;
        self.point.clear();
        let mut earlier: Option<(f64, f64)> = None;
        for slice in wanted {
            let mut rho = slice.rho.clamp(-RHO_MOST, RHO_MOST);
            let mut theta = slice.theta.max(RISE_LEAST);
            let mut rise = theta;
            if let Some((theta_before, rho_before)) = earlier {
                // Where theta does not rise enough for the turn of rho, rho turns less.
                let room = (theta / theta_before).max(1.0);
                let (low, high) =
                    ((1.0 + rho_before) / room - 1.0, 1.0 - (1.0 - rho_before) / room);
                rho = rho.min(high.max(rho_before)).max(low.min(rho_before));
                let least = Growth::of(rho_before, rho).ratio * theta_before;
                rise = (theta - least).max(0.0);
                theta = least + rise;
            }
            exact &= (rho - slice.rho).abs() <= 1e-9;
            exact &= (theta - slice.theta).abs() <= 1e-9 * slice.theta;
            self.point.extend([rho, rise, 0.5]);
            earlier = Some((theta, rho));
        }
        self.thetas();
        self.limits();
        let mut before = 0.0;
        for (index, slice) in wanted.iter().enumerate() {
            let least = self.growth[index].ratio * before;
            let most = self.limit[index].min(self.most_by_calendar(index, before));
            let (low, high) = bounds(OWN * index + 2);
            let range = (most - least).max(0.0);
            let share =
                if range > 0.0 { ((slice.psi - least) / range).clamp(low, high) } else { 0.5 };
            self.point[OWN * index + 2] = share;
            before = least + share * range;
            exact &= (before - slice.psi).abs() <= 1e-6 * slice.psi;
        }
        self.psis();
        exact
    }

    /// Recomputes slices and derivatives after the point has changed.
    pub(super) fn update(&mut self) {
        self.thetas();
        self.limits();
        self.psis();
    }

    /// Whether a condition between or within expiries holds with equality.
    pub(super) fn at_an_edge(&self) -> bool {
        let edge = |(at, &own): (usize, &f64)| {
            let (least, most) = bounds(at);
            own <= least || own >= most
        };
        self.point.iter().enumerate().any(edge)
    }

    fn most_by_calendar(&self, index: usize, psi_before: f64) -> f64 {
        match index.checked_sub(1) {
            None => f64::MAX,
            Some(before) => psi_before * self.slices[index].theta / self.slices[before].theta,
        }
    }

    /// p, theta and its derivatives, forward in time.
    fn thetas(&mut self) {
        let width = self.point.len();
        let expiries = width / OWN;
        self.growth.clear();
        self.slices.resize(expiries, Slice { theta: 0.0, rho: 0.0, psi: 0.0 });
        for column in [&mut self.by_theta, &mut self.by_psi, &mut self.by_limit] {
            column.clear();
            column.resize(expiries * width, 0.0);
        }
        self.limit.resize(expiries, 0.0);
        let (mut theta_before, mut rho_before) = (0.0, 0.0);
        for index in 0..expiries {
            let (rho, rise) = (self.point[OWN * index], self.point[OWN * index + 1]);
            let growth = if index == 0 { Growth::NONE } else { Growth::of(rho_before, rho) };
            let theta = growth.ratio * theta_before + rise;
            let (done, rest) = self.by_theta.split_at_mut(index * width);
            let own = &mut rest[..width];
            if index > 0 {
                for (to, from) in own.iter_mut().zip(&done[(index - 1) * width..]) {
                    *to = growth.ratio * from;
                }
                own[OWN * (index - 1)] += theta_before * growth.by_earlier;
                own[OWN * index] += theta_before * growth.by_later;
            }
            own[OWN * index + 1] += 1.0;
            self.slices[index].theta = theta;
            self.slices[index].rho = rho;
            self.growth.push(growth);
            (theta_before, rho_before) = (theta, rho);
        }
    }

    /// The most that butterfly limits, its own and later ones, allow for each psi, backward.
    fn limits(&mut self) {
        let width = self.point.len();
        let expiries = width / OWN;
        for index in (0..expiries).rev() {
            let Slice { theta, rho, .. } = self.slices[index];
            let tilt = 1.0 + rho.abs();
            let flat = 4.0 / tilt;
            let round = 2.0 * (theta / tilt).sqrt();
            let own = flat.min(round);
            let later = (index + 1 < expiries)
                .then(|| (self.limit[index + 1], self.growth[index + 1]))
                .filter(|(limit, growth)| limit / growth.ratio < own);
            let (done, rest) = self.by_limit.split_at_mut((index + 1) * width);
            let row = &mut done[index * width..];
            if let Some((limit, growth)) = later {
                let reach = limit / growth.ratio;
                for (to, from) in row.iter_mut().zip(rest.iter()) {
                    *to = from / growth.ratio;
                }
                row[OWN * index] -= reach / growth.ratio * growth.by_earlier;
                row[OWN * (index + 1)] -= reach / growth.ratio * growth.by_later;
                self.limit[index] = reach;
                continue;
            }
            let by_rho = rho.signum() / tilt;
            if flat <= round {
                row[OWN * index] = -flat * by_rho;
            } else {
                let by_theta = &self.by_theta[index * width..(index + 1) * width];
                for (to, from) in row.iter_mut().zip(by_theta) {
                    *to = 0.5 * round / theta * from;
                }
                row[OWN * index] -= 0.5 * round * by_rho;
            }
            self.limit[index] = own;
        }
    }

    /// psi and its derivatives, forward in time.
    fn psis(&mut self) {
        let width = self.point.len();
        for index in 0..width / OWN {
            let share = self.point[OWN * index + 2];
            let before = if index == 0 { 0.0 } else { self.slices[index - 1].psi };
            let growth = self.growth[index];
            let least = growth.ratio * before;
            let calendar = self.most_by_calendar(index, before);
            let most = self.limit[index].min(calendar);
            let range = (most - least).max(0.0);
            self.slices[index].psi = least + share * range;
            let (done, rest) = self.by_psi.split_at_mut(index * width);
            let own = &mut rest[..width];
            // d psi = (1 - share) d least + share d most + range d share.
            let kept = if range > 0.0 { 1.0 - share } else { 1.0 };
            if index > 0 {
                let from = &done[(index - 1) * width..];
                for (to, from) in own.iter_mut().zip(from) {
                    *to = kept * growth.ratio * from;
                }
                own[OWN * (index - 1)] += kept * before * growth.by_earlier;
                own[OWN * index] += kept * before * growth.by_later;
            }
            if range > 0.0 && self.limit[index] <= calendar {
                let limits = &self.by_limit[index * width..];
                own.iter_mut().zip(limits).for_each(|(to, from)| *to += share * from);
            } else if range > 0.0 {
                let (theta, theta_before) =
                    (self.slices[index].theta, self.slices[index - 1].theta);
                let from = &done[(index - 1) * width..];
                let both = &self.by_theta[(index - 1) * width..(index + 1) * width];
                let (by_before, by_own) = both.split_at(width);
                for (at, to) in own.iter_mut().enumerate() {
                    let relative = by_own[at] / theta - by_before[at] / theta_before;
                    *to += share * (from[at] * theta / theta_before + calendar * relative);
                }
            }
            own[OWN * index + 2] += range;
        }
    }
}
