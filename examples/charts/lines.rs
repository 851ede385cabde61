//! A chart of lines over a logarithmic axis.

use crate::bars::{color, label, number};
use flac_harness::System;
use plotters::prelude::*;
use std::path::Path;

/// What is drawn.
pub struct Lines {
    pub title: String,
    pub x: String,
    pub y: String,
    /// What a place on the x axis is called.
    pub name: fn(f64) -> String,
    /// A line for each system: places and values, larger is better.
    pub lines: Vec<(System, Vec<(f64, f64)>)>,
}

/// Draws them as SVG.
///
/// # Errors
/// Those of the file system.
pub fn draw(lines: &Lines, path: &Path) -> Result<(), String> {
    draw_on(lines, path).map_err(|error| format!("{}: {error}", path.display()))
}

fn draw_on(lines: &Lines, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, (720, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || lines.lines.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)))
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    let mut chart = ChartBuilder::on(&root)
        .caption(&lines.title, ("sans-serif", 18))
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, 70)
        .set_label_area_size(LabelAreaPosition::Bottom, 45)
        .build_cartesian_2d((left / 1.1..right * 1.1).log_scale().base(2.0), (low / 1.4..high * 1.4).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(&lines.x)
        .y_desc(&lines.y)
        .x_label_formatter(&|value| (lines.name)(*value))
        .y_label_formatter(&|value| number(*value))
        .draw()?;
    for (system, points) in &lines.lines {
        let style = color(*system).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(label(*system))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color(*system).filled())))?;
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).position(SeriesLabelPosition::UpperLeft).draw()?;
    root.present()?;
    Ok(())
}
