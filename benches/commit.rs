//! Commit bandwidth: results of 100-atom frames through the engine's own sink, against a plain `pwrite` + `fsync`
//! of the same bytes by the same ranks.
//!
//! `cargo bench --bench commit`; `FRAMEWISE_BENCH_MB` (256), `FRAMEWISE_BENCH_REPEATS` (5) and
//! `FRAMEWISE_BENCH_RANKS` (2: the runs are on 1 and 2 ranks) change what is run.
//!
//! The result file holds twice the frames of one commit, as in a run that is half done: every pattern leaves holes.
//! Both files are allocated, filled and synced before; what is timed overwrites, as it does in a run. The ways take
//! turns within each repetition, because the speed of a shared disk changes by the minute: the ratios, taken
//! repetition by repetition, mean more than the MB/s.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use framewise::adapters::guard::Guard;
use framewise::adapters::hdf5::create;
use framewise::adapters::hdf5::ffi::Transfer;
use framewise::adapters::hdf5::geometry::Geometry;
use framewise::adapters::hdf5::history::Run;
use framewise::adapters::hdf5::input::Input;
use framewise::adapters::hdf5::result_reader::{ResultBlock, ResultReader};
use framewise::adapters::hdf5::sink::ResultSink;
use framewise::adapters::lock::Lock;
use framewise::adapters::mpi::{MpiRanks, World};
use framewise::engine::commit::Rows;
use framewise::engine::ports::{Ranks, Sink};
use framewise::planning::frame_set::FrameSet;
use framewise::planning::partition::part;
use framewise::planning::status::Status;

mod support;
use support::{CHILD, folder, launcher, setting, shuffled, spread, trajectory};

const ATOMS: usize = 100;
/// Energy, stress, checksum, seconds and forces of one frame.
const FRAME_BYTES: usize = 8 + 72 + 8 + 4 + 24 * ATOMS;

fn main() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(Path::new(&folder));
    }
    let megabytes = setting("FRAMEWISE_BENCH_MB", 256);
    let frames = 2 * megabytes * 1_000_000 / FRAME_BYTES as u64;
    println!(
        "commit: {megabytes} MB of results per commit, {} of {frames} frames of {ATOMS} atoms, {} repetitions\n\
         MB/s to the return of fsync: median (smallest..largest); ratio to `pwrite`: median of the repetitions\n",
        frames / 2,
        setting("FRAMEWISE_BENCH_REPEATS", 5),
    );
    for ranks in 1..=setting("FRAMEWISE_BENCH_RANKS", 2) as usize {
        let folder = folder();
        trajectory(&folder.path().join("input.h5"), frames, ATOMS);
        let done = launcher(ranks)
            .arg(std::env::current_exe().expect("own path"))
            .env(CHILD, folder.path())
            .env("FRAMEWISE_BENCH_PROMISED", ranks.to_string())
            .status()
            .expect("mpiexec starts");
        assert!(done.success(), "the ranks failed: {done}");
    }
}

/// Which frames a commit holds, and whose they are.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    /// The first half of the file, one piece per rank.
    Block,
    /// Every other frame, dealt out in turn.
    Cyclic,
    /// A random half, dealt out at random.
    Random,
}

impl Pattern {
    fn frames(self, frames: u64, rank: usize, size: usize) -> FrameSet {
        let half = frames / 2;
        let mine = |k: &u64| *k % size as u64 == rank as u64;
        match self {
            Pattern::Block => FrameSet::from_runs(vec![part(half, rank as u64, size as u64)]),
            Pattern::Cyclic => (0..half).filter(mine).map(|k| 2 * k..2 * k + 1).collect(),
            Pattern::Random => {
                let order = shuffled(frames);
                let dealt = (0..half).filter(mine).map(|k| order[k as usize]);
                dealt.map(|frame| frame..frame + 1).collect()
            }
        }
    }
}

struct Job<'a> {
    folder: &'a Path,
    world: &'a World,
    ranks: MpiRanks,
    frames: u64,
}

fn child(folder: &Path) {
    framewise::adapters::environment::prepare();
    let world = World::initialize().expect("MPI");
    let ranks = world.ranks();
    assert_eq!(
        ranks.size() as u64,
        setting("FRAMEWISE_BENCH_PROMISED", 0),
        "mpiexec belongs to this MPI"
    );
    let input = Input::open(&folder.join("input.h5"), None).expect("the input");
    let frames = input.frames();
    let mut job = Job {
        folder,
        world: &world,
        ranks,
        frames,
    };
    job.prepare(input);
    job.measure();
    job.check();
}

impl Job<'_> {
    fn first(&self) -> bool {
        self.ranks.rank() == 0
    }

    fn result(&self) -> PathBuf {
        self.folder.join("result.h5")
    }

    fn prepare(&mut self, mut input: Input) {
        if self.first() {
            create::create(&self.result(), &mut input, Geometry::Link, &|| Ok(()))
                .expect("a result");
            create::publish(&self.result(), &[]).expect("a result");
            let plain = File::create(self.folder.join("plain")).expect("a plain file");
            let megabyte = vec![1u8; 1 << 20];
            let length = self.frames * FRAME_BYTES as u64;
            for at in (0..length).step_by(1 << 20) {
                plain.write_all_at(&megabyte, at).expect("space on disk");
            }
            plain.sync_all().expect("a sync");
        }
        self.ranks.barrier();
    }

    fn measure(&mut self) {
        if self.first() {
            println!(
                "{} rank{}\n{:<8} {:<24} {:>22} {:>8} {:>22}",
                self.ranks.size(),
                if self.ranks.size() == 1 { "" } else { "s" },
                "frames",
                "way",
                "results, MB/s",
                "ratio",
                "states, ms"
            );
        }
        for pattern in [Pattern::Block, Pattern::Cyclic, Pattern::Random] {
            self.measure_pattern(pattern);
        }
        if self.first() {
            println!();
        }
    }

    fn measure_pattern(&mut self, pattern: Pattern) {
        let share = pattern.frames(self.frames, self.ranks.rank(), self.ranks.size());
        let mut rows = rows(share);
        let mut megabytes = [rows.energies.len() as f64 * FRAME_BYTES as f64 * 1e-6];
        self.ranks.sum(&mut megabytes);
        let plain = File::options()
            .write(true)
            .open(self.folder.join("plain"))
            .expect("the plain file");
        let mut seconds: [Vec<f64>; 4] = Default::default();
        let mut states: [Vec<f64>; 2] = Default::default();
        for repetition in 0..setting("FRAMEWISE_BENCH_REPEATS", 5) {
            fill(&mut rows, repetition);
            let bytes = bytes(&rows);
            let start = bytes.len() as u64 * self.ranks.rank() as u64;
            seconds[0].push(self.timed(|| {
                plain.write_all_at(&bytes, start).expect("a write");
                plain.sync_all().expect("a sync");
            }));
            for (k, transfer) in [Transfer::Collective, Transfer::Independent]
                .into_iter()
                .enumerate()
            {
                let mut sink = self.open(transfer);
                seconds[1 + k].push(self.timed(|| {
                    sink.write_results(&rows).expect("a write");
                    sink.sync().expect("a sync");
                    sink.check_results(&rows).expect("what was written");
                }));
                states[k].push(self.timed(|| {
                    sink.write_status(&rows, false).expect("a write");
                    sink.sync().expect("a sync");
                    sink.check_status(&rows, false).expect("what was written");
                }));
                sink.close().expect("a close");
            }
            seconds[3].push(self.timed(|| {
                let mut rest = &bytes[..];
                for run in rows.frames.runs() {
                    let length = (run.end - run.start) as usize * FRAME_BYTES;
                    let (now, later) = rest.split_at(length);
                    plain
                        .write_all_at(now, run.start * FRAME_BYTES as u64)
                        .expect("a write");
                    rest = later;
                }
                plain.sync_all().expect("a sync");
            }));
        }
        if !self.first() {
            return;
        }
        let name = format!("{pattern:?}").to_lowercase();
        for (k, way) in [
            (0, "pwrite, one piece"),
            (3, "pwrite, run by run"),
            (1, "framewise, collective"),
            (2, "framewise, independent"),
        ] {
            let rates: Vec<_> = seconds[k].iter().map(|s| megabytes[0] / s).collect();
            let ratios: Vec<_> = seconds[0]
                .iter()
                .zip(&seconds[k])
                .map(|(a, b)| a / b)
                .collect();
            let (low, median, high) = spread(&rates);
            let mut line = format!(
                "{name:<8} {way:<24} {:>22} {:>8.2}",
                format!("{median:.0} ({low:.0}..{high:.0})"),
                spread(&ratios).1
            );
            if k == 1 || k == 2 {
                let (low, median, high) = spread(&states[k - 1]);
                let states = format!("{:.0} ({:.0}..{:.0})", median * 1e3, low * 1e3, high * 1e3);
                line += &format!(" {states:>22}");
            }
            println!("{line}");
        }
    }

    /// Seconds of the slowest rank.
    fn timed(&mut self, act: impl FnOnce()) -> f64 {
        self.ranks.barrier();
        let begun = Instant::now();
        act();
        let mine = begun.elapsed().as_secs_f64();
        let all = self.ranks.gather(&[mine]);
        all.iter().map(|row| row[0]).fold(0.0, f64::max)
    }

    fn open(&self, transfer: Transfer) -> ResultSink {
        let lock = self
            .first()
            .then(|| Guard::Alone(Lock::take(&self.result()).expect("the lock")));
        let file = (self.world.raw(), None);
        ResultSink::open(&self.result(), file, transfer, lock, Run::default()).expect("the result")
    }

    /// What was timed is in the file: every frame of the last commit, and its state.
    fn check(&mut self) {
        self.ranks.barrier();
        if !self.first() {
            return;
        }
        let reader = ResultReader::open(&self.result()).expect("the result");
        let mut block = ResultBlock::default();
        let last = setting("FRAMEWISE_BENCH_REPEATS", 5) - 1;
        let mut rest = Pattern::Random.frames(self.frames, 0, 1);
        while !rest.is_empty() {
            let frames = rest.split_front(4096);
            reader.read_results(&frames, &mut block).expect("a read");
            for (i, frame) in frames.iter().enumerate() {
                let expected = value(frame, last);
                let force = block.forces[ATOMS * (i + 1) - 1];
                assert!(
                    block.status[i] == 0 && block.energy[i] == expected && force == [expected; 3],
                    "frame {frame} is not what was written"
                );
            }
        }
    }
}

/// What is written for a frame: tells frame and repetition.
fn value(frame: u64, repetition: u64) -> f64 {
    frame as f64 + 0.01 * repetition as f64
}

fn rows(frames: FrameSet) -> Rows {
    let n = frames.len() as usize;
    Rows {
        frames,
        energies: vec![0.0; n],
        forces: vec![[0.0; 3]; ATOMS * n],
        stresses: vec![[[0.0; 3]; 3]; n],
        checksums: vec![0; n],
        seconds: vec![0.0; n],
        statuses: vec![Status::Completed; n],
        ..Rows::default()
    }
}

fn fill(rows: &mut Rows, repetition: u64) {
    for (i, frame) in rows.frames.iter().enumerate() {
        let x = value(frame, repetition);
        rows.energies[i] = x;
        rows.forces[ATOMS * i..ATOMS * (i + 1)].fill([x; 3]);
        rows.stresses[i] = [[x; 3]; 3];
        rows.checksums[i] = frame;
        rows.seconds[i] = x as f32;
    }
}

/// The same bytes, frame after frame.
fn bytes(rows: &Rows) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.energies.len() * FRAME_BYTES);
    for i in 0..rows.energies.len() {
        bytes.extend(rows.energies[i].to_le_bytes());
        for x in rows.forces[ATOMS * i..ATOMS * (i + 1)].as_flattened() {
            bytes.extend(x.to_le_bytes());
        }
        for x in rows.stresses[i].as_flattened() {
            bytes.extend(x.to_le_bytes());
        }
        bytes.extend(rows.checksums[i].to_le_bytes());
        bytes.extend(rows.seconds[i].to_le_bytes());
    }
    bytes
}
