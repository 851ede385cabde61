//! A chart of bars on a logarithmic axis.

use flac_harness::System;
use plotters::prelude::*;
use std::path::Path;

/// What is drawn.
pub struct Bars {
    pub title: String,
    /// What the axis says.
    pub axis: String,
    /// The groups from top to bottom: a name, and a value for each system that has one.
    pub groups: Vec<(String, Vec<(System, f64)>)>,
    /// Where bars begin and a line is drawn: longer to the right is better.
    pub origin: f64,
}

/// Each system has the same color in all charts.
pub fn color(system: System) -> RGBColor {
    match system {
        System::Flac => RGBColor(200, 40, 40),
        System::FlacSync => RGBColor(240, 150, 120),
        System::Tmpfs => RGBColor(70, 110, 180),
        System::Huge => RGBColor(60, 160, 140),
        System::Disk => RGBColor(130, 130, 130),
        System::DiskSync => RGBColor(190, 190, 190),
        System::Preload | System::Limit => RGBColor(0, 0, 0),
    }
}

/// What a system is called in a legend.
pub fn label(system: System) -> &'static str {
    match system {
        System::Flac => "FLAC",
        System::FlacSync => "FLAC, fsync",
        System::Tmpfs => "tmpfs",
        System::Huge => "tmpfs huge=always",
        System::Disk => "ext4",
        System::DiskSync => "ext4, fsync",
        System::Preload => "preload alone",
        System::Limit => "limit",
    }
}

const BAR: usize = 11;
const GAP: usize = 9;
const LEGEND: i32 = 24;
const LEFT: u32 = 370;
const WIDTH: u32 = 1040;

/// Draws horizontal bars as SVG.
///
/// # Errors
/// Those of the file system.
pub fn draw(bars: &Bars, path: &Path) -> Result<(), String> {
    let rows: usize = bars.groups.iter().map(|(_, values)| values.len() * BAR + GAP).sum();
    let root = SVGBackend::new(path, (WIDTH, (rows as i32 + LEGEND) as u32 + 100)).into_drawing_area();
    draw_on(bars, rows, &root).map_err(|error| format!("{}: {error}", path.display()))
}

type Drawing<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Outcome = Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>>;

fn draw_on(bars: &Bars, rows: usize, root: &Drawing) -> Outcome {
    root.fill(&WHITE)?;
    let values = || bars.groups.iter().flat_map(|(_, values)| values).map(|(_, value)| *value);
    let least = values().fold(bars.origin, f64::min) / 1.3;
    let most = values().fold(bars.origin, f64::max) * 1.6;
    let mut chart = ChartBuilder::on(root)
        .caption(&bars.title, ("sans-serif", 18))
        .margin(10)
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        .build_cartesian_2d((least..most).log_scale(), 0..rows as i32 + LEGEND)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(&bars.axis)
        .x_label_formatter(&|value| number(*value))
        .x_labels(8)
        .draw()?;
    let (area, mut top) = (chart.plotting_area(), rows as i32);
    for (name, values) in &bars.groups {
        let middle = top - (values.len() * BAR / 2) as i32;
        let place = area.map_coordinate(&(least, middle));
        let style = ("sans-serif", 13).into_font().color(&BLACK).pos(right());
        root.draw(&Text::new(name.as_str(), (place.0 - 8, place.1), style))?;
        for (system, value) in values {
            let bottom = top - BAR as i32 + 1;
            let (from, to) = (value.min(bars.origin), value.max(bars.origin));
            area.draw(&Rectangle::new([(from, bottom), (to, top)], color(*system).filled()))?;
            let style = ("sans-serif", 10).into_font().color(&BLACK).pos(left());
            let end = area.map_coordinate(&(to, (bottom + top) / 2));
            root.draw(&Text::new(number(*value), (end.0 + 4, end.1), style))?;
            top -= BAR as i32;
        }
        top -= GAP as i32;
    }
    area.draw(&PathElement::new([(bars.origin, 0), (bars.origin, rows as i32)], BLACK.stroke_width(1)))?;
    legend(bars, root)?;
    root.present()
}

fn right() -> plotters::style::text_anchor::Pos {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    Pos::new(HPos::Right, VPos::Center)
}

fn left() -> plotters::style::text_anchor::Pos {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    Pos::new(HPos::Left, VPos::Center)
}

/// The systems that occur, side by side below the title.
fn legend(bars: &Bars, root: &Drawing) -> Outcome {
    let occurs = |system: &System| bars.groups.iter().any(|(_, values)| values.iter().any(|(known, _)| known == system));
    for (place, system) in System::FILES.into_iter().filter(occurs).enumerate() {
        let x = 20 + 150 * place as i32;
        root.draw(&Rectangle::new([(x, 40), (x + 12, 50)], color(system).filled()))?;
        root.draw(&Text::new(label(system), (x + 17, 45), ("sans-serif", 12).into_font().color(&BLACK).pos(left())))?;
    }
    Ok(())
}

/// Short: two digits that count.
pub fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
