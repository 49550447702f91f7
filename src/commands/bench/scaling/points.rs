//! From runs to points: medians and efficiencies, as text, CSV and Markdown. No clock, no file.

use serde_json::Value;

use crate::commands::bench::figures::{Scaling, Spread, megabytes_per_second, ratio};
use crate::commands::table::{table, thousands};

/// What the columns mean.
pub const LEGEND: &str = "
whole: from the start of the launcher to its end; compute and commit: the slowest rank. Efficiency, of the whole and of the
computation alone, is relative to the smallest number of ranks, turn by turn, and the median is given: strong, time x cores
should stay; weak, time should stay. MB/s: results while committing.
spread: how much less the fastest rank computed than the slowest, in units of the slowest.
";

/// One run of the whole program.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What it was for.
    pub scaling: Scaling,
    /// Its turn, from 1.
    pub turn: u32,
    /// Ranks.
    pub ranks: usize,
    /// Worker threads per rank.
    pub threads: usize,
    /// Frames that were computed.
    pub frames: u64,
    /// Seconds from the start of the launcher to its end.
    pub whole: f64,
    /// Seconds as the program itself counts them.
    pub wall: f64,
    /// Seconds in the calculator, per worker, of the slowest rank.
    pub compute: f64,
    /// The same of the fastest rank.
    pub compute_fastest: f64,
    /// Seconds of reading, slowest rank.
    pub read: f64,
    /// Seconds in commits, slowest rank.
    pub commit: f64,
    /// Bytes of results of all ranks.
    pub bytes: f64,
    /// Commits.
    pub commits: f64,
}

impl Run {
    /// From what `--metrics` says; `None` when something is missing.
    pub fn of(
        scaling: Scaling,
        turn: u32,
        (ranks, threads): (usize, usize),
        whole: f64,
        metrics: &Value,
    ) -> Option<Self> {
        let all = metrics["ranks"].as_array()?;
        let each =
            |key: &str| -> Option<Vec<f64>> { all.iter().map(|rank| rank[key].as_f64()).collect() };
        let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let compute: Vec<f64> = each("compute_seconds")?
            .iter()
            .zip(each("threads")?)
            .map(|(seconds, threads)| seconds / threads.max(1.0))
            .collect();
        Some(Self {
            scaling,
            turn,
            ranks,
            threads,
            frames: metrics["frames"].as_u64()?,
            whole,
            wall: metrics["wall_seconds"].as_f64()?,
            compute: largest(&compute),
            compute_fastest: compute.iter().copied().fold(f64::INFINITY, f64::min),
            read: largest(&each("read_seconds")?),
            commit: largest(&each("commit_seconds")?),
            bytes: metrics["bytes_written"].as_f64()?,
            commits: metrics["commits"].as_f64()?,
        })
    }

    fn cores(&self) -> f64 {
        (self.ranks * self.threads) as f64
    }
}

/// All turns of one number of ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Ranks.
    pub ranks: usize,
    /// Worker threads per rank.
    pub threads: usize,
    /// Frames of a run.
    pub frames: u64,
    /// Seconds from the start of the launcher to its end.
    pub whole: Spread,
    /// Seconds of computing, slowest rank.
    pub compute: Spread,
    /// Seconds of reading, slowest rank.
    pub read: Spread,
    /// Seconds of commits, slowest rank.
    pub commit: Spread,
    /// MB/s while committing.
    pub commit_rate: Spread,
    /// Frames per second of the whole run.
    pub rate: Spread,
    /// Frames per second of the computation alone.
    pub compute_rate: Spread,
    /// Efficiency of the whole run.
    pub whole_efficiency: Spread,
    /// Efficiency of the computation.
    pub compute_efficiency: Spread,
    /// Efficiency of the commits.
    pub commit_efficiency: Spread,
    /// How much less the fastest rank computed than the slowest.
    pub rank_spread: Spread,
}

impl Point {
    /// The points of one kind of scaling, ranks ascending.
    pub fn all(runs: &[Run], scaling: Scaling) -> Vec<Self> {
        let of: Vec<&Run> = runs.iter().filter(|run| run.scaling == scaling).collect();
        let mut counts: Vec<usize> = of.iter().map(|run| run.ranks).collect();
        counts.sort_unstable();
        counts.dedup();
        let turns = |ranks: usize| of.iter().copied().filter(move |run| run.ranks == ranks);
        let Some(least) = counts.first().copied() else {
            return Vec::new();
        };
        let point = |ranks: usize| {
            let first = turns(ranks).next()?;
            let spread = |value: &dyn Fn(&Run) -> f64| Spread::of(turns(ranks).map(value));
            let efficiency = |seconds: &dyn Fn(&Run) -> f64| {
                // The same turn: the machine was then as it was.
                Spread::of(turns(ranks).filter_map(|run| {
                    let base = turns(least).find(|base| base.turn == run.turn)?;
                    let base = (base.cores(), seconds(base));
                    Some(scaling.efficiency(base, (run.cores(), seconds(run))))
                }))
            };
            Some(Self {
                ranks,
                threads: first.threads,
                frames: first.frames,
                whole: spread(&|run| run.whole),
                compute: spread(&|run| run.compute),
                read: spread(&|run| run.read),
                commit: spread(&|run| run.commit),
                commit_rate: spread(&|run| megabytes_per_second(run.bytes, run.commit)),
                rate: spread(&|run| ratio(run.frames as f64, run.whole)),
                compute_rate: spread(&|run| ratio(run.frames as f64, run.compute)),
                whole_efficiency: efficiency(&|run| run.whole),
                compute_efficiency: efficiency(&|run| run.compute),
                commit_efficiency: efficiency(&|run| run.commit),
                rank_spread: spread(&|run| ratio(run.compute - run.compute_fastest, run.compute)),
            })
        };
        counts.into_iter().filter_map(point).collect()
    }
}

const COLUMNS: [&str; 11] = [
    "ranks",
    "cores",
    "frames",
    "whole s",
    "frames/s",
    "efficiency",
    "compute s",
    "of compute",
    "commit s",
    "MB/s",
    "spread",
];

/// Three digits that count, about.
fn digits(x: f64) -> String {
    match x {
        x if x < 0.1 => format!("{x:.4}"),
        x if x < 10.0 => format!("{x:.2}"),
        x => format!("{x:.1}"),
    }
}

fn cells(point: &Point) -> Vec<String> {
    let seconds = |spread: Spread| {
        let [median, low, high] = [spread.median, spread.low, spread.high].map(digits);
        format!("{median} ({low}..{high})")
    };
    let two = |x: f64| {
        if x.is_finite() {
            format!("{x:.2}")
        } else {
            "-".into()
        }
    };
    vec![
        point.ranks.to_string(),
        (point.ranks * point.threads).to_string(),
        thousands(point.frames),
        seconds(point.whole),
        thousands(point.rate.median.round() as u64),
        two(point.whole_efficiency.median),
        seconds(point.compute),
        two(point.compute_efficiency.median),
        seconds(point.commit),
        two(point.commit_rate.median),
        format!("{:.1} %", 100.0 * point.rank_spread.median),
    ]
}

fn title(scaling: Scaling) -> &'static str {
    match scaling {
        Scaling::Strong => "Strong scaling: the same frames on more ranks",
        Scaling::Weak => "Weak scaling: as many frames for every rank",
    }
}

/// A table for people.
pub fn text(scaling: Scaling, points: &[Point]) -> String {
    let right: Vec<usize> = (0..COLUMNS.len()).collect();
    let rows = points.iter().map(cells);
    format!("{}\n\n{}", title(scaling), table(&COLUMNS, rows, &right))
}

/// The same in Markdown, with its plot.
pub fn markdown(scaling: Scaling, points: &[Point]) -> String {
    let mut text = format!("## {}\n\n| {} |\n|", title(scaling), COLUMNS.join(" | "));
    text += &"---:|".repeat(COLUMNS.len());
    for point in points {
        text += &format!("\n| {} |", cells(point).join(" | "));
    }
    let name = scaling.name();
    text + &format!("\n\n![{name} scaling]({name}.svg)\n")
}

/// The names of what [`csv`] gives.
pub fn csv_header() -> String {
    let spreads = [
        "whole_s",
        "compute_s",
        "read_s",
        "commit_s",
        "commit_mb_per_s",
        "frames_per_s",
        "compute_frames_per_s",
        "whole_efficiency",
        "compute_efficiency",
        "commit_efficiency",
        "rank_spread",
    ];
    let columns: Vec<_> = spreads
        .iter()
        .flat_map(|name| {
            [
                format!("{name}_median"),
                format!("{name}_low"),
                format!("{name}_high"),
            ]
        })
        .collect();
    format!("scaling,ranks,threads,cores,frames,{}\n", columns.join(","))
}

/// One line per point.
pub fn csv(scaling: Scaling, points: &[Point]) -> String {
    let line = |point: &Point| {
        let spreads = [
            point.whole,
            point.compute,
            point.read,
            point.commit,
            point.commit_rate,
            point.rate,
            point.compute_rate,
            point.whole_efficiency,
            point.compute_efficiency,
            point.commit_efficiency,
            point.rank_spread,
        ];
        let numbers: Vec<_> = spreads
            .iter()
            .flat_map(|s| [s.median, s.low, s.high].map(|x| format!("{x:.6}")))
            .collect();
        let (ranks, threads) = (point.ranks, point.threads);
        let head = format!(
            "{},{ranks},{threads},{},{}",
            scaling.name(),
            ranks * threads,
            point.frames
        );
        format!("{head},{}\n", numbers.join(","))
    };
    points.iter().map(line).collect()
}

/// Every run as it was measured.
pub fn runs_csv(runs: &[Run]) -> String {
    let mut text = "scaling,turn,ranks,threads,frames,whole_s,wall_s,compute_slowest_s,compute_fastest_s,read_s,commit_s,\
        bytes,commits\n"
        .to_owned();
    for run in runs {
        text += &format!(
            "{},{},{},{},{},{:.6},{:.6},{:.6},{:.6},{:.6},{:.6},{},{}\n",
            run.scaling.name(),
            run.turn,
            run.ranks,
            run.threads,
            run.frames,
            run.whole,
            run.wall,
            run.compute,
            run.compute_fastest,
            run.read,
            run.commit,
            run.bytes,
            run.commits
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(scaling: Scaling, turn: u32, ranks: usize, whole: f64) -> Run {
        let each: Vec<_> = (0..ranks)
            .map(|rank| {
                json!({"compute_seconds": 2.0 * (whole - 0.1 * rank as f64), "threads": 2, "read_seconds": 0.1,
                    "commit_seconds": 0.5})
            })
            .collect();
        let metrics = json!({
            "frames": 100, "wall_seconds": whole, "bytes_written": 1e6, "commits": 1, "ranks": each,
        });
        Run::of(scaling, turn, (ranks, 2), whole, &metrics).unwrap()
    }

    #[test]
    fn efficiencies_compare_runs_of_the_same_turn() {
        // The machine is twice as slow in the second turn: that is nobody's inefficiency.
        let runs = [
            run(Scaling::Strong, 1, 1, 8.0),
            run(Scaling::Strong, 1, 4, 2.5),
            run(Scaling::Strong, 2, 1, 16.0),
            run(Scaling::Strong, 2, 4, 5.0),
            run(Scaling::Weak, 1, 1, 1.0),
        ];
        let points = Point::all(&runs, Scaling::Strong);
        assert_eq!(points.len(), 2);
        let four = &points[1];
        assert_eq!((four.ranks, four.frames), (4, 100));
        let efficiency = four.whole_efficiency;
        assert_eq!((efficiency.low, efficiency.high), (0.8, 0.8));
        assert_eq!(four.whole.median, 3.75);
        assert_eq!(four.commit_efficiency.median, 0.25);
        assert!(
            (four.rank_spread.high - 0.12).abs() < 1e-12,
            "{:?}",
            four.rank_spread
        );
        assert_eq!(Point::all(&runs, Scaling::Weak).len(), 1);
        assert_eq!(Point::all(&[], Scaling::Weak), []);
    }

    #[test]
    fn tables_have_a_line_per_point_and_a_value_per_column() {
        let runs = [run(Scaling::Weak, 1, 1, 1.0), run(Scaling::Weak, 1, 2, 1.0)];
        let points = Point::all(&runs, Scaling::Weak);
        let csv = csv_header() + &csv(Scaling::Weak, &points);
        let columns: Vec<_> = csv.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(columns, [38; 3]);
        let markdown = markdown(Scaling::Weak, &points);
        let rows: Vec<_> = markdown
            .lines()
            .filter(|line| line.starts_with('|'))
            .collect();
        assert_eq!(rows.len(), 4);
        assert!(
            rows.iter().all(|row| row.matches('|').count() == 12),
            "{markdown}"
        );
        assert_eq!(runs_csv(&runs).lines().count(), 3);
        assert!(text(Scaling::Weak, &points).contains("frames/s"));
    }
}
