//! What the program asks of the file system, and what it says of it.

mod support;

use std::fs;

use support::folder::{Folder, perturbed};
use support::launch::Launch;
use support::results::{assert_same, metrics};

/// Stripes are heeded only by the call that makes a file: with such hints it is MPI-IO's.
#[test]
fn hints_about_stripes_are_there_when_the_result_is_made() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 20, 4));
    let makers = |name: &str, hints: &str| {
        let line = format!(
            "exec strace -f -o trace -e trace=open,openat,creat framewise run in.h5 -o {name} --calculator null {hints}"
        );
        Launch::shell(&line, &folder.path(".")).expect(0);
        let traced = fs::read_to_string(folder.path("trace")).unwrap();
        let made = traced.lines().filter(|call| {
            call.contains(&format!("{name}.creating\"")) && call.contains("O_CREAT")
        });
        made.map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = makers("plain.h5", "--hint cb_nodes=1");
    assert!(
        plain.iter().all(|call| !call.contains("O_EXCL")),
        "{plain:?}"
    );
    let striped = makers(
        "striped.h5",
        "--hint striping_factor=2 --hint striping_unit=1048576",
    );
    assert!(striped[0].contains("O_EXCL"), "{striped:?}");
    assert_eq!(striped.len(), plain.len() + 1);
    assert_same(&folder.path("striped.h5"), &folder.path("plain.h5"));
}

/// A disk that answers late, and results that come faster: the workers wait, and the user is told.
#[test]
fn workers_that_wait_for_the_disk_are_counted_and_said() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 30_000, 4));
    let run = |name: &str, delay: &str| {
        let line = format!(
            "exec strace -f --seccomp-bpf -o trace -e trace=fsync,fdatasync {delay} framewise run in.h5 -o {name} --threads 1 \
             --calculator null --max-memory 64MiB --checkpoint-interval 0.05 --metrics m.json"
        );
        let said = Launch::shell(&line, &folder.path(".")).expect(0).stdout;
        let waited = metrics(&folder.path("m.json"))["held_share"].as_f64();
        (said, waited.unwrap())
    };
    let (said, waited) = run("late.h5", "-e inject=fsync,fdatasync:delay_exit=150000");
    assert!(waited > 0.1 && waited <= 1.0, "{waited}: {said}");
    assert!(said.contains("workers waited for it"), "{said}");
}

/// Stripes are a wish: where MPI-IO cannot make the file, the system makes it, or says why it cannot.
#[test]
fn a_file_that_mpi_cannot_make_is_made_without_stripes_or_the_system_says_why() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 20, 4));
    let run = |when: &str| {
        let line = format!(
            "exec strace -f -o trace -P r.h5.creating -P \"$PWD/r.h5.creating\" -e inject=openat:error=EDQUOT:when={when} \
             framewise run in.h5 -o r.h5 --calculator null --hint striping_factor=2"
        );
        Launch::shell(&line, &folder.path("."))
    };
    run("1+")
        .expect(1)
        .error("cannot create r.h5: Disk quota exceeded (os error 122); choose another -o");
    run("1")
        .expect(0)
        .says("made without stripes: MPI_File_open failed: ");
    folder.alone("verify r.h5").expect(0);
}
