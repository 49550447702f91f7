//! Tier C: the MPI and HDF5 adapters, each trial on several real ranks.
//!
//! The parent never initialises MPI. For each trial it starts itself under `mpiexec -n P` with the trial's name;
//! every child asserts the world size it was promised and leaves a marker, which the parent counts.

mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use framewise::adapters::hdf5::create;
use framewise::adapters::hdf5::ffi::{Transfer, library_version, read_rows, write_rows};
use framewise::adapters::hdf5::fill::Filler;
use framewise::adapters::hdf5::geometry::Geometry;
use framewise::adapters::hdf5::history::Run;
use framewise::adapters::hdf5::input::Input;
use framewise::adapters::hdf5::sink::{ResultSink, open_parallel};
use framewise::adapters::hdf5::trajectory_writer::{Authorship, TrajectoryWriter};
use framewise::adapters::mpi::node::{Aggregate, Load, Piece, append};
use framewise::adapters::mpi::{MpiRanks, World};
use framewise::adapters::source::SourceFrame;
use framewise::adapters::source::schema::Schema;
use framewise::commands::run::launch::give_up;
use framewise::domain::error::{Error, Kind};
use framewise::engine::commit::Rows;
use framewise::engine::ports::{Look, Ranks, Sink, Stop, Trouble, Vote};
use framewise::engine::together::{on_first_rank, same_everywhere, together};
use framewise::planning::status::Status;
use hdf5::plist::dataset_create::Layout;
use libtest_mimic::{Arguments, Failed, Trial};

use support::folder::Folder;
use support::launch::Launch;
use support::results::bytes;

/// A trial: its name, its body on every rank, and the exit code of the whole.
type Case = (&'static str, fn(&World, &mut MpiRanks, &Path), i32);

const CASES: [Case; 13] = [
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
    (
        "pieces_of_all_ranks_meet_in_one_file_whoever_writes_them",
        pieces,
        0,
    ),
    (
        "a_result_is_the_same_whoever_brings_its_rows_together",
        aggregated,
        0,
    ),
    (
        "a_rank_that_brings_more_than_the_node_holds_writes_it_itself",
        too_much,
        0,
    ),
    ("a_new_file_is_the_same_whoever_fills_it", filled, 0),
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
    // As many numbers as the rank's own, none from the first.
    let mine = vec![7 * rank as u64; rank];
    let theirs = ranks.exchange(&mine);
    assert!(
        theirs
            .iter()
            .enumerate()
            .all(|(r, row)| *row == vec![7 * r as u64; r])
    );
    // They share this machine.
    assert_eq!(ranks.nodes(), vec![0; size]);
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
        let compact = file.new_dataset::<f64>().layout(Layout::Compact).shape(1);
        drop(compact.create("compact").unwrap());
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

#[track_caller]
fn is_told(written: Result<(), Error>, cause: &str) {
    let error = written.unwrap_err();
    assert!(error.message.contains("not collective"), "{error}");
    assert!(error.message.contains(cause), "{error}");
}

fn not_collective(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    let data = shared(world, ranks, folder);
    let rank = ranks.rank() as u64;
    // Stored as f64: HDF5 converts. Up to 1.12 it then silently writes independently, later versions do both.
    let converted = write_rows(&data, &[rank..rank + 1], &[1.0f32; 3], Transfer::Collective);
    if library_version() < (1, 14, 0) {
        is_told(converted, "the stored type differs from the type in memory");
    } else {
        converted.unwrap();
    }
    // All ranks write the same, since this is a part of the metadata.
    let compact = data.file().unwrap().dataset("compact").unwrap();
    let written = write_rows(&compact, &[0..1], &[1.0f64], Transfer::Collective);
    is_told(written, "the dataset is neither contiguous nor chunked");
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

const PIECES: u64 = 4000;
const PIECE: u64 = 24;

/// The owner of each piece of a file, the same on every rank; `None`: nobody.
fn owner(deal: u64, piece: u64, size: u64) -> Option<u64> {
    let noise = (piece + 7).wrapping_mul(6_364_136_223_846_793_005 + 2 * deal) >> 33;
    match deal {
        // One part of the file for each rank.
        0 => Some(piece * size / PIECES),
        1 => Some(noise % size),
        // With holes.
        2 => (noise % 5 < 3).then_some(noise / 5 % size),
        // One rank has nearly everything, in short pieces.
        3 => (piece.is_multiple_of(2)).then_some(if noise.is_multiple_of(64) {
            size - 1
        } else {
            0
        }),
        _ => None,
    }
}

/// What this rank brings of a deal: pieces, and their bytes, which tell their place and the deal.
fn brought(deal: u64, ranks: &MpiRanks) -> (Vec<Piece>, Vec<u8>) {
    let (mut pieces, mut data) = (Vec::new(), Vec::new());
    for k in 0..PIECES {
        if owner(deal, k, ranks.size() as u64) == Some(ranks.rank() as u64) {
            let piece = Piece {
                at: 100 + k * PIECE,
                length: PIECE,
            };
            append(&mut pieces, piece);
            data.extend((0..PIECE).map(|b| (k * 3 + b + 50 * deal + 1) as u8));
        }
    }
    (pieces, data)
}

/// Writes what a rank has to write after the node has come together: its `own` pieces, or those it was given.
fn write_load(file: &std::fs::File, load: Load<'_>, own: (&[Piece], &[u8])) {
    let (pieces, mut data) = match load {
        Load::Own => own,
        Load::Others(pieces, data) => (pieces, data),
    };
    for piece in pieces {
        let (now, later) = data.split_at(piece.length as usize);
        file.write_all_at(now, piece.at).unwrap();
        data = later;
    }
    assert!(data.is_empty());
}

fn pieces(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    let length = (100 + PIECES * PIECE + 100) as usize;
    for leaders in [
        Aggregate::Auto,
        Aggregate::Leaders(2),
        Aggregate::Leaders(9),
    ] {
        let path = folder.join("pieces");
        if ranks.rank() == 0 {
            std::fs::write(&path, vec![0; length]).unwrap();
        }
        ranks.barrier();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let mut node = world.node(leaders);
        assert_eq!(node.is_some(), ranks.size() > 1);
        let mut expected = vec![0u8; length];
        for deal in [0, 1, 2, 3, 9, 1] {
            let (pieces, data) = brought(deal, ranks);
            // In two blocks, cut anywhere.
            let (a, b) = data.split_at(data.len() / 3);
            let load = node
                .as_mut()
                .map_or(Load::Own, |n| n.gather(&pieces, &[a, b]));
            write_load(&file, load, (&pieces, &data));
            for k in (0..PIECES).filter(|k| owner(deal, *k, ranks.size() as u64).is_some()) {
                let at = (100 + k * PIECE) as usize;
                for b in 0..PIECE {
                    expected[at + b as usize] = (k * 3 + b + 50 * deal + 1) as u8;
                }
            }
            ranks.barrier();
            let found = std::fs::read(&path).unwrap();
            assert!(found == expected, "{leaders:?} {deal}");
            ranks.barrier();
        }
    }
}

/// Rank 0 brings 6 MB in pieces of 1 kB, the others a few pieces in between.
fn too_much(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    const KB: u64 = 1000;
    let path = folder.join("pieces");
    if ranks.rank() == 0 {
        std::fs::write(&path, []).unwrap();
    }
    ranks.barrier();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let others = ranks.size() as u64 - 1;
    let owner = |k: u64| match k % 2 {
        0 => Some(0),
        _ => (k < 400 && others > 0).then(|| 1 + k / 2 % others),
    };
    let value = |k: u64| vec![(k % 251) as u8 + 1; KB as usize];
    let mine = (0..12_000).filter(|k| owner(*k) == Some(ranks.rank() as u64));
    let (mut pieces, mut data) = (Vec::new(), Vec::new());
    for k in mine {
        append(
            &mut pieces,
            Piece {
                at: k * KB,
                length: KB,
            },
        );
        data.extend(value(k));
    }
    let mut node = world.node(Aggregate::Auto);
    let load = node
        .as_mut()
        .map_or(Load::Own, |n| n.gather(&pieces, &[&data]));
    assert!(ranks.rank() > 0 || load == Load::Own);
    write_load(&file, load, (&pieces, &data));
    ranks.barrier();
    let found = std::fs::read(&path).unwrap();
    for (k, found) in found.chunks(KB as usize).enumerate() {
        let k = k as u64;
        let expected = owner(k).map_or(vec![0; KB as usize], |_| value(k));
        assert!(found == expected, "piece {k}");
    }
    ranks.barrier();
}

/// Rows of the frames of a deal that are this rank's; every value tells its frame.
fn rows_of(deal: u64, ranks: &MpiRanks, frames: u64) -> Rows {
    let mut rows = Rows::default();
    for frame in 0..frames {
        if owner(deal, frame * PIECES / frames, ranks.size() as u64) == Some(ranks.rank() as u64) {
            let value = frame as f64 + 0.5;
            rows.frames.append(frame..frame + 1);
            rows.atoms.append(3 * frame..3 * frame + 3);
            rows.energies.push(value);
            rows.forces.extend([[value; 3]; 3]);
            rows.stresses.push([[-value; 3]; 3]);
            rows.checksums.push(frame + 1);
            rows.seconds.push(value as f32);
            rows.statuses.push(Status::Completed);
            rows.messages.push(format!("frame {frame}"));
        }
    }
    rows
}

/// Where the forces are in the file.
fn forces_at(result: &Path) -> u64 {
    let file = hdf5::File::open(result).unwrap();
    let forces = file.dataset("particles/trajectory/forces/value").unwrap();
    forces.offset().unwrap()
}

/// Changes one byte of the forces of the middle frame of `rows` behind everybody's back: where, and what was there.
fn spoil(result: &Path, forces: u64, rows: &Rows) -> (u64, u8) {
    let frame = rows.frames.iter().nth(rows.energies.len() / 2).unwrap();
    let at = forces + 72 * frame + 5;
    let byte = std::fs::read(result).unwrap()[at as usize];
    poke(result, at, !byte);
    (at, byte)
}

fn poke(path: &Path, at: u64, byte: u8) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[byte], at).unwrap();
}

/// The whole file is the same, byte for byte, whoever writes the rows.
fn aggregated(world: &World, ranks: &mut MpiRanks, folder: &Path) {
    let frames = 900;
    let result = folder.join("r.h5");
    if ranks.rank() == 0 {
        trajectory(&folder.join("in.h5"), frames);
    }
    let mut first = None;
    for (leaders, transfer) in [
        (Aggregate::Off, Transfer::Collective),
        (Aggregate::Auto, Transfer::Collective),
        (Aggregate::Leaders(2), Transfer::Collective),
        (Aggregate::Leaders(9), Transfer::Independent),
    ] {
        if ranks.rank() == 0 {
            let mut input = Input::open(&folder.join("in.h5"), None).unwrap();
            create::create(&result, &mut input, Geometry::Copy, &|| Ok(())).unwrap();
            std::fs::rename(create::temporary(&result), &result).unwrap();
        }
        ranks.barrier();
        let forces = forces_at(&result);
        let sink = ResultSink::open(&result, (world.raw(), None), transfer, None, Run::default());
        let mut sink = sink.unwrap().aggregated(world.node(leaders));
        for deal in [1, 2, 0, 3, 9] {
            let rows = rows_of(deal, ranks, frames);
            sink.write_results(&rows).unwrap();
            ranks.barrier();
            // Every rank looks at what it wrote, whose ever rows they are: together at all of them.
            sink.check_results(&rows, Look::AtOnce).unwrap();
            ranks.barrier();
            let spoiled = ranks.rank() == ranks.size() - 1 && !rows.energies.is_empty();
            // Nor are rows taken for written that are others now.
            if !rows.energies.is_empty() {
                let mut others = rows_of(deal, ranks, frames);
                *others.energies.last_mut().unwrap() += 1.0;
                assert!(sink.check_results(&others, Look::AtOnce).is_err());
            }
            ranks.barrier();
            let restore = spoiled.then(|| spoil(&result, forces, &rows));
            ranks.barrier();
            let seen = sink.check_results(&rows, Look::AtOnce).is_err();
            let told = ranks.gather(&[f64::from(u8::from(spoiled)), f64::from(u8::from(seen))]);
            let sum = |k: usize| told.iter().map(|row| row[k]).sum::<f64>();
            assert_eq!(sum(0), sum(1), "{leaders:?} {deal}: {told:?}");
            restore.inspect(|(at, byte)| poke(&result, *at, *byte));
            sink.sync().unwrap();
            ranks.barrier();
            sink.check_results(&rows, Look::Later).unwrap();
            sink.write_status(&rows, deal == 2).unwrap();
            sink.sync().unwrap();
            ranks.barrier();
            sink.check_status(&rows, deal == 2).unwrap();
        }
        sink.close().unwrap();
        ranks.barrier();
        let found = std::fs::read(&result).unwrap();
        assert!(found.windows(8).any(|w| w == b"frame 89"));
        assert!(
            *first.get_or_insert_with(|| found.clone()) == found,
            "{leaders:?}"
        );
        ranks.barrier();
    }
}

/// Frames of three atoms.
fn trajectory(path: &Path, frames: u64) {
    let schema = Schema {
        frames,
        atoms: 3 * frames,
        first_atoms: 3,
        species: Some(vec![18; 3]),
        ..Schema::default()
    };
    let authorship = Authorship {
        author: "test",
        version: "0",
        said: "",
        origin: None,
    };
    let mut writer = TrajectoryWriter::create(path, schema, &authorship).unwrap();
    let frame = SourceFrame {
        species: vec![18; 3],
        positions: vec![[0.5; 3]; 3],
        ..SourceFrame::default()
    };
    for _ in 0..frames {
        assert!(writer.push(&frame).unwrap());
    }
    assert!(writer.finish().unwrap());
}

/// A result of 4 GB would be filled by many ranks; here each rank takes a share of a small one.
fn filled(_: &World, ranks: &mut MpiRanks, folder: &Path) {
    let (rank, size) = (ranks.rank() as u64, ranks.size() as u64);
    let result = folder.join("r.h5");
    let temporary = create::temporary(&result);
    if rank == 0 {
        trajectory(&folder.join("in.h5"), 300);
        let mut input = Input::open(&folder.join("in.h5"), None).unwrap();
        create::create(&result, &mut input, Geometry::Copy, &|| Ok(())).unwrap();
        std::fs::rename(&temporary, folder.join("alone")).unwrap();
        create::lay_out(&result, &mut input, Geometry::Copy, &|_| (), &|| Ok(())).unwrap();
    }
    ranks.barrier();
    let mut filler = Filler::cut(&result, (rank, size), (1, 1000), &|| Ok(())).unwrap();
    let steps = ranks.gather(&[filler.steps() as f64]);
    assert!(
        steps
            .iter()
            .all(|row| row[0] == steps[0][0] && row[0] > 1.0)
    );
    for _ in 0..filler.steps() {
        filler.step().unwrap();
    }
    filler.end().unwrap();
    ranks.barrier();
    let (found, expected) = (bytes(&temporary), bytes(&folder.join("alone")));
    assert!(found == expected && found.len() > 10);
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
