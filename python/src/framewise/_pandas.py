"""A pandas frame of what is one number for each frame or row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._errors import FramewiseError
from ._file import text
from ._status import Status

if TYPE_CHECKING:
    import pandas as pd

    from ._result import Result


def frame_of_scalars(result: Result) -> pd.DataFrame:
    """Columns of ``result``, its frames or rows as index."""
    try:
        import pandas as pd
    except ImportError as error:
        raise FramewiseError("to_pandas needs pandas: pip install pandas") from error
    codes = result.status[()]
    columns: dict[str, Any] = {"status": pd.Categorical([_word(code) for code in codes], [_word(s) for s in Status])}
    if result.group is None:
        columns |= _of_frames(result, codes == Status.COMPLETED)
    else:
        scalars = {name: values for name, values in result.results.items() if values.shape[1] == 1}
        columns |= {name: values[:, 0] for name, values in scalars.items()}
    columns["seconds"] = result.seconds[()]
    columns["message"] = [text(line) for line in result.message[()]]
    index = pd.RangeIndex(len(result), name="row" if result.group else "frame")
    return pd.DataFrame(columns, index=index)


def _word(code: int) -> str:
    try:
        return Status(int(code)).name.lower()
    except ValueError:
        return f"unknown ({code})"


def _of_frames(result: Result, completed: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    n_atoms = result.n_atoms
    energy = np.where(completed, result.energy[()], np.nan)
    max_force = np.full(len(result), np.nan)
    volume = np.full(len(result), np.nan)
    for frame in result:
        if frame.completed and len(frame):
            max_force[frame.index] = np.sqrt((frame.forces**2).sum(axis=1)).max()
        if frame.pbc.all():
            volume[frame.index] = abs(np.linalg.det(frame.cell))
    return {
        "n_atoms": n_atoms,
        "energy": energy,
        "energy_per_atom": np.divide(energy, n_atoms, out=np.full(len(result), np.nan), where=n_atoms > 0),
        "max_force": max_force,
        "volume": volume,
    }
