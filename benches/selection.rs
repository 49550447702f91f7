//! Cost of selections against the number of frames: sets of frames, and rows of a dataset.
//!
//! `cargo bench --bench selection`. Every figure is the median of five, on n random frames of 4n (no two of them
//! adjacent on average: the worst case, one run per frame or nearly). The last column of each line, nanoseconds per
//! n log2 n, is constant for an n log n cost; it would grow a thousandfold from top to bottom for n².

use std::hint::black_box;
use std::ops::Range;
use std::time::Instant;

use framewise::adapters::hdf5::ffi::{Transfer, read_rows, write_rows};
use framewise::adapters::hdf5::sink::open_parallel;
use framewise::adapters::measure::pattern::shuffled;
use framewise::adapters::mpi::World;
use framewise::planning::frame_set::FrameSet;
use hdf5::{Dataset, File, FileBuilder};

mod support;
use support::{folder, spread};

const REPEATS: usize = 5;
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

fn main() {
    framewise::adapters::environment::prepare();
    // One rank needs no launcher.
    let world = World::initialize().expect("MPI");
    let folder = folder();
    println!("selection: n random frames of 4n, median of {REPEATS}\n");
    println!("{:<44} {:>9} {:>12} {:>16}", "", "n", "ms", "ns / n log2 n");
    let random: Vec<Vec<u64>> = SIZES
        .iter()
        .map(|n| shuffled(4 * n)[..*n as usize].to_vec())
        .collect();
    each("a set from frames in any order", &random, |frames| {
        black_box(set(frames));
    });
    let sets: Vec<(FrameSet, FrameSet)> = random
        .iter()
        .map(|frames| {
            let others: Vec<u64> = frames.iter().map(|f| f / 2 * 3).collect();
            (set(frames), set(&others))
        })
        .collect();
    each("intersection of two sets", &sets, |(a, b)| {
        black_box(a.intersection(b));
    });
    each("difference of two sets", &sets, |(a, b)| {
        black_box(a.difference(b));
    });
    each(
        "taken from the front, 10 frames at a time",
        &sets,
        |(a, _)| {
            let mut rest = a.clone();
            while !rest.is_empty() {
                black_box(rest.split_front(10));
            }
        },
    );
    each("as text and back", &sets, |(a, _)| {
        black_box(FrameSet::decode(&a.encode()));
    });

    let serial = |n: u64| -> (File, Dataset) {
        let mut builder = FileBuilder::new();
        // In memory: what remains is the selection and a copy.
        builder.with_fapl(|fapl| fapl.core_filebacked(false));
        let file = builder
            .create(folder.path().join(format!("memory-{n}.h5")))
            .expect("a file in memory");
        let dataset = column(&file, n);
        (file, dataset)
    };
    let rows: Vec<_> = sets
        .iter()
        .zip(SIZES)
        .map(|((a, _), n)| (serial(n), a.runs().to_vec(), vec![1.0; n as usize]))
        .collect();
    each(
        "rows written, file in memory",
        &rows,
        write(Transfer::Independent),
    );
    each(
        "rows read, file in memory",
        &rows,
        |((_file, dataset), runs, data)| {
            read_rows(dataset, runs, &mut data.clone()).expect("a read");
        },
    );
    let parallel = |n: u64| -> (File, Dataset) {
        let path = folder.path().join(format!("disk-{n}.h5"));
        let file = File::create(&path).expect("a file");
        let dataset = column(&file, n);
        dataset
            .write_raw(&vec![0.0; 4 * n as usize])
            .expect("a write");
        drop(dataset);
        file.close().expect("a close");
        let file = open_parallel(&path, world.raw(), None).expect("the file, over MPI");
        let dataset = file.dataset("d").expect("the dataset");
        (file, dataset)
    };
    let rows: Vec<_> = sets
        .iter()
        .zip(SIZES)
        .map(|((a, _), n)| (parallel(n), a.runs().to_vec(), vec![1.0; n as usize]))
        .collect();
    each(
        "rows written over MPI, one rank, collective",
        &rows,
        write(Transfer::Collective),
    );
    few(&serial(1000).1);
}

/// Reads of a few frames, as many small jobs make them.
fn few(dataset: &Dataset) {
    let calls = 100_000;
    let mut data = [0.0; 4];
    let seconds: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let begun = Instant::now();
            for k in 0..calls {
                let start = k % 900;
                read_rows(dataset, &[start..start + 4], &mut data).expect("a read");
            }
            begun.elapsed().as_secs_f64()
        })
        .collect();
    let rate = calls as f64 / spread(&seconds).1;
    println!("\nreads of 4 consecutive rows, file in memory: {rate:.0} per second");
}

fn set(frames: &[u64]) -> FrameSet {
    frames.iter().map(|f| *f..*f + 1).collect()
}

fn column(file: &File, n: u64) -> Dataset {
    file.new_dataset::<f64>()
        .shape((4 * n as usize, 1))
        .create("d")
        .expect("a dataset")
}

type Case = ((File, Dataset), Vec<Range<u64>>, Vec<f64>);

fn write(transfer: Transfer) -> impl Fn(&Case) {
    move |((_file, dataset), runs, data)| {
        write_rows(dataset, runs, data, transfer).expect("a write");
    }
}

fn each<T>(what: &str, cases: &[T], act: impl Fn(&T)) {
    for (case, n) in cases.iter().zip(SIZES) {
        act(case);
        let mut seconds = Vec::new();
        for _ in 0..REPEATS {
            let begun = Instant::now();
            act(case);
            seconds.push(begun.elapsed().as_secs_f64());
        }
        let (_, median, _) = spread(&seconds);
        let n = n as f64;
        println!(
            "{what:<44} {n:>9} {:>12.3} {:>16.2}",
            1e3 * median,
            1e9 * median / (n * n.log2())
        );
    }
}
