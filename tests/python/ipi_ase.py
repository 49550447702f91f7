"""ASE's SocketClient, and what ASE computes in process of the same frames.

usage: ipi_ase.py client SOCKET            in the folder of the client, where frame.xyz is
       ipi_ase.py check RESULT.h5          every frame of the result against ASE in this process
"""

import sys

from ase.calculators.lj import LennardJones

CALCULATOR = dict(epsilon=0.0104, sigma=3.4, rc=8.5, smooth=False)


def client(socket):
    from ase.calculators.socketio import SocketClient
    from ase.io import read

    atoms = read("frame.xyz")
    atoms.calc = LennardJones(**CALCULATOR)
    SocketClient(unixsocket=socket).run(atoms, use_stress=bool(atoms.pbc.any()))


def check(path):
    import h5py
    import numpy as np
    from ase import Atoms
    from ase.units import Bohr, Ha

    with h5py.File(path) as file:
        particles = file["particles/trajectory"]
        positions = particles["position/value"][:]
        frames = len(positions)
        edges = np.broadcast_to(particles["box/edges/value"][:], (frames, 3, 3))
        energies = file["observables/trajectory/energy/value"][:]
        stresses = file["observables/trajectory/stress/value"][:]
        forces = particles["forces/value"][:]
    for i in range(frames):
        # As they come out of the socket.
        there = lambda x: x / Bohr * Bohr
        atoms = Atoms("Ar" * positions.shape[1], there(positions[i]), cell=there(edges[i]), pbc=True)
        atoms.calc = LennardJones(**CALCULATOR)
        energy = atoms.get_potential_energy() / Ha * Ha
        assert energies[i] == energy, (i, energies[i], energy)
        scale = np.abs(atoms.get_forces()).max()
        np.testing.assert_allclose(forces[i], atoms.get_forces(), rtol=1e-15, atol=1e-15 * scale)
        stress = atoms.get_stress(voigt=False)
        np.testing.assert_allclose(stresses[i], stress, rtol=1e-12, atol=1e-12 * np.abs(stress).max())
    print(frames, "frames agree")


{"client": client, "check": check}[sys.argv[1]](sys.argv[2])
