//! What an evaluation with xtb does to its process: how many threads there are, and what is printed.
//!
//! The parent starts this file again as a child, which prepares its environment as `main` does.

use std::process::Command;

use framewise::adapters::{environment, xtb};
use framewise::domain::calculator::{Conditions, Results};
use framewise::domain::cell::Cell;
use framewise::domain::frame::Frame;
use framewise::domain::parameters::Parameters;
use libtest_mimic::{Arguments, Failed, Trial};

const CHILD: &str = "FRAMEWISE_TEST_XTB_CHILD";

fn main() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let trials = vec![
        Trial::test("one_thread_and_silence_after_prepare", || {
            expect(&run(None), "prepared true, 1 thread\n")
        }),
        Trial::test("the_users_number_of_threads_is_kept", || {
            expect(&run(Some("2")), "prepared true, 2 threads\n")
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Everything the child printed.
fn run(omp_num_threads: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    for (name, _) in environment::VARIABLES {
        command.env_remove(name);
    }
    if let Some(n) = omp_num_threads {
        command.env("OMP_NUM_THREADS", n);
    }
    let output = command.env(CHILD, "1").output().expect("child starts");
    let text = [output.stdout, output.stderr].concat();
    format!(
        "{}{}",
        String::from_utf8_lossy(&text),
        if output.status.success() {
            ""
        } else {
            "failed"
        }
    )
}

fn expect(printed: &str, expected: &str) -> Result<(), Failed> {
    if printed == expected {
        return Ok(());
    }
    Err(format!("printed {printed:?} instead of {expected:?}").into())
}

/// Evaluates 16 water molecules, one frame that fails in the SCF, one that the library refuses.
fn child() {
    let prepared = environment::prepare();
    let mut species = Vec::new();
    let mut positions = Vec::new();
    for i in 0..16 {
        let shift = [f64::from(i % 4) * 3.2, f64::from(i / 4) * 3.2, 0.0];
        for (z, r) in [
            (8, [0.0; 3]),
            (1, [0.95, 0.1, 0.0]),
            (1, [-0.3, 0.92, 0.05]),
        ] {
            species.push(z);
            positions.push([0, 1, 2].map(|k| r[k] + shift[k]));
        }
    }
    evaluate(&species, &positions, "250").expect("16 water molecules");
    evaluate(&species, &positions, "2").expect_err("two iterations are not enough");
    evaluate(&[8, 8], &[[0.0; 3]; 2], "250").expect_err("two atoms at one place");
    let threads = std::fs::read_dir("/proc/self/task").expect("/proc").count();
    println!(
        "prepared {prepared}, {threads} thread{}",
        if threads == 1 { "" } else { "s" }
    );
}

fn evaluate(species: &[u8], positions: &[[f64; 3]], max_iterations: &str) -> Result<(), String> {
    let typed = [("max_iterations".to_owned(), max_iterations.to_owned())];
    let parameters = Parameters::parse("xtb", xtb::KIND.parameters, &typed).map_err(|e| e.0)?;
    let factory = (xtb::KIND.factory)(&parameters, &Conditions::default()).map_err(|e| e.0)?;
    let mut results = Results {
        energy: &mut 0.0,
        forces: &mut vec![[0.0; 3]; positions.len()],
        stress: &mut [[f64::NAN; 3]; 3],
    };
    let frame = Frame {
        species,
        positions,
        cell: Cell::OPEN,
    };
    let done = factory.build()?.evaluate(&frame, &mut results);
    done.map_err(|failure| format!("{failure:?}"))
}
