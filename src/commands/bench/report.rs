//! What `bench io` says: a table, CSV or JSON, and which settings to use.

use serde_json::json;

use crate::adapters::measure::outcome::{Measured, Outcome, Phases, Plain, Plan};
use crate::commands::table::{plural, table};

use super::figures::{Spread, geometric_mean, megabytes_per_second};

/// A way other than the default must save this share of the time, over all patterns, to be recommended.
const WORTH_IT: f64 = 0.05;

/// What was measured, ready to be said.
pub struct Report<'a> {
    plan: &'a Plan,
    outcome: &'a Outcome,
    ranks: usize,
    disk: &'a str,
}

/// One line of the table: medians over the repetitions.
struct Row<'a> {
    measured: &'a Measured,
    raw: Spread,
    observed: Spread,
    /// Time of the plain write over time of the results, repetition by repetition.
    ratio: f64,
    ratio_run_by_run: f64,
}

/// From the opening of the file to its close.
fn observed(phases: &Phases) -> f64 {
    phases.open + phases.commit() + phases.close
}

impl<'a> Report<'a> {
    /// Of this measurement by so many ranks on a file system of this type.
    pub fn new(plan: &'a Plan, outcome: &'a Outcome, ranks: usize, disk: &'a str) -> Self {
        Self {
            plan,
            outcome,
            ranks,
            disk,
        }
    }

    fn rate(&self, seconds: impl IntoIterator<Item = f64>) -> Spread {
        let bytes = self.outcome.bytes as f64;
        Spread::of(seconds.into_iter().map(|s| megabytes_per_second(bytes, s)))
    }

    fn plain(&self, row: &Measured) -> &'a Plain {
        let mut plain = self.outcome.plain.iter();
        let same = plain.find(|plain| plain.pattern == row.pattern);
        same.unwrap_or(&self.outcome.plain[0])
    }

    fn rows(&self) -> Vec<Row<'a>> {
        let row = |measured: &'a Measured| {
            let plain = self.plain(measured);
            let against = |times: &[f64]| {
                let pairs = times.iter().zip(&measured.phases);
                Spread::of(pairs.map(|(plain, phases)| plain / phases.results())).median
            };
            Row {
                raw: self.rate(measured.phases.iter().map(|p| p.write)),
                observed: self.rate(measured.phases.iter().map(observed)),
                ratio: against(&plain.one_piece),
                ratio_run_by_run: against(&plain.run_by_run),
                measured,
            }
        };
        self.outcome.commits.iter().map(row).collect()
    }

    fn median(row: &Row<'_>, phase: impl Fn(&Phases) -> f64) -> f64 {
        Spread::of(row.measured.phases.iter().map(phase)).median
    }

    fn flags(&self, row: &Row<'_>) -> String {
        self.plan.ways[row.measured.way].flags()
    }

    /// Time of a commit in each way over that in the first, the default: one entry per pattern, the median of the
    /// repetitions.
    fn gains(&self, way: usize) -> Vec<(&'static str, f64)> {
        let commits = &self.outcome.commits;
        let of = |way: usize| commits.iter().filter(move |c| c.way == way);
        let pair = |(default, other): (&Measured, &Measured)| {
            let pairs = default.phases.iter().zip(&other.phases);
            let ratios = pairs.map(|(a, b)| b.commit() / a.commit());
            (other.pattern.name(), Spread::of(ratios).median)
        };
        of(0).zip(of(way)).map(pair).collect()
    }

    /// Which flags to use, and why.
    pub fn recommendation(&self) -> (String, String) {
        let default = self.plan.ways[0].flags();
        let mean = |gains: &[(&str, f64)]| {
            geometric_mean(&gains.iter().map(|(_, gain)| *gain).collect::<Vec<_>>())
        };
        let best = (1..self.plan.ways.len())
            .map(|way| (way, self.gains(way)))
            .min_by(|(_, a), (_, b)| mean(a).total_cmp(&mean(b)));
        let Some((way, gains)) = best else {
            return (default, "it is the only way that was measured".into());
        };
        let each: Vec<_> = gains
            .iter()
            .map(|(pattern, gain)| format!("{pattern} {gain:.2}"))
            .collect();
        let flags = self.plan.ways[way].flags();
        if mean(&gains) < 1.0 - WORTH_IT {
            let why = format!(
                "a commit takes {:.2} of the time that it takes with {default} ({})",
                mean(&gains),
                each.join(", ")
            );
            (flags, why)
        } else {
            let why = format!(
                "it is the default, and the next best, {flags}, takes {:.2} of its time ({})",
                mean(&gains),
                each.join(", ")
            );
            (default, why)
        }
    }

    /// What else the figures say.
    fn remarks(&self) -> Vec<String> {
        let rows = self.rows();
        let mut remarks = Vec::new();
        let best = |pattern: &str| {
            let of = rows.iter().filter(|r| r.measured.pattern.name() == pattern);
            of.map(|r| r.ratio).fold(0.0, f64::max)
        };
        let (block, random) = (best("block"), best("random"));
        if random > 0.0 && block > 2.0 * random {
            remarks.push(format!(
                "scattered frames cost {:.1} times what contiguous ones do: prefer contiguous --frames, and let --retry follow \
                 a run rather than come in many small ones",
                block / random
            ));
        }
        if rows.iter().any(|row| row.raw.relative() > 1.0) {
            remarks.push("the rates of the same way differ by more than their median: the disk has other work; measure again, \
                 with more --repeats"
                .into());
        }
        let seconds = rows
            .first()
            .map_or(0.0, |row| Self::median(row, Phases::commit));
        let per_second = self.outcome.frames as f64 / seconds.max(1e-9);
        remarks.push(format!(
            "a commit of {} takes {seconds:.2} s in the default way: it is hidden behind the computation while that \
             needs longer than {:.1} us per frame (all workers together)",
            plural(self.outcome.frames, "frame"),
            1e6 / per_second
        ));
        match self.disk {
            "lustre" => remarks.push(
                "Lustre: stripes are those of the folder (lfs setstripe -c N -S 4M FOLDER), unless --hint striping_factor=N and --hint \
                 striping_unit=4194304 ask for others when a result is made; measure several"
                    .into(),
            ),
            "nfs" => remarks.push("NFS: several nodes need its mount option noac; prefer a parallel file system".into()),
            "tmpfs" => remarks.push("tmpfs is memory: this says nothing about a disk".into()),
            _ => {}
        }
        remarks
    }

    /// For people.
    pub fn text(&self) -> String {
        let outcome = self.outcome;
        let mut text = format!(
            "{} of {} atoms, {:.1} MB of results per commit, {}, {}, {} turns of each way: medians (smallest..largest)\n\
             create {:.2} s: a file of {:.1} MB, laid out, filled and synced\n\n",
            plural(outcome.frames, "frame"),
            self.plan.atoms,
            outcome.bytes as f64 * 1e-6,
            plural(self.ranks as u64, "rank"),
            if self.disk.is_empty() {
                "unknown file system"
            } else {
                self.disk
            },
            self.plan.repeats,
            outcome.create,
            outcome.file_bytes as f64 * 1e-6,
        );
        let shown = |spread: Spread| {
            format!(
                "{:.0} ({:.0}..{:.0})",
                spread.median, spread.low, spread.high
            )
        };
        let mut lines = Vec::new();
        let rows = self.rows();
        for plain in &outcome.plain {
            let against = |times: &[f64]| {
                let pairs = plain.one_piece.iter().zip(times);
                format!("{:.2}", Spread::of(pairs.map(|(a, b)| a / b)).median)
            };
            for (name, times) in [
                ("pwrite, one piece", &plain.one_piece),
                ("pwrite, run by run", &plain.run_by_run),
            ] {
                let mut line = vec![plain.pattern.name().to_owned(), name.to_owned()];
                line.push(String::new());
                line.push(shown(self.rate(times.iter().copied())));
                line.push(against(times));
                lines.push(line);
            }
            for row in rows
                .iter()
                .filter(|row| row.measured.pattern == plain.pattern)
            {
                let ms =
                    |phase: fn(&Phases) -> f64| format!("{:.1}", 1e3 * Self::median(row, phase));
                lines.push(vec![
                    plain.pattern.name().to_owned(),
                    self.flags(row),
                    shown(row.raw),
                    shown(row.observed),
                    format!("{:.2}", row.ratio),
                    format!("{:.2}", row.ratio_run_by_run),
                    ms(|p| p.open),
                    ms(|p| p.flush),
                    ms(|p| p.check),
                    ms(|p| p.states),
                    ms(|p| p.close),
                ]);
            }
        }
        let header = [
            "frames",
            "way",
            "raw MB/s",
            "observed MB/s",
            "of pwrite",
            "of runs",
            "metadata ms",
            "flush ms",
            "check ms",
            "states ms",
            "close ms",
        ];
        text += &table(&header, lines, &[2, 3, 4, 5, 6, 7, 8, 9, 10]);
        text += "\n\nof pwrite: time of the plain write and its fsync over the time until results are written, read back and synced;\n\
            of runs: the same against one pwrite for each run of frames\n";
        let (flags, why) = self.recommendation();
        text += &format!("\nuse {flags}: {why}");
        for remark in self.remarks() {
            text += &format!("\n- {remark}");
        }
        text
    }

    /// One line per pattern and way, in h5bench's order of columns as far as it has them.
    pub fn csv(&self) -> String {
        let mut text = "operation,pattern,ranks,way,total_size_bytes,raw_time_s,raw_rate_mb_per_s,metadata_time_s,create_time_s,\
            flush_time_s,check_time_s,states_time_s,close_time_s,observed_time_s,observed_rate_mb_per_s,pwrite_rate_mb_per_s,\
            ratio_to_pwrite,ratio_to_pwrite_run_by_run,bytes_written,bytes_dirtied,processor_time_s"
            .to_owned();
        for row in self.rows() {
            let median = |phase: fn(&Phases) -> f64| format!("{:.6}", Self::median(&row, phase));
            let plain = self.rate(self.plain(row.measured).one_piece.iter().copied());
            let fields = [
                "write".into(),
                row.measured.pattern.name().into(),
                self.ranks.to_string(),
                format!("\"{}\"", self.flags(&row)),
                self.outcome.bytes.to_string(),
                median(|p| p.write),
                format!("{:.3}", row.raw.median),
                median(|p| p.open),
                format!("{:.6}", self.outcome.create),
                median(|p| p.flush),
                median(|p| p.check),
                median(|p| p.states),
                median(|p| p.close),
                median(observed),
                format!("{:.3}", row.observed.median),
                format!("{:.3}", plain.median),
                format!("{:.4}", row.ratio),
                format!("{:.4}", row.ratio_run_by_run),
                format!("{:.0}", Self::median(&row, |p| p.written)),
                format!("{:.0}", Self::median(&row, |p| p.dirtied)),
                median(|p| p.processor),
            ];
            text += "\n";
            text += &fields.join(",");
        }
        text
    }

    /// Every repetition.
    pub fn json(&self) -> String {
        let rows = self.rows();
        let commits = rows.iter().map(|row| {
            let each = row.measured.phases.iter().map(|p| {
                json!({
                    "metadata_s": p.open, "write_s": p.write, "flush_s": p.flush, "check_s": p.check,
                    "states_s": p.states, "close_s": p.close,
                    "bytes_written": p.written, "bytes_dirtied": p.dirtied, "processor_s": p.processor,
                })
            });
            json!({
                "pattern": row.measured.pattern.name(),
                "way": self.flags(row),
                "raw_mb_per_s": row.raw.median,
                "observed_mb_per_s": row.observed.median,
                "ratio_to_pwrite": row.ratio,
                "ratio_to_pwrite_run_by_run": row.ratio_run_by_run,
                "repetitions": each.collect::<Vec<_>>(),
            })
        });
        let plain = self.outcome.plain.iter().map(|plain| {
            json!({
                "pattern": plain.pattern.name(),
                "one_piece_s": plain.one_piece,
                "run_by_run_s": plain.run_by_run,
            })
        });
        let (flags, why) = self.recommendation();
        let value = json!({
            "ranks": self.ranks,
            "file_system": self.disk,
            "atoms": self.plan.atoms,
            "frames_per_commit": self.outcome.frames,
            "bytes_per_commit": self.outcome.bytes,
            "create_s": self.outcome.create,
            "file_bytes": self.outcome.file_bytes,
            "pwrite": plain.collect::<Vec<_>>(),
            "commits": commits.collect::<Vec<_>>(),
            "recommended": {"flags": flags, "reason": why, "remarks": self.remarks()},
        });
        serde_json::to_string_pretty(&value).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::hdf5::ffi::Transfer;
    use crate::adapters::measure::outcome::Way;
    use crate::adapters::measure::pattern::Pattern;
    use crate::adapters::mpi::node::Aggregate;

    /// Two ways; the second takes `time` of the first.
    fn story(time: f64) -> (Plan, Outcome) {
        let way = |transfer| Way {
            transfer,
            aggregate: Aggregate::Auto,
            hints: Vec::new(),
        };
        let plan = Plan {
            atoms: 3,
            bytes: 1000,
            repeats: 2,
            patterns: Pattern::ALL.to_vec(),
            ways: vec![way(Transfer::Collective), way(Transfer::Independent)],
        };
        let phases = |write| {
            vec![
                Phases {
                    write,
                    ..Phases::default()
                };
                2
            ]
        };
        let commits = Pattern::ALL.into_iter().flat_map(|pattern| {
            [(0, 1.0), (1, time)].map(|(way, write)| Measured {
                pattern,
                way,
                phases: phases(write),
            })
        });
        let plain = Pattern::ALL.into_iter().map(|pattern| Plain {
            pattern,
            one_piece: vec![0.5; 2],
            run_by_run: vec![0.75; 2],
        });
        let outcome = Outcome {
            frames: 10,
            bytes: 1_000_000,
            file_bytes: 2_000_000,
            create: 0.1,
            plain: plain.collect(),
            commits: commits.collect(),
        };
        (plan, outcome)
    }

    #[test]
    fn the_faster_way_is_recommended_and_the_default_where_nothing_is_gained() {
        for (time, flags) in [
            (0.5, "--io independent"),
            (0.97, "--io collective"),
            (2.0, "--io collective"),
        ] {
            let (plan, outcome) = story(time);
            let report = Report::new(&plan, &outcome, 2, "ext4");
            let (use_, why) = report.recommendation();
            assert_eq!(use_, flags, "{why}");
            assert!(why.contains(&format!("random {time:.2}")), "{why}");
        }
    }

    #[test]
    fn the_table_says_rates_and_ratios() {
        let (plan, outcome) = story(2.0);
        let report = Report::new(&plan, &outcome, 2, "ext4");
        let rows = report.rows();
        assert_eq!((rows[0].raw.median, rows[0].ratio), (1.0, 0.5));
        assert_eq!((rows[1].raw.median, rows[1].ratio_run_by_run), (0.5, 0.375));
        assert_eq!(report.csv().lines().count(), 9);
        let columns = |line: &str| line.split(',').count();
        assert!(report.csv().lines().all(|line| columns(line) == 21));
        assert!(
            report
                .text()
                .contains("use --io collective: it is the default")
        );
    }
}
