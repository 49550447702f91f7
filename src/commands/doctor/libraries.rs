//! Program, MPI and HDF5: which, and whether they belong together.

use std::collections::BTreeSet;
use std::path::Path;

use crate::adapters::mpi::family::Family;

use super::facts::NodeFacts;
use super::finding::{Finding, good, wrong};
use super::survey::Survey;

const MATCHING: &str = "build framewise with the parallel HDF5 that was built with its MPI: HDF5_DIR=/path/of/that/hdf5, MPICC=the mpicc of that MPI";

pub(super) fn findings(survey: &Survey) -> Vec<Finding> {
    let here = survey.here();
    let program = format!("{} ({})", here.version, here.path);
    vec![good("framewise", program), mpi(here), hdf5(here)]
}

/// HDF5 brings its own MPI with it: of two in one process, one is not initialised, or both write over each other.
fn mpi(here: &NodeFacts) -> Finding {
    let subject = "MPI library";
    let listed = here.mpi_files.join(", ");
    if files(&here.mpi_files) > 1 {
        let text = format!(
            "{}, and in this process are two: {listed}: HDF5 is built with another MPI than framewise",
            here.mpi
        );
        return wrong(subject, text, MATCHING);
    }
    let family = |path: &String| Family::of_file(Path::new(path));
    match (
        here.mpi_files.first().and_then(family),
        Family::of(&here.mpi),
    ) {
        (Some(file), Some(library)) if file != library => {
            let text = format!("{} answers, but {listed} is {}'s", here.mpi, file.name());
            wrong(subject, text, MATCHING)
        }
        (None, _) => good(subject, format!("{}, inside the program", here.mpi)),
        _ => good(subject, format!("{} ({listed})", here.mpi)),
    }
}

fn hdf5(here: &NodeFacts) -> Finding {
    let listed = here.hdf5_files.join(", ");
    if files(&here.hdf5_files) > 1 {
        let text = format!("{}, and in this process are two: {listed}", here.hdf5);
        return wrong("HDF5", text, MATCHING);
    }
    let place = match listed.as_str() {
        "" => "inside the program".to_owned(),
        listed => listed.to_owned(),
    };
    // This program does not link with an HDF5 that is not parallel.
    let with = match files(&here.mpi_files) {
        2.. => "parallel, built with another MPI than framewise",
        _ => "parallel, built with the same MPI",
    };
    good("HDF5", format!("{}, {with} ({place})", here.hdf5))
}

/// How many different ones: a library and its links are one.
fn files(paths: &[String]) -> usize {
    let real = paths.iter().map(|path| {
        let real = Path::new(path).canonicalize();
        real.unwrap_or_else(|_| path.into())
    });
    real.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Verdict;

    #[test]
    fn two_mpis_in_one_process_are_wrong() {
        let of = |files: &[&str]| {
            let here = NodeFacts {
                mpi: "Open MPI v4.1.4".into(),
                mpi_files: files.iter().map(|f| (*f).to_owned()).collect(),
                ..NodeFacts::default()
            };
            mpi(&here).verdict
        };
        assert_eq!(of(&["/no/libmpi.so.40"]), Verdict::Good);
        assert_eq!(of(&[]), Verdict::Good);
        assert_eq!(
            of(&["/no/libmpi.so.40", "/no/libmpich.so.12"]),
            Verdict::Wrong
        );
        assert_eq!(of(&["/no/libmpich.so.12"]), Verdict::Wrong);
    }
}
