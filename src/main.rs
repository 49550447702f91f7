//! The executable: what was typed becomes a command, the command runs, its outcome becomes the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    framewise::adapters::environment::prepare();
    framewise::commands::main()
}
