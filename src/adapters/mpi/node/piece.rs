//! Consecutive bytes of a file.

/// Consecutive bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where in the file.
    pub at: u64,
    /// How many bytes.
    pub length: u64,
}

/// Appends a piece that begins at or after the end of the last one; pieces that touch become one.
pub fn append(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        _ if piece.length == 0 => {}
        Some(last) if last.at + last.length == piece.at => last.length += piece.length,
        _ => pieces.push(piece),
    }
}
