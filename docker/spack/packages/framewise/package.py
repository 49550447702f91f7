# Spack's recipe; docker/README.md says how it is used.
from spack.package import *
from spack_repo.builtin.build_systems.cargo import CargoPackage


class Framewise(CargoPackage):
    """Evaluates every frame of a trajectory with a calculator, on any number of MPI ranks, into one HDF5 file."""

    license("MIT OR Apache-2.0")

    # The sources are a clone, given by dev_path.
    version("main", branch="main")

    variant("chemfiles", default=True, description="import of DCD, XTC, TRR, NetCDF, PDB...")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+chemfiles")
    depends_on("cmake", type="build", when="+chemfiles")
    depends_on("rust@1.91:", type="build")
    depends_on("pkgconfig", type="build")
    # bindgen reads MPI's headers with libclang.
    depends_on("llvm+clang", type="build")
    depends_on("mpi")
    depends_on("hdf5@1.10.2:+mpi")

    @property
    def build_args(self):
        features = ["--features", "chemfiles"] if self.spec.satisfies("+chemfiles") else []
        return ["--locked", "--bin", "framewise"] + features

    def setup_build_environment(self, env):
        hdf5 = self.spec["hdf5"]
        env.set("MPICC", self.spec["mpi"].mpicc)
        env.set("HDF5_DIR", hdf5.prefix)
        env.set("LIBCLANG_PATH", self.spec["llvm"].prefix.lib)
        # The crate of HDF5 says where the library is when it links, and not when the program starts.
        env.append_flags("RUSTFLAGS", "-C link-arg=-Wl,-rpath," + hdf5.prefix.lib)
