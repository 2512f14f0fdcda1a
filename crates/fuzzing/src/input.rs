//! Numbers and pieces out of a target's bytes.

/// Reads from the front; past the end there are zeros and empty pieces.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        let (byte, rest) = self.0.split_first().map_or((0, self.0), |(byte, rest)| (*byte, rest));
        self.0 = rest;
        byte
    }

    /// Big endian.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// As many as there are.
    pub fn piece(&mut self, len: usize) -> &'a [u8] {
        let (piece, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        piece
    }

    /// Two bytes of length, then so many.
    pub fn counted(&mut self) -> &'a [u8] {
        let len = usize::from(self.short());
        self.piece(len)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As [`Input::counted`] reads it.
pub fn put_counted(out: &mut Vec<u8>, piece: &[u8]) {
    out.extend((piece.len() as u16).to_be_bytes());
    out.extend_from_slice(piece);
}
