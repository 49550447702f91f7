//! Where clients connect.
//!
//! Clients look for a UNIX socket at `/tmp/ipi_NAME`. The socket itself is in the scratch folder of its client, which
//! nobody else may enter and which the keeper removes; in `/tmp` there is a symbolic link to it, named after the
//! folder, which the keeper removes, too (`program::link_to`).

use std::fs;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::adapters::program::{SOCKET_PREFIX, link_to};

/// The socket's name in its scratch folder.
const SOCKET: &str = "socket";
/// Where clients on this machine find a TCP port.
pub(super) const LOOPBACK: &str = "127.0.0.1";

/// One end of a connection.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// A place where clients connect; nothing is left of it when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    listener: Listener,
    /// What `/tmp` holds of it.
    path: Option<PathBuf>,
    /// What a client is told: a name, or a port.
    pub name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

impl Place {
    /// A UNIX socket for the client that works in `scratch`.
    pub fn private(scratch: &Path) -> Result<Self> {
        let link = link_to(scratch);
        let name = name_of(&link);
        let socket = scratch.join(SOCKET);
        let listener = Listener::Unix(UnixListener::bind(&socket)?);
        symlink(&socket, &link)?;
        Self::ready(listener, Some(link), name)
    }

    /// A TCP port of this machine that is free.
    pub fn loopback() -> Result<Self> {
        let listener = TcpListener::bind((LOOPBACK, 0))?;
        let port = listener.local_addr()?.port();
        Self::ready(Listener::Tcp(listener), None, port.to_string())
    }

    /// The UNIX socket of this name, for clients that others start.
    pub fn named(name: &str) -> Result<Self> {
        let path = PathBuf::from(format!("{SOCKET_PREFIX}{name}"));
        let listener = match UnixListener::bind(&path) {
            // Nobody listens any more where a connection is refused.
            Err(e) if e.kind() == ErrorKind::AddrInUse && is_deserted(&path) => {
                fs::remove_file(&path)?;
                UnixListener::bind(&path)?
            }
            other => other?,
        };
        Self::ready(Listener::Unix(listener), Some(path), name.to_owned())
    }

    /// A port of an interface of this machine, for clients that others start.
    pub fn port(host: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        Self::ready(Listener::Tcp(listener), None, port.to_string())
    }

    fn ready(listener: Listener, path: Option<PathBuf>, name: String) -> Result<Self> {
        let place = Self {
            listener,
            path,
            name,
        };
        match &place.listener {
            Listener::Unix(listener) => listener.set_nonblocking(true)?,
            Listener::Tcp(listener) => listener.set_nonblocking(true)?,
        }
        Ok(place)
    }

    /// The next client, if one connects within `patience`.
    pub fn accept(&self, patience: Duration) -> Result<Option<Stream>> {
        let fd = match &self.listener {
            Listener::Unix(listener) => listener.as_fd(),
            Listener::Tcp(listener) => listener.as_fd(),
        };
        let time = Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&time)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        let stream = match &self.listener {
            Listener::Unix(listener) => listener.accept().map(|(s, _)| Stream::Unix(s)),
            Listener::Tcp(listener) => listener.accept().and_then(|(stream, _)| {
                // Words of twelve bytes go out at once.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }),
        };
        match stream {
            Ok(stream) => Ok(Some(stream)),
            // Another worker was faster, or the client has left.
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// Splits `HOST:PORT`, or `PORT` of the loopback interface, and sees that the host is one.
pub(super) fn host_and_port(address: &str) -> Result<(String, u16)> {
    let (host, port) = address.rsplit_once(':').unwrap_or((LOOPBACK, address));
    let wrong = |_| Error::new(ErrorKind::InvalidInput, format!("{port:?} is not a port"));
    let port: u16 = port.parse().map_err(wrong)?;
    let host = host.trim_matches(['[', ']']);
    (host, port).to_socket_addrs()?;
    Ok((host.to_owned(), port))
}

/// What a client is told, of the path where it looks.
fn name_of(link: &Path) -> String {
    let path = link.to_string_lossy();
    path.strip_prefix(SOCKET_PREFIX).unwrap_or(&path).to_owned()
}

fn is_deserted(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    let refused = UnixStream::connect(path).map_err(|e| e.kind());
    is_socket && refused.err() == Some(ErrorKind::ConnectionRefused)
}
