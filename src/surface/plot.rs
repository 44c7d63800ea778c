//! A fitted moment as an SVG: a panel per expiry with quotes and model, and all total variances.

use crate::failure::Failure;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::path::Path;
use valuation::fit::{ExpiryFit, ExpiryNow, MomentFit};

/// Panels of expiries: the first ones and the last, evenly chosen among more.
const PANELS: usize = 5;
const WIDTH: u32 = 1320;
const CAPTION: u32 = 30;
const PANEL_HEIGHT: u32 = 365;
const COLUMNS: usize = 3;
const CURVE_POINTS: usize = 120;
const QUOTE: RGBColor = RGBColor(120, 120, 120);
const MODEL: RGBColor = RGBColor(200, 60, 40);
const FAIR: RGBColor = RGBColor(30, 90, 170);

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Writes the plot.
///
/// # Errors
/// A file that can't be written.
pub fn write(
    path: &Path,
    title: &str,
    expiries: &[ExpiryNow],
    fit: &MomentFit,
) -> Result<(), Failure> {
    let mut text = String::new();
    draw(&mut text, title, expiries, fit)
        .map_err(|error| Failure::internal("the plot can't be drawn").because(error))?;
    std::fs::write(path, text).map_err(|error| {
        Failure::internal(format!("{} can't be written", path.display())).because(error)
    })
}

fn draw(
    text: &mut String,
    title: &str,
    expiries: &[ExpiryNow],
    fit: &MomentFit,
) -> Result<(), Box<dyn std::error::Error>> {
    let slices = &fit.fitted.slices;
    let shown = slices.len().min(PANELS);
    let rows = (shown + 1).div_ceil(COLUMNS);
    let size = (WIDTH, CAPTION + PANEL_HEIGHT * rows as u32);
    let root = SVGBackend::with_string(text, size).into_drawing_area();
    root.fill(&WHITE)?;
    let caption =
        format!("{title}: bid-ask (grey), surface (red), fair value by the other quotes (blue)");
    let root = root.titled(&caption, ("sans-serif", 20))?;
    let areas = root.split_evenly((rows, COLUMNS));
    for (at, area) in areas.iter().enumerate().take(shown) {
        let at = if shown > 1 { at * (slices.len() - 1) / (shown - 1) } else { 0 };
        let index = slices[at].expiry;
        smile(area, &expiries[index], &fit.expiries[index], fit, at)?;
    }
    variances(&areas[shown], fit)?;
    root.present()?;
    Ok(())
}

fn smile(
    area: &Panel<'_>,
    own: &ExpiryNow,
    of_now: &ExpiryFit,
    fit: &MomentFit,
    at: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let slice = fit.fitted.surface.slices()[at];
    let reach = slice.theta.sqrt();
    let shown = |k: f64| (-4.5 * reach..3.5 * reach).contains(&k);
    let lines: Vec<_> = of_now
        .lines
        .iter()
        .filter_map(|line| Some((line.log_moneyness, line.vol?, line)))
        .filter(|(k, _, line)| shown(*k) && line.half_width < 0.1)
        .collect();
    let (mut left, mut right) = (-reach, reach);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (k, vol, _) in &lines {
        (left, right) = (left.min(*k), right.max(*k));
        (low, high) = (low.min(*vol), high.max(*vol));
    }
    let vol_at = |k: f64| (slice.total_variance(k) / own.years).sqrt();
    for k in [left, 0.0, right] {
        (low, high) = (low.min(vol_at(k)), high.max(vol_at(k)));
    }
    let margin = 0.1 * (high - low) + 0.005;
    let caption = format!("{} ({:.0} days)", own.expiry, 365.0 * own.years);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 15))
        .margin(6)
        .x_label_area_size(28)
        .y_label_area_size(44)
        .build_cartesian_2d(left..right, 100.0 * (low - margin)..100.0 * (high + margin))?;
    axes(&mut chart, "ln(K/F)", "vol %")?;
    for (k, vol, line) in &lines {
        let ends = [vol - line.half_width, vol + line.half_width];
        let bar = ends.map(|own| (*k, 100.0 * own.clamp(low - margin, high + margin)));
        chart.draw_series(LineSeries::new(bar, QUOTE.stroke_width(1)))?;
    }
    let step = (right - left) / (CURVE_POINTS - 1) as f64;
    let curve = (0..CURVE_POINTS).map(|at| left + step * at as f64);
    let curve = curve.map(|k| (k, 100.0 * vol_at(k)));
    chart.draw_series(LineSeries::new(curve, MODEL.stroke_width(2)))?;
    let fair = lines.iter().filter_map(|(k, _, line)| Some((*k, 100.0 * line.fair_vol?.vol)));
    chart.draw_series(fair.map(|place| Circle::new(place, 1.5, FAIR.filled())))?;
    Ok(())
}

fn variances(area: &Panel<'_>, fit: &MomentFit) -> Result<(), Box<dyn std::error::Error>> {
    let surface = &fit.fitted.surface;
    let Some(last) = surface.slices().last() else { return Ok(()) };
    let reach = 2.5 * last.theta.sqrt();
    let most = last.total_variance(-reach).max(last.total_variance(reach));
    let mut chart = ChartBuilder::on(area)
        .caption("total variance of all expiries", ("sans-serif", 15))
        .margin(6)
        .x_label_area_size(28)
        .y_label_area_size(44)
        .build_cartesian_2d(-reach..reach, 0.0..1.05 * most)?;
    axes(&mut chart, "ln(K/F)", "vol^2 T")?;
    let step = 2.0 * reach / (CURVE_POINTS - 1) as f64;
    for slice in surface.slices() {
        let curve = (0..CURVE_POINTS).map(|at| step * at as f64 - reach);
        let curve = curve.map(|k| (k, slice.total_variance(k)));
        chart.draw_series(LineSeries::new(curve, MODEL.stroke_width(1)))?;
    }
    Ok(())
}

fn axes(chart: &mut Chart<'_, '_>, x: &str, y: &str) -> Result<(), Box<dyn std::error::Error>> {
    chart
        .configure_mesh()
        .x_labels(6)
        .y_labels(6)
        .light_line_style(RGBColor(245, 245, 245))
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc(x)
        .y_desc(y)
        .label_style(("sans-serif", 11))
        .draw()?;
    Ok(())
}
