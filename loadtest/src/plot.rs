//! Charts as SVG: logarithmic axes, a line for each system.
//!
//! Invariant: the file stands alone (no fonts, scripts or styles from elsewhere) and reads on light and dark pages.

use std::fmt::Write;

/// One chart; both axes are logarithmic.
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x: String,
    /// Beside it.
    pub y: String,
    /// Large numbers left.
    pub flip_x: bool,
    /// Name and points of each line.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;

/// A logarithmic axis between two pixels.
struct Axis {
    lo: f64,
    hi: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let (mut lo, mut hi) = (f64::MAX, f64::MIN);
        for v in values.filter(|v| *v > 0.0 && v.is_finite()) {
            (lo, hi) = (lo.min(v), hi.max(v));
        }
        if lo > hi {
            return None;
        }
        let (lo, hi) = (lo.log10(), hi.log10());
        // A line needs some room even if all values are alike.
        let pad = ((hi - lo) * 0.05).max(0.05);
        Some(Self {
            lo: lo - pad,
            hi: hi + pad,
            from,
            to,
        })
    }

    fn at(&self, v: f64) -> f64 {
        self.from + (v.log10() - self.lo) / (self.hi - self.lo) * (self.to - self.from)
    }

    /// 1, 2 and 5 of each decade; only the 1 where there are many decades, all digits where there is less than one.
    fn ticks(&self) -> Vec<f64> {
        let steps: &[f64] = match self.hi - self.lo {
            d if d > 3.0 => &[1.0],
            d if d > 0.7 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        };
        let decades = self.lo.floor() as i32..=self.hi.ceil() as i32;
        let all = decades.flat_map(|d| steps.iter().map(move |s| s * 10f64.powi(d)));
        all.filter(|v| (self.lo..=self.hi).contains(&v.log10()))
            .collect()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn number(v: f64) -> String {
    match v {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e4 => format!("{} k", v / 1e3),
        _ => format!("{}", (v * 1e9).round() / 1e9),
    }
}

/// All charts below one another.
pub fn svg(charts: &[Chart]) -> String {
    let drawn: Vec<String> = charts.iter().filter_map(draw).collect();
    let height = HEIGHT * drawn.len().max(1) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (i, body) in drawn.iter().enumerate() {
        let y = HEIGHT * i as f64;
        writeln!(out, "<g transform=\"translate(0 {y})\">\n{body}</g>")
            .expect("a string takes all");
    }
    out + "</svg>\n"
}

fn draw(c: &Chart) -> Option<String> {
    let points = || c.lines.iter().flat_map(|(_, p)| p.iter().copied());
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let (from, to) = if c.flip_x {
        (right, LEFT)
    } else {
        (LEFT, right)
    };
    let x = Axis::over(points().map(|p| p.0), from, to)?;
    let y = Axis::over(points().map(|p| p.1), bottom, TOP)?;
    let mut out = String::new();
    let mut put = |text: String| out.push_str(&(text + "\n"));
    put(format!(
        "<text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}</text>",
        escape(&c.title)
    ));
    for v in x.ticks() {
        let at = x.at(v);
        put(format!(
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>"
        ));
        put(format!(
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            number(v)
        ));
    }
    for v in y.ticks() {
        let at = y.at(v);
        put(format!(
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>"
        ));
        put(format!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            number(v)
        ));
    }
    let (mid_x, mid_y) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
    put(format!(
        "<text x=\"{mid_x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        HEIGHT - 14.0,
        escape(&c.x)
    ));
    put(format!(
        "<text transform=\"translate(20 {mid_y}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escape(&c.y)
    ));
    for (i, (name, line)) in c.lines.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let path: Vec<String> = line
            .iter()
            .filter(|(a, b)| *a > 0.0 && *b > 0.0)
            .map(|(a, b)| format!("{:.1} {:.1}", x.at(*a), y.at(*b)))
            .collect();
        put(format!(
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join("L")
        ));
        if !c.flip_x {
            path.iter()
                .filter_map(|p| p.split_once(' '))
                .for_each(|(a, b)| {
                    put(format!(
                        "<circle cx=\"{a}\" cy=\"{b}\" r=\"3\" fill=\"{colour}\"/>"
                    ));
                });
        }
        let at = TOP + 12.0 + 20.0 * i as f64;
        put(format!(
            "<path d=\"M{} {at}h20\" stroke=\"{colour}\" stroke-width=\"3\"/>",
            right + 14.0
        ));
        put(format!(
            "<text x=\"{}\" y=\"{}\">{}</text>",
            right + 40.0,
            at + 4.0,
            escape(name)
        ));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_drawn_and_an_empty_one_is_left_out() {
        let chart = |points| Chart {
            title: "a < b".into(),
            x: "n".into(),
            y: "ms".into(),
            flip_x: false,
            lines: vec![("s&t".into(), points)],
        };
        let text = svg(&[
            chart(vec![(10.0, 1.0), (10_000.0, 90.0), (0.0, 3.0)]),
            chart(vec![]),
        ]);
        assert_eq!(text.matches("<g ").count(), 1);
        assert_eq!(text.matches("<circle").count(), 2);
        assert!(
            text.contains("a &lt; b") && text.contains("s&amp;t") && !text.contains("NaN"),
            "{text}"
        );
    }
}
