//! `ipi`: any program that speaks the socket protocol of i-PI, as its server.
//!
//! Each worker has clients of its own, one for each list of species: the protocol does not tell them. They are started
//! for a frame, work in a scratch folder ([`program`](super::program)) and are asked for the frames that come after.
//! What goes wrong with one costs the frame that it was asked for; the next frame gets another one. Where none has ever
//! come up, the job ends: there is something wrong with the command.

mod client;
mod extra;
mod parameters;
mod place;
mod protocol;
mod room;
mod template;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::Xxh3;

use crate::adapters::mpi::launcher::promised_rank;
use crate::domain::calculator::{Calculator, Factory, Failure, Results};
use crate::domain::elements::symbol;
use crate::domain::frame::{Frame, all_finite};

use client::Client;
use extra::Extras;
use place::Place;
use protocol::{Answer, Question, Trouble};
use room::{Room, View};

pub use parameters::KIND;

/// How often a client that dies at its start is started, and how long to wait meanwhile.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// After so many frames in a row for which no client comes up any more, there will be none for the others.
const LAST: u32 = 3;

/// What kind of socket clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Unix,
    Inet,
}

/// Whether the virial of clients is a stress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Virial {
    /// Unless it is zero throughout: what clients send that compute none.
    Auto,
    Always,
    Never,
}

/// All that clients of a job have in common.
#[derive(Debug)]
struct Engine {
    mode: Mode,
    /// The words that start a client; without them others do, who connect to `address`.
    command: Option<Vec<String>>,
    address: Option<String>,
    /// Where the job was started.
    here: PathBuf,
    /// Files that each client finds in its folder, by name.
    files: Vec<(String, Vec<u8>)>,
    start_timeout: Duration,
    frame_timeout: Option<Duration>,
    /// Clients that a worker keeps.
    clients: usize,
    /// Each frame gets a new client.
    fresh: bool,
    view: View,
    virial: Virial,
    /// Bohr in Å and Hartree in eV, as the clients have them.
    bohr: f64,
    hartree: f64,
    extra: Option<PathBuf>,
    /// Some client has come up.
    proven: AtomicBool,
    /// It is being tried whether one does, before the job: a signal ends that.
    trying: AtomicBool,
    /// Where clients that others start connect, to any worker of this process.
    door: Mutex<Option<Arc<Place>>>,
}

impl Engine {
    /// Where clients that others start connect. Rank r takes the r-th port after the one given, or `NAME-r`.
    fn open_door(&self) -> Result<Arc<Place>, String> {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = &*door {
            return Ok(Arc::clone(place));
        }
        let address = self.address.as_deref().unwrap_or_default();
        let rank = promised_rank().unwrap_or(0);
        let opened = match self.mode {
            Mode::Unix if rank == 0 => Place::named(address),
            Mode::Unix => Place::named(&format!("{address}-{rank}")),
            Mode::Inet => place::host_and_port(address).and_then(|(host, port)| {
                let port = usize::from(port) + rank;
                let port = u16::try_from(port).map_err(std::io::Error::other)?;
                Place::port(&host, port)
            }),
        };
        let place = opened.map_err(|e| format!("cannot listen at {address} (rank {rank}): {e}"))?;
        tracing::info!("rank {rank} awaits clients of i-PI at {}", place.name);
        Ok(Arc::clone(door.insert(Arc::new(place))))
    }
}

struct Clients {
    engine: Arc<Engine>,
    /// A client that was started to see whether there can be any; the first worker gets it.
    first: Mutex<Option<Client>>,
}

impl Clients {
    fn worker(&self, extras: Option<Extras>) -> Ipi {
        let mut clients = Vec::with_capacity(self.engine.clients);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        clients.extend(first.take());
        let came = clients.first().map(|client| client.species.clone());
        Ipi {
            clients,
            engine: Arc::clone(&self.engine),
            room: Room::default(),
            positions: Vec::new(),
            refused: Vec::new(),
            came: came.unwrap_or_default(),
            failures: 0,
            extras,
        }
    }
}

impl Factory for Clients {
    fn identity(&self) -> Vec<(&'static str, String)> {
        if self.engine.files.is_empty() {
            return Vec::new();
        }
        let mut hash = Xxh3::new();
        for (name, content) in &self.engine.files {
            for part in [name.as_bytes(), content] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        vec![("files_xxh3", format!("{:016x}", hash.digest()))]
    }

    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        let engine = &self.engine;
        if engine.address.is_some() {
            engine.open_door()?;
        }
        let extras = engine.extra.as_deref().map(Extras::begin).transpose()?;
        Ok(Box::new(self.worker(extras)))
    }

    fn try_out(&self, frame: &Frame<'_>) -> Result<(), String> {
        if let Some(folder) = &self.engine.extra {
            Extras::check(folder)?;
        }
        // Those of others come when they are told where to.
        if self.engine.command.is_none() {
            return Ok(());
        }
        let mut worker = self.worker(None);
        if worker.room.place(&self.engine.view, frame).is_err() {
            return Ok(());
        }
        self.engine.trying.store(true, Ordering::Relaxed);
        let begun = worker.begin(frame);
        self.engine.trying.store(false, Ordering::Relaxed);
        match begun {
            Ok(client) => {
                let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                *first = Some(client);
                Ok(())
            }
            Err(Failure::Unavailable(why) | Failure::Failed(why) | Failure::NotConverged(why)) => {
                Err(why)
            }
        }
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        match species.iter().find(|z| symbol(**z) == "?") {
            None => Ok(()),
            Some(z) => Err(format!("no element has the atomic number {z}")),
        }
    }

    fn leeway(&self) -> Duration {
        // A client that does not answer is replaced before the frame is given to it.
        self.engine.start_timeout + self.engine.frame_timeout.unwrap_or_default()
    }
}

/// The server of one worker.
struct Ipi {
    engine: Arc<Engine>,
    /// The one used last comes last.
    clients: Vec<Client>,
    room: Room,
    /// In Bohr.
    positions: Vec<[f64; 3]>,
    /// The species for which no client came up last time.
    refused: Vec<u8>,
    /// The species for which one came up last.
    came: Vec<u8>,
    /// Frames in a row for which none came up although one did for the same species.
    failures: u32,
    extras: Option<Extras>,
}

impl Calculator for Ipi {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        let engine = Arc::clone(&self.engine);
        let placed = self.room.place(&engine.view, frame);
        placed.map_err(Failure::Failed)?;
        self.positions.clear();
        let bohr = |r: &[f64; 3]| r.map(|x| x / engine.bohr);
        self.positions.extend(self.room.positions.iter().map(bohr));
        let cell = &self.room.cell;
        let (vectors, reciprocal) = (
            cell.vectors.map(|v| bohr(&v)),
            cell.reciprocal().map(|v| v.map(|x| x * engine.bohr)),
        );
        let limit = engine.frame_timeout;
        let mut client = self.client_for(frame)?;
        let ask = |client: &mut Client, positions: &[[f64; 3]], forces: &mut [[f64; 3]]| {
            let question = Question {
                vectors,
                reciprocal,
                positions,
            };
            client.ask(&question, forces, limit)
        };
        let mut answer = ask(&mut client, &self.positions, results.forces);
        if matches!(answer, Err(Trouble::Gone(_))) {
            // It left after the frame before; this one was not told yet.
            drop(client);
            client = self.begin(frame)?;
            answer = ask(&mut client, &self.positions, results.forces);
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => return Err(Failure::Failed(client.explain(trouble, limit))),
        };
        if let Err(what) = self.take(&answer, frame, results) {
            client.distrust();
            return Err(Failure::Failed(format!("{what}{}", client.said())));
        }
        if let Some(extras) = &mut self.extras {
            let kept = extras.keep(results, client.extra());
            kept.map_err(Failure::Failed)?;
        }
        if !engine.fresh {
            self.clients.push(client);
        }
        Ok(())
    }
}

impl Ipi {
    /// The client that was started for frames like this one, or a new one. It is out of the list while it is asked.
    fn client_for(&mut self, frame: &Frame<'_>) -> Result<Client, Failure> {
        let fits = |client: &Client| {
            client.species == frame.species && client.periodic == frame.cell.periodic
        };
        if let Some(at) = self.clients.iter().rposition(fits) {
            return Ok(self.clients.remove(at));
        }
        while self.clients.len() >= self.engine.clients {
            self.clients.remove(0);
        }
        self.begin(frame)
    }

    fn begin(&mut self, frame: &Frame<'_>) -> Result<Client, Failure> {
        let engine = &self.engine;
        let attempts = if self.refused == frame.species {
            1
        } else {
            ATTEMPTS
        };
        let begun = Instant::now();
        let mut reason = String::new();
        for attempt in 0..attempts {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            match Client::begin(engine, frame.species, &self.room) {
                Ok(client) => {
                    engine.proven.store(true, Ordering::Relaxed);
                    self.refused.clear();
                    self.came.clear();
                    self.came.extend_from_slice(frame.species);
                    self.failures = 0;
                    return Ok(client);
                }
                Err(why) => reason = why,
            }
            if begun.elapsed() >= engine.start_timeout {
                break;
            }
        }
        self.refused.clear();
        self.refused.extend_from_slice(frame.species);
        if self.came == frame.species {
            self.failures += 1;
        }
        // Species may be at fault, or a frame; not when clients for the same ones came up before.
        if engine.proven.load(Ordering::Relaxed) && self.failures < LAST {
            return Err(Failure::Failed(reason));
        }
        Err(Failure::Unavailable(reason))
    }

    /// Takes over an answer: energy, and forces that are there already, in atomic units and the client's system.
    fn take(
        &self,
        answer: &Answer,
        frame: &Frame<'_>,
        results: &mut Results<'_>,
    ) -> Result<(), String> {
        let Engine { bohr, hartree, .. } = *self.engine;
        if !answer.energy.is_finite() {
            return Err(format!("the energy is not finite ({})", answer.energy));
        }
        if !all_finite(results.forces.as_flattened()) {
            let atom = results.forces.iter().position(|f| !all_finite(f));
            let atom = atom.unwrap_or_default();
            return Err(format!("the force on atom {atom} is not finite"));
        }
        *results.energy = answer.energy * hartree;
        for force in results.forces.iter_mut() {
            *force = self.room.vector_back(force.map(|x| x * (hartree / bohr)));
        }
        // Of the cell that was given, as every calculator has it.
        let volume = frame.cell.volume();
        if !frame.cell.is_periodic() || volume == 0.0 || !self.is_stress(answer) {
            return Ok(());
        }
        let virial = answer.virial.map(|row| row.map(|x| x * hartree));
        if !all_finite(virial.as_flattened()) {
            return Err("the virial is not finite".into());
        }
        let virial = self.room.matrix_back(virial);
        *results.stress = virial.map(|row| row.map(|x| -x / volume));
        Ok(())
    }

    fn is_stress(&self, answer: &Answer) -> bool {
        match self.engine.virial {
            Virial::Always => true,
            Virial::Never => false,
            Virial::Auto => answer.virial.as_flattened().iter().any(|x| *x != 0.0),
        }
    }
}
