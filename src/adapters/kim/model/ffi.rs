//! One model: what it wants, and its evaluation.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{null, null_mut};

use crate::adapters::kim::library::ffi::{
    Api, Function, Handle, LIBRARY, Named, SAID, lock, said, text, zero_terminated,
};
use crate::domain::neighbors::Cluster;

/// What the library calls the units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// Of lengths.
    pub length: String,
    /// Of energies.
    pub energy: String,
}

/// A model with its arguments, on one thread.
pub struct Model {
    api: &'static Api,
    handle: Handle,
    arguments: Handle,
    names: Arguments,
    numbers: Box<Numbers>,
    /// Where it was told last that its arguments are: particles, codes, contributing, coordinates, energy, forces, lists.
    told: [usize; 7],
}

/// Of an evaluation: single numbers, at places of their own.
#[derive(Default)]
struct Numbers {
    particles: Cell<c_int>,
    energy: Cell<f64>,
}

/// The arguments of an evaluation, as the library calls them.
#[derive(Clone, Copy)]
struct Arguments {
    particles: Named,
    codes: Named,
    contributing: Named,
    coordinates: Named,
    energy: Named,
    forces: Named,
    neighbors: Named,
    c: Named,
}

/// A neighbour list as the model wants it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// In the model's unit of length.
    pub cutoff: f64,
    /// The model may ask for neighbours of particles that do not contribute.
    pub of_ghosts: bool,
}

impl Model {
    /// Creates the model, asking for these units; it may answer with others, see [`units`](Self::units).
    pub fn new(
        api: &'static Api,
        name: &str,
        length: &CStr,
        energy: &CStr,
    ) -> Result<Self, String> {
        let name = zero_terminated(name)?;
        let _guard = lock(&LIBRARY);
        let mut model = null_mut();
        let failed = api.listening(|| {
            let mut accepted = 0;
            // SAFETY: texts that end with a zero; the library fills in a flag and a handle.
            unsafe {
                (api.create_model)(
                    (api.numbering)(c"zeroBased".as_ptr()),
                    (api.length_unit)(length.as_ptr()),
                    (api.energy_unit)(energy.as_ptr()),
                    (api.charge_unit)(c"e".as_ptr()),
                    (api.temperature_unit)(c"K".as_ptr()),
                    (api.time_unit)(c"ps".as_ptr()),
                    name.as_ptr(),
                    &raw mut accepted,
                    &raw mut model,
                ) != 0
            }
        });
        if failed {
            return Err(said("it cannot be created"));
        }
        let mut arguments = null_mut();
        // SAFETY: a live model; its own log falls silent, and so is that of what is created now.
        let failed = unsafe {
            (api.push_model_verbosity)(model, api.silent());
            (api.create_arguments)(model, &raw mut arguments) != 0
        };
        if failed {
            // SAFETY: a live model, destroyed once.
            unsafe { (api.destroy_model)(&raw mut model) };
            return Err("it cannot be created: it has no arguments".into());
        }
        // SAFETY: texts that end with a zero.
        let names = unsafe {
            Arguments {
                particles: (api.argument)(c"numberOfParticles".as_ptr()),
                codes: (api.argument)(c"particleSpeciesCodes".as_ptr()),
                contributing: (api.argument)(c"particleContributing".as_ptr()),
                coordinates: (api.argument)(c"coordinates".as_ptr()),
                energy: (api.argument)(c"partialEnergy".as_ptr()),
                forces: (api.argument)(c"partialForces".as_ptr()),
                neighbors: (api.callback)(c"GetNeighborList".as_ptr()),
                c: (api.language)(c"c".as_ptr()),
            }
        };
        Ok(Self {
            api,
            handle: model,
            arguments,
            names,
            numbers: Box::default(),
            told: [0; 7],
        })
    }

    /// The units of everything that the model takes and gives.
    pub fn units(&self) -> Units {
        let mut units = [Named(0); 5];
        let [length, energy, charge, temperature, time] = &mut units;
        // SAFETY: a live model; the library fills in five values.
        unsafe {
            (self.api.units)(self.handle, length, energy, charge, temperature, time);
            Units {
                length: text((self.api.length_unit_text)(*length)),
                energy: text((self.api.energy_unit_text)(*energy)),
            }
        }
    }

    /// How far the surroundings of an atom matter, in the model's unit of length.
    pub fn influence(&self) -> f64 {
        let mut distance = f64::NAN;
        // SAFETY: a live model; the library fills in a number.
        unsafe { (self.api.influence)(self.handle, &raw mut distance) };
        distance
    }

    /// The neighbour lists that it wants.
    pub fn neighbor_lists(&self) -> Vec<Wanted> {
        let (mut count, mut cutoffs, mut without) = (0, null(), null());
        // SAFETY: a live model; the arrays have `count` elements and live as long as it does.
        unsafe {
            (self.api.neighbor_lists)(
                self.handle,
                &raw mut count,
                &raw mut cutoffs,
                &raw mut without,
            );
            let count = if cutoffs.is_null() || without.is_null() {
                0
            } else {
                count
            };
            (0..count.max(0) as usize)
                .map(|n| Wanted {
                    cutoff: *cutoffs.add(n),
                    of_ghosts: *without.add(n) == 0,
                })
                .collect()
        }
    }

    /// The number by which it knows a species; `None` if it does not.
    pub fn code(&self, symbol: &str) -> Option<c_int> {
        let symbol = CString::new(symbol).ok()?;
        let (mut supported, mut code) = (0, 0);
        // SAFETY: a live model and a text that ends with a zero; the library fills in two numbers.
        let failed = unsafe {
            let species = (self.api.species)(symbol.as_ptr());
            (self.api.species_code)(self.handle, species, &raw mut supported, &raw mut code)
        };
        (failed == 0 && supported != 0).then_some(code)
    }

    /// What it says of an argument: `required`, `optional`, `notSupported`.
    pub fn argument_is(&self, argument: &CStr, status: &CStr) -> bool {
        let mut found = Named(0);
        // SAFETY: live arguments and texts that end with a zero.
        unsafe {
            let name = (self.api.argument)(argument.as_ptr());
            let known = (self.api.argument_status)(self.arguments, name, &raw mut found) == 0;
            known && found == (self.api.status)(status.as_ptr())
        }
    }

    /// As [`argument_is`](Self::argument_is), of a callback.
    pub fn callback_is(&self, callback: &CStr, status: &CStr) -> bool {
        let mut found = Named(0);
        // SAFETY: live arguments and texts that end with a zero.
        unsafe {
            let name = (self.api.callback)(callback.as_ptr());
            let known = (self.api.callback_status)(self.arguments, name, &raw mut found) == 0;
            known && found == (self.api.status)(status.as_ptr())
        }
    }

    /// Evaluates a cluster at `coordinates` (in the model's unit), with a species code and 1 (atom) or 0 (ghost) for each
    /// particle. Fills `forces` on all particles and returns the energy, in the model's units.
    ///
    /// The error is the model's own message, in one line.
    pub fn compute(
        &mut self,
        cluster: &Cluster,
        coordinates: &[[f64; 3]],
        codes: &[c_int],
        contributing: &[c_int],
        forces: &mut [[f64; 3]],
    ) -> Result<f64, String> {
        let count = cluster.len();
        let lengths = [
            coordinates.len(),
            codes.len(),
            contributing.len(),
            forces.len(),
        ];
        let Some(particles) = c_int::try_from(count)
            .ok()
            .filter(|_| lengths == [count; 4])
        else {
            return Err("lengths of the arrays differ".into());
        };
        self.numbers.particles.set(particles);
        self.numbers.energy.set(0.0);
        self.tell(cluster, coordinates, codes, contributing, forces)?;
        let (api, arguments) = (self.api, self.arguments);
        // SAFETY: a live model with all arguments set, of this thread alone.
        if unsafe { (api.compute)(self.handle, arguments) } == 0 {
            return Ok(self.numbers.energy.get());
        }
        // Once more, to hear why.
        let _guard = lock(&LIBRARY);
        lock(&SAID).clear();
        // SAFETY: as above; nobody else logs meanwhile.
        unsafe {
            let error = (api.verbosity)(c"error".as_ptr());
            (api.push_model_verbosity)(self.handle, error);
            (api.push_arguments_verbosity)(arguments, error);
            (api.compute)(self.handle, arguments);
            (api.pop_arguments_verbosity)(arguments);
            (api.pop_model_verbosity)(self.handle);
        }
        Err(said("it cannot evaluate the frame"))
    }

    /// Says where the arguments are, if they are not where they were: the library composes a text for its log each time.
    /// All are as long as there are particles.
    fn tell(
        &mut self,
        cluster: &Cluster,
        coordinates: &[[f64; 3]],
        codes: &[c_int],
        contributing: &[c_int],
        forces: &mut [[f64; 3]],
    ) -> Result<(), String> {
        let (api, names, arguments) = (self.api, &self.names, self.arguments);
        let (particles, energy) = (
            self.numbers.particles.as_ptr(),
            self.numbers.energy.as_ptr(),
        );
        let coordinates = coordinates.as_flattened().as_ptr();
        let forces = forces.as_flattened_mut().as_mut_ptr();
        let data = std::ptr::from_ref(cluster).cast_mut().cast::<c_void>();
        // Exposed each time: what the library keeps are addresses, good for what is there now.
        let told = [
            particles.expose_provenance(),
            codes.as_ptr().expose_provenance(),
            contributing.as_ptr().expose_provenance(),
            coordinates.expose_provenance(),
            energy.expose_provenance(),
            forces.expose_provenance(),
            data.expose_provenance(),
        ];
        if told == self.told {
            return Ok(());
        }
        self.told = [0; 7];
        // SAFETY: live arguments, of this thread alone. The library looks at what they point to only while it evaluates,
        // and before each evaluation it is told where they are then, unless it knows. `neighbors_of` is of the type of
        // that callback, and reads `data` as the cluster that it is.
        let unset = unsafe {
            let callback = std::mem::transmute::<GetNeighbors, Function>(neighbors_of);
            (api.set_integer)(arguments, names.particles, particles)
                | (api.set_integer)(arguments, names.codes, codes.as_ptr())
                | (api.set_integer)(arguments, names.contributing, contributing.as_ptr())
                | (api.set_double)(arguments, names.coordinates, coordinates)
                | (api.set_double)(arguments, names.energy, energy)
                | (api.set_double)(arguments, names.forces, forces)
                | (api.set_callback)(arguments, names.neighbors, names.c, callback, data)
        };
        if unset != 0 {
            return Err("it does not take its arguments".into());
        }
        self.told = told;
        Ok(())
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _guard = lock(&LIBRARY);
        // SAFETY: live handles, destroyed once, the arguments before the model they belong to.
        unsafe {
            (self.api.destroy_arguments)(self.handle, &raw mut self.arguments);
            (self.api.destroy_model)(&raw mut self.handle);
        }
    }
}

type GetNeighbors = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    *const f64,
    c_int,
    c_int,
    *mut c_int,
    *mut *const c_int,
) -> c_int;

/// Hands out one list of the cluster `data`; 1 when there is no such list.
unsafe extern "C" fn neighbors_of(
    data: *mut c_void,
    _lists: c_int,
    _cutoffs: *const f64,
    list: c_int,
    particle: c_int,
    count: *mut c_int,
    neighbors: *mut *const c_int,
) -> c_int {
    // SAFETY: `data` is the cluster that was set for this evaluation.
    let cluster = unsafe { &*data.cast::<Cluster>() };
    let (Ok(list), Ok(particle)) = (usize::try_from(list), usize::try_from(particle)) else {
        return 1;
    };
    let Some(found) = cluster.neighbors(list, particle) else {
        return 1;
    };
    // SAFETY: the library hands over places for a number and a pointer; the list lives as long as the evaluation.
    unsafe {
        *count = found.len() as c_int;
        *neighbors = found.as_ptr();
    }
    0
}
