"""Is a result what a plain ASE script computes? usage: ase_oracle.py RESULT emt|lj

Every frame of the result's own geometry, by a calculator in this process: the same bits.
"""
import sys

import h5py
import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

path, name = sys.argv[1:3]
with h5py.File(path) as file:
    particles = file["particles/trajectory"]
    positions = particles["position/value"][()]
    species = particles["species/value"][()]
    cells = particles["box/edges/value"][()]
    boundary = particles["box"].attrs["boundary"]
    energy = file["observables/trajectory/energy/value"][()]
    stress = file["observables/trajectory/stress/value"][()]
    forces = file["particles/trajectory/forces/value"][()]
    status = file["parameters/framewise/status"][()]
periodic = [(b.decode() if isinstance(b, bytes) else b) == "periodic" for b in boundary]
assert (status == 0).all(), status
calculator = EMT() if name == "emt" else LennardJones(epsilon=0.0104, sigma=3.4, rc=8.5)
for i, r in enumerate(positions):
    atoms = Atoms(numbers=species[i], positions=r, cell=cells[i], pbc=periodic)
    calculator.reset()
    atoms.calc = calculator
    assert atoms.get_potential_energy() == energy[i], (i, atoms.get_potential_energy(), energy[i])
    assert (atoms.get_forces() == forces[i]).all(), i
    if any(periodic):
        assert (atoms.get_stress(voigt=False) == stress[i]).all(), (i, atoms.get_stress(voigt=False), stress[i])
    else:
        assert np.isnan(stress[i]).all(), i
print(len(positions), "frames as ASE has them")
