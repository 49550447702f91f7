//! One client: started or awaited, asked, and sent home.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::adapters::program::{Order, Program, Scratch, find, is_late};
use crate::adapters::signals;

use super::place::{LOOPBACK, Place, Stream};
use super::protocol::{Answer, Conversation, Question, Trouble};
use super::room::Room;
use super::template::{self, fill};
use super::{Engine, Mode};

/// How often it is looked whether a client that has not connected still runs.
const LOOK: Duration = Duration::from_millis(5);
/// How long a client may take to leave when it was told to.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long it may take to hear that.
const GOODBYE: Duration = Duration::from_millis(100);
/// Names of scratch folders are unique where these are, which need not be where sockets are.
const TRIES: usize = 8;

/// A client that has said that it is ready.
pub(super) struct Client {
    /// What it was started for.
    pub species: Vec<u8>,
    pub periodic: [bool; 3],
    conversation: Conversation<Stream>,
    /// Before its place: it is ended before that vanishes.
    program: Option<Program>,
    _place: Option<Place>,
    /// It is in a state in which it can be told to leave.
    orderly: bool,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.conversation.within(Some(GOODBYE));
        if !self.orderly || self.conversation.exit().is_err() {
            return;
        }
        if let Some(program) = &mut self.program {
            let end = Instant::now() + FAREWELL;
            while program.runs() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Client {
    /// Starts a client for frames like this one, or awaits one that others start.
    pub fn begin(engine: &Engine, species: &[u8], room: &Room) -> Result<Self, String> {
        let end = Instant::now() + engine.start_timeout;
        let (stream, program, place) = if let Some(words) = &engine.command {
            let (mut program, place) = start(engine, words, species, room)?;
            let stream = await_program(engine, &mut program, &place, end)?;
            (stream, Some(program), Some(place))
        } else {
            (await_others(engine, end)?, None, None)
        };
        let conversation = Conversation::new(stream).map_err(|e| e.to_string())?;
        let mut client = Self {
            species: species.to_vec(),
            periodic: room.cell.periodic,
            conversation,
            program,
            _place: place,
            orderly: false,
        };
        let left = end.saturating_duration_since(Instant::now());
        client.conversation.within(Some(left));
        match client.conversation.ready() {
            Ok(()) => {}
            Err(Trouble::Gone(error) | Trouble::Broken(error)) if is_late(&error) => {
                return Err(format!("{}{}", too_long(engine), client.said()));
            }
            Err(trouble) => return Err(client.explain(trouble, None)),
        }
        client.orderly = true;
        Ok(client)
    }

    /// Asks for the forces of a frame, which may take `limit`.
    pub fn ask(
        &mut self,
        question: &Question<'_>,
        forces: &mut [[f64; 3]],
        limit: Option<Duration>,
    ) -> Result<Answer, Trouble> {
        self.orderly = false;
        self.conversation.within(limit);
        let answer = self.conversation.ask(question, forces)?;
        self.orderly = true;
        Ok(answer)
    }

    /// The text that came with the last forces.
    pub fn extra(&self) -> &[u8] {
        &self.conversation.extra
    }

    /// Why there is no answer, and the end of what it has printed.
    pub fn explain(&mut self, trouble: Trouble, limit: Option<Duration>) -> String {
        match trouble {
            Trouble::Gone(error) | Trouble::Broken(error) if is_late(&error) => {
                let seconds = limit.unwrap_or_default().as_secs_f64();
                let said = self.said();
                format!("took longer than --frame-timeout ({seconds} s){said}")
            }
            Trouble::Gone(_) | Trouble::Broken(_) => match &mut self.program {
                Some(program) => format!("the client {}", program.farewell()),
                None => "the client closed its connection".into(),
            },
            Trouble::Nonsense(what) => {
                format!(
                    "the client does not keep to the protocol: {what}{}",
                    self.said()
                )
            }
        }
    }

    /// The end of what it has printed, to stand behind a reason.
    pub fn said(&mut self) -> String {
        self.program
            .as_mut()
            .map_or_else(String::new, Program::said)
    }

    /// It is not to be trusted any more.
    pub fn distrust(&mut self) {
        self.orderly = false;
    }
}

fn too_long(engine: &Engine) -> String {
    let seconds = engine.start_timeout.as_secs_f64();
    format!("the client was not ready within start_timeout ({seconds} s)")
}

/// Starts the program, and says where it finds us.
fn start(
    engine: &Engine,
    words: &[String],
    species: &[u8],
    room: &Room,
) -> Result<(Program, Place), String> {
    let (scratch, place) = place_for(engine.mode)?;
    let folder = scratch.path();
    let told = Told::of(engine, &place, folder, species, room);
    let prepared = told.write_files(engine, species, room);
    prepared.map_err(|e| format!("cannot write into {}: {e}", folder.display()))?;
    let mut words: Vec<OsString> = words.iter().map(|w| told.fill(w).into()).collect();
    // It starts in another folder.
    if let Some(program) = words.first_mut()
        && let Some(found) = find(program)
    {
        *program = std::path::absolute(found)
            .map_err(|e| e.to_string())?
            .into();
    }
    let order = Order {
        words,
        variables: Vec::new(),
        stays: false,
        talks: false,
    };
    let program = Program::start(&order, Some(scratch));
    let program = program.map_err(|e| format!("the client cannot be started: {e}"))?;
    Ok((program, place))
}

fn place_for(mode: Mode) -> Result<(Scratch, Place), String> {
    let mut reason = String::new();
    for _ in 0..TRIES {
        let folder = Scratch::new().map_err(|e| format!("cannot make a scratch folder: {e}"))?;
        let place = match mode {
            Mode::Unix => Place::private(folder.path()),
            Mode::Inet => Place::loopback(),
        };
        match place {
            Ok(place) => return Ok((folder, place)),
            Err(e) => reason = e.to_string(),
        }
    }
    Err(format!(
        "cannot make a socket: {reason}; TMPDIR must be a local folder with a short name"
    ))
}

/// What a client is told, by placeholder.
struct Told(Vec<(&'static str, String)>);

impl Told {
    fn of(engine: &Engine, place: &Place, folder: &Path, species: &[u8], room: &Room) -> Self {
        let shown = |path: &Path| path.display().to_string();
        let letters = room.cell.periodic.map(|p| if p { "T" } else { "F" });
        let port = match engine.mode {
            Mode::Unix => "0".to_owned(),
            Mode::Inet => place.name.clone(),
        };
        let socket = match engine.mode {
            Mode::Unix => place.name.clone(),
            Mode::Inet => LOOPBACK.to_owned(),
        };
        let path = format!("{}{socket}", crate::adapters::program::SOCKET_PREFIX);
        Self(vec![
            ("socket_path", path),
            ("socket", socket),
            ("host", LOOPBACK.to_owned()),
            ("port", port),
            ("workdir", shown(folder)),
            ("here", shown(&engine.here)),
            ("species", template::symbols(species)),
            ("elements", template::symbols(&template::elements(species))),
            ("natoms", species.len().to_string()),
            ("xyz", shown(&folder.join("frame.xyz"))),
            ("lammps_data", shown(&folder.join("frame.data"))),
            ("atoms", template::atom_lines(species, room)),
            ("cell", template::cell_lines(room)),
            ("pbc", letters.join(" ")),
        ])
    }

    fn fill(&self, text: &str) -> String {
        fill(text, |name| {
            let known = self.0.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| value.as_str())
        })
    }

    /// The frame in the forms that clients read, and the user's files with their placeholders filled in.
    fn write_files(&self, engine: &Engine, species: &[u8], room: &Room) -> std::io::Result<()> {
        let value = |name: &str| self.fill(&format!("{{{name}}}"));
        let mut xyz = fs::File::create(value("xyz"))?;
        room.write_xyz(species, &mut xyz)?;
        fs::write(value("lammps_data"), template::lammps_data(species, room))?;
        for (name, content) in &engine.files {
            let path = Path::new(&self.fill("{workdir}")).join(name);
            match std::str::from_utf8(content) {
                Ok(text) => fs::write(path, self.fill(text))?,
                Err(_) => fs::write(path, content)?,
            }
        }
        Ok(())
    }
}

fn await_program(
    engine: &Engine,
    program: &mut Program,
    place: &Place,
    end: Instant,
) -> Result<Stream, String> {
    loop {
        if let Some(stream) = accept(place)? {
            return Ok(stream);
        }
        if !program.runs() {
            return Err(format!("the client {}", program.farewell()));
        }
        let asked = engine.trying.load(Ordering::Relaxed) && signals::asked();
        if Instant::now() > end || asked {
            return Err(format!("{}{}", too_long(engine), program.said()));
        }
    }
}

fn await_others(engine: &Engine, end: Instant) -> Result<Stream, String> {
    let place = engine.open_door()?;
    loop {
        if let Some(stream) = accept(&place)? {
            return Ok(stream);
        }
        if Instant::now() > end {
            let at = &place.name;
            return Err(format!("{} at {at}: start one there", too_long(engine)));
        }
    }
}

fn accept(place: &Place) -> Result<Option<Stream>, String> {
    let stream = place.accept(LOOK);
    stream.map_err(|e| format!("cannot accept a client: {e}"))
}
