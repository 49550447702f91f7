//! Tier C: the MPI and HDF5 adapters, each trial on several real ranks.
//!
//! The parent never initialises MPI. For each trial it starts itself under `mpiexec -n P` with the trial's name;
//! every child asserts the world size it was promised and leaves a marker, which the parent counts.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use framewise::adapters::hdf5::ffi::{Transfer, read_rows, write_rows};
use framewise::adapters::hdf5::sink::open_parallel;
use framewise::adapters::mpi::{MpiRanks, World};
use framewise::commands::run::launch::give_up;
use framewise::domain::error::{Error, Kind};
use framewise::engine::ports::{Ranks, Stop, Trouble, Vote};
use framewise::engine::together::{on_first_rank, same_everywhere, together};
use libtest_mimic::{Arguments, Failed, Trial};

use support::folder::Folder;
use support::launch::Launch;

/// A trial: its name, its body on every rank, and the exit code of the whole.
type Case = (&'static str, fn(&World, &mut MpiRanks, &Path), i32);

const CASES: [Case; 9] = [
    ("votes_numbers_and_texts_reach_everybody", exchange, 0),
    ("an_error_on_one_rank_is_an_error_on_all", errors, 0),
    ("rows_of_all_ranks_meet_in_one_file", rows, 0),
    ("a_rank_with_nothing_takes_part", empty_selection, 0),
    (
        "a_write_that_was_not_collective_is_an_error_with_its_cause",
        not_collective,
        0,
    ),
    ("rows_that_do_not_fit_on_one_rank_hang_nobody", misfit, 0),
    ("a_panic_on_one_rank_ends_the_job", panics, 1),
    (
        "an_error_that_kept_one_rank_from_a_collective_call_ends_the_job",
        stuck,
        1,
    ),
    (
        "an_error_that_kept_one_rank_from_a_collective_open_ends_the_job",
        stuck_at_open,
        1,
    ),
];

const NAME: &str = "FRAMEWISE_TRIAL";
const SIZE: &str = "FRAMEWISE_TRIAL_SIZE";

fn main() {
    if let Ok(name) = std::env::var(NAME) {
        return child(&name);
    }
    let trials = CASES
        .iter()
        .flat_map(|case| [1, 2, 3, 4].map(|size| (case, size)))
        .filter(|((name, ..), size)| *size > 1 || !name.contains("one_rank"))
        .map(|(case, size)| {
            let (name, _, code) = *case;
            Trial::test(format!("{name}_on_{size}"), move || {
                parent(name, size, code)
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn parent(name: &str, size: usize, code: i32) -> Result<(), Failed> {
    let folder = Folder::new();
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let begun = Instant::now();
    let ended = Launch::of(&program, size, &folder.path("."))
        .variable(NAME, name)
        .variable(SIZE, &size.to_string())
        .run();
    let took = begun.elapsed();
    let markers = folder
        .names()
        .iter()
        .filter(|name| name.starts_with("rank-"))
        .count();
    // `PATIENCE`, and what the launcher takes to end the others.
    if name.contains("ends_the_job") {
        let said = ended.stderr.matches("error: ").count();
        let named = format!("error: rank {} on ", size - 1);
        if took > Duration::from_secs(10) || said != 1 || !ended.stderr.contains(&named) {
            return Err(format!("{took:?}, {said} messages; {ended:?}").into());
        }
    }
    if ended.code != Some(code) || (code == 0 && markers != size) {
        return Err(format!("{markers} of {size} ranks ended well; {ended:?}").into());
    }
    Ok(())
}

fn child(name: &str) {
    let (_, body, _) = CASES
        .iter()
        .find(|(n, ..)| *n == name)
        .expect("a known trial");
    let world = World::initialize().expect("MPI");
    let mut ranks = world.ranks();
    let promised: usize = std::env::var(SIZE).unwrap().parse().unwrap();
    assert_eq!(ranks.size(), promised, "the launcher is that of our MPI");
    body(&world, &mut ranks, Path::new("."));
    std::fs::write(format!("rank-{}", ranks.rank()), "").unwrap();
}

fn exchange(_: &World, ranks: &mut MpiRanks, _: &Path) {
    let (rank, size) = (ranks.rank(), ranks.size());
    let last = size - 1;
    let vote = Vote {
        stop: if rank == last {
            Stop::InGoodOrder
        } else {
            Stop::No
        },
        busy: rank == 0,
        slabs: rank as u64,
        ..Vote::default()
    };
    let verdict = ranks.agree(vote, &mut || {}).unwrap();
    assert_eq!(
        (verdict.stop, verdict.busy, verdict.commit),
        (Stop::InGoodOrder, true, false)
    );
    assert_eq!((verdict.slabs, verdict.trouble), (last as u64, None));
    let mut sums = [1.0, rank as f64];
    ranks.sum(&mut sums);
    assert_eq!(sums, [size as f64, (size * last / 2) as f64]);
    let rows = ranks.gather(&[rank as f64, -1.0]);
    assert_eq!(rows.len(), size);
    assert_eq!(rows[last], [last as f64, -1.0]);
    assert_eq!(
        ranks.tell(last, &format!("Ångström of {rank}")),
        format!("Ångström of {last}")
    );
    assert_eq!(ranks.tell(0, ""), "");
}

fn errors(_: &World, ranks: &mut MpiRanks, _: &Path) {
    let (rank, last) = (ranks.rank(), ranks.size() - 1);
    let mine = if rank == last {
        Err(Error::usage("no such thing"))
    } else {
        Ok(rank)
    };
    let host = framewise::adapters::lock::host();
    assert_eq!(
        together(ranks, mine),
        Err(Error::usage(format!(
            "rank {last} on {host}: no such thing"
        )))
    );
    let everywhere = together(ranks, Err::<(), _>(Error::usage("no such thing")));
    assert_eq!(everywhere, Err(Error::usage("no such thing")));
    assert_eq!(together(ranks, Ok(rank)), Ok(rank));
    let first = on_first_rank(ranks, || Ok(7)).unwrap();
    assert_eq!(first, (rank == 0).then_some(7));
    let failed = on_first_rank(ranks, || Err::<(), _>(Error::failure("disk")));
    assert_eq!(failed, Err(Error::failure("disk")));
    let text = if rank == last { "two" } else { "one" };
    let error = same_everywhere(ranks, ("arguments", "mind them"), text).unwrap_err();
    assert!(
        error.message.contains("\"two\" here, \"one\" on rank 0"),
        "{error}"
    );
    let trouble = if rank > 0 {
        Trouble::Writing
    } else {
        Trouble::Ending
    };
    let verdict = ranks.agree(Vote::about(trouble), &mut || {}).unwrap();
    assert_eq!(verdict.trouble, Some((Trouble::Writing, 1)));
}

const N: usize = 101;

/// Rank 0 makes a dataset with the serial driver; all open it over MPI.
fn shared(world: &World, ranks: &mut MpiRanks, folder: &Path) -> hdf5::Dataset {
    let path = folder.join("shared.h5");
    if ranks.rank() == 0 {
        let file = hdf5::File::create(&path).unwrap();
        let data = file
            .new_dataset::<f64>()
            .shape((N, 3))
            .fill_value(f64::NAN)
            .create("d")
            .unwrap();
        drop(data);
        file.close().unwrap();
    }
    ranks.barrier();
    open_parallel(&path, world.raw(), None)
        .unwrap()
        .dataset("d")
        .unwrap()
}

fn row(i: u64) -> [f64; 3] {
    [i as f64, 0.5, -(i as f64)]
}

fn rows(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    let data = shared(world, ranks, folder);
    let (rank, size) = (ranks.rank() as u64, ranks.size() as u64);
    // Irregular rows, interleaved over the ranks.
    let mine: Vec<_> = (0..N as u64)
        .filter(|i| (i * i / 3) % size == rank)
        .map(|i| i..i + 1)
        .collect();
    let values: Vec<f64> = mine.iter().flat_map(|r| row(r.start)).collect();
    write_rows(&data, &mine, &values, Transfer::Collective).unwrap();
    data.file().unwrap().flush().unwrap();
    ranks.barrier();
    let mut all = vec![0.0; 3 * N];
    read_rows(&data, &[0..N as u64], &mut all).unwrap();
    let expected: Vec<f64> = (0..N as u64).flat_map(row).collect();
    assert_eq!(all, expected);
}

fn empty_selection(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    let data = shared(world, ranks, folder);
    let (mine, values): (&[std::ops::Range<u64>], &[f64]) = if ranks.rank() == 0 {
        (&[4..5], &[1.0, 2.0, 3.0])
    } else {
        (&[], &[])
    };
    write_rows(&data, mine, values, Transfer::Collective).unwrap();
    data.file().unwrap().flush().unwrap();
    ranks.barrier();
    let mut back = [0.0f64; 6];
    read_rows(&data, &[4..6], &mut back).unwrap();
    assert_eq!(back[..3], [1.0, 2.0, 3.0]);
    assert!(back[3..].iter().all(|x| x.is_nan()));
}

fn not_collective(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    let data = shared(world, ranks, folder);
    // Stored as f64: HDF5 converts, and silently writes independently.
    let rank = ranks.rank() as u64;
    let error =
        write_rows(&data, &[rank..rank + 1], &[1.0f32; 3], Transfer::Collective).unwrap_err();
    assert!(error.message.contains("not collective"), "{error}");
    assert!(
        error
            .message
            .contains("the stored type differs from the type in memory"),
        "{error}"
    );
    write_rows(
        &data,
        &[rank..rank + 1],
        &[1.0f32; 3],
        Transfer::Independent,
    )
    .unwrap();
}

fn misfit(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    let data = shared(world, ranks, folder);
    let (rank, last) = (ranks.rank() as u64, ranks.size() as u64 - 1);
    let elements = if rank == last { 2 } else { 3 };
    let written = write_rows(
        &data,
        &[rank..rank + 1],
        &vec![1.0; elements],
        Transfer::Collective,
    );
    assert_eq!(written.is_err(), rank == last);
}

fn panics(_: &World, ranks: &mut MpiRanks, _: &Path) {
    let last = ranks.size() - 1;
    assert!(ranks.rank() != last, "a bug on the last rank");
    // The others wait in a collective for a rank that will never come.
    ranks.barrier();
}

/// What the program does with an error that this rank has to say itself.
fn say_it_alone(outcome: framewise::domain::error::Result<()>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, Kind::Alone);
    give_up(&error);
}

/// The last rank's rows do not fit, so it never enters the write in which the others wait for it.
fn stuck(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    let data = std::mem::ManuallyDrop::new(shared(world, ranks, folder));
    let (rank, last) = (ranks.rank() as u64, ranks.size() as u64 - 1);
    let outcome = if rank == last {
        Err(Error::failure("the disk is gone"))
    } else {
        // Interleaved rows: two-phase I/O needs everybody.
        let mine: Vec<_> = (0..N as u64)
            .filter(|i| i % (last + 1) == rank)
            .map(|i| i..i + 1)
            .collect();
        write_rows(
            &data,
            &mine,
            &vec![1.0; 3 * mine.len()],
            Transfer::Collective,
        )
    };
    say_it_alone(together(ranks, outcome));
}

/// The last rank cannot open the file that the others open.
fn stuck_at_open(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    drop(shared(world, ranks, folder));
    ranks.barrier();
    let last = ranks.size() - 1;
    let outcome = if ranks.rank() == last {
        Err(Error::failure("no such file"))
    } else {
        let file = open_parallel(&folder.join("shared.h5"), world.raw(), None);
        file.map(std::mem::forget)
    };
    say_it_alone(together(ranks, outcome));
}
