//! Plots for the tools and the benches: lines with ranges, on logarithmic axes.

use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// A point of a line, with the range that its value stands for.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// How much.
    pub y: f64,
    /// The lower and the upper end of the range.
    pub range: (f64, f64),
}

/// One line of a plot.
pub struct Series {
    /// The name in the legend.
    pub name: String,
    /// In the order of x.
    pub points: Vec<Point>,
}

/// What a plot says beside its lines.
pub struct Labels {
    /// The title.
    pub title: String,
    /// The x axis.
    pub x: String,
    /// The y axis.
    pub y: String,
}

const SIZE: (u32, u32) = (900, 520);
const TEXT: &str = "sans-serif";

/// Colours that can be told apart without seeing red or green.
const COLOURS: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(110, 110, 110),
    RGBColor(0, 0, 0),
    RGBColor(120, 70, 30),
];

/// Draws the series into an SVG file.
///
/// # Errors
/// The file cannot be written.
pub fn lines(path: &Path, labels: &Labels, series: &[Series]) -> Result<(), Box<dyn Error>> {
    let points = || series.iter().flat_map(|series| &series.points);
    let (left, right) = range(points().map(|point| point.x));
    let (bottom, top) = range(points().flat_map(|point| [point.range.0, point.range.1]));
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(&labels.title, (TEXT, 20))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (left / 1.2..right * 1.2).log_scale(),
            (bottom / 1.4..top * 1.4).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc(&labels.x)
        .y_desc(&labels.y)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .light_line_style(BLACK.mix(0.05))
        .label_style((TEXT, 14))
        .axis_desc_style((TEXT, 15))
        .draw()?;
    for (index, series) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let line = series.points.iter().map(|point| (point.x, point.y));
        let line = LineSeries::new(line, colour.stroke_width(2)).point_size(3);
        chart
            .draw_series(line)?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(series.points.iter().map(|&Point { x, y, range: (low, high) }| {
            ErrorBar::new_vertical(x, low, y, high, colour.filled(), 6)
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((TEXT, 14))
        .draw()?;
    root.present()?;
    Ok(())
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| (low.min(value), high.max(value)))
}

/// 1500 as 1.5k.
fn short(value: f64) -> String {
    for (unit, letter) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= unit {
            return format!("{}{letter}", (value / unit * 10.0).round() / 10.0);
        }
    }
    format!("{}", (value * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_its_lines_and_labels() {
        let file = tempfile::Builder::new().suffix(".svg").tempfile().unwrap();
        let at = |x, y: f64| Point { x, y, range: (y * 0.9, y * 1.1) };
        let series = |name: &str| Series {
            name: name.into(),
            points: vec![at(1.0, 10.0), at(1000.0, 2500.0)],
        };
        let [title, x, y] = ["Title", "pages", "ns"].map(String::from);
        let labels = Labels { title, x, y };
        lines(file.path(), &labels, &[series("first"), series("second")]).unwrap();
        let svg = std::fs::read_to_string(file.path()).unwrap();
        for text in ["Title", "pages", "ns", "first", "second", "1k", "polyline"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([1.0, 2.54, 1500.0, 2e6].map(short), ["1", "2.5", "1.5k", "2M"]);
    }
}
