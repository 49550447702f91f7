"""The Python side of framewise: one process for each worker, which evaluates what the worker sends.

Needs nothing but NumPy, and ASE where calculators are evaluated. Standard input brings requests, what was standard
output takes the answers; whatever the user's code prints goes to standard error. Numbers are little-endian.

once      in   length (u32), JSON: role, target, keywords, fresh, scratch, rows (element, shape, together)
          out  length (u32), JSON: what was found, or {"error": why}
frames    in   b"F", frames (u32), atoms of all frames (u64); per frame: atoms (u32); per frame: cell (9 f64);
               per frame: periodic (3 u8); species (u8 each); positions (3 f64 each)
          out  per frame: status (u8: 0, 2, 3), length of the text (u32), energy (f64), stress (9 f64), and
               forces (3 f64 each) if the status is 0; the text
rows      in   b"R", rows (u32), the rows as they lie in the array
          out  per row: status (u8), length of the text (u32), the results one after the other if the status is 0; the
               text
"""
import ast
import importlib
import importlib.util
import json
import os
import signal
import struct
import sys
import traceback


def literal(text):
    """What was typed after NAME=: a Python literal, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def one_line(error):
    """The error and the last place in the user's code, in one line. The whole story goes to standard error."""
    traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    sys.stderr.flush()
    places = [place for place in traceback.extract_tb(error.__traceback__)
              if place.filename != __file__ and not place.filename.startswith("<")]
    where = f" ({os.path.basename(places[-1].filename)}:{places[-1].lineno})" if places else ""
    text = f"{type(error).__name__}: {error}"
    return " ".join(text.split()) + where


def find(target, calculator):
    """The object that `module:name`, `file.py:name` or, of ASE's own calculators, a bare name means."""
    place, colon, name = target.rpartition(":")
    if not colon:
        if not calculator:
            raise ValueError(f"{target!r}: write it as file.py:function or module:function")
        from ase.calculators.calculator import get_calculator_class
        return get_calculator_class(target)
    if place.endswith(".py"):
        path = os.path.abspath(place)
        sys.path.insert(0, os.path.dirname(path))
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            spec = importlib.util.spec_from_file_location("framewise_user", path)
            found = importlib.util.module_from_spec(spec)
            sys.modules["framewise_user"] = found
            spec.loader.exec_module(found)
        finally:
            sys.dont_write_bytecode = writes
    else:
        sys.path.insert(0, os.getcwd())
        found = importlib.import_module(place)
    for part in name.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{target} is not callable")
    return found


def failure(error):
    """Status and reason of a frame or row that has no results."""
    names = [kind.__name__ for kind in type(error).__mro__]
    unconverged = any("converge" in name.lower() or name == "SCFError" for name in names)
    return 2 if unconverged else 3, one_line(error)


class Calculator:
    """An ASE calculator."""

    def __init__(self, setup, _):
        try:
            import ase
        except ModuleNotFoundError as error:
            if error.name != "ase":
                raise
            raise ModuleNotFoundError("this Python has no ASE: install it there (pip install ase), activate the environment that has "
                                      "it, or name its python in FRAMEWISE_PYTHON") from None
        self.atoms_class = ase.Atoms
        self.make = find(setup["target"], True)
        self.keywords = {name: literal(text) for name, text in setup["keywords"].items()}
        self.fresh = setup["fresh"]
        self.calculator = self.make(**self.keywords)
        self.batch = getattr(self.calculator, "calculate_batch", None)
        if self.batch is None and not hasattr(self.calculator, "get_potential_energy"):
            kind = type(self.calculator).__name__
            raise TypeError(f"{setup['target']} makes a {kind}, which is no ASE calculator")
        self.found = {"batch": self.batch is not None, "version": f"ASE {ase.__version__}"}

    def serve(self, wire):
        count, total = wire.unpack("<IQ")
        atoms = wire.array("<u4", count)
        cells = wire.array("<f8", 9 * count).reshape(count, 3, 3)
        periodic = wire.array("u1", 3 * count).reshape(count, 3).astype(bool)
        species = wire.array("u1", total)
        positions = wire.array("<f8", 3 * total).reshape(total, 3)
        frames, end = [], 0
        for i in range(count):
            start, end = end, end + int(atoms[i])
            frames.append(self.atoms_class(numbers=species[start:end], positions=positions[start:end],
                                           cell=cells[i], pbc=periodic[i]))
        for frame, found in zip(frames, self.evaluate(frames)):
            self.answer(wire, frame, found)
        wire.flush()

    def evaluate(self, frames):
        if self.batch is None:
            return (self.alone(frame) for frame in frames)
        try:
            found = list(self.batch(frames))
            if len(found) != len(frames):
                raise ValueError(f"calculate_batch gave {len(found)} results for {len(frames)} frames")
            return found
        except BaseException as error:
            return [error] * len(frames)

    def alone(self, frame):
        """Results of one frame, as a calculator has them that remembers nothing of the frame before."""
        try:
            if self.fresh:
                self.calculator = self.make(**self.keywords)
            elif hasattr(self.calculator, "reset"):
                self.calculator.reset()
            frame.calc = self.calculator
            found = {"energy": frame.get_potential_energy(), "forces": frame.get_forces()}
            if frame.pbc.any() and "stress" in getattr(self.calculator, "implemented_properties", ["stress"]):
                from ase.calculators.calculator import PropertyNotImplementedError
                try:
                    found["stress"] = frame.get_stress(voigt=False)
                except (PropertyNotImplementedError, NotImplementedError):
                    pass
            return found
        except BaseException as error:
            return error

    @staticmethod
    def answer(wire, frame, found):
        try:
            if isinstance(found, BaseException):
                raise found
            energy = float(found["energy"])
            forces = wire.numpy.asarray(found["forces"], dtype="<f8")
            if forces.shape != (len(frame), 3):
                raise ValueError(f"forces have the shape {forces.shape}, not {(len(frame), 3)}")
            stress = wire.nothing
            if found.get("stress") is not None:
                stress = wire.numpy.asarray(found["stress"], dtype="<f8")
                if stress.shape == (6,):
                    xx, yy, zz, yz, xz, xy = stress
                    stress = wire.numpy.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
                if stress.shape != (3, 3):
                    raise ValueError(f"stress has the shape {stress.shape}, neither (3, 3) nor (6,)")
        except BaseException as error:
            wire.reason(*failure(error))
        else:
            wire.write(struct.pack("<BId", 0, 0, energy), stress.tobytes(), forces.tobytes())


class Kernel:
    """A function on rows."""

    ELEMENTS = {"i8": "i1", "i16": "<i2", "i32": "<i4", "i64": "<i8", "u8": "u1", "u16": "<u2", "u32": "<u4", "u64": "<u8",
                "f32": "<f4", "f64": "<f8", "c64": "<c8", "c128": "<c16"}

    def __init__(self, setup, numpy):
        self.numpy = numpy
        self.function = find(setup["target"], False)
        self.keywords = {name: literal(text) for name, text in setup["keywords"].items()}
        rows = setup["rows"]
        self.kind, self.shape, self.together = self.ELEMENTS[rows["element"]], tuple(rows["shape"]), rows["together"]
        self.row_elements = int(numpy.prod(self.shape, dtype=int))
        self.results = self.declared() or self.tried()
        self.found = {"version": f"NumPy {numpy.__version__}", "results": [
            {"name": name, "element": element, "shape": list(shape), "quantity": name, "unit": unit, "optional": optional}
            for name, element, shape, unit, optional in self.results]}

    def element(self, kind, name):
        kind = self.numpy.dtype(bool if kind is bool else kind)
        kind = self.numpy.dtype("u1") if kind == bool else kind
        for element, known in self.ELEMENTS.items():
            if kind == self.numpy.dtype(known):
                return element
        raise TypeError(f"result {name} is of type {kind}, which cannot be stored")

    def declared(self):
        """What the function's attribute `results` says: name -> (type, shape[, unit[, "optional"]])."""
        found = []
        for name, spec in getattr(self.function, "results", {}).items():
            kind, shape, unit, optional = (*spec, *("", "a.u.", "")[len(spec) - 1:])
            shape = (shape,) if isinstance(shape, int) else tuple(shape)
            found.append((name, self.element(kind, name), shape, unit, optional == "optional"))
        return found

    def tried(self):
        """What it makes of a row of ones."""
        row = self.numpy.ones(self.shape, dtype=self.kind)
        try:
            given = self.named(self.function(row[None] if self.together else row, **self.keywords))
        except BaseException as error:
            raise RuntimeError(f"it was called with a row of ones, to see what it gives: {one_line(error)}; "
                               "say it in its attribute results instead") from error
        found = []
        for name, value in given.items():
            value = self.numpy.asarray(value)
            shape = value.shape[1:] if self.together else value.shape
            found.append((name, self.element(value.dtype, name), shape, "a.u.", False))
        return found

    @staticmethod
    def named(given):
        if isinstance(given, dict):
            return {str(name): value for name, value in given.items()}
        if isinstance(given, tuple):
            return {f"Result_{n}": value for n, value in enumerate(given)}
        return {"Result": given}

    def serve(self, wire):
        (count,) = wire.unpack("<I")
        rows = wire.array(self.kind, count * self.row_elements).reshape(count, *self.shape)
        if not self.together:
            for row in rows:
                try:
                    packed = b"".join(self.packed(self.named(self.function(row, **self.keywords)), None))
                except BaseException as error:
                    wire.reason(*failure(error))
                else:
                    wire.write(struct.pack("<BI", 0, 0), packed)
        else:
            try:
                parts = self.packed(self.named(self.function(rows, **self.keywords)), count)
                rows = [b"".join(part[i] for part in parts) for i in range(count)]
            except BaseException as error:
                reason = failure(error)
                for _ in range(count):
                    wire.reason(*reason)
            else:
                for row in rows:
                    wire.write(struct.pack("<BI", 0, 0), row)
        wire.flush()

    def packed(self, given, count):
        """The bytes of each result; of each row of each result where many rows were given."""
        parts = []
        if len(given) > len(self.results):
            known = [name for name, *_ in self.results]
            more = next(name for name in given if name not in known)
            raise KeyError(f"result {more} is not one of those that were found at the start ({', '.join(known)}); say them in "
                           "its attribute results")
        for name, element, shape, _, _ in self.results:
            if name not in given:
                raise KeyError(f"there is no result {name}")
            value = self.numpy.asarray(given[name])
            shape = shape if count is None else (count, *shape)
            if value.shape != shape:
                raise ValueError(f"result {name} has the shape {value.shape}, not {shape}")
            value = value.astype(self.ELEMENTS[element], casting="same_kind", copy=False)
            parts.append(value.tobytes() if count is None else [row.tobytes() for row in value])
        return parts


ROLES = {"calculator": Calculator, "kernel": Kernel}


class Wire:
    """The two ends of the conversation."""

    def __init__(self):
        self.requests = os.fdopen(os.dup(0), "rb", 1 << 16)
        self.answers = os.fdopen(os.dup(1), "wb", 1 << 16)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        # Whatever the user's code, or a library of it, prints.
        os.dup2(2, 1)

    def read(self, size):
        data = self.requests.read(size)
        if len(data) != size:
            raise EOFError
        return data

    def unpack(self, form):
        return struct.unpack(form, self.read(struct.calcsize(form)))

    def array(self, kind, count):
        kind = self.numpy.dtype(kind)
        return self.numpy.frombuffer(self.read(kind.itemsize * count), dtype=kind)

    def write(self, *parts):
        for part in parts:
            self.answers.write(part)

    def reason(self, status, text):
        text = text.encode()[:4000]
        self.write(struct.pack("<BI", status, len(text)), text)

    def flush(self):
        self.answers.flush()

    def read_json(self):
        (size,) = self.unpack("<I")
        return json.loads(self.read(size))

    def write_json(self, value):
        text = json.dumps(value).encode()
        self.write(struct.pack("<I", len(text)), text)
        self.flush()


def be_deaf():
    """Signals for the job, which batch systems send to every process, are not for this one, but for what it starts."""
    me = os.getpid()

    def heard(number, _):
        if os.getpid() != me:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"):
        signal.signal(getattr(signal, name), heard)


def main():
    be_deaf()
    wire = Wire()
    setup = wire.read_json()
    try:
        try:
            import numpy
        except ImportError as error:
            raise ImportError(f"NumPy is missing in {sys.executable}: {error}") from None
        wire.numpy = numpy
        wire.nothing = numpy.full((3, 3), numpy.nan)
        worker = ROLES[setup["role"]](setup, numpy)
    except BaseException as error:
        wire.write_json({"error": one_line(error)})
        return
    # Calculators that write files write them here.
    os.chdir(setup["scratch"])
    found = {"python": sys.version.split()[0], "executable": sys.executable}
    wire.write_json({**found, **worker.found})
    while True:
        try:
            wire.read(1)
        except EOFError:
            return
        worker.serve(wire)


main()
