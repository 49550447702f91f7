# shellcheck shell=bash
# What the scripts share: which Debian packages are needed and why, installing the missing ones,
# checking Rust, and the launcher's flags. Sourced, never run.

# One line per package: group | package | a command that, if present, makes the package unnecessary | what it is for.
# Without a command in the third column the package itself must be installed.
framewise_packages() {
    cat <<'LIST'
build|gcc|cc|C compiler and linker, for Rust and for the MPI wrapper
build|libc6-dev|-|C headers, for the linker and bindgen
build|libopenmpi-dev|-|MPI: headers and mpicc
build|openmpi-bin|-|MPI: mpiexec, the launcher
build|libhdf5-openmpi-dev|-|parallel HDF5
build|libclang-dev|-|bindgen reads MPI's headers with it
build|pkg-config|pkg-config|finds parallel HDF5
chemfiles|cmake|cmake|builds chemfiles (import of DCD, XTC, NetCDF, PDB...)
chemfiles|g++|g++|builds chemfiles
chemfiles|make|make|builds chemfiles
xtb|libxtb6|-|the xtb calculator's library
kim|libkim-api2|-|the kim calculator's library
kim|openkim-models|-|its models
mpich|mpich|-|the other MPI: mpicc.mpich, and its launcher mpiexec.hydra
mpich|libmpich-dev|-|its headers
mpich|libhdf5-mpich-dev|-|parallel HDF5 on it; Open MPI's stays the default
build-mpich|gcc|cc|to build with MPICH where no Open MPI is: as for build
build-mpich|libc6-dev|-|C headers
build-mpich|mpich|-|MPI: mpicc and mpiexec.hydra
build-mpich|libmpich-dev|-|its headers
build-mpich|libhdf5-mpich-dev|-|parallel HDF5
build-mpich|libclang-dev|-|bindgen reads MPI's headers with it
build-mpich|pkg-config|pkg-config|finds parallel HDF5
cluster|slurm-wlm|-|SLURM, for the cluster in a box
cluster|munge|munged|its keys
base-image|debootstrap|debootstrap|makes the base images of containers where no registry is in reach
hosts|iproute2|ip|network namespaces, for several hosts on one machine
test|hdf5-tools|h5dump|h5dump reads the results
test|strace|strace|strace makes writes of a run fail
test|shellcheck|shellcheck|reads the scripts that `framewise job` writes
test|python3-venv|-|Python environment in which h5py and ASE read the results
test|lammps|lmp|LAMMPS, a client of the ipi calculator
compare|lammps|lmp|LAMMPS, whose rerun framewise is measured against
compare|python3-h5py-mpi|-|h5py over MPI: the scripts framewise is measured against
compare|python3-mpi4py|-|MPI for those scripts
compare|python3-numpy|-|makes the frames of comparisons
compare|libxtb-dev|-|headers for the plain C loop with xtb
compare|libkim-api-dev|-|headers for the plain C loop with OpenKIM
compare|python3-venv|-|Python environment with ASE
runtime|openmpi-bin|-|MPI: library and launcher
runtime|libhdf5-openmpi-103-1|-|parallel HDF5
runtime|libxtb6|-|the xtb calculator's library
runtime|libkim-api2|-|the kim calculator's library
runtime-mpich|mpich|-|MPI: library and launcher
runtime-mpich|libhdf5-mpich-103-1|-|parallel HDF5
runtime-mpich|libxtb6|-|the xtb calculator's library
runtime-mpich|libkim-api2|-|the kim calculator's library
container|slurm-wlm|-|SLURM, for the cluster of containers
container|munge|munged|its keys
container|openssh-server|sshd|mpirun's way to other nodes where there is no SLURM
container|openssh-client|ssh|the other end of it
container|iproute2|ip|what a node sees of its network
LIST
}

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# package_present PACKAGE COMMAND: is the package there, or what it is wanted for?
package_present() {
    case $1 in
        # Any Python that can make environments will do, not only Debian's.
        python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null && return 0 ;;
    esac
    if [ "$2" != - ] && command -v "$2" >/dev/null 2>&1; then
        return 0
    fi
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need_packages GROUP...: installs what is missing of these groups, and nothing (no root, no network) if all is there.
need_packages() {
    local wanted group package probe reason missing=()
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "Not a Debian system: see that these, or what your system calls them, are there (scripts/packages --list)."
        return 0
    fi
    while IFS='|' read -r group package probe reason; do
        for wanted in "$@"; do
            if [ "$group" = "$wanted" ] && ! package_present "$package" "$probe"; then
                missing+=("$package")
                say "missing: $package ($reason)"
            fi
        done
    done < <(framewise_packages)
    [ ${#missing[@]} -eq 0 ] && return 0

    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1; then
            as_root=(sudo)
            # Nobody is there to type a password: fail at once instead of waiting for one.
            [ -t 0 ] || as_root=(sudo -n)
        else
            die "these packages want root; run as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
        fi
    fi
    say "Installing Debian packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq || say "Not every package list could be refreshed; trying all the same."
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
        die "could not install them; run as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
}

# make_environment REQUIREMENTS ENVIRONMENT: a Python environment with these packages, made anew only when the requirements change.
make_environment() {
    if ! cmp -s "$1" "$2/installed.txt"; then
        say "Installing into $2: $(grep -v '^#' "$1" | tr '\n' ' ')"
        python3 -m venv --clear "$2" &&
            "$2/bin/pip" install --quiet --disable-pip-version-check -r "$1" &&
            cp "$1" "$2/installed.txt"
    fi
}

# need_python ROOT: a Python environment with h5py and ASE, exported as FRAMEWISE_PYTHON.
need_python() {
    local environment=${CARGO_TARGET_DIR:-$1/target}/python
    make_environment "$1/tests/requirements.txt" "$environment" ||
        die "pip could not install the packages of tests/requirements.txt: see above"
    export FRAMEWISE_PYTHON=$environment/bin/python
}

# need_readers ROOT: one with MDAnalysis, ZnH5MD and OVITO, exported as FRAMEWISE_READERS. Fails where the registry is out of reach;
# where it is in reach and the packages do not install, the script ends.
need_readers() {
    local environment=${CARGO_TARGET_DIR:-$1/target}/readers
    if ! make_environment "$1/tests/readers.txt" "$environment"; then
        if "$environment/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$environment/reached" six >/dev/null 2>&1; then
            die "pip could not install the packages of tests/readers.txt: see above"
        fi
        return 1
    fi
    export FRAMEWISE_READERS=$environment/bin/python
}

# need_tblite ROOT: a libtblite for the calculator, exported as TBLITE_DIR, unless the user has said where one is.
need_tblite() {
    local prefix=${CARGO_TARGET_DIR:-$1/target}/tblite
    if [ -z "${FRAMEWISE_TBLITE_LIBRARY-}${TBLITE_DIR-}" ]; then
        "$1/scripts/tblite" "$prefix" || die "the tests of the calculator tblite need it: see above"
        export TBLITE_DIR=$prefix
    fi
}

# need_rust ROOT: cargo is there, works, and is as new as Cargo.toml asks.
need_rust() {
    local wanted found
    # A shell that is not a login shell may miss rustup's directory.
    if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$1/Cargo.toml")
    command -v cargo >/dev/null 2>&1 ||
        die "cargo is missing: install Rust $wanted or later (https://rustup.rs), then run this again"
    found=$(cd "$1" && cargo --version | awk '{print $2}') ||
        die "cargo does not run: set up a toolchain with 'rustup default stable', then run this again"
    found=${found%%-*}
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        die "cargo is $found but framewise needs $wanted or later: run 'rustup update stable', then this again"
}

# set_launcher RANKS [MPIEXEC]: sets the array `launcher` to mpiexec with the flags this machine needs for that many ranks.
set_launcher() {
    local ranks=$1 allowed cores mpiexec=${2:-mpiexec}
    # Where several MPIs are installed, `mpiexec` may be another one's; the packages above are Open MPI's.
    if [ $# -eq 1 ] && ! mpiexec --version 2>/dev/null | grep -q -e 'Open MPI' -e OpenRTE && command -v mpiexec.openmpi >/dev/null 2>&1; then
        mpiexec=mpiexec.openmpi
    fi
    command -v "$mpiexec" >/dev/null 2>&1 || die "mpiexec is missing: install openmpi-bin, or load your cluster's MPI module"
    launcher=("$mpiexec" -n "$ranks")
    if "$mpiexec" --version 2>/dev/null | grep -q -e 'Open MPI' -e OpenRTE; then
        if [ "$(id -u)" -eq 0 ]; then launcher+=(--allow-run-as-root); fi
        # Open MPI's slots are cores, not hardware threads.
        cores=$(lscpu --parse=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l)
        # nproc knows what this process may use, but heeds OpenMP's variables too.
        allowed=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
        if [ "$cores" -eq 0 ] || [ "$cores" -gt "$allowed" ]; then cores=$allowed; fi
        if [ "$ranks" -gt "$cores" ]; then launcher+=(--oversubscribe); fi
    fi
}
