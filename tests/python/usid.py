"""pyUSID and sidpy read what `framewise map` wrote.

usage: usid.py RESULT GROUP ROWS COMPLETED DATASET=SHAPE...
COMPLETED: so many rows are completed; SHAPE: of the N-dimensional form, positions and spectrum, as 5x7x2.
"""
import sys
import warnings

import h5py
import numpy as np

warnings.filterwarnings("ignore")
import pyUSID  # noqa: E402
from pyUSID.io.hdf_utils import check_for_old, check_if_main, get_all_main  # noqa: E402
from sidpy.hdf.hdf_utils import get_attr, get_attributes  # noqa: E402

result, name, rows, completed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with h5py.File(result) as file:
    group = file[name]
    done = group["completed_positions"]
    assert done.dtype == np.uint8 and done.shape == (rows,), done
    assert done[:].sum() == completed, done[:]
    assert (done[:] == (file["/parameters/framewise/status"][:] == 0)).all()
    assert {main.name for main in get_all_main(group)} == {f"{group.name}/{a.split('=')[0]}" for a in sys.argv[5:]}
    for expected in sys.argv[5:]:
        dataset, shape = expected.split("=")
        assert check_if_main(group[dataset], verbose=True)
        main = pyUSID.USIDataset(group[dataset])
        values = np.squeeze(main.get_n_dim_form())
        wanted = tuple(n for n in map(int, shape.split("x")) if n != 1)
        assert tuple(sorted(values.shape)) == tuple(sorted(wanted)), (dataset, values.shape)
        missing = np.isnan(group[dataset][:]).any(axis=1)
        assert (missing == (done[:] == 0)).all(), dataset
        assert get_attr(main, "units") and get_attr(main, "quantity")
    attributes = get_attributes(group)
    tool = attributes["tool"]
    for needed in ["timestamp", "machine_id", "platform", "algorithm", "source_file_path", "source_dataset_path"]:
        assert attributes[needed], needed
    with h5py.File(attributes["source_file_path"]) as source:
        dataset = source[attributes["source_dataset_path"]]
        # As pyUSID's Process looks for what has been done before.
        found = check_for_old(dataset, tool, {}, h5_parent_goup=group.parent)
        assert [g.name for g in found] == [group.name], found
